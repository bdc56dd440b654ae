// Tensor copies and bulk copies: layouts, bounds, reductions, and the bugs around them.
#include "../../lib/bpt/Runtime/emulator/WgmmaLayout.h"
#include "Harness.h"
#include <cstring>
#include <gtest/gtest.h>

using namespace bpt;
using namespace bpt::emulator;
using namespace bpt::test;

namespace {

/// A dense tensor and its map.
struct Tensor {
  alignas(64) TensorMap map;
  std::vector<uint64_t> sizes;
  std::vector<uint16_t> data;
  Tensor(std::vector<uint64_t> dims, std::vector<uint32_t> box, Swizzle swizzle) : sizes(dims) {
    size_t count = 1;
    std::vector<uint64_t> strides;
    for (uint64_t size : dims) {
      count *= size;
      strides.push_back(count * 2);
    }
    data.resize(count + 8);
    for (size_t i = 0; i < count; ++i)
      data[i] = uint16_t(i * 7 + 1);
    // malloc aligns to 16
    Status status = encodeTensorMap(map, data.data(), TensorType::BF16, uint32_t(dims.size()), dims.data(),
                                    strides.data(), box.data(), swizzle);
    EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message);
  }
  /// Element at the coordinates; 0 outside.
  uint16_t at(std::vector<int64_t> c) const {
    size_t index = 0, stride = 1;
    for (size_t i = 0; i < c.size(); ++i) {
      if (c[i] < 0 || c[i] >= int64_t(sizes[i]))
        return 0;
      index += size_t(c[i]) * stride;
      stride *= sizes[i];
    }
    return data[index];
  }
};

const char *const mapParameter = "ptr byval([16 x i64]) align 64 %map, ptr %out";

/// Thread 0 initialises the mbarrier at shared + 65536; all meet.
const char *const initialise = R"(
    %bar = getelementptr i8, ptr addrspace(3) @bpt_shared, i32 65536
    %dst = addrspacecast ptr addrspace(3) @bpt_shared to ptr addrspace(7)
    %first = icmp eq i32 $tid, 0
    br i1 %first, label %init, label %ready
  init:
    call void @llvm.nvvm.mbarrier.init.shared(ptr addrspace(3) %bar, i32 1)
    call void @llvm.nvvm.fence.mbarrier_init.release.cluster()
    br label %ready
  ready:
    call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
    br i1 %first, label %load, label %wait
  load:
)";
const char *const waitLoaded = R"(
    br label %wait
  wait:
    %w = call i1 @llvm.nvvm.mbarrier.try.wait.parity.scope.cta.space.cta(ptr addrspace(3) %bar, i32 0)
)";
/// 32 threads copy `bytes` of shared memory to %out, 4 bytes at a time.
std::string copyOut(int bytes) {
  return "    br label %loop\n  loop:\n    %i = phi i32 [ $tid, %wait ], [ %j, %loop ]\n"
         "    %sp = getelementptr i32, ptr addrspace(3) @bpt_shared, i32 %i\n    %sv = load i32, ptr addrspace(3) %sp\n"
         "    %gp = getelementptr i32, ptr %out, i32 %i\n    store i32 %sv, ptr %gp\n    %j = add i32 %i, 32\n"
         "    %more = icmp slt i32 %j, " +
         std::to_string(bytes / 4) + "\n    br i1 %more, label %loop, label %end\n  end:\n    ret void\n";
}

std::string expectBytes(int bytes) {
  return "    %e = call i64 @llvm.nvvm.mbarrier.arrive.expect.tx.scope.cta.space.cta(ptr addrspace(3) %bar, i32 " +
         std::to_string(bytes) + ")\n";
}

std::string tensorLoad(const std::vector<int64_t> &c) {
  std::string text = "    call void @llvm.nvvm.cp.async.bulk.tensor.g2s.tile." + std::to_string(c.size()) +
                     "d(ptr addrspace(7) %dst, ptr addrspace(3) %bar, ptr %map";
  for (int64_t x : c)
    text += ", i32 " + std::to_string(x);
  return text + ", i16 0, i64 0, i1 0, i1 0, i32 0)\n";
}

