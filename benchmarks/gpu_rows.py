"""The rows of `./dev bench gpu` on a machine without a GPU: what ptxas and the emulator say of the Hopper kernels, and what a model
predicts of their speed."""
import json, os, re, shutil, subprocess, sys, tempfile

import graphs, ours

INPUTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "test", "Integration", "Inputs")
GOALS = {("attention forward", "full"): 700, ("attention forward", "causal"): 670, ("attention backward", "full"): 610,
         ("attention backward", "causal"): 580, ("GEMM", ""): 780}  # TFLOP/s: cuDNN and cuBLAS on an H200 (README, sources)


def predictions(arguments):
    """Rows of the model, already measured: it takes no time."""
    done = subprocess.run([os.path.join(arguments.bin, "bpt-hopper-model")], capture_output=True, text=True, check=True)
    for line in done.stdout.split("\n")[:-1]:
        row = json.loads(line)
        goal = next(goal for (work, mask), goal in GOALS.items() if row["work"] == work and mask in row["shape"])

        def measure(row=row, goal=goal):
            return {"predicted": True, "seconds": row["seconds"], "gflops": round(1e3 * row["teraflops"], 1), "of_peak": round(row["teraflops"] / 989.4, 3),
                    "vs": {}, **{name: row[name] for name in ("tile", "cycles", "bound", "use")},
                    "goal": f"predicted gflops >= {goal}000", "holds": row["teraflops"] >= goal}
        yield row["work"] + ", model", row["shape"], "bf16", measure


def ptxas(arguments):
    program = shutil.which("ptxas") or "/usr/local/cuda/bin/ptxas"
    if not os.path.exists(program):
        print("no ptxas: its row is left out", file=sys.stderr)
        return
    extent = ["--all"] if arguments.full else []

    def measure():
        done = subprocess.run([sys.executable, os.path.join(INPUTS, "hopper_variants.py"), arguments.bin, program, "--json", *extent],
                              capture_output=True, text=True)
        if not done.stdout:
            raise ours.Failed(done.stderr.strip())
        result = json.loads(done.stdout)
        return result | {"names": done.stderr.split("\n")[:-1], "goal": "failing = 0" + (", kernels >= 200" if extent else ""),
                         "holds": result["failing"] == 0 and (not extent or result["kernels"] >= 200)}
    yield "kernels that ptxas spills or serialises", "all" if extent else "a sample; all with --full", "bf16, f16", measure


def mutants(arguments):
    def measure():
        done = subprocess.run([os.path.join(arguments.bin, "bpt-mutation-tests"), "--gtest_filter=Mutation.*"], capture_output=True, text=True)
        counted = re.search(r"(\d+) mutants, (\d+) found", done.stdout)
        if not counted:
            raise ours.Failed(done.stdout.strip().split("\n")[-1])
        all, found = int(counted[1]), int(counted[2])
        return {"mutants": all, "found": found, "score": round(found / all, 3), "goal": "score >= 0.95, mutants >= 60",
                "holds": found >= 0.95 * all and all >= 60}
    yield "mistakes in kernels that the emulator finds", "attention, product, norm", "bf16, f32", measure


def emulator(arguments):
    """One block has 128 queries and all keys: four steps."""
    heads, length = 8, 512

    def measure():
        with tempfile.TemporaryDirectory() as where:
            path = os.path.join(where, "f.mlir")
            with open(path, "w") as file:
                file.write(graphs.attention(1, length, heads, 128, "full", dtype="bf16"))
            seconds = ours.call(arguments.bin, "bpt-run", path, "--entry=f", "--target=emulator", "--bench=3", "--threads=2", "--json")["seconds"]
        rate = heads * length // 128 / seconds
        return {"seconds": seconds, "blocks_per_second": round(rate, 1), "goal": "blocks_per_second >= 100", "holds": rate >= 100}
    yield "attention on the emulator", f"B1 S{length} H{heads} D128 full", "bf16", measure


def sizes(arguments):
    """The conformance list with dynamic sizes: each program compiled once and run with many, in every mode of the emulator."""
    def measure():
        with tempfile.TemporaryDirectory() as where:
            runner = os.path.join(INPUTS, "..", "..", "Conformance", "run.py")
            done = subprocess.run([sys.executable, runner, "--bin", arguments.bin, "--stage", "sizes", "--target", "emulator", "--only", "bf16",
                                   "--keep", where], capture_output=True, text=True)
            counted = re.search(r"(\d+) passed, (\d+) failed", done.stdout)
            if not counted:
                raise ours.Failed(done.stderr.strip().split("\n")[-1])
            kernels = 0
            for folder in os.listdir(where):
                text = subprocess.run([os.path.join(arguments.bin, "bpt-compile"), os.path.join(where, folder, "program.mlir"), "--entry=f",
                                       "--target=cuda", "--emit=mlir", "--stop-after=kernels", "-o", "-"], capture_output=True, text=True, check=True)
                kernels += len(re.findall(r"attributes \{.*gpu\.kernel", text.stdout))
        passed, failing = int(counted[1]), int(counted[2])
        return {"cases": passed + failing, "failing": failing, "names": re.findall("FAIL (.*)", done.stdout), "kernels": kernels,
                "goal": "failing = 0, cases >= 5000, kernels <= 400", "holds": failing == 0 and passed >= 5000 and 0 < kernels <= 400}
    yield "cases on the emulator", "sizes x modes", "bf16", measure


def bench(arguments, emit):
    for part in (predictions, ptxas, emulator, mutants, sizes):
        for work, shape, dtype, measure in part(arguments):
            if re.search(arguments.filter, f"{work} {shape}"):
                try:
                    emit({"work": work, "dtype": dtype, "shape": shape, **measure()})
                except (ours.Failed, subprocess.CalledProcessError, OSError) as error:
                    emit({"work": work, "dtype": dtype, "shape": shape, "error": str(error)})
