#!/usr/bin/env python3
"""The main job on real input: trains the byte-small GPT on the text of the installed LLVM/MLIR headers.

  demo.py --bin build/bin --out demo
Leaves in --out: corpus/, run/ (metrics.jsonl, loss.svg, memory.svg, checkpoints), ir/ (the IR of each stage). Uses only
Python's standard library; everything it does is a call of a bpt tool that can be repeated by hand (each is printed).
"""
import argparse, array, glob, json, math, os, subprocess, sys, time

PROMPT = "class "
CONTEXTS = (1024, 2048, 4096, 8192)
STRATEGIES = ("vanilla", "memory-efficient", "blockwise")


def say(text):
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def run(command, **options):
    print("$ " + " ".join(command), flush=True)
    result = subprocess.run(command, **options)
    if result.returncode:
        sys.exit(f"demo: {os.path.basename(command[0])} ended with exit {result.returncode}")
    return result


def collect_corpus(out):
    """Headers and TableGen files in a fixed order; every 20th file is held out for validation."""
    roots = glob.glob("/usr/lib/llvm-22/include/mlir") + glob.glob("/usr/include/llvm-22/llvm") + glob.glob("/usr/lib/llvm-22/include/llvm")
    files = sorted({os.path.realpath(os.path.join(d, f)) for root in roots for d, _, names in os.walk(root)
                    for f in names if f.endswith((".h", ".td"))})
    if not files:
        sys.exit("demo: expected the LLVM/MLIR 22 headers in /usr/lib/llvm-22/include; install libmlir-22-dev")
    os.makedirs(out, exist_ok=True)
    paths = os.path.join(out, "train.u8"), os.path.join(out, "valid.u8")
    with open(paths[0], "wb") as train, open(paths[1], "wb") as valid:
        for i, file in enumerate(files):
            (valid if i % 20 == 0 else train).write(open(file, "rb").read())
    return paths


def bigram_loss(train, valid):
    """Cross-entropy in nats of a byte bigram model counted on `train` (add-one smoothing) on `valid`."""
    def pairs(path):
        data = open(path, "rb").read()
        counts = array.array("q", bytes(8 * 65536))
        for pair in zip(data, data[1:]):
            counts[pair[0] << 8 | pair[1]] += 1
        return counts
    seen, tested = pairs(train), pairs(valid)
    loss = 0.0
    for first in range(256):
        row = seen[first << 8:(first + 1) << 8]
        total = sum(row) + 256
        loss -= sum(n * math.log((row[second] + 1) / total) for second, n in enumerate(tested[first << 8:(first + 1) << 8]) if n)
    return loss / sum(tested)


def last_valid_loss(path):
    rows = [json.loads(line) for line in open(path)]
    return [row["valid_loss"] for row in rows if "valid_loss" in row][-1]


def strategies_table(bin, out):
    """Planned and allocated bytes of one real loss-and-gradients step of byte-small, by context and strategy."""
    say("memory of one step (loss and gradients, batch 1) by strategy: planned / allocated")
    print(f"{'context':>8} " + " ".join(f"{s:>33}" for s in STRATEGIES))
    for context in CONTEXTS:
        cells = []
        for strategy in STRATEGIES:
            graph, step = os.path.join(out, "graph.mlir"), os.path.join(out, "step.mlir")
            with open(graph, "w") as f:
                subprocess.run([f"{bin}/bpt-gen", "gpt", "--preset=byte-small", f"--context={context}", "--batch=1"], stdout=f, check=True)
            subprocess.run([f"{bin}/bpt-opt", graph, "-o", step, "--pass-pipeline=builtin.module("
                            f"bpt-form-blocks{{strategy={strategy}}},bpt-outline-layers,bpt-differentiate{{function=loss}})"], check=True)
            report = subprocess.run([f"{bin}/bpt-run", step, "--entry=loss.grad", "--bench=1", "--json"],
                                    stdout=subprocess.PIPE, text=True, check=True).stdout
            row = json.loads(report)
            cells.append(f"{row['planned_peak_bytes']:>16,}/{row['measured_peak_bytes']:>16,}")
        print(f"{context:>8} " + " ".join(cells), flush=True)
    os.remove(graph), os.remove(step)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/bin", help="folder with bpt's tools")
    parser.add_argument("--out", default="demo", help="folder for everything the demo leaves")
    parser.add_argument("--steps", type=int, default=1600, help="training steps")
    a = parser.parse_args()

    say("corpus: the text of the installed LLVM/MLIR headers, one byte is one token")
    train, valid = collect_corpus(os.path.join(a.out, "corpus"))
    print(f"{os.path.getsize(train):,} bytes for training, {os.path.getsize(valid):,} held out")

    say("IR of each stage")
    ir = os.path.join(a.out, "ir")
    os.makedirs(ir, exist_ok=True)
    graph, blocks, step = (os.path.join(ir, name) for name in ("0-graph.mlir", "1-blocks.mlir", "2-step.mlir"))
    with open(graph, "w") as f:
        run([f"{a.bin}/bpt-gen", "gpt", "--preset=byte-small"], stdout=f)
    run([f"{a.bin}/bpt-opt", graph, "-o", blocks, "--pass-pipeline=builtin.module(bpt-form-blocks,bpt-outline-layers)"])
    run([f"{a.bin}/bpt-opt", blocks, "-o", step, "--pass-pipeline=builtin.module(bpt-differentiate,bpt-build-train-step)"])
    run([f"{a.bin}/bpt-compile", step, "--entry=train_step", f"--dump-stages-to={ir}", "--emit=so", "-o", f"{a.out}/train_step.so"])

    say("training")
    start = time.time()
    directory = os.path.join(a.out, "run")
    run([f"{a.bin}/bpt-train", "--model=gpt", "--preset=byte-small", f"--tokens={train}", f"--valid-tokens={valid}", "--token-type=u8", f"--steps={a.steps}",
         f"--valid-every={max(1, a.steps // 4)}", "--valid-batches=64", "--batch=8", "--lr=3e-3", "--min-lr=3e-4", f"--warmup={a.steps // 20}",
         "--seed=1", f"--checkpoint-every={max(1, a.steps // 2)}", f"--sample-every={a.steps}", f"--sample-prompt={PROMPT}", f"--out={directory}"]
        + (["--resume"] if glob.glob(os.path.join(directory, "checkpoints", "step-*")) else []))
    print(f"trained in {time.time() - start:.0f} s")

    say("against a bigram model of the same bytes")
    bigram, loss = bigram_loss(train, valid), last_valid_loss(os.path.join(directory, "metrics.jsonl"))
    print(f"validation loss: {loss:.3f} nats a byte; bigram model: {bigram:.3f}; better by {bigram - loss:.3f}")

    strategies_table(a.bin, a.out)
    say(f"left in {a.out}/: run/metrics.jsonl, run/loss.svg, run/memory.svg, run/checkpoints, ir/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
