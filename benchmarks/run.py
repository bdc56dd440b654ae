#!/usr/bin/env python3
"""Speed and memory against goals and peers.

  run.py --bin build/bin [cpu|memory] [--full] [--json=FILE] [--filter=REGEX]
One JSON object a row: {"work","dtype","shape","seconds","gflops","of_peak","vs","goal","holds"}; memory rows have
"planned_bytes","allocated_bytes" instead of speeds. FLOPs are model FLOPs of visible work. The peak is measured around each row,
PyTorch and OpenBLAS in turns with it; `vs` holds the peer's time / ours. A peer that cannot be installed is named and left out.
"""
import argparse, json, os, re, subprocess, sys, tempfile

import chart
from peers import OpenBLAS, PyTorch

HERE = os.path.dirname(os.path.abspath(__file__))


def tool(arguments, name):
    return os.path.join(arguments.bin, name)


def bench_entry(arguments, path, entry, runs=5):
    out = subprocess.run([tool(arguments, "bpt-run"), path, f"--entry={entry}", f"--bench={runs}", "--json"],
                         capture_output=True, text=True)
    if out.returncode:
        return None, out.stderr.strip().split("\n")[-1]
    return json.loads(out.stdout), None


def peak(arguments):
    out = subprocess.run([tool(arguments, "bpt-peak")], capture_output=True, text=True, check=True).stdout
    return json.loads(out)["gflops"]


def attention(batch, length, heads, dim, mask, grad=False):
    """An attention or its gradient as a module; FLOPs as DESIGN 6 counts them."""
    x, l = f"tensor<{batch}x{length}x{heads}x{dim}xf32>", f"tensor<{batch}x{heads}x{length}xf32>"
    visible = length * (length + 1) // 2 if mask == "causal" else length * length
    flops = (10 if grad else 4) * dim * visible * batch * heads
    attributes = f"{{mask = #bpt.{mask}, scale = {dim ** -0.5:.17g} : f64}}"
    if not grad:
        return flops, f"""func.func @f(%q: {x}, %k: {x}, %v: {x}) -> ({x}, {l}) attributes {{bpt.flops = "{flops}"}} {{
  %o = tensor.empty() : {x}
  %s = tensor.empty() : {l}
  %r:2 = bpt.attention {attributes} ins(%q, %k, %v : {x}, {x}, {x}) outs(%o, %s : {x}, {l}) -> {x}, {l}
  return %r#0, %r#1 : {x}, {l}
}}"""
    return flops, f"""func.func @f(%d: {x}, %q: {x}, %k: {x}, %v: {x}, %o: {x}, %l: {l}) -> ({x}, {x}, {x}) attributes {{bpt.flops = "{flops}"}} {{
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : {x}
  %z = linalg.fill ins(%zero : f32) outs(%e : {x}) -> {x}
  %r:3 = bpt.attention_grad {attributes} cotangent(%d : {x}) ins(%q, %k, %v, %o, %l : {x}, {x}, {x}, {x}, {l})
    outs(%z, %z, %z : {x}, {x}, {x}) -> {x}, {x}, {x}
  return %r#0, %r#1, %r#2 : {x}, {x}, {x}
}}"""


def feed_forward(rows, embed, hidden, grad=False):
    x, w1, w2 = f"tensor<{rows}x{embed}xf32>", f"tensor<{embed}x{hidden}xf32>", f"tensor<{hidden}x{embed}xf32>"
    flops = (4 if not grad else 10) * rows * embed * hidden  # the backward recomputes one product: 5 in all
    if not grad:
        return flops, f"""func.func @f(%x: {x}, %a: {w1}, %b: {w2}) -> {x} attributes {{bpt.flops = "{flops}"}} {{
  %e = tensor.empty() : {x}
  %y = bpt.feed_forward ins(%x : {x}) up(%a : {w1}) down(%b : {w2}) outs(%e : {x}) -> {x}
  return %y : {x}
}}"""
    return flops, f"""func.func @f(%d: {x}, %x: {x}, %a: {w1}, %b: {w2}) -> ({x}, {w1}, {w2}) attributes {{bpt.flops = "{flops}"}} {{
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : {x}
  %zx = linalg.fill ins(%zero : f32) outs(%e : {x}) -> {x}
  %ea = tensor.empty() : {w1}
  %za = linalg.fill ins(%zero : f32) outs(%ea : {w1}) -> {w1}
  %eb = tensor.empty() : {w2}
  %zb = linalg.fill ins(%zero : f32) outs(%eb : {w2}) -> {w2}
  %r:3 = bpt.feed_forward_grad cotangent(%d : {x}) ins(%x : {x}) up(%a : {w1}) down(%b : {w2}) outs(%zx, %za, %zb : {x}, {w1}, {w2})
    -> {x}, {w1}, {w2}
  return %r#0, %r#1, %r#2 : {x}, {w1}, {w2}
}}"""


