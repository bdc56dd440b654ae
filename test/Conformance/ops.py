"""One template per op: the MLIR of a case from its parameters. Results carry the names the goldens use."""
from program import Value, integers, typed, uniform


def attributes(**given):
    """An attribute dictionary of those that are not None."""
    items = [name if value is True else f"{name} = {value}" for name, value in given.items() if value is not None and value is not False]
    return f"{{{', '.join(items)}}} " if items else ""


def real(value):
    """An f64 attribute; MLIR wants a point before an exponent."""
    if value is None:
        return None
    mantissa, _, exponent = repr(float(value)).partition("e")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}{'e' + exponent if exponent else ''} : f64"


def gradients(g, names, wanted):
    """Arguments that gradients are added to; `wide` ones are of the accumulator type, as sums over blocks are."""
    wide = g.case.parameters.get("wide")
    return [g.argument(f"d{name}_before", value.shape, g.accumulator if wide else value.dtype) for name, value in zip(names, wanted)]


# Attention: B S T H G D mask scale softcap dropout bias segments offset probabilities dlse dynamic

def attention(g, p, gradient):
    b, s, t = g.sizes("B", "S", "T")
    h, groups, d = p["H"], p["G"], p["D"]
    q, k, v = g.argument("q", (b, s, h, d)), g.argument("k", (b, t, groups, d)), g.argument("v", (b, t, groups, d))
    optional, differentiable = "", [("q", q), ("k", k), ("v", v)]
    if p["bias"]:
        full = {"B": b, "H": h, "S": s, "T": t}
        bias = g.argument("bias", tuple(full.get(letter, 1) for letter in p["bias"]))
        optional += f" bias({typed(bias)})"
        differentiable.append(("bias", bias))
    if p["segments"]:
        segments = [g.argument("qsegments", (b, s), "i32", integers(0, 3)), g.argument("ksegments", (b, t), "i32", integers(0, 3))]
        optional += f" segments({typed(*segments)})"
    if p["offset"] is not None:
        optional += f" offset({g.index(p['offset'])})"
    if p["dropout"]:
        optional += f" seed({typed(g.argument('seed', (), 'i64', integers(0, 2 ** 62)))})"
    attrs = attributes(mask=p["mask"], scale=real(p["scale"]), softcap=real(p["softcap"] or None),
                       dropout=real(p["dropout"] or None), stream=f"{p['stream']} : i64" if p["dropout"] else None)

    outs = [g.empty(q.shape), g.empty((b, h, s), g.accumulator)]
    if p["probabilities"]:
        outs.append(g.empty((b, h, s, t)))
    values = g.op(f"bpt.attention {attrs}ins({typed(q, k, v)}){optional}", outs)
    for name, value in zip(("out", "lse", "probabilities"), values):
        g.result(name, value)
    if not gradient:
        return
    dout = g.argument("dout", q.shape)
    text = f"bpt.attention_grad {attrs}cotangent({typed(dout)})"
    if p["dlse"]:
        text += f" lse_cotangent({typed(g.argument('dlse', (b, h, s), g.accumulator))})"
    text += f" ins({typed(q, k, v, values[0], values[1])})"
    if p["probabilities"]:
        text += f" probabilities({typed(values[2])})"
    names = [name for name, _ in differentiable]
    before = gradients(g, names, [value for _, value in differentiable])
    for name, value in zip(names, g.op(text + optional, before)):
        g.result("d" + name, value)


# Feed-forward: rows E F N activation gate up_bias gate_bias down_bias transposed hidden dynamic

def feed_forward(g, p, gradient):
    rows, (e, f, n) = g.rows(), (p["E"], p["F"], p["N"])
    weight = lambda name, i, o: g.argument(name, (o, i) if p["transposed"] else (i, o))
    x, up = g.argument("x", (*rows, e)), weight("up", e, f)
    differentiable = [("x", x), ("up", up)]
    text = f"up({up} : {up.type}"
    if p["up_bias"]:
        bias = g.argument("up_bias", (f,))
        differentiable.append(("up_bias", bias))
        text += f" bias {typed(bias)}"
    text += ")"
    if p["gate"]:
        gate = weight("gate", e, f)
        differentiable.append(("gate", gate))
        text += f" gate({typed(gate)})"
        if p["gate_bias"]:
            bias = g.argument("gate_bias", (f,))
            differentiable.append(("gate_bias", bias))
            text += f" gate_bias({typed(bias)})"
    down = weight("down", f, n)
    differentiable.append(("down", down))
    text += f" down({typed(down)}"
    if p["down_bias"]:
        bias = g.argument("down_bias", (n,))
        differentiable.append(("down_bias", bias))
        text += f" bias {typed(bias)}"
    text += ")"
    attrs = attributes(activation=f"#bpt.activation<{p['activation']}>", weights_transposed=p["transposed"])

    outs = [g.empty((*rows, n))]
    if p["hidden"]:
        outs.append(g.empty((*rows, 2 * f if p["gate"] else f)))
    values = g.op(f"bpt.feed_forward {attrs}ins({typed(x)}) {text}", outs)
    for name, value in zip(("out", "hidden"), values):
        g.result(name, value)
    if not gradient:
        return
    dout = g.argument("dout", (*rows, n))
    text = f"bpt.feed_forward_grad {attrs}cotangent({typed(dout)}) ins({typed(x)}) {text}"
    if p["hidden"]:
        text += f" hidden({typed(values[1])})"
    names = [name for name, _ in differentiable]
    for name, value in zip(names, g.op(text, gradients(g, names, [value for _, value in differentiable]))):
        g.result("d" + name, value)


