"""Plans of @loss.grad of a GPT (4 layers, embed 64, 4 heads, batch 1, f32) for the three strategies of the paper."""
import json, os, subprocess, sys, tempfile

BIN, LAYERS, EMBED, VOCAB = sys.argv[1], 4, 64, 256


def tool(name, *arguments):
    result = subprocess.run([os.path.join(BIN, name), *arguments], capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{name} {' '.join(arguments)}: exit {result.returncode}\n{result.stderr}")
    return result.stdout


def step(where, strategy, context):
    graph, out = os.path.join(where, "g.mlir"), os.path.join(where, "s.mlir")
    open(graph, "w").write(tool("bpt-gen", "gpt", f"--layers={LAYERS}", "--heads=4", f"--embed={EMBED}", f"--vocab={VOCAB}",
                                f"--context={context}", "--batch=1"))
    tool("bpt-opt", graph, "-o", out, "--pass-pipeline=builtin.module("
         f"bpt-form-blocks{{strategy={strategy} block=256}},bpt-outline-layers,bpt-differentiate{{function=loss}})")
    return out


def main():
    planned = {}
    with tempfile.TemporaryDirectory() as where:
        for strategy in ("vanilla", "memory-efficient", "blockwise"):
            for context in (1024, 4096):
                path = step(where, strategy, context)
                planned[strategy, context] = json.loads(tool("bpt-run", path, "--entry=loss.grad", "--plan", "--json"))["arena_bytes"]
            report = json.loads(tool("bpt-run", step(where, strategy, 1024), "--entry=loss.grad", "--bench=1", "--opt-level=1", "--json"))
            if not report["planned_peak_bytes"] == report["measured_peak_bytes"]:
                sys.exit(f"{strategy}: planned {report['planned_peak_bytes']}, allocated {report['measured_peak_bytes']}")
    print(planned)
    for context in (1024, 4096):
        # In the backward of layer k, the inputs of k layers and the gradients of the others so far are alive.
        layer, head = 12 * EMBED * EMBED + 13 * EMBED, VOCAB * EMBED + 2 * EMBED
        bound = max(4 * ((k + 5) * context * EMBED + head + (LAYERS - k + 1) * layer) for k in range(1, LAYERS + 1)) + (8 << 20)
        if planned["blockwise", context] > bound:
            sys.exit(f"blockwise at {context}: {planned['blockwise', context]} bytes, the bound is {bound}")
        if not planned["blockwise", context] < planned["memory-efficient", context] < planned["vanilla", context]:
            sys.exit(f"at {context}: expected blockwise < memory-efficient < vanilla")
    # Four times the context costs at most four times the bytes: linear. The scores of vanilla are quadratic.
    if planned["blockwise", 4096] > 4 * planned["blockwise", 1024]:
        sys.exit("blockwise is not linear in the context")


main()