/// Loads the box at `c` in every mode and compares shared memory with what the layout says.
void checkLoad(const Tensor &tensor, std::vector<uint32_t> box, Swizzle swizzle, std::vector<int64_t> c) {
  size_t count = 1;
  for (uint32_t size : box)
    count *= size;
  Kernel kernel(kernelText(mapParameter, initialise + expectBytes(int(count * 2)) + tensorLoad(c) + waitLoaded +
                                             copyOut(int(count * 2))));
  static const OperandSwizzle kinds_[] = {OperandSwizzle::None, OperandSwizzle::B32, OperandSwizzle::B64,
                                          OperandSwizzle::B128};
  for (Mode mode : {Mode::Eager, Mode::Random, Mode::Late}) {
    std::vector<uint16_t> out(count);
    void *pointer = out.data();
    EXPECT_EQ(texts(kernel.run({const_cast<TensorMap *>(&tensor.map), &pointer}, 32, 65544, inMode(mode))), "");
    for (size_t i = 0; i < count; ++i) {
      std::vector<int64_t> position = c;
      size_t rest = i;
      for (size_t d = 0; d < box.size(); ++d) {
        position[d] += int64_t(rest % box[d]);
        rest /= box[d];
      }
      uint32_t address = bpt::emulator::swizzle(uint32_t(i) * 2, kinds_[int(swizzle)]);
      ASSERT_EQ(out[address / 2], tensor.at(position)) << "element " << i;
    }
  }
}

} // namespace

TEST(EmulatorCopy, TensorLoadsOfAllRanks) {
  checkLoad(Tensor({96}, {64}, Swizzle::None), {64}, Swizzle::None, {16});
  checkLoad(Tensor({64, 24}, {32, 8}, Swizzle::None), {32, 8}, Swizzle::None, {8, 5});
  checkLoad(Tensor({64, 8, 5}, {64, 4, 2}, Swizzle::B128), {64, 4, 2}, Swizzle::B128, {0, 3, 1});
  checkLoad(Tensor({16, 4, 3, 5}, {8, 2, 2, 3}, Swizzle::None), {8, 2, 2, 3}, Swizzle::None, {8, 1, 1, 2});
  checkLoad(Tensor({16, 4, 3, 5, 3}, {8, 2, 2, 1, 2}, Swizzle::None), {8, 2, 2, 1, 2}, Swizzle::None, {0, 2, 0, 4, 1});
}

TEST(EmulatorCopy, Swizzles) {
  checkLoad(Tensor({64, 32}, {64, 16}, Swizzle::B128), {64, 16}, Swizzle::B128, {0, 3});
  checkLoad(Tensor({64, 32}, {32, 16}, Swizzle::B64), {32, 16}, Swizzle::B64, {32, 3});
  checkLoad(Tensor({64, 32}, {16, 16}, Swizzle::B32), {16, 16}, Swizzle::B32, {16, 3});
}

TEST(EmulatorCopy, OutsideIsZero) {
  checkLoad(Tensor({64, 32}, {64, 16}, Swizzle::B128), {64, 16}, Swizzle::B128, {24, 20});
  checkLoad(Tensor({64, 32}, {64, 16}, Swizzle::B128), {64, 16}, Swizzle::B128, {-7, -3});
  checkLoad(Tensor({64, 32}, {64, 16}, Swizzle::None), {64, 16}, Swizzle::None, {0, 40});
}

TEST(EmulatorCopy, LoadInPTX) {
  Tensor tensor({64, 32}, {64, 8}, Swizzle::None);
  std::string load =
      "    call void asm sideeffect \"cp.async.bulk.tensor.2d.shared::cta.global.tile.mbarrier::complete_tx::bytes "
      "[$0], [$1, {$2, $3}], [$4];\", \"r,l,r,r,r\"(ptr addrspace(3) @bpt_shared, ptr %map, i32 0, i32 2, ptr "
      "addrspace(3) "
      "%bar)\n";
  Kernel kernel(kernelText(mapParameter, initialise + expectBytes(1024) + load + waitLoaded + copyOut(1024)));
  std::vector<uint16_t> out(512);
  void *pointer = out.data();
  EXPECT_EQ(texts(kernel.run({&tensor.map, &pointer}, 32, 65544)), "");
  for (int i = 0; i < 512; ++i)
    EXPECT_EQ(out[i], tensor.data[2 * 64 + i]);
}

