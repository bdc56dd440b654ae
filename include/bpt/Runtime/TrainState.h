// What training changes and a checkpoint holds: parameters and the two moments of AdamW, in one block of memory.
#pragma once
#include "bpt/Runtime/Manifest.h"
#include "bpt/Runtime/Tensor.h"
#include "bpt/Runtime/Threads.h"
#include <cstdint>
#include <string>
#include <vector>

namespace bpt {

/// A parameter as the training step holds it.
struct TrainedParameter {
  std::string name;
  Shape shape;                      ///< static
  DataType type = DataType::F32;    ///< of the value that is updated (f32 master weights of bf16 and f16 graphs)
  DataType moments = DataType::F32; ///< of m and v
  Init init;
};

/// The parameters a loss graph with this signature is trained by: f64 ones stay, all others have f32 masters and
/// moments. Errors: exit 1 when there is none or one has a dynamic shape.
Expected<std::vector<TrainedParameter>> trainedParameters(const std::vector<ArgumentInfo> &lossArguments);

/// Views of parameters (`<name>`) and moments (`<name>.m`, `<name>.v`) in a block that the caller owns.
struct TrainState {
  std::vector<NamedTensor> model;
  std::vector<NamedTensor> optimizer; ///< m and v of the first parameter, m and v of the second, ..

  /// Bytes of the block, or an error when they do not fit in 63 bits.
  static Expected<int64_t> bytes(const std::vector<TrainedParameter> &parameters);
  /// Lays the state out in `block`, which is aligned to 64 and has bytes(parameters) bytes. Contents are not touched.
  static TrainState place(const std::vector<TrainedParameter> &parameters, uint8_t *block);
};

/// Fills `state` for step 0: parameters as their `init` says, from `seed` and their names alone; moments with zeros.
void initializeState(const TrainState &state, const std::vector<TrainedParameter> &parameters, uint64_t seed);

/// What loadParameters found besides the parameters.
struct ExtraTensors {
  std::vector<std::string> names; ///< tensors of the file that the model has no use for
};

/// Reads `parameters` from the safetensors file `path`, or with `checkOnly` looks whether that is possible, converting between float types. A parameter `a.b.c` is also
/// found as `b.c`: files of Hugging Face's base models lack the first part of the names. Errors (exit 1): a parameter
/// that is not in the file (with the nearest name), another shape (both sides), a type that is no float.
Expected<ExtraTensors> loadParameters(const std::string &path, const std::vector<NamedTensor> &parameters,
                                      bool checkOnly = false);

/// Copies the elements of `from` to `to` (same shape), rounding once to its type. `threads` may be null.
void convertElements(const Tensor &from, const Tensor &to, ThreadPool *threads);

} // namespace bpt
