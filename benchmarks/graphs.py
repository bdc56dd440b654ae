"""The functions that rows measure, as MLIR text: each makes @f of one op, or of an op and its gradient."""
from collections import namedtuple

Value = namedtuple("Value", "name type")


def typed(*values):
    """`%a, %b : type, type`"""
    return f"{', '.join(value.name for value in values)} : {', '.join(value.type for value in values)}"


def tensor(shape, dtype):
    return f"tensor<{''.join(f'{size}x' for size in shape)}{dtype}>"


def real(value):
    return f"{value:.17e} : f64"


def attributes(**given):
    return f"{{{', '.join(name if value is True else f'{name} = {value}' for name, value in given.items() if value)}}} "


class Graph:
    """@f in the making."""

    def __init__(self, dtype="f32"):
        self.dtype, self.arguments, self.lines = dtype, [], []

    def argument(self, name, *shape, dtype=None, range=None):
        value = Value(f"%{name}", tensor(shape, dtype or self.dtype))
        limit = f", bpt.range = {range} : i64" if range else ""
        self.arguments.append((value, f'{value.name}: {value.type} {{bpt.name = "{name}"{limit}}}'))
        return value

    def define(self, text, type):
        value = Value(f"%{len(self.lines)}", type)
        self.lines.append(f"{value.name} = {text}")
        return value

    def constant(self, value, dtype):
        return self.define(f"arith.constant dense<{value}> : tensor<{dtype}>", f"tensor<{dtype}>")

    def empty(self, *shape, dtype=None):
        type = tensor(shape, dtype or self.dtype)
        return self.define(f"tensor.empty() : {type}", type)

    def zeros(self, *shape, dtype=None):
        zero = self.define(f"arith.constant 0.0 : {dtype or self.dtype}", dtype or self.dtype)
        out = self.empty(*shape, dtype=dtype)
        return self.define(f"linalg.fill ins({typed(zero)}) outs({typed(out)}) -> {out.type}", out.type)

    def zeros_like(self, *values):
        """Gradients are added to them."""
        made = {}
        for value in values:
            if value.type not in made:
                *shape, dtype = value.type[len("tensor<"):-1].split("x")
                made[value.type] = self.zeros(*shape, dtype=dtype)
        return [made[value.type] for value in values]

    def op(self, text, outs):
        """Adds a destination-style op: its results, one for each of `outs`."""
        name, types = f"%{len(self.lines)}", [out.type for out in outs]
        self.lines.append(f"{name}:{len(outs)} = {text} outs({typed(*outs)}) -> {', '.join(types)}")
        return [Value(f"{name}#{i}", type) for i, type in enumerate(types)]

    def text(self, results, in_place=()):
        """`in_place`: the argument that each result is, updated."""
        places = [position for argument in in_place for position, (value, _) in enumerate(self.arguments) if value == argument]
        types = [result.type + (f" {{bpt.inplace = {places[i]} : i64}}" if places else "") for i, result in enumerate(results)]
        body = "\n  ".join(self.lines)
        return f"func.func @f({', '.join(text for _, text in self.arguments)}) -> ({', '.join(types)}) {{\n  {body}\n  return {typed(*results)}\n}}\n"


def contraction(m, n, k, operands="nn"):
    """`operands`: t where A is given as [k, m] or B as [n, k]."""
    g = Graph()
    maps = [f"affine_map<(m, n, k) -> ({dims})>" for dims in
            ("m, k" if operands[0] == "n" else "k, m", "k, n" if operands[1] == "n" else "n, k", "m, n")]
    a = g.argument("a", *((m, k) if operands[0] == "n" else (k, m)))
    b = g.argument("b", *((k, n) if operands[1] == "n" else (n, k)))
    name = "linalg.matmul" if operands == "nn" else f"linalg.contract indexing_maps = [{', '.join(maps)}]"
    return g.text(g.op(f"{name} ins({typed(a, b)})", [g.zeros(m, n)]))