namespace {

LaunchResult runLoad(const std::string &body, Mode mode = Mode::Eager) {
  Tensor tensor({64, 32}, {64, 8}, Swizzle::B128);
  Kernel kernel(kernelText(mapParameter, body));
  std::vector<uint16_t> out(2048);
  void *pointer = out.data();
  return kernel.run({&tensor.map, &pointer}, 32, 65544, inMode(mode));
}

} // namespace

TEST(EmulatorCopy, WrongTransactionCountIsNamed) {
  for (int bytes : {1008, 1040}) {
    std::string text =
        kinds(runLoad(initialise + expectBytes(bytes) + tensorLoad({0, 0}) + waitLoaded + copyOut(1024)));
    EXPECT_EQ(text, "TransactionMismatch Deadlock") << bytes;
  }
}

TEST(EmulatorCopy, ReadWithoutWaitingIsReportedInEveryMode) {
  for (Mode mode : {Mode::Eager, Mode::Random, Mode::Late}) {
    std::string noWait =
        initialise + expectBytes(1024) + tensorLoad({0, 0}) + "    br label %wait\n  wait:\n" + copyOut(1024);
    std::string found = kinds(runLoad(noWait, mode));
    EXPECT_NE(found.find("UnobservedCopy"), std::string::npos) << found;
  }
}

TEST(EmulatorCopy, CopyNobodyWaitsForIsOutstanding) {
  EXPECT_EQ(kinds(runLoad(initialise + expectBytes(1024) + tensorLoad({0, 0}) +
                          "    br label %wait\n  wait:\n    ret void\n")),
            "OutstandingWork");
}

TEST(EmulatorCopy, StageLoadedTwiceWithoutAWaitBetween) {
  std::string twice =
      initialise + expectBytes(2048) + tensorLoad({0, 0}) + tensorLoad({0, 8}) + waitLoaded + copyOut(1024);
  EXPECT_EQ(kinds(runLoad(twice)), "StageReusedEarly");
}

TEST(EmulatorCopy, MbarrierInitialisationMustBeFenced) {
  std::string text = initialise + expectBytes(1024) + tensorLoad({0, 0}) + waitLoaded + copyOut(1024);
  size_t at = text.find("    call void @llvm.nvvm.fence.mbarrier_init");
  text.erase(at, text.find('\n', at) - at);
  EXPECT_EQ(kinds(runLoad(text)), "MissingProxyFence");
}

TEST(EmulatorCopy, SwizzledBoxesMustBeAligned) {
  std::string text = initialise + expectBytes(1024) + tensorLoad({0, 0}) + waitLoaded + "    ret void\n";
  size_t at = text.find("addrspacecast ptr addrspace(3) @bpt_shared");
  text.replace(at, strlen("addrspacecast ptr addrspace(3) @bpt_shared"),
               "addrspacecast ptr addrspace(3) getelementptr (i8, ptr addrspace(3) @bpt_shared, i64 128)");
  EXPECT_EQ(kinds(runLoad(text)), "Misaligned");
}

TEST(EmulatorCopy, NotATensorMap) {
  alignas(64) char nothing[128] = {};
  Kernel kernel(
      kernelText(mapParameter, initialise + expectBytes(1024) + tensorLoad({0, 0}) + waitLoaded + copyOut(1024)));
  void *pointer = nothing;
  EXPECT_EQ(kinds(kernel.run({nothing, &pointer}, 32, 65544)), "BadTensorMap");
}

TEST(EmulatorCopy, TensorMapsAreChecked) {
  alignas(64) TensorMap map;
  alignas(64) static uint16_t data[4096];
  uint64_t sizes[2] = {64, 32}, strides[1] = {128};
  uint32_t box[2] = {64, 8};
  auto encode = [&](Swizzle swizzle) {
    return encodeTensorMap(map, data, TensorType::BF16, 2, sizes, strides, box, swizzle).ok();
  };
  EXPECT_TRUE(encode(Swizzle::B128));
  EXPECT_FALSE(encode(Swizzle::B64)); // rows of 128 bytes
  strides[0] = 136;
  EXPECT_FALSE(encode(Swizzle::B128));
  strides[0] = 128;
  box[1] = 257;
  EXPECT_FALSE(encode(Swizzle::B128));
  box[1] = 8;
  box[0] = 4; // 8 bytes
  EXPECT_FALSE(encode(Swizzle::None));
  box[0] = 64;
  EXPECT_FALSE(encodeTensorMap(map, data + 4, TensorType::BF16, 2, sizes, strides, box, Swizzle::B128).ok());
  EXPECT_FALSE(encodeTensorMap(map, data, TensorType::BF16, 6, sizes, strides, box, Swizzle::B128).ok());
}

