"""IREE as a peer, for contractions: compiled for this machine, with its data tiling."""
import iree.compiler
import iree.runtime
import numpy as np

from serve import THREADS, serve_functions

iree.runtime.flags.parse_flags(f"--task_topology_max_group_count={THREADS}")
random = np.random.default_rng(0)


def contraction(r):
    a, b, c = (f"tensor<{rows}x{columns}xf32>" for rows, columns in ((r["m"], r["k"]), (r["k"], r["n"]), (r["m"], r["n"])))
    text = f"""func.func @f(%a: {a}, %b: {b}) -> {c} {{
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : {c}
  %z = linalg.fill ins(%zero : f32) outs(%e : {c}) -> {c}
  %r = linalg.matmul ins(%a, %b : {a}, {b}) outs(%z : {c}) -> {c}
  return %r : {c}
}}"""
    code = iree.compiler.compile_str(text, target_backends=["llvm-cpu"],
                                     extra_args=["--iree-llvmcpu-target-cpu=host", "--iree-opt-data-tiling"])
    config = iree.runtime.Config("local-task")
    context = iree.runtime.SystemContext(config=config)
    context.add_vm_module(iree.runtime.VmModule.copy_buffer(context.instance, code))
    matrices = [iree.runtime.asdevicearray(config.device, random.standard_normal(shape, dtype=np.float32))
                for shape in ((r["m"], r["k"]), (r["k"], r["n"]))]
    function = context.modules.module["f"]
    return lambda: function(*matrices)


serve_functions({"contraction": contraction})