def attention(batch, length, heads, dim, mask, kv_heads=None, bias=None, dropout=0, dtype="f32", grad=False):
    g = Graph(dtype)
    q = g.argument("q", batch, length, heads, dim)
    k, v = (g.argument(name, batch, length, kv_heads or heads, dim) for name in "kv")
    optional, wanted = "", [q, k, v]
    if bias:
        wanted.append(g.argument("bias", 1, heads, length, length))
        optional += f" bias({typed(wanted[-1])})"
    if dropout:
        optional += f" seed({typed(g.argument('seed', dtype='i64'))})"
    attrs = attributes(mask=f"#bpt.{mask}", scale=real(dim ** -0.5), dropout=dropout and real(dropout))
    if not grad:
        return g.text(g.op(f"bpt.attention {attrs}ins({typed(q, k, v)}){optional}",
                           [g.empty(batch, length, heads, dim), g.empty(batch, heads, length, dtype="f32")]))
    d, out = (g.argument(name, batch, length, heads, dim) for name in ("d", "out"))
    lse = g.argument("lse", batch, heads, length, dtype="f32")
    return g.text(g.op(f"bpt.attention_grad {attrs}cotangent({typed(d)}) ins({typed(q, k, v, out, lse)}){optional}", g.zeros_like(*wanted)))


def feed_forward(rows, embed, hidden, activation="gelu_tanh", keep="input", parts=("forward",)):
    """`parts`: forward, grad or both; `keep`: whether the gradient is given the hidden or only the input."""
    g, gated = Graph(), activation == "swiglu"
    x, up = g.argument("x", rows, embed), g.argument("up", embed, hidden)
    gate = [g.argument("gate", embed, hidden)] if gated else []
    down = g.argument("down", hidden, embed)
    attrs = attributes(activation=f"#bpt.activation<{'silu' if gated else activation}>")
    weights = f"up({typed(up)}){f' gate({typed(*gate)})' if gated else ''} down({typed(down)})"
    kept = keep == "hidden"
    results = []
    if "forward" in parts:
        outs = [g.empty(rows, embed)] + ([g.empty(rows, hidden * (2 if gated else 1))] if kept else [])
        results += g.op(f"bpt.feed_forward {attrs}ins({typed(x)}) {weights}", outs)
    if "grad" in parts:
        given = f" hidden({typed(results[1])})" if kept else ""
        results[1:] = g.op(f"bpt.feed_forward_grad {attrs}cotangent({typed(g.argument('d', rows, embed))}) ins({typed(x)}) {weights}{given}",
                           g.zeros_like(x, up, *gate, down))
    return g.text(results)


def linear_cross_entropy_and_grad(rows, embed, vocab):
    g = Graph()
    d, x, w = g.argument("d"), g.argument("x", rows, embed), g.argument("w", vocab, embed)
    targets = g.argument("targets", rows, dtype="i32", range=vocab)
    return g.text(g.op(f"bpt.linear_cross_entropy_grad {{weights_transposed}} cotangent({typed(d)}) ins({typed(x, w, targets)})",
                       [*g.zeros_like(x, w), g.empty()]))


# Below: ops that move memory. What they add to or update is an argument in place.

def adamw(elements):
    g = Graph()
    grad, state = g.argument("grad", elements), [g.argument(name, elements) for name in ("param", "m", "v")]
    attrs = attributes(beta1=real(0.9), beta2=real(0.95), eps=real(1e-8), weight_decay=real(0.1))
    return g.text(g.op(f"bpt.adamw {attrs}ins({typed(grad, g.constant(3, 'i64'), g.constant(0.001, 'f32'))})", state), state)


def norm(work, rows, embed, grad=False):
    g = Graph()
    names = ("weight", "bias") if work == "layer_norm" else ("weight",)
    x, parameters = g.argument("x", rows, embed), [g.argument(name, embed) for name in names]
    given = f"ins({typed(x)}) " + " ".join(f"{name}({typed(value)})" for name, value in zip(names, parameters))
    attrs = attributes(eps=real(1e-5))
    if not grad:
        return g.text(g.op(f"bpt.{work} {attrs}{given}", [g.empty(rows, embed)]))
    d, outs = g.argument("d", rows, embed), [g.argument("dx", rows, embed)] + [g.argument(f"d{name}", embed) for name in names]
    return g.text(g.op(f"bpt.{work}_grad {attrs}cotangent({typed(d)}) {given}", outs), outs)


def embedding(tokens, vocab, embed, grad=False):
    g = Graph()
    ids = g.argument("ids", 1, tokens, dtype="i32", range=vocab)
    if not grad:
        return g.text(g.op(f"bpt.embedding ins({typed(ids, g.argument('table', vocab, embed))})", [g.empty(1, tokens, embed)]))
    d, table = g.argument("d", 1, tokens, embed), g.argument("dtable", vocab, embed)
    return g.text(g.op(f"bpt.embedding_grad cotangent({typed(d)}) ins({typed(ids)})", [table]), [table])