namespace {

/// 32 threads write their number 8 times (f32) to shared memory; thread 0 stores the 8x32 box to the tensor.
std::string storeKernel(const char *fence, const char *meet, const std::string &store, const char *wait,
                        const char *after = "") {
  return kernelText(mapParameter, std::string(R"(
    %first = icmp eq i32 $tid, 0
    %value = uitofp i32 $tid to float
    %off = mul i32 $tid, 32
    %place = getelementptr i8, ptr addrspace(3) @bpt_shared, i32 %off
)") +
                                      repeated(8, "    %p# = getelementptr float, ptr addrspace(3) %place, i32 #\n    "
                                                  "store float %value, ptr addrspace(3) %p#\n") +
                                      fence + meet + "    br i1 %first, label %store, label %end\n  store:\n" + store +
                                      "    call void @llvm.nvvm.cp.async.bulk.commit.group()\n" + wait + after +
                                      "    br label %end\n  end:\n    ret void\n");
}
const char *const proxyFence = "    call void @llvm.nvvm.fence.proxy.async.shared_cta()\n";
const char *const meetAll = "    call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)\n";
const char *const waitRead = "    call void @llvm.nvvm.cp.async.bulk.wait.group.read(i32 0)\n";
const char *const plainStore = "    call void @llvm.nvvm.cp.async.bulk.tensor.s2g.tile.2d(ptr addrspace(3) "
                               "@bpt_shared, ptr %map, i32 4, i32 10, i64 0, i1 0)\n";

/// Runs a store kernel on a 16 x 40 tensor of f32 ones; the box is 8 x 32.
std::vector<float> runStore(const std::string &text, LaunchResult &result, uint32_t blocks = 1) {
  std::vector<float> data(16 * 40, 1.0f);
  alignas(64) TensorMap map;
  uint64_t sizes[2] = {10, 40}, strides[1] = {64};
  uint32_t box[2] = {8, 32};
  EXPECT_TRUE(encodeTensorMap(map, data.data(), TensorType::F32, 2, sizes, strides, box, Swizzle::None).ok());
  GlobalMemory memory;
  memory.add(data.data(), data.size() * 4, "data", true);
  Options options = inMode(Mode::Eager);
  options.hostThreads = 2;
  options.memory = &memory;
  void *pointer = nullptr;
  result = Kernel(text).run({&map, &pointer}, 32, 1024, options, {blocks, 1, 1});
  return data;
}

} // namespace

// Rows 10.. of 40 and columns 4.. of 10: 30 rows and 6 columns of the box lie inside.
TEST(EmulatorCopy, TensorStoresAreClipped) {
  LaunchResult result;
  std::vector<float> data = runStore(storeKernel(proxyFence, meetAll, plainStore, waitRead), result);
  EXPECT_EQ(texts(result), "");
  for (int row = 0; row < 40; ++row)
    for (int column = 0; column < 16; ++column)
      EXPECT_EQ(data[row * 16 + column], row >= 10 && column >= 4 && column < 10 ? float(row - 10) : 1.0f)
          << row << " " << column;
}

// Rows 30 and 31 of the box lie outside: nobody needs to have written them. Row 29 lies inside.
TEST(EmulatorCopy, ClippedRowsNeedNotBeWritten) {
  for (int written : {30, 29}) {
    std::string text = storeKernel(proxyFence, meetAll, plainStore, waitRead);
    size_t from = text.find("    %p0 ="), to = text.find(proxyFence);
    std::string stores = text.substr(from, to - from);
    text.replace(from, to - from,
                 "    %mine = icmp ult i32 %id.tid, " + std::to_string(written) +
                     "\n    br i1 %mine, label %write, label %written\n  write:\n" + stores +
                     "    br label %written\n  written:\n");
    LaunchResult result;
    runStore(text, result);
    EXPECT_EQ(kinds(result), written == 30 ? "" : "UninitialisedRead");
  }
}

