// bpt -> something else.
#ifndef BPT_CONVERSION_PASSES_TD
#define BPT_CONVERSION_PASSES_TD

include "mlir/Pass/PassBase.td"

def ConvertBPTToLinalgPass : Pass<"convert-bpt-to-linalg", "::mlir::ModuleOp"> {
  let summary = "the unblocked definition of every op: the oracle";
  let description = [{
    Replaces each compute op by the formula of its page, in plain linalg on tensors: attention with all its scores, the
    feed-forward layer with its whole hidden, cross-entropy with all its logits. Blocked CPU and GPU code is compared with
    what this gives, so it is written to be read next to the pages, not to be fast.

    Inputs are extended to the accumulator type (f64 for f64, else f32), everything is computed in it, and results are
    rounded once; only the activated hidden of a feed-forward layer is rounded in between, as its page says. Sums run in
    ascending index order. Elementwise arith and math ops on tensors become linalg.generic, and linalg ops on bf16 or f16
    compute in f32 and round once, as the rest of the graph is compared too.

    Preconditions:
    * compute ops are on tensors; one on memrefs is an error
    * head counts, and the head dim of `bpt.rotary`, are static
    * structure ops are left alone: `bpt-lower-structure` removes them before

    ```mlir
    %n = bpt.global_norm ins(%g : tensor<4x?xf32>) outs(%o : tensor<f32>) -> tensor<f32>
    ```
    becomes
    ```mlir
    %zero = arith.constant 0.000000e+00 : f32
    %start = linalg.fill ins(%zero : f32) outs(%o : tensor<f32>) -> tensor<f32>
    %sum = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> ()>],
                           iterator_types = ["reduction", "reduction"]}
      ins(%g : tensor<4x?xf32>) outs(%start : tensor<f32>) {
    ^bb0(%x: f32, %s: f32):
      %square = arith.mulf %x, %x : f32
      %next = arith.addf %s, %square : f32
      linalg.yield %next : f32
    } -> tensor<f32>
    %n = linalg.generic {indexing_maps = [affine_map<() -> ()>], iterator_types = []} outs(%sum : tensor<f32>) {
    ^bb0(%s: f32):
      %root = math.sqrt %s : f32
      linalg.yield %root : f32
    } -> tensor<f32>
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
                           "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"];
}
def ConvertBPTToVectorPass : Pass<"convert-bpt-to-vector", "::mlir::ModuleOp"> {
  let summary = "CPU kernels for bpt ops, contractions and elementwise linalg on memrefs";
  let description = [{
    Each op becomes the call of a private function, one for each distinct signature (op, attributes, element types, static
    inner dims, layouts), whose lengths are dynamic. A kernel is a few `scf.forall` loops over work items; how the work is
    cut depends on shapes only, so the results have the same bits for any number of threads. Bodies are vector code for
    the CPU: packed panels and register tiles with loop-carried accumulators (performance.md, E3), polynomials for
    elementary functions, masked tails. Storage types are expanded to f32 when they are loaded.

    Preconditions:
    * ops are on memrefs, and workspaces exist (`bpt-tile-blocks`) for the same `cpu`;
    * the innermost dim of operands of bpt ops is contiguous; outer strides are free.

    With `profile`, each call carries the number of its region (`bpt.region`), and the module's attribute `bpt.regions` says
    of each what op it was, where, and its FLOPs and bytes; bpt-outline-parallel calls the runtime around it.

    Kernels use `bpt.thread_scratch`; the module's attribute of that name says how many bytes they need at most.

    ```mlir
    func.func @f(%a: memref<?x64xf32>, %b: memref<64x64xf32>, %c: memref<?x64xf32>) {
      linalg.matmul ins(%a, %b : memref<?x64xf32>, memref<64x64xf32>) outs(%c : memref<?x64xf32>)
      return
    }
    ```
    becomes
    ```mlir
    func.func @f(%a: memref<?x64xf32>, %b: memref<64x64xf32>, %c: memref<?x64xf32>) {
      %b0 = memref.cast %b : memref<64x64xf32> to memref<?x64xf32>
      call @bpt_contraction_0(%a, %b0, %c) : (memref<?x64xf32>, memref<?x64xf32>, memref<?x64xf32>) -> ()
      return
    }
    ```
  }];
  let options = [Option<"cpu", "cpu", "std::string", "\"native\"",
                        "native[+amx] | x86-64-v4[+amx] | x86-64-v3 | x86-64 | sm_90a">,
                 Option<"profile", "profile", "bool", "false", "mark the calls of kernels as regions of a profile">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::func::FuncDialect", "::mlir::math::MathDialect",
                           "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect",
                           "::mlir::amx::AMXDialect", "::mlir::LLVM::LLVMDialect", "::bpt::BPTDialect"];
}
def ConvertBPTToNVVMPass : Pass<"convert-bpt-to-nvvm", "::mlir::ModuleOp"> {
  let summary = "Hopper kernels for bpt ops on memrefs";
  let description = [{
    Each op becomes launches of kernels in `gpu.module @bpt_kernels` for sm_90a: warp-specialised loops of TMA loads, wgmma
    products and softmax in registers, written as `llvm`, `nvvm` and `scf` ops. A kernel is emitted once for each signature (op,
    attributes, element type, head counts and head dim); batch and lengths are its arguments. Tiles and pipelines come from
    `Analysis/HopperTiles`, and from the op's `schedule` where it has one.

    Tensor maps are made on the host by `nvgpu.tma.create.descriptor`, innermost strides included, so operands may be slices of
    a fused buffer; addresses are those of the memrefs. Kernels expect their dynamic shared memory at `@bpt_shared`.

    Matrix products are persistent kernels with one producer and two consumer warpgroups: contractions on memrefs, with the zeros
    before them; `bpt.feed_forward` and `bpt.linear_cross_entropy` with their gradients, as loops over chunks of rows on the host
    around launches whose tiles end in biases, activations or statistics of logits. Of these, what the kernels do not take (f32, rows
    that are no multiple of 16 bytes, an odd number of columns) stays for `convert-bpt-to-vector`, and a remark says why.

    Preconditions:
    * ops are on memrefs, and workspaces exist where `getHopperWorkspaceBytes` and `getHopperChunkWorkspaceBytes` ask for them;
    * for attention, elements are bf16 or f16, head dims static, multiples of 8, at most 256, and strides multiples of 16 bytes: an
      op for which that does not hold is an error that says what does not.

    Postcondition: of the attention ops this pass knows, none is left. It knows `bpt.attention` and `bpt.attention_grad`.

    ```mlir
    func.func @f(%q: memref<2x?x4x64xbf16>, %o: memref<2x?x4x64xbf16>, %l: memref<2x4x?xf32>) {
      bpt.attention {scale = 0.125 : f64} ins(%q, %q, %q : memref<2x?x4x64xbf16>, memref<2x?x4x64xbf16>, memref<2x?x4x64xbf16>)
        outs(%o, %l : memref<2x?x4x64xbf16>, memref<2x4x?xf32>)
      return
    }
    ```
    becomes, with `@bpt_kernels::@attention_0` beside it,
    ```mlir
    %map = nvgpu.tma.create.descriptor %any box[%c1, %c192, %c1, %c64] : memref<*xbf16> -> <tensor = memref<1x192x1x64xbf16, 3>, ..>
    ..
    gpu.launch_func @bpt_kernels::@attention_0 blocks in (%blocks, %c1, %c1) threads in (%c512, %c1, %c1)
      dynamic_shared_memory_size %bytes args(%map : !nvgpu.tensormap.descriptor<..>, .., %lse : !llvm.ptr, .., %s : i32, %t : i32)
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::NVVM::NVVMDialect", "::mlir::arith::ArithDialect",
                           "::mlir::gpu::GPUDialect", "::mlir::memref::MemRefDialect", "::mlir::nvgpu::NVGPUDialect",
                           "::mlir::scf::SCFDialect"];
}
def OutlineParallelPass : Pass<"bpt-outline-parallel", "::mlir::ModuleOp"> {
  let summary = "parallel loops become calls of bpt_parallel_for";
  let description = [{
    The body of each `scf.forall` becomes a private function `(closure, item, scratch)`; captured values go through a closure
    on the stack, constants are repeated in the body. `bpt.thread_scratch` becomes the scratch the runtime passes,
    `bpt.shared_scratch` a call of `bpt_shared_scratch`.
    Functions that run a parallel loop get the runtime's context as an argument (`bpt.context`). A call with a `bpt.region`
    is put between calls of bpt_profile.

    Preconditions:
    * loops have no results and are not nested;
    * captured values have an LLVM type.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::func::FuncDialect", "::mlir::arith::ArithDialect"];
}
def OutlineKernelsPass : Pass<"bpt-outline-kernels", "::mlir::ModuleOp"> {
  let summary = "parallel loops become GPU kernels, a warp for each item";
  let description = [{
    What bpt-outline-parallel is for a CPU. The body of each `scf.forall` becomes a function in `gpu.module @bpt_kernels`,
    with the functions it calls; a kernel around it, of blocks of one warp, does the items from its block's number on in steps
    of the number of blocks; the loop becomes a `gpu.launch_func` of as many blocks as `bpt_workers` says at most. Captured
    values are the kernel's first argument, a struct passed by value. `bpt.thread_scratch` becomes the warp's share of the
    runtime's scratch; `bpt.shared_scratch` is not available.

    Preconditions:
    * loops have no results and are not nested;
    * captured values have an LLVM type;
    * data is read and written in loops only: functions of the host do not touch it.

    ```mlir
    scf.forall (%i) in (%n) {
      memref.store %zero, %m[%i] : memref<?xf32>
    }
    ```
    becomes
    ```mlir
    %workers = call @bpt_workers(%context) : (!llvm.ptr) -> i64
    %scratch = call @bpt_thread_scratch(%context) : (!llvm.ptr) -> !llvm.ptr
    %blocks = arith.minsi %items, %workers : i64
    gpu.launch_func @bpt_kernels::@f_kernel0 blocks in (%blocks, %c1, %c1) threads in (%c32, %c1, %c1)
      args(%closure : !llvm.ptr, %items : i64, %scratch : !llvm.ptr)
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::NVVM::NVVMDialect", "::mlir::func::FuncDialect",
                           "::mlir::arith::ArithDialect", "::mlir::gpu::GPUDialect", "::mlir::scf::SCFDialect"];
}
def DistributeLanesPass : Pass<"bpt-distribute-lanes", "::mlir::gpu::GPUModuleOp"> {
  let summary = "vectors of 32 elements become one element in each lane of a warp";
  let description = [{
    `convert-bpt-to-vector` for a GPU writes vectors as long as a warp has lanes. In functions of the gpu.module each such
    vector becomes the element that this lane has: loads and stores go to the lane's element, masks become branches, and what
    moves elements between lanes (shuffles, slices, extracted elements) becomes `nvvm.shfl.sync`. Scalars are the same in every
    lane; one lane stores them. `nvvm.bar.warp.sync` stands between accesses that may depend on each other.

    Preconditions:
    * vectors have one dim and at most 32 elements;
    * branches and loops depend on scalars only.

    ```mlir
    %v = vector.load %a[%i] : memref<?xf32>, vector<32xf32>
    vector.store %v, %b[%i] : memref<?xf32>, vector<32xf32>
    ```
    becomes
    ```mlir
    %lane = nvvm.read.ptx.sreg.laneid : i32
    %l = arith.index_castui %lane : i32 to index
    %j = arith.addi %i, %l : index
    %v = memref.load %a[%j] : memref<?xf32>
    nvvm.bar.warp.sync %all : i32
    memref.store %v, %b[%j] : memref<?xf32>
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::NVVM::NVVMDialect", "::mlir::arith::ArithDialect",
                           "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect"];
}
def LowerLaunchesPass : Pass<"bpt-lower-launches", "::mlir::ModuleOp"> {
  let summary = "launches of kernels, tensor maps and copies become calls of the runtime";
  let description = [{
    `gpu.launch_func` becomes a call of `bpt_launch` with the kernel's number and the addresses of its arguments, and
    `nvgpu.tma.create.descriptor` a call of `bpt_tensor_map` that fills 128 bytes on the stack (Runtime/RuntimeABI.def). A
    `gpu.memcpy async` becomes a call of `bpt_begin_copy`, its `gpu.wait` one of `bpt_wait_copy`. The module's attribute `bpt.kernels` names the kernels in the order of their numbers, and where they come from.

    Preconditions:
    * blocks are one-dimensional, launches synchronous in program order;
    * copies are of whole buffers, and each is waited for by a `gpu.wait` of its own;
    * tensor maps are of the cast of a memref with contiguous rows of f32, bf16 or f16, of rank 1 to 5.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::func::FuncDialect", "::mlir::arith::ArithDialect",
                           "::mlir::memref::MemRefDialect"];
}
def LowerMatrixTilesPass : Pass<"bpt-lower-matrix-tiles"> {
  let summary = "AMX tiles become LLVM's";
  let description = [{
    Ops of the `amx` dialect become LLVM's intrinsics, and tiles that loops carry values of type `!llvm.x86_amx`. The upstream
    lowering (`convert-vector-to-llvm{enable-amx}`) leaves carried tiles to `convert-cf-to-llvm`, which does not know their type.

    Precondition: loops are `scf` ops. Postcondition: no op of `amx` is left; memrefs are cast to descriptors where tiles were loaded
    or stored.

    ```mlir
    %sum = scf.for .. iter_args(%before = %zero) -> (!amx.tile<16x16xf32>) {..}
    ```
    becomes
    ```mlir
    %sum = scf.for .. iter_args(%before = %zero) -> (!llvm.x86_amx) {..}
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}
def CreateEntriesPass : Pass<"bpt-create-entries", "::mlir::ModuleOp"> {
  let summary = "one C function per entry";
  let description = [{
    Each function that bpt-plan-memory planned gets `int32_t bpt_entry_<name>(context, args, dims, arena, offsets)` around it:
    the one binary interface of compiled programs (Runtime/RuntimeABI.h).
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::func::FuncDialect", "::mlir::arith::ArithDialect"];
}

#endif
