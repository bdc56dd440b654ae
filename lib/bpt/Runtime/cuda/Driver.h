// The CUDA driver, found at run time: nothing links against it, and no header of CUDA is needed.
#pragma once
#include "bpt/Runtime/Error.h"
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace bpt::cuda {

// Types of cuda.h (CUDA 12 and 13), as far as the calls need them.
using CUresult = int;
using CUdevice = int;
using CUdeviceptr = unsigned long long;
using CUcontext = struct CUctx_st *;
using CUstream = struct CUstream_st *;
using CUmodule = struct CUmod_st *;
using CUevent = struct CUevent_st *;
using CUfunction = struct CUfunc_st *;
using CUgraph = struct CUgraph_st *;
using CUgraphExec = struct CUgraphExec_st *;

/// The driver's functions by name. A function returns 0 for success.
struct Driver {
#define BPT_CUDA_FUNCTION(name, parameters) CUresult(*name) parameters = nullptr;
#include "DriverAPI.def"

  /// Loads and initialises the driver. Errors (exit 1): no driver; one that is too old, with its version and the least
  /// that will do.
  static Expected<std::shared_ptr<const Driver>> load();

  /// Success, or what the driver says of `result`: its name and text, after `what` was tried. Out of memory is exit 4.
  Status check(CUresult result, const std::string &what) const;

private:
  std::shared_ptr<void> library;
};

} // namespace bpt::cuda
