"""The one list of numeric cases. The oracle is held against PyTorch on SMALL, gradients against finite differences on SMALL,
and every target against the oracle on TARGET, in every element type. `python3 cases.py` prints the list."""
import json
import math
import random

from ops import TEMPLATES
from pairwise import pairwise

DTYPES = ("f64", "f32", "bf16", "f16")
MASKS = ("#bpt.full", "#bpt.causal", "#bpt.sliding_window<5>", "#bpt.prefix<9>",
         "#bpt.intersection<#bpt.causal, #bpt.sliding_window<16>>")
BOOLEAN = (False, True)


class Case:
    def __init__(self, op, number, parameters):
        self.op, self.name, self.parameters = op, f"{op}{number}", parameters
        self.emit = TEMPLATES[op]

    def describe(self):
        return json.dumps(self.parameters, default=list)


# Attention. `work` bounds B H S T D, so that the list runs in minutes; `stored` bounds the goldens.

def heads(row):
    h, g = row.pop("heads")
    return {**row, "H": h, "G": g, "scale": row["D"] ** -0.5, "stream": 3}


ATTENTION = {
    "mask": MASKS, "softcap": (0.0, 5.0), "dropout": (0.0, 0.1, 0.5), "bias": ("", "BHST", "1H11", "B1ST", "111T"),
    "segments": BOOLEAN, "offset": (None, 0, 13), "probabilities": BOOLEAN, "dlse": BOOLEAN, "dynamic": BOOLEAN}


def small_attention():
    factors = {"B": (1, 2), "S": (1, 7, 33), "T": (1, 7, 33), "heads": ((1, 1), (4, 4), (4, 1), (6, 2), (8, 1)),
               "D": (3, 16, 40), **ATTENTION}
    fits = lambda r: r["B"] * r["heads"][0] * max(r["S"], r["T"]) * max(r["D"], r["T"], 8) <= 4500
    return [heads(row) for row in pairwise(factors, fits)]


def target_attention():
    factors = {"dtype": DTYPES, "B": (1, 2), "S": (1, 7, 33, 127, 257), "T": (1, 7, 33, 127, 257),
               "heads": ((1, 1), (4, 4), (4, 1), (8, 1)), "D": (16, 40, 64, 80, 96, 128, 256), "wide": BOOLEAN, **ATTENTION,
               "bias": ("", "BHST", "1H1T", "B1ST", "111T")}
    # A softmax does not see what is equal for all columns: the gradient of such a bias is 0 but for rounding, no number to compare.
    fits = lambda r: r["B"] * r["heads"][0] * r["S"] * r["T"] * r["D"] <= 17e6 and (r["T"] > 1 or not r["bias"])
    rows = pairwise(factors, fits, seed=1)
    for dtype in DTYPES:  # an empty batch; scores that would overflow without the maximum
        plain = {"dtype": dtype, "B": 1, "S": 33, "T": 33, "heads": (4, 1), "D": 64, "mask": "#bpt.causal", "softcap": 0.0,
                 "dropout": 0.0, "bias": "", "segments": False, "offset": None, "probabilities": False, "dlse": False,
                 "dynamic": True, "wide": False}
        rows += [{**plain, "B": 0}, {**plain, "scale": 4.0}]
    return [{**heads(dict(row)), **({"scale": row["scale"]} if "scale" in row else {})} for row in rows]


# Feed-forward.

FEED_FORWARD = {
    "activation": ("gelu_tanh", "gelu_erf", "relu", "silu", "identity"), "gate": BOOLEAN, "up_bias": BOOLEAN,
    "gate_bias": BOOLEAN, "down_bias": BOOLEAN, "transposed": BOOLEAN, "hidden": BOOLEAN, "dynamic": BOOLEAN}


def gated(row):
    return row["gate"] or not row["gate_bias"]


def small_feed_forward():
    factors = {"rows": ((5,), (2, 7), (2, 3, 4)), "E": (1, 7, 16), "F": (1, 7, 33), "N": (7, 16), **FEED_FORWARD}
    return pairwise(factors, gated)


def target_feed_forward():
    factors = {"dtype": DTYPES, "rows": ((1,), (2, 7), (2, 33), (257,)), "E": (1, 7, 33, 64, 127), "F": (1, 33, 128, 257),
               "N": (7, 33, 64), "wide": BOOLEAN, **FEED_FORWARD}
    return pairwise(factors, gated, seed=1)