# Norms: rows E weight bias eps dynamic

def norm(mnemonic):
    def emit(g, p, gradient):
        rows, e = g.rows(), p["E"]
        x = g.argument("x", (*rows, e))
        differentiable, text = [("x", x)], ""
        for name in ("weight", "bias"):
            if p.get(name):
                differentiable.append((name, g.argument(name, (e,))))
                text += f" {name}({typed(differentiable[-1][1])})"
        attrs = attributes(eps=real(p["eps"]))
        [y] = g.op(f"bpt.{mnemonic} {attrs}ins({typed(x)}){text}", [g.empty(x.shape)])
        g.result("out", y)
        if not gradient:
            return
        dout = g.argument("dout", x.shape)
        names = [name for name, _ in differentiable]
        text = f"bpt.{mnemonic}_grad {attrs}cotangent({typed(dout)}) ins({typed(x)}){text}"
        for name, value in zip(names, g.op(text, gradients(g, names, [value for _, value in differentiable]))):
            g.result("d" + name, value)
    return emit


# Rotary: B S H D theta offset inverse dynamic

def rotary(g, p, gradient):
    b, s = g.sizes("B", "S")
    x = g.argument("x", (b, s, p["H"], p["D"]))
    offset = f" offset({g.index(p['offset'])})" if p["offset"] is not None else ""
    attrs = attributes(theta=real(p["theta"]), inverse=p["inverse"])
    [y] = g.op(f"bpt.rotary {attrs}ins({typed(x)}){offset}", [g.empty(x.shape)])
    g.result("out", y)


# Dropout: shape probability stream offset dynamic

def dropout(g, p, gradient):
    shape = p["shape"]
    if p["dynamic"]:
        b, s = g.sizes("B", "S")
        shape = (b, s, *shape[2:])
    x = g.argument("x", shape)
    offset = f" offset({g.index(p['offset'])})" if p["offset"] is not None else ""
    seed = g.argument("seed", (), "i64", integers(0, 2 ** 62))
    attrs = attributes(probability=real(p["probability"]), stream=f"{p['stream']} : i64")
    [y] = g.op(f"bpt.dropout {attrs}ins({typed(x)}) seed({typed(seed)}){offset}", [g.empty(shape)])
    g.result("out", y)


# Embedding: B S V E clamp dynamic

def embedding(g, p, gradient):
    b, s = g.sizes("B", "S")
    v, e = p["V"], p["E"]
    ids = g.argument("ids", (b, s), "i32", integers(-3, v + 3) if p["clamp"] else integers(0, v))
    table = g.argument("table", (v, e))
    [x] = g.op(f"bpt.embedding ins({typed(ids, table)})", [g.empty((b, s, e))])
    g.result("out", x)
    if not gradient:
        return
    dout = g.argument("dout", (b, s, e))
    [before] = gradients(g, ["table"], [table])
    [dtable] = g.op(f"bpt.embedding_grad cotangent({typed(dout)}) ins({typed(ids)})", [before])
    g.result("dtable", dtable)


# Linear + cross-entropy: rows E V transposed ignore targets (some | none | all) count dynamic

