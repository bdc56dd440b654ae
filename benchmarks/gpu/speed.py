"""The rows that are measured on a GPU: graphs of one op, their FLOPs, and what is wanted."""
from dataclasses import dataclass


@dataclass
class Row:
    name: str
    work: str
    dtype: str
    shape: str
    flops: int   #: model FLOPs of visible work
    goal: str    #: in the words of the issue: against which peer of the same run
    text: str    #: @f
    peer: dict   #: what peers.py needs to do the same

    def describe(self):
        return {"name": self.name, "work": self.work, "dtype": self.dtype, "shape": self.shape, "flops": self.flops,
                "goal": self.goal, "peer": self.peer}


def attention(dim, length, heads, mask, backward):
    q = f"tensor<1x{length}x{heads}x{dim}xbf16>"
    l = f"tensor<1x{heads}x{length}xf32>"
    attributes = f"{{mask = #bpt.{mask}, scale = {dim ** -0.5:.17e} : f64}}"
    if backward:
        text = f"""func.func @f(%dout: {q}, %q: {q}, %k: {q}, %v: {q}, %out: {q}, %lse: {l}) -> ({q}, {q}, {q}) {{
  %zero = arith.constant 0.0 : bf16
  %e = tensor.empty() : {q}
  %z = linalg.fill ins(%zero : bf16) outs(%e : {q}) -> {q}
  %g:3 = bpt.attention_grad {attributes} cotangent(%dout : {q}) ins(%q, %k, %v, %out, %lse : {q}, {q}, {q}, {q}, {l}) outs(%z, %z, %z : {q}, {q}, {q}) -> {q}, {q}, {q}
  return %g#0, %g#1, %g#2 : {q}, {q}, {q}
}}
"""
    else:
        text = f"""func.func @f(%q: {q}, %k: {q}, %v: {q}) -> ({q}, {l}) {{
  %o = tensor.empty() : {q}
  %l = tensor.empty() : {l}
  %r:2 = bpt.attention {attributes} ins(%q, %k, %v : {q}, {q}, {q}) outs(%o, %l : {q}, {l}) -> {q}, {l}
  return %r#0, %r#1 : {q}, {l}
}}
"""
    pairs = length * (length + 1) // 2 if mask == "causal" else length * length
    flops = (10 if backward else 4) * dim * heads * pairs
    direction = "backward" if backward else "forward"
    return Row(f"attention-{direction}-d{dim}-{mask}-{length}", f"attention {direction}", "bf16",
               f"1x{length}x{heads}x{dim} {mask}", flops, "cudnn >= 1.0", text,
               {"kind": "attention", "dim": dim, "length": length, "heads": heads, "causal": mask == "causal", "backward": backward})


def product(m, n, k):
    a, b, c = f"tensor<{m}x{k}xbf16>", f"tensor<{k}x{n}xbf16>", f"tensor<{m}x{n}xbf16>"
    text = f"""func.func @f(%a: {a}, %b: {b}) -> {c} {{
  %zero = arith.constant 0.0 : bf16
  %e = tensor.empty() : {c}
  %z = linalg.fill ins(%zero : bf16) outs(%e : {c}) -> {c}
  %r = linalg.matmul ins(%a, %b : {a}, {b}) outs(%z : {c}) -> {c}
  return %r : {c}
}}
"""
    return Row(f"contraction-{m}x{n}x{k}", "contraction", "bf16", f"{m}x{n}x{k}", 2 * m * n * k, "cublas >= 1.0", text,
               {"kind": "product", "m": m, "n": n, "k": k})


def rows():
    return ([attention(dim, length, 16, mask, backward) for dim, length in ((128, 16384), (128, 4096), (64, 16384))
             for mask in ("full", "causal") for backward in (False, True)] +
            [product(8192, 8192, 8192), product(4096, 4096, 4096), product(4096, 3072, 768)])