def contraction(m, n, k):
    a, b, c = f"tensor<{m}x{k}xf32>", f"tensor<{k}x{n}xf32>", f"tensor<{m}x{n}xf32>"
    flops = 2 * m * n * k
    return flops, f"""func.func @f(%a: {a}, %b: {b}) -> {c} attributes {{bpt.flops = "{flops}"}} {{
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : {c}
  %z = linalg.fill ins(%zero : f32) outs(%e : {c}) -> {c}
  %r = linalg.matmul ins(%a, %b : {a}, {b}) outs(%z : {c}) -> {c}
  return %r : {c}
}}"""


# work, what the peers need to know, (flops, module), goal as share of peak, goals as ratios to peers
def cpu_rows(full):
    for size in (1000, 1024, 2048) + ((1023, 4095, 4096) if full else ()):
        yield "contraction", {"m": size, "n": size, "k": size}, contraction(size, size, size), 0.92, {"openblas": 0.97, "pytorch": 1.0}
    for dim in (64, 128):
        for mask in ("full", "causal"):
            causal = mask == "causal"
            for length, heads in ((1024, 12), (4096, 2)) + (((1024, 1), (4096, 12), (16384, 1)) if full else ()):
                slack = 0.08 if length == 1024 else 0
                sizes = {"batch": 1, "length": length, "heads": heads, "dim": dim, "mask": mask}
                yield ("attention", sizes, attention(1, length, heads, dim, mask), (0.75 if causal else 0.80) - slack,
                       {"pytorch": 1.8 if causal and dim == 128 else 1.3})
                yield ("attention_grad", sizes, attention(1, length, heads, dim, mask, True), (0.65 if causal else 0.70) - slack,
                       {"pytorch": 1.4})
    for rows, embed, hidden in ((4096, 768, 3072),) + (((2048, 2048, 8192),) if full else ()):
        sizes = {"rows": rows, "embed": embed, "hidden": hidden}
        yield "feed_forward", sizes, feed_forward(rows, embed, hidden), 0.88, {"pytorch": 1.4}
        yield "feed_forward_grad", sizes, feed_forward(rows, embed, hidden, True), 0.88, {"pytorch": 1.4}


