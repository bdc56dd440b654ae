"""IREE as a peer, for contractions and attention of full masks in f32: compiled for this machine, with its data tiling."""
import iree.compiler
import iree.runtime
import numpy as np

from serve import THREADS, serve_functions

iree.runtime.flags.parse_flags(f"--task_topology_max_group_count={THREADS}")
random = np.random.default_rng(0)


def compiled(text, shapes):
    """What runs @f on random arguments."""
    code = iree.compiler.compile_str(text, target_backends=["llvm-cpu"],
                                     extra_args=["--iree-llvmcpu-target-cpu=host", "--iree-opt-data-tiling"])
    config = iree.runtime.Config("local-task")
    context = iree.runtime.SystemContext(config=config)
    context.add_vm_module(iree.runtime.VmModule.copy_buffer(context.instance, code))
    arguments = [iree.runtime.asdevicearray(config.device, random.standard_normal(shape, dtype=np.float32)) for shape in shapes]
    function = context.modules.module["f"]
    return lambda: function(*arguments)


def contraction(r):
    a, b, c = (f"tensor<{rows}x{columns}xf32>" for rows, columns in ((r["m"], r["k"]), (r["k"], r["n"]), (r["m"], r["n"])))
    return compiled(f"""func.func @f(%a: {a}, %b: {b}) -> {c} {{
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : {c}
  %z = linalg.fill ins(%zero : f32) outs(%e : {c}) -> {c}
  %r = linalg.matmul ins(%a, %b : {a}, {b}) outs(%z : {c}) -> {c}
  return %r : {c}
}}""", ((r["m"], r["k"]), (r["k"], r["n"])))


def attention(r):
    r["runs"] = min(r["runs"], 3)  # they take seconds
    shape = r["heads"], r["length"], r["dim"]
    x = f"tensor<{'x'.join(map(str, shape))}xf32>"
    maps = ", ".join(f"affine_map<(h, m, d, n, e) -> ({dims})>" for dims in ("h, m, d", "h, n, d", "h, n, e", "", "h, m, e"))
    return compiled(f"""func.func @f(%q: {x}, %k: {x}, %v: {x}) -> {x} {{
  %scale = arith.constant {r["dim"] ** -0.5} : f32
  %e = tensor.empty() : {x}
  %o = iree_linalg_ext.attention <{{indexing_maps = [{maps}]}}> ins(%q, %k, %v, %scale : {x}, {x}, {x}, f32) outs(%e : {x}) {{
  ^bb0(%s: f32):
    iree_linalg_ext.yield %s : f32
  }} -> {x}
  return %o : {x}
}}""", [shape] * 3)


serve_functions({"contraction": contraction, "attention": attention})