TEST(EmulatorCopy, ReductionsOfManyBlocksAdd) {
  std::string reduce = plainStore;
  reduce.replace(reduce.find("s2g"), 3, "reduce.add");
  LaunchResult result;
  std::vector<float> data = runStore(storeKernel(proxyFence, meetAll, reduce, waitRead), result, 20);
  EXPECT_EQ(texts(result), "");
  EXPECT_EQ(data[10 * 16 + 4], 1.0f);
  EXPECT_EQ(data[39 * 16 + 9], 1.0f + 20 * 29);
  EXPECT_EQ(data[39 * 16 + 10], 1.0f);
}

TEST(EmulatorCopy, StoreNeedsProxyFence) {
  LaunchResult result;
  runStore(storeKernel("", meetAll, plainStore, waitRead), result);
  EXPECT_EQ(kinds(result), "MissingProxyFence");
  // The fence may also stand with the reader, after the barrier.
  std::string late = std::string(meetAll) + proxyFence;
  runStore(storeKernel("", late.c_str(), plainStore, waitRead), result);
  EXPECT_EQ(texts(result), "");
}

TEST(EmulatorCopy, StoreNeedsABarrier) {
  LaunchResult result;
  // The warp meets without ordering memory, so that all have written.
  runStore(storeKernel(proxyFence, "    %x = call i32 @llvm.nvvm.shfl.sync.idx.i32(i32 -1, i32 0, i32 0, i32 31)\n",
                       plainStore, waitRead),
           result);
  EXPECT_EQ(kinds(result), "DataRace");
}

TEST(EmulatorCopy, StoreMustBeWaitedFor) {
  LaunchResult result;
  runStore(storeKernel(proxyFence, meetAll, plainStore, ""), result);
  EXPECT_EQ(kinds(result), "OutstandingWork");
  const char *overwrite = "    store float 1.0, ptr addrspace(3) @bpt_shared\n";
  runStore(storeKernel(proxyFence, meetAll, plainStore, "", (std::string(overwrite) + waitRead).c_str()), result);
  EXPECT_EQ(kinds(result), "StoreSourceOverwritten");
  runStore(storeKernel(proxyFence, meetAll, plainStore, waitRead, overwrite), result);
  EXPECT_EQ(texts(result), "");
}

TEST(EmulatorCopy, BulkCopiesBothWays) {
  std::string body = initialise + expectBytes(256) + R"(
    %g = addrspacecast ptr %in to ptr addrspace(1)
    call void @llvm.nvvm.cp.async.bulk.global.to.shared.cluster(ptr addrspace(7) %dst, ptr addrspace(3) %bar,
        ptr addrspace(1) %g, i32 256, i16 0, i64 0, i1 0, i1 0)
)" + waitLoaded + R"(
    br i1 %first, label %store, label %end
  store:
    %h = addrspacecast ptr %out to ptr addrspace(1)
    call void @llvm.nvvm.cp.async.bulk.shared.cta.to.global(ptr addrspace(1) %h, ptr addrspace(3) @bpt_shared,
        i32 256, i64 0, i1 0)
    call void @llvm.nvvm.cp.async.bulk.commit.group()
    call void @llvm.nvvm.cp.async.bulk.wait.group(i32 0)
    br label %end
  end:
    ret void
)";
  Kernel kernel(kernelText("ptr %in, ptr %out", body));
  alignas(16) uint8_t in[256], out[256] = {};
  for (int i = 0; i < 256; ++i)
    in[i] = uint8_t(i);
  void *from = in, *to = out;
  for (Mode mode : {Mode::Eager, Mode::Late}) {
    memset(out, 0, sizeof out);
    EXPECT_EQ(texts(kernel.run({&from, &to}, 32, 65544, inMode(mode))), "");
    EXPECT_EQ(memcmp(in, out, 256), 0);
  }
  from = in + 8;
  EXPECT_EQ(kinds(kernel.run({&from, &to}, 32, 65544)), "Misaligned");
}