# Rows: norms, rotary, dropout.

def small_norm():
    return pairwise({"rows": ((), (5,), (2, 7)), "E": (1, 7, 33), "weight": BOOLEAN, "bias": BOOLEAN, "eps": (1e-5, 1e-2),
                     "dynamic": BOOLEAN})


def target_norm():
    return pairwise({"dtype": DTYPES, "rows": ((), (7,), (3, 33), (257,)), "E": (1, 7, 33, 64, 127, 257, 1000), "weight": BOOLEAN,
                     "bias": BOOLEAN, "eps": (1e-6, 1e-2), "wide": BOOLEAN, "dynamic": BOOLEAN}, seed=1)


def without_bias(rows):
    return [{name: value for name, value in row.items() if name != "bias"} for row in rows]


ROTARY = {"theta": (10000.0, 500000.0), "offset": (None, 0, 13), "inverse": BOOLEAN, "dynamic": BOOLEAN}


def small_rotary():
    return pairwise({"B": (1, 2), "S": (1, 7), "H": (1, 3), "D": (2, 6, 16), **ROTARY})


def target_rotary():
    return pairwise({"dtype": DTYPES, "B": (1, 2), "S": (1, 33, 257), "H": (1, 3, 8), "D": (2, 16, 40, 64, 96, 128), **ROTARY}, seed=1)


DROPOUT = {"probability": (0.0, 0.1, 0.5, 0.99), "stream": (0, 7), "offset": (None, 13), "dynamic": BOOLEAN}


def dropout_rows(rows):
    return [{**row, "B": row["shape"][0], "S": row["shape"][1]} for row in rows]


def small_dropout():
    return dropout_rows(pairwise({"shape": ((2, 7), (2, 3, 16), (1, 5, 3, 7)), **DROPOUT}))


def target_dropout():
    return dropout_rows(pairwise({"dtype": DTYPES, "shape": ((2, 7), (2, 33, 127), (1, 5, 3, 40), (2, 257, 64)), **DROPOUT}, seed=1))


# Vocabulary.

def small_embedding():
    return pairwise({"B": (1, 2), "S": (1, 7), "V": (5, 11), "E": (1, 6), "clamp": BOOLEAN, "dynamic": BOOLEAN})


def target_embedding():
    return pairwise({"dtype": DTYPES, "B": (1, 2), "S": (1, 33, 257), "V": (7, 129), "E": (1, 33, 64, 127), "clamp": BOOLEAN,
                     "wide": BOOLEAN, "dynamic": BOOLEAN}, seed=1)


def counted(rows):
    return [{**row, "count": math.prod(row["rows"]) + 3 if row["count"] else None} for row in rows]


CROSS_ENTROPY = {"transposed": BOOLEAN, "ignore": (-100, 3), "count": BOOLEAN, "dynamic": BOOLEAN}


def small_cross_entropy():
    factors = {"rows": ((5,), (2, 7), (2, 3, 4)), "E": (1, 7), "V": (5, 11), "targets": ("some", "none", "all"), **CROSS_ENTROPY}
    return counted(pairwise(factors))


def target_cross_entropy():
    factors = {"dtype": DTYPES, "rows": ((1,), (2, 7), (2, 33), (257,)), "E": (1, 33, 64, 127), "V": (7, 129, 257, 1000),
               "targets": ("some", "none", "all"), "wide": BOOLEAN, **CROSS_ENTROPY}
    return counted(pairwise(factors, seed=1))


# Optimizer and the graph's own ops.

ADAMW = {"clip": (0.0, 1.0, 100.0), "beta1": (0.9, 0.0), "beta2": (0.95, 0.999), "eps": (1e-8, 1e-5), "decay": (0.0, 0.1),
         "step": (1, 1000)}


def small_adamw():
    return pairwise({"shape": ((), (7,), (3, 5)), "master": (False,), **ADAMW})


def target_adamw():
    return pairwise({"dtype": DTYPES, "shape": ((), (7,), (33, 127), (3, 5, 7)), "master": BOOLEAN, **ADAMW}, seed=1)


def small_global_norm():
    return [{"shapes": ((3, 5),)}, {"shapes": ((), (7,), (2, 3, 4))}]


def target_global_norm():
    return [{"dtype": dtype, "shapes": shapes} for dtype in DTYPES
            for shapes in (((257, 33),), ((), (7,), (2, 33, 40), (1,)))]


