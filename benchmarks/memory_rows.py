"""Planned and allocated bytes of @loss.grad of GPT (4 layers, embed 256, 4 heads, vocab 256, batch 1, f32)."""
import os, re, subprocess, tempfile

import ours

LAYERS, EMBED = 4, 256


def available():
    return int(re.search(r"MemAvailable:\s+(\d+)", open("/proc/meminfo").read())[1]) * 1024


def bound(context):
    """In the backward of layer k, the inputs of k layers and the gradients of the others so far are alive."""
    gradients = [4 * (256 * EMBED + 2 * EMBED + (LAYERS - k + 1) * (12 * EMBED * EMBED + 13 * EMBED)) for k in range(1, LAYERS + 1)]
    return max((k + 5) * 4 * context * EMBED + gradients[k - 1] for k in range(1, LAYERS + 1)) + (8 << 20)


def measure(bin, context, strategy, full):
    with tempfile.TemporaryDirectory() as where:
        graph, step = os.path.join(where, "g.mlir"), os.path.join(where, "s.mlir")
        with open(graph, "w") as f:
            subprocess.run([os.path.join(bin, "bpt-gen"), "gpt", f"--layers={LAYERS}", "--heads=4", f"--embed={EMBED}", "--vocab=256",
                            f"--context={context}", "--batch=1"], stdout=f, check=True)
        subprocess.run([os.path.join(bin, "bpt-opt"), graph, "-o", step, "--pass-pipeline=builtin.module("
                        f"bpt-form-blocks{{strategy={strategy}}},bpt-outline-layers,bpt-differentiate{{function=loss}})"], check=True)
        planned = ours.call(bin, "bpt-run", step, "--entry=loss.grad", "--plan", "--json")["arena_bytes"]
        row = {"planned_bytes": planned}
        if planned >= 0.8 * available() or (context >= 32768 and not full):
            row["planned_only"] = True
        else:
            report = ours.call(bin, "bpt-run", step, "--entry=loss.grad", "--bench=1", "--json")
            row |= {"allocated_bytes": report["measured_peak_bytes"], "seconds": report["seconds"]}
        if strategy == "blockwise":
            row |= {"goal": f"planned <= {bound(context)} bytes", "holds": planned <= bound(context)}
        return row


def bench(arguments, emit):
    for context in (2048, 8192, 32768):
        for strategy in ("vanilla", "memory-efficient", "blockwise"):
            shape = f"L{LAYERS} E{EMBED} H4 V256 B1 T{context} {strategy}"
            if not re.search(arguments.filter, f"loss.grad {shape}"):
                continue
            row = {"work": "loss.grad memory", "dtype": "f32", "shape": shape}
            try:
                emit(row | measure(arguments.bin, context, strategy, arguments.full))
            except ours.Failed as error:
                emit(row | {"error": str(error)})
