"""The paper's table of longest contexts (Liu and Abbeel 2023, table 2) from this compiler's plans.

Bytes of a device = parameters x bytes a parameter + what the backward needs. The latter is planned for models of 2 and 3 layers at three
contexts, in bf16 with one sequence, and is exactly a + L b in the layers and a polynomial of degree 2 in the context (the scores of
vanilla; degree 1 for the others), so that deep models and long contexts follow. With 8 devices, parameters and their states are shared
by 8, and the parameters of one layer are gathered; each device has a sequence of its own. Gradients of parameters belong to the bytes a
parameter: 16 for AdamW (bf16 parameter and gradient, f32 master and moments), 4 for bf16 parameters and gradients alone.
"""
import os, tempfile

import memory_rows

MODELS = {"gpt-1b": (24, 16, 2048), "gpt-3b": (32, 32, 2560), "gpt-7b": (32, 32, 4096), "gpt-13b": (40, 40, 5120), "gpt-30b": (48, 56, 7168),
          "gpt-70b": (80, 64, 8192)}
VOCABULARY, DEVICE = 50432, 80e9
# The paper's own figures that are on record; its other cells are not.
RECORDED = {("gpt-1b", "blockwise"): 131072, ("gpt-3b", "blockwise"): 131072}
SYSTEMS = {"vanilla": ("vanilla", "all"), "vanilla, checkpointed layers": ("vanilla", "input"), "memory-efficient": ("memory-efficient", "all"),
           "memory-efficient, checkpointed layers": ("memory-efficient", "input"), "blockwise": ("blockwise", "input")}
CONTEXTS = 2048, 4096, 8192


def parameters(layers, embed):
    return layers * (12 * embed * embed + 4 * embed) + 2 * VOCABULARY * embed + 2 * embed


def through(points):
    """The polynomial through three points, as a function."""
    def value(x):
        total = 0
        for i, (xi, yi) in enumerate(points):
            term = yi
            for j, (xj, _) in enumerate(points):
                if i != j:
                    term *= (x - xj) / (xi - xj)
            total += term
        return total
    return value


def needed(bin, model, system):
    """context -> bytes that forward and backward need beside parameters and their gradients."""
    layers, heads, embed = MODELS[model]
    strategy, keep = SYSTEMS[system]
    shallow = []
    for depth in (2, 3):
        points = []
        for context in CONTEXTS:
            with tempfile.TemporaryDirectory() as where:
                path = memory_rows.gradient(bin, where, strategy, keep, "transformer.h.0.ln_1.weight", layers=depth, heads=heads, embed=embed,
                                            vocab=VOCABULARY, context=context, batch=1, dtype="bf16", position="rotary", tied="false", bias="false")
                points.append((context, memory_rows.plan(bin, path, "--threads=1")["arena_bytes"]))
        shallow.append(through(points))
    return lambda context: shallow[0](context) + (layers - 2) * (shallow[1](context) - shallow[0](context))


def longest(bytes_of, limit):
    """The largest power-of-two multiple of 128 refined to a multiple of 128 whose bytes fit."""
    if bytes_of(128) > limit:
        return 0
    low = 1
    while bytes_of(2 * low * 128) <= limit:
        low *= 2
    high = 2 * low
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if bytes_of(middle * 128) <= limit else (low, middle)
    return low * 128


def rows(arguments):
    for model in MODELS:
        def measure(model=model):
            layers, _, embed = MODELS[model]
            devices = 8 if model in ("gpt-30b", "gpt-70b") else 1
            row = {"parameters": parameters(layers, embed), "devices": devices}
            activations = {system: needed(arguments.bin, model, system) for system in SYSTEMS}
            gathered = 2 * 12 * embed * embed if devices > 1 else 0
            for accounting, bytes_each in (("adamw", 16), ("bf16 weights and gradients", 4)):
                left = DEVICE - parameters(layers, embed) * bytes_each / devices - gathered
                row[accounting] = {system: longest(activations[system], left) for system in SYSTEMS}
            row["paper"] = {system: RECORDED.get((model, system)) for system in SYSTEMS if (model, system) in RECORDED}
            if model != "gpt-1b":
                return row
            found = row["adamw"]
            ratios = {system: round(found["blockwise"] / max(found[system], 1), 1) for system in SYSTEMS if system != "blockwise"}
            holds = ratios["vanilla"] >= 32 and ratios["memory-efficient"] >= 4 and found["blockwise"] >= 131072
            return row | {"ratios": ratios, "goal": "blockwise >= 32 x vanilla, >= 4 x memory-efficient, >= 131072", "holds": holds}
        yield "longest context", f"{model} 80 GB", "bf16", measure
