// What compiled code calls to use a device.
#include "bpt/Runtime/Device.h"
#include "bpt/Runtime/Threads.h"
#include <algorithm>
#include <cstring>

extern "C" int64_t bpt_workers(bpt_context *context) { return context->device ? context->device->workers() : 1; }

extern "C" uint8_t *bpt_thread_scratch(bpt_context *context) { return context->scratch; }

/// Without a device, or after an error, nothing is done: the run is void.
static bool isUsable(bpt_context *context) {
  if (!context->device && !context->failure)
    context->failure = bpt::badInput("the program has kernels, but was loaded without a device");
  return !context->failure;
}

static void keepError(bpt_context *context, bpt::Status status) {
  if (!status)
    context->failure = status.takeError();
}

extern "C" void bpt_launch(bpt_context *context, int32_t kernel, int64_t grid_x, int64_t grid_y, int64_t grid_z,
                           int32_t threads, int32_t shared_bytes, void **arguments) {
  if (isUsable(context) && grid_x > 0 && grid_y > 0 && grid_z > 0)
    keepError(context, context->device->launch({kernel, {grid_x, grid_y, grid_z}, threads, shared_bytes, arguments}));
}

extern "C" int64_t bpt_begin_copy(bpt_context *context, uint8_t *to, const uint8_t *from, int64_t bytes) {
  if (!context->device) {
    std::memcpy(to, from, static_cast<size_t>(bytes));
    return 0;
  }
  if (!isUsable(context))
    return 0;
  bpt::Expected<int64_t> number = context->device->beginCopy(to, from, bytes);
  if (!number)
    context->failure = number.takeError();
  return number ? *number : 0;
}

extern "C" void bpt_wait_copy(bpt_context *context, int64_t number) {
  if (context->device && isUsable(context))
    keepError(context, context->device->waitCopy(number));
}

extern "C" void bpt_tensor_map(bpt_context *context, void *map, void *base, int32_t element, int32_t rank,
                               const int64_t *sizes, const int64_t *strides, const int64_t *box, int32_t swizzle) {
  if (!isUsable(context))
    return;
  bpt::TensorMapInfo info;
  info.base = base;
  info.element = static_cast<bpt::DataType>(element);
  // A map has no size 0; kernels read nothing of what is empty.
  for (int32_t i = 0; i < rank; ++i)
    info.sizes.push_back(std::max<int64_t>(sizes[i], 1));
  info.strides.assign(strides, strides + rank - 1);
  info.box.assign(box, box + rank);
  info.swizzle = swizzle;
  keepError(context, context->device->fillTensorMap(map, info));
}