def small_dense():
    return pairwise({"kind": ("contract", "contract_transposed", "outer", "residual"), "rows": ((5,), (2, 7)), "E": (1, 6),
                     "F": (3,), "dynamic": BOOLEAN})


def target_dense():
    return pairwise({"dtype": DTYPES, "kind": ("contract", "contract_transposed", "outer", "residual"),
                     "rows": ((1,), (2, 33), (257,)), "E": (1, 33, 127, 300), "F": (7, 64, 257), "dynamic": BOOLEAN}, seed=1)


# Sizes for what is compiled once: a program's dynamic sizes take many values.

LENGTHS = (1, 1, 2, 3, 7, 8, 9, 16, 31, 32, 33, 63, 64, 65, 80, 96, 100, 111, 127, 128, 129, 144, 160, 191, 192, 193, 223, 255, 256, 257, 300, 385)
BATCHES = (1, 1, 1, 2, 2, 3)
MOST_TILES = 8  # tiles of 64 x 128 scores in an attention, or two for each head where that is more
MOST_ROWS = 260  # of other ops


def is_resizable(case):
    """Not where there are no rows, or scores so large that the naive error of other sizes is no measure."""
    return "dynamic" in case.parameters and case.parameters.get("rows") != () and case.parameters.get("scale", 0) <= 1


def draw_sizes(draw, p, batches=BATCHES):
    """Values for the dynamic sizes of a case with parameters `p`, about as much work each time."""
    while True:
        batch, rows, columns = draw.choice(batches), draw.choice(LENGTHS), draw.choice(LENGTHS)
        if "T" in p:
            head = p["H"] * math.ceil(p["D"] / 128)
            fits = batch * head * math.ceil(rows / 64) * math.ceil(columns / 128) <= max(MOST_TILES, 2 * head)
            # See target_attention: rows that see one column only add nothing but rounding to the gradient of a bias. A third of the
            # columns is in a row's segment.
            if fits and (not p["bias"] or columns >= (7 if p["segments"] else 2)):
                return {"B": batch, "S": rows, "T": columns}
        elif "rows" not in p:
            if batch * rows <= MOST_ROWS:
                return {"B": batch, "S": rows, **({"shape": (batch, rows, *p["shape"][2:])} if "shape" in p else {})}
        else:
            sizes = (batch, rows, draw.choice((1, 2, 3)))[-len(p["rows"]):] if len(p["rows"]) != 1 else (rows,)
            if math.prod(sizes) <= MOST_ROWS:
                return {"rows": sizes, **({"count": math.prod(sizes) + 3} if p.get("count") is not None else {})}


def resized(case, number):
    """`number` cases with the sizes of `case` dynamic: its own, an empty batch, and others that are drawn. All are of one program."""
    draw = random.Random(case.name + case.parameters["dtype"])
    sizes = [{}, draw_sizes(draw, case.parameters, (0,))] + [draw_sizes(draw, case.parameters) for _ in range(number - 2)]
    return [Case(case.op, case.name[len(case.op):], {**case.parameters, **own, "dynamic": True}) for own in sizes]


# Whole models: bpt-gen flags, how the layers are formed.

class Model:
    """A loss graph of bpt-gen, and passes that must not change what it computes."""
    FAMILIES = {
        "gpt": "gpt --heads=4 --embed=20 --hidden=33",
        "gpt-rotary": "gpt --heads=3 --embed=24 --hidden=31 --position=rotary --tied=false --bias=false",
        "llama": "llama --heads=4 --kv-heads=2 --embed=24 --hidden=40"}

    def __init__(self, number, parameters):
        self.op, self.name, self.parameters = "model", f"model{number}", parameters

    def describe(self):
        return json.dumps(self.parameters)

    def command(self, changes={}):
        """Flags of bpt-gen, for other parameters where `changes` has some."""
        p = {**self.parameters, **changes}
        flags = self.FAMILIES[p["family"]].split() + [f"--layers={p['layers']}", "--vocab=53", f"--context={p['context']}", "--batch=2",
                                                      f"--dtype={p['dtype']}"]
        return flags + ([f"--dropout={p['dropout']}"] if p["dropout"] else [])

    def passes(self):
        p = self.parameters
        keep = f" keep={p['keep']}" if p["keep"] else ""
        form = f"bpt-form-blocks{{strategy={p['strategy']} block={p['block']} heads={p['heads']}{keep}}}"
        return form + (",bpt-outline-layers" if p["outline"] else "")