def median(values):
    return sorted(values)[len(values) // 2]


def measure(arguments, path, request, peers):
    """Rounds of ours, each peer and the peak, in turns: medians of the times, and the peak of the same minutes."""
    ours, rates, theirs = [], [], {peer.name: [] for peer in peers}
    for _ in range(arguments.rounds):
        rates.append(peak(arguments))
        report, error = bench_entry(arguments, path, "f", 3)
        if error:
            return {"error": error}
        ours.append(report["seconds"])
        for peer in peers:
            if (seconds := peer.measure(request)) is not None:
                theirs[peer.name].append(seconds)
    rates.append(peak(arguments))
    seconds = median(ours)
    return {"seconds": seconds, "peak": max(rates), "vs": {name: round(median(times) / seconds, 2) for name, times in theirs.items() if times}}


def bench_cpu(arguments, emit):
    peers = [peer for peer in (PyTorch(arguments.build), OpenBLAS(arguments.build)) if peer.available()]
    for work, sizes, (flops, text), goal, ratios in cpu_rows(arguments.full):
        shape = " ".join(f"{name}={value}" for name, value in sizes.items())
        if not re.search(arguments.filter, f"{work} {shape}"):
            continue
        with tempfile.NamedTemporaryFile("w", suffix=".mlir") as f:
            f.write(text)
            f.flush()
            result = measure(arguments, f.name, {"work": work, "dtype": "f32", "runs": 3, **sizes}, peers)
        row = {"work": work, "dtype": "f32", "shape": shape}
        if "error" in result:
            emit(row | result)
            continue
        share = flops / result["seconds"] * 1e-9 / result["peak"]
        wanted = {name: ratio for name, ratio in ratios.items() if name in result["vs"]}
        holds = share >= goal and all(result["vs"][name] >= ratio for name, ratio in wanted.items())
        emit(row | {"seconds": result["seconds"], "gflops": round(flops / result["seconds"] * 1e-9, 1), "of_peak": round(share, 3),
                    "vs": result["vs"], "goal": ", ".join([f"of_peak >= {goal:.2f}"] + [f"{n} >= {r}" for n, r in wanted.items()]),
                    "holds": holds})


def bench_memory(arguments, emit):
    """Planned and allocated bytes of @loss.grad of GPT (4 layers, embed 256, 4 heads, vocab 256, batch 1, f32)."""
    layers, embed = 4, 256
    free = int(re.search(r"MemAvailable:\s+(\d+)", open("/proc/meminfo").read())[1]) * 1024
    for context in (2048, 8192, 32768):
        for strategy in ("vanilla", "memory-efficient", "blockwise"):
            shape = f"L{layers} E{embed} H4 V256 B1 T{context} {strategy}"
            if not re.search(arguments.filter, f"loss.grad {shape}"):
                continue
            with tempfile.TemporaryDirectory() as where:
                graph, step = os.path.join(where, "g.mlir"), os.path.join(where, "s.mlir")
                with open(graph, "w") as f:
                    subprocess.run([tool(arguments, "bpt-gen"), "gpt", f"--layers={layers}", "--heads=4", f"--embed={embed}", "--vocab=256",
                                    f"--context={context}", "--batch=1"], stdout=f, check=True)
                subprocess.run([tool(arguments, "bpt-opt"), graph, "-o", step, "--pass-pipeline=builtin.module("
                                f"bpt-form-blocks{{strategy={strategy}}},bpt-outline-layers,bpt-differentiate{{function=loss}})"], check=True)
                plan = subprocess.run([tool(arguments, "bpt-run"), step, "--entry=loss.grad", "--plan", "--json"],
                                      capture_output=True, text=True, check=True)
                planned = json.loads(plan.stdout)["arena_bytes"]
                row = {"work": "loss.grad memory", "dtype": "f32", "shape": shape, "planned_bytes": planned}
                if planned < 0.8 * free and (arguments.full or context < 32768):
                    report, error = bench_entry(arguments, step, "loss.grad", 1)
                    row |= {"error": error} if error else {"allocated_bytes": report["measured_peak_bytes"], "seconds": report["seconds"]}
                else:
                    row["planned_only"] = True
                if strategy == "blockwise":
                    # In the backward of layer k, the inputs of k layers and the gradients of the others so far are alive.
                    gradients = [4 * (256 * embed + 2 * embed + (layers - k + 1) * (12 * embed * embed + 13 * embed)) for k in range(1, layers + 1)]
                    bound = max((k + 5) * 4 * context * embed + gradients[k - 1] for k in range(1, layers + 1)) + (8 << 20)
                    row |= {"goal": f"planned <= {bound} bytes", "holds": planned <= bound}
            emit(row)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("cpu", "memory"), default="cpu")
    parser.add_argument("--bin", default="build/bin", help="folder with bpt's tools")
    parser.add_argument("--build", default="build", help=argparse.SUPPRESS)
    parser.add_argument("--full", action="store_true", help="long rows too")
    parser.add_argument("--rounds", type=int, default=3, help="turns of ours, the peers and the peak for each row")
    parser.add_argument("--json", default="", help="also write the rows to this file, one object a line")
    parser.add_argument("--filter", default="", help="only rows whose work and shape match this expression")
    arguments = parser.parse_args()
    file = open(arguments.json, "w") if arguments.json else None
    rows = []

    def emit(row):
        rows.append(row)
        print(json.dumps(row), flush=True)
        if file:
            file.write(json.dumps(row) + "\n")
            file.flush()

    {"cpu": bench_cpu, "memory": bench_memory}[arguments.what](arguments, emit)
    if arguments.what == "cpu":
        path = os.path.splitext(arguments.json)[0] + ".svg" if arguments.json else os.path.join(arguments.build, "bench-cpu.svg")
        with open(path, "w") as picture:
            picture.write(chart.svg(rows))
        print(f"bench: picture in {path}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
