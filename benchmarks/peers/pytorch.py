"""PyTorch as a peer: full f32 (or bf16 storage), signed random data, each work in the fastest way PyTorch has for it."""
import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from serve import THREADS, serve_functions

torch.set_num_threads(THREADS)
torch.set_float32_matmul_precision("highest")
torch.manual_seed(0)
TYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def leaves(*shapes, dtype=torch.float32):
    return [torch.randn(*shape, dtype=dtype, requires_grad=True) for shape in shapes]


def operand(transposed, rows, columns):
    return torch.randn(columns, rows).T if transposed else torch.randn(rows, columns)


def contraction(r):
    operands = r.get("operands", "nn")
    a, b = operand(operands[0] == "t", r["m"], r["k"]), operand(operands[1] == "t", r["k"], r["n"])
    return lambda: a @ b


def window_mask(length, size):
    """As numbers, which is what PyTorch makes of truth values in each call."""
    i = torch.arange(length)
    return torch.full((length, length), float("-inf")).masked_fill_((i[:, None] - i[None, :]).abs() < size, 0)


def attention_parts(r):
    """Leaves, and the function of them."""
    length, dim, heads, kv_heads = r["length"], r["dim"], r["heads"], r.get("kv_heads", r["heads"])
    shapes = [(r["batch"], h, length, dim) for h in (heads, kv_heads, kv_heads)]
    if r.get("bias"):
        shapes.append((1, heads, length, length))
    given = leaves(*shapes, dtype=TYPES[r["dtype"]])
    options = {"is_causal": r["mask"] == "causal", "dropout_p": r.get("dropout", 0.0), "enable_gqa": kv_heads != heads}
    if r["mask"].startswith("sliding_window"):
        options["attn_mask"] = window_mask(length, int(r["mask"][len("sliding_window<"):-1]))

    def run(q, k, v, bias=None):
        return F.scaled_dot_product_attention(q, k, v, **(options if bias is None else options | {"attn_mask": bias}))
    return given, run


def attention(r):
    given, run = attention_parts(r)
    given = [x.detach() for x in given]
    return lambda: run(*given)


def attention_grad(r):
    given, run = attention_parts(r)
    out = run(*given)
    cotangent = torch.randn_like(out)
    return lambda: torch.autograd.grad(out, given, cotangent, retain_graph=True)


def feed_forward_leaves(r):
    x, up, down = leaves((r["rows"], r["embed"]), (r["embed"], r["hidden"]), (r["hidden"], r["embed"]))
    gate = leaves((r["embed"], r["hidden"])) if r.get("activation") == "swiglu" else []
    return x, up, down, *gate


def feed_forward_of(x, up, down, gate=None):
    hidden = F.gelu(x @ up, approximate="tanh") if gate is None else F.silu(x @ gate) * (x @ up)
    return hidden @ down


def feed_forward(r):
    given = [x.detach() for x in feed_forward_leaves(r)]
    return lambda: feed_forward_of(*given)


def feed_forward_grad(r):
    """With the hidden recomputed, as the row says: five products."""
    x, up, down = feed_forward_leaves(r)
    cotangent = torch.randn(r["rows"], r["embed"])

    def run():
        hidden = F.gelu(x @ up, approximate="tanh")
        with torch.no_grad():
            ddown, dhidden = hidden.T @ cotangent, cotangent @ down.T
        return (*torch.autograd.grad(hidden, (x, up), dhidden), ddown)
    return run


def feed_forward_and_grad(r):
    """The checkpoint stops recomputing where the last product would begin: as many products as the row counts."""
    given = feed_forward_leaves(r)
    cotangent = torch.randn(r["rows"], r["embed"])

    def run():
        if r["keep"] == "input":
            out = checkpoint(feed_forward_of, *given, use_reentrant=False, preserve_rng_state=False)
        else:
            out = feed_forward_of(*given)
        return torch.autograd.grad(out, given, cotangent)
    return run


def linear_cross_entropy_and_grad(r):
    x, w = leaves((r["rows"], r["embed"]), (r["vocab"], r["embed"]))
    targets = torch.randint(r["vocab"], (r["rows"],))

    def run():
        loss = F.cross_entropy(x @ w.T, targets)
        return loss.detach(), *torch.autograd.grad(loss, (x, w))
    return run


def adamw(r):
    [parameter] = leaves((r["elements"],))
    parameter.grad = torch.randn_like(parameter)
    return torch.optim.AdamW([parameter], lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1, fused=True).step


def norm(r):
    x, weight, bias = leaves((r["rows"], r["embed"]), (r["embed"],), (r["embed"],))
    if r["work"].startswith("layer_norm"):
        return (x, weight, bias), lambda: F.layer_norm(x, (r["embed"],), weight, bias, 1e-5)
    return (x, weight), lambda: F.rms_norm(x, (r["embed"],), weight, 1e-5)


def norm_forward(r):
    _, forward = norm(r)
    return torch.no_grad()(forward)


def norm_grad(r):
    """Added to gradients that are there, as the op does."""
    given, forward = norm(r)
    out = forward()
    cotangent = torch.randn_like(out)
    for x in given:
        x.grad = torch.randn_like(x)
    return lambda: out.backward(cotangent, retain_graph=True)


def embedding(r):
    ids, table = torch.randint(r["vocab"], (1, r["tokens"])), torch.randn(r["vocab"], r["embed"])
    return lambda: F.embedding(ids, table)


def embedding_grad(r):
    """Added to a table that is there; its own gradient function would first make a table of zeros."""
    ids, cotangent = torch.randint(r["vocab"], (r["tokens"],)), torch.randn(r["tokens"], r["embed"])
    table = torch.randn(r["vocab"], r["embed"])
    return lambda: table.index_add_(0, ids, cotangent)


serve_functions(globals() | {"layer_norm": norm_forward, "rms_norm": norm_forward, "layer_norm_grad": norm_grad, "rms_norm_grad": norm_grad})