def models():
    factors = {"dtype": DTYPES, "family": tuple(Model.FAMILIES), "layers": (1, 2), "context": (2, 19, 32), "dropout": (0.0, 0.1),
               "strategy": ("blockwise", "memory-efficient", "vanilla"), "block": (1, 7, 16, 64),
               "keep": ("", "input", "attention", "qkv", "all"), "outline": BOOLEAN, "heads": (0, 1, 2)}
    # Outlined layers have other masks than the plain ones (bpt-outline-layers).
    same_masks = lambda row: not (row["dropout"] and row["outline"] and row["layers"] > 1)
    can_split = lambda row: not row["heads"] or (row["strategy"] == "blockwise" and row["keep"] in ("", "input"))
    can_build = lambda row: not (row["dropout"] and row["family"] == "llama") and row["context"] // row["block"] < 20
    fits = lambda row: can_build(row) and can_split(row) and same_masks(row)
    return [Model(number, row) for number, row in enumerate(pairwise(factors, fits))]


# Operands so large that kernels pack them once for all work items: more than 1 MiB, for more than 768 rows; more than fit the scratch
# at once; deeper than one part.

def large_dense():
    sizes = {"contract": (801, 130, 2100), "contract_transposed": (801, 1000, 2200), "outer": (130, 801, 2100)}
    rows = [{"dtype": dtype, "kind": kind, "rows": (sizes[kind][0],), "E": sizes[kind][1], "F": sizes[kind][2], "dynamic": kind == "outer"}
            for dtype, kind in (("f32", "contract"), ("f64", "outer"), ("bf16", "contract"), ("f32", "contract_transposed"))]
    return rows + [{"dtype": "f32", "kind": "contract", "rows": (801,), "E": 4200, "F": 300, "dynamic": False}]


def large_feed_forward():
    plain = {"rows": (2, 401), "E": 130, "F": 2100, "N": 130, "wide": False, "activation": "gelu_tanh", "gate": False, "up_bias": True,
             "gate_bias": False, "down_bias": True, "transposed": False, "hidden": False, "dynamic": True}
    return [{"dtype": "f32", **plain}, {"dtype": "f32", **plain, "gate": True, "hidden": True, "transposed": True}]


def large_cross_entropy():
    return counted([{"dtype": "f32", "rows": (801,), "E": 130, "V": 2100, "targets": "some", "wide": False, "transposed": True,
                     "ignore": -100, "count": False, "dynamic": False}])


def numbered(lists):
    return {op: [Case(op, number, row) for number, row in enumerate(rows)] for op, rows in lists.items()}


SMALL = numbered({
    "attention": small_attention(), "feed_forward": small_feed_forward(), "layer_norm": small_norm(),
    "rms_norm": without_bias(small_norm()), "rotary": small_rotary(), "dropout": small_dropout(), "embedding": small_embedding(),
    "linear_cross_entropy": small_cross_entropy(), "adamw": small_adamw(), "global_norm": small_global_norm(), "dense": small_dense()})

TARGET = numbered({
    "attention": target_attention(), "feed_forward": target_feed_forward() + large_feed_forward(), "layer_norm": target_norm(),
    "rms_norm": without_bias(target_norm()), "rotary": target_rotary(), "dropout": target_dropout(), "embedding": target_embedding(),
    "linear_cross_entropy": target_cross_entropy() + large_cross_entropy(), "adamw": target_adamw(),
    "global_norm": target_global_norm(), "dense": target_dense() + large_dense()})

MODELS = models()

# Ops whose derivative bpt-differentiate knows; the others end a step.
DIFFERENTIABLE = ("attention", "feed_forward", "layer_norm", "rms_norm", "rotary", "dropout", "embedding", "linear_cross_entropy",
                  "dense")


def finite_difference_cases(op):
    """SMALL without what has no derivative: kept probabilities and hidden, losses without a valid target."""
    cases = []
    for case in SMALL[op]:
        if case.parameters.get("targets") != "none":
            cases.append(Case(op, case.name[len(op):], {**case.parameters, "probabilities": False, "hidden": False}))
    return cases


if __name__ == "__main__":
    for title, cases in (("small", SMALL), ("target", TARGET)):
        for op in cases:
            for case in cases[op]:
                print(title, case.name, case.describe())
    for model in MODELS:
        print("model", model.name, model.describe())