def linear_cross_entropy(g, p, gradient):
    rows, e, v = g.rows(), p["E"], p["V"]
    x, w = g.argument("x", (*rows, e)), g.argument("w", (v, e) if p["transposed"] else (e, v))
    values = {"some": ("targets", v, p["ignore"]), "none": ("constant", p["ignore"]), "all": integers(0, v)}[p["targets"]]
    targets = g.argument("targets", rows, "i32", values)
    count = f" count({typed(g.argument('count', (), 'i64', ('constant', p['count'])))})" if p["count"] is not None else ""
    named = {"ignore_index": f"{p['ignore']} : i64" if p["ignore"] != -100 else None, "weights_transposed": p["transposed"]}
    attrs = attributes(**named)
    loss, lse = g.op(f"bpt.linear_cross_entropy {attrs}ins({typed(x, w, targets)}){count}",
                     [g.empty((), g.accumulator), g.empty(rows, g.accumulator)])
    g.result("loss", loss)
    if not gradient:
        return
    g.result("lse", lse)
    dloss = g.argument("dloss", (), g.accumulator)
    before = gradients(g, ["x", "w"], [x, w])
    op, rest = "bpt.linear_cross_entropy_grad", f"cotangent({typed(dloss)}) ins({{}}){count}"
    for name, value in zip("xw", g.op(f"{op} {attrs}{rest.format(typed(x, w, targets, lse))}", before)):
        g.result("d" + name, value)
    # Without lse it is the forward as well; here in several blocks of rows.
    attrs = attributes(**named, schedule="#bpt.schedule<{rows = 64 : i64}>")
    for name, value in zip(("dx", "dw", "loss"), g.op(f"{op} {attrs}{rest.format(typed(x, w, targets))}", [*before, g.empty((), g.accumulator)])):
        g.result("fused_" + name, value)


# Optimizer: shape clip beta1 beta2 eps decay step master (param, m and v in the accumulator type)

def adamw(g, p, gradient):
    shape, param_type = p["shape"], g.accumulator if p["master"] else g.dtype
    grad = g.argument("grad", shape)
    step, lr = g.argument("step", (), "i64", ("constant", p["step"])), g.argument("lr", (), g.accumulator, uniform(0.001, 0.1))
    norm = f" norm({typed(g.argument('norm', (), g.accumulator, uniform(0.5, 2)))})" if p["clip"] else ""
    outs = [g.argument("param", shape, param_type), g.argument("m", shape, param_type),
            g.argument("v", shape, param_type, uniform(0, 1))]
    attrs = attributes(beta1=real(p["beta1"]), beta2=real(p["beta2"]), eps=real(p["eps"]), weight_decay=real(p["decay"]),
                       clip=real(p["clip"] or None))
    for name, value in zip(("param_after", "m_after", "v_after"), g.op(f"bpt.adamw {attrs}ins({typed(grad, step, lr)}){norm}", outs)):
        g.result(name, value)


# Global norm: shapes

def global_norm(g, p, gradient):
    grads = [g.argument(f"g{i}", shape) for i, shape in enumerate(p["shapes"])]
    [norm] = g.op(f"bpt.global_norm ins({typed(*grads)})", [g.empty((), g.accumulator)])
    g.result("norm", norm)


# The graph's own ops: kind (contract | contract_transposed | outer | residual) rows E F

MAPS = {  # of x, w, out; rows are d0.., then the two inner loops
    "contract": ("e", "e f", "f"), "contract_transposed": ("e", "f e", "f"), "outer": ("e", "f", "e f")}


def dense(g, p, gradient):
    rows, e, f = g.rows(), p["E"], p["F"]
    x = g.argument("x", (*rows, e))
    if p["kind"] == "residual":
        y = g.argument("y", x.shape)
        out = Value(g.fresh(), x.shape, g.dtype)
        g.lines.append(f"{out} = arith.addf {x}, {y} : {x.type}")
        g.result("out", out)
        return
    loops = [f"r{i}" for i in range(len(rows))]
    size = {"e": e, "f": f}
    maps, shapes = [], []
    for operand, text in enumerate(MAPS[p["kind"]]):
        inner = text.split()
        with_rows = operand == 0 or operand == (1 if p["kind"] == "outer" else 2)
        results = (loops if with_rows else []) + inner
        maps.append(f"affine_map<({', '.join(loops + ['e', 'f'])}) -> ({', '.join(results)})>")
        shapes.append((rows if with_rows else ()) + tuple(size[letter] for letter in inner))
    w = g.argument("w", shapes[1])
    [out] = g.op(f"linalg.contract indexing_maps = [{', '.join(maps)}] ins({typed(x, w)})", [g.zeros(shapes[2])])
    g.result("out", out)


TEMPLATES = {"attention": attention, "feed_forward": feed_forward, "layer_norm": norm("layer_norm"), "rms_norm": norm("rms_norm"),
             "rotary": rotary, "dropout": dropout, "embedding": embedding, "linear_cross_entropy": linear_cross_entropy,
             "adamw": adamw, "global_norm": global_norm, "dense": dense}
