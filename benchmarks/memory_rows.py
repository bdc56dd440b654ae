"""The rows of `./dev bench memory`: plans against what runs allocate and what is resident, budgets, the price of blocks, packing."""
import array, json, math, os, random, re, subprocess, tempfile, threading, time
from statistics import median

import ours, paper

SMALL = {"layers": 4, "heads": 4, "embed": 256, "vocab": 256, "batch": 1}  # the GPT whose @loss.grad is planned and run
STRATEGIES = "vanilla", "memory-efficient", "blockwise"
MIB = 1 << 20


def available():
    return int(re.search(r"MemAvailable:\s+(\d+)", open("/proc/meminfo").read())[1]) * 1024


def graph(bin, where, **sizes):
    """The loss graph of a GPT in a file."""
    path = os.path.join(where, "graph.mlir")
    with open(path, "w") as f:
        subprocess.run([os.path.join(bin, "bpt-gen"), "gpt", *(f"--{name}={value}" for name, value in sizes.items())], stdout=f, check=True)
    return path


def gradient(bin, where, strategy="blockwise", keep="", wrt="", **sizes):
    """Its gradient, formed by one strategy, in a file."""
    path, loss = os.path.join(where, f"{strategy}-{keep}.mlir"), graph(bin, where, **sizes)
    form = f"strategy={strategy}" + (f" keep={keep}" if keep else "")
    subprocess.run([os.path.join(bin, "bpt-opt"), loss, "-o", path, f"--pass-pipeline=builtin.module(bpt-form-blocks{{{form}}},"
                    f"bpt-outline-layers,bpt-differentiate{{function=loss{' wrt=' + wrt if wrt else ''}}})"], check=True)
    return path


def plan(bin, path, *options):
    return ours.call(bin, "bpt-run", path, "--entry=loss.grad", "--plan", "--json", *options)


def run(bin, path, context, *options):
    """A run: what it planned and allocated, and its time. Of long contexts one run, with the seconds that compiling takes."""
    if context < 16384:
        return ours.call(bin, "bpt-run", path, "--entry=loss.grad", "--bench=1", "--json", *options)
    start = time.monotonic()
    return ours.call(bin, "bpt-run", path, "--entry=loss.grad", "--json", *options) | {"seconds": time.monotonic() - start}


def values(path):
    """The f32 and f64 tensors of a safetensors file."""
    with open(path, "rb") as f:
        header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
        start = f.tell()
        tensors = {}
        for name, entry in header.items():
            if name != "__metadata__":
                begin, end = entry["data_offsets"]
                f.seek(start + begin)
                tensors[name] = array.array({"F32": "f", "F64": "d"}[entry["dtype"]], f.read(end - begin))
        return tensors


def write_parameters(graph, path):
    """Weights as training begins with, to a safetensors file: with those of size 1 each layer makes roundings larger."""
    signature = re.search(r"func.func @loss\((.*)\) -> ", open(graph).read()).group(1)
    header, data, draw = {}, bytearray(), random.Random(1)
    for shape, name in re.findall(r"tensor<((?:\d+x)*)f32> \{[^}]*bpt.name = \"([^\"]*)\"", signature):
        sizes = [int(size) for size in shape.split("x") if size]
        middle = 1.0 if len(sizes) == 1 and name.endswith("weight") else 0.0
        begin = len(data)
        data += array.array("f", (middle + 0.02 * draw.gauss(0, 1) for _ in range(math.prod(sizes)))).tobytes()
        header[name] = {"dtype": "F32", "shape": sizes, "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text + data)


def difference(a, b):
    """max |a - b| / max |b|, the largest of all tensors."""
    a, b = values(a), values(b)
    return max(max(abs(x - y) for x, y in zip(a[name], b[name])) / max(map(abs, b[name])) for name in b)


def bound(context):
    """In the backward of layer k, the inputs of k layers and the gradients of the others so far are alive."""
    embed, layers = SMALL["embed"], SMALL["layers"]
    gradients = [4 * (256 * embed + 2 * embed + (layers - k + 1) * (12 * embed * embed + 13 * embed)) for k in range(1, layers + 1)]
    return max((k + 5) * 4 * context * embed + gradients[k - 1] for k in range(1, layers + 1)) + 8 * MIB


class Resident:
    """The most anonymous memory that a process had, sampled while it runs."""

    def __init__(self, *command):
        self.peak, self.text = 0, ""
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        watcher = threading.Thread(target=self.watch, args=(process.pid,))
        watcher.start()
        self.text, errors = process.communicate()
        watcher.join()
        if process.returncode:
            raise ours.Failed(errors.strip())

    def watch(self, pid):
        try:
            while found := re.search(r"RssAnon:\s+(\d+)", open(f"/proc/{pid}/status").read()):
                self.peak = max(self.peak, int(found[1]) * 1024)
                time.sleep(0.002)
        except OSError:
            pass


def strategies(arguments):
    """Planned = allocated, and the time, of the three systems over contexts."""
    for context in (2048, 4096, 8192, 16384, 32768) + ((65536, 131072) if arguments.full else ()):
        for strategy in STRATEGIES:
            def measure(context=context, strategy=strategy):
                with tempfile.TemporaryDirectory() as where:
                    path = gradient(arguments.bin, where, strategy, context=context, **SMALL)
                    row = {"planned_bytes": plan(arguments.bin, path)["arena_bytes"]}
                    if row["planned_bytes"] >= 0.8 * available() or (context >= 16384 and not arguments.full):
                        row["planned_only"] = True
                    else:
                        report = run(arguments.bin, path, context)
                        row |= {"allocated_bytes": report["measured_peak_bytes"], "seconds": report["seconds"],
                                "tokens_per_second": round(context / report["seconds"], 1)}
                    limits = [bound(context)] + {8192: [80 * MIB], 32768: [300 * MIB]}.get(context, [])
                    limit = min(limits) if strategy == "blockwise" else None
                    holds = row.get("allocated_bytes", row["planned_bytes"]) == row["planned_bytes"] and (not limit or row["planned_bytes"] <= limit)
                    return row | {"goal": "allocated = planned" + (f", planned <= {limit} bytes" if limit else ""), "holds": holds}
            yield "loss.grad memory", f"L4 E256 H4 V256 B1 T{context} {strategy}", "f32", measure


def presets(arguments):
    """Training runs: planned = allocated."""
    for preset, batch in (("byte-tiny", 4), ("byte-small", 2)) + ((("gpt2", 1),) if arguments.full else ()):
        for dtype in ("f32", "bf16"):
            for strategy in STRATEGIES:
                def measure(preset=preset, batch=batch, dtype=dtype, strategy=strategy):
                    with tempfile.TemporaryDirectory() as where:
                        tokens = os.path.join(where, "t.u16")
                        with open(tokens, "wb") as f:
                            f.write(bytes(byte if i % 2 == 0 else 0 for i, byte in enumerate(os.urandom(1 << 16))))
                        done = subprocess.run([os.path.join(arguments.bin, "bpt-train"), f"--preset={preset}", f"--batch={batch}", f"--dtype={dtype}",
                                               f"--strategy={strategy}", f"--tokens={tokens}", "--steps=1", f"--out={where}/run", "--json"],
                                              capture_output=True, text=True)
                        if done.returncode:
                            raise ours.Failed(done.stderr.strip().split("\n")[0])
                        events = [json.loads(line) for line in done.stdout.splitlines()]
                        start, end = events[0], events[-1]
                        packing = start["planned_peak_bytes"] / start["lower_bound_bytes"]
                        return {"planned_bytes": start["planned_peak_bytes"], "allocated_bytes": end["measured_peak_bytes"],
                                "over_lower_bound": round(packing, 4), "goal": "allocated = planned, over_lower_bound <= 1.03",
                                "holds": start["planned_peak_bytes"] == end["measured_peak_bytes"] and packing <= 1.03}
                yield "train memory", f"{preset} B{batch} {strategy}", dtype, measure


def packings(arguments):
    """Large presets, planned only: the packer against the lower bound."""
    for preset in ("gpt2", "gpt2-xl", "gpt-1b", "gpt-7b", "gpt-70b"):
        def measure(preset=preset):
            start = time.monotonic()
            report = ours.call(arguments.bin, "bpt-train", f"--preset={preset}", "--batch=1", "--dry-run", "--json", "--memory=2000GiB",
                               "--keep-activations=input")
            seconds = time.monotonic() - start
            ratio = report["step_bytes"] / (report["lower_bound_bytes"] - report["state_bytes"])
            return {"planned_bytes": report["planned_peak_bytes"], "over_lower_bound": round(ratio, 4), "seconds": round(seconds, 2),
                    "goal": "over_lower_bound <= 1.03, seconds <= 10", "holds": ratio <= 1.03 and seconds <= 10}
        yield "dry run", f"{preset} B1 keep input", "f32", measure


def kept(arguments):
    """What one more layer keeps."""
    def measure():
        arena = []
        for layers in (4, 5):
            with tempfile.TemporaryDirectory() as where:
                sizes = SMALL | {"layers": layers, "dtype": "bf16", "context": 4096}
                arena.append(plan(arguments.bin, gradient(arguments.bin, where, wrt="transformer.h.0.ln_1.weight", **sizes))["arena_bytes"])
        want = 2 * 4096 * SMALL["embed"]
        return {"bytes_per_layer": arena[1] - arena[0], "goal": f"bytes_per_layer = 2 B S E = {want}", "holds": arena[1] - arena[0] == want}
    yield "kept per layer", "E256 B1 T4096 blockwise keep input", "bf16", measure


def residents(arguments):
    """The high-water mark of a compiled object beside its plan and an empty run."""
    def measure():
        with tempfile.TemporaryDirectory() as where:
            exec = os.path.join(arguments.bin, "bpt-exec")
            objects = []
            for context in (64, 8192):
                path, out = gradient(arguments.bin, where, context=context, **SMALL), os.path.join(where, f"{context}.so")
                subprocess.run([os.path.join(arguments.bin, "bpt-compile"), path, "--entry=loss.grad", "-o", out], check=True)
                objects.append(out)
            run = lambda file: Resident(exec, file, "--entry=loss.grad", "--bench=2", "--json")
            small, large = run(objects[0]), run(objects[1])
            sizes = [json.loads(one.text) for one in (small, large)]
            planned = [one["planned_peak_bytes"] + one["argument_bytes"] for one in sizes]
            over = (large.peak - planned[1]) - max(small.peak - planned[0], 0)
            limit = max(0.02 * planned[1], 8 * MIB)
            return {"planned_bytes": planned[1], "resident_bytes": large.peak, "over_bytes": over, "goal": f"over_bytes <= {limit:.0f}",
                    "holds": over <= limit}
    yield "resident", "loss.grad L4 E256 T8192", "f32", measure


def budgets(arguments):
    """Programs that fit."""
    context = 8192
    limit = context * 2.0 ** -23  # n eps: how far sums of n terms may differ in another order
    for memory in ("110MiB", "80MiB", "75MiB", "60MiB"):
        def measure(memory=memory):
            with tempfile.TemporaryDirectory() as where:
                path = graph(arguments.bin, where, context=context, **SMALL)
                goal = {"goal": f"a program within {memory} is found, gradients within {limit:.1e} of the plain program's"}
                outputs = [os.path.join(where, f"{name}.safetensors") for name in ("within", "plain")]
                inputs = os.path.join(where, "parameters.safetensors")
                write_parameters(path, inputs)
                try:
                    report = run(arguments.bin, path, context, f"--memory={memory}", f"--inputs={inputs}", f"--outputs={outputs[0]}")
                    run(arguments.bin, path, context, f"--inputs={inputs}", f"--outputs={outputs[1]}")
                except ours.Failed as error:
                    return goal | {"error": str(error), "holds": False}
                apart = difference(*outputs)
                return goal | {"planned_bytes": report["planned_peak_bytes"], "seconds": report["seconds"], "difference": apart,
                               "holds": report["planned_peak_bytes"] <= int(memory[:-3]) * MIB and apart <= limit}
        yield "budget", f"loss.grad L4 E256 T{context} {memory}", "f32", measure


def questions(arguments):
    """What a dry run answers: a budget between two policies, the frontier of memory against time, the longest context."""
    for memory in ("1200GiB", "1000GiB"):
        def between(memory=memory):
            start = time.monotonic()
            report = ours.call(arguments.bin, "bpt-train", "--preset=gpt-70b", "--batch=1", "--dry-run", "--json", f"--memory={memory}")
            seconds = time.monotonic() - start
            [chosen] = [policy["name"] for policy in report["policies"] if policy["chosen"]]
            return {"policy": chosen, "planned_bytes": report["planned_peak_bytes"], "seconds": round(seconds, 2), "goal": "seconds <= 10",
                    "holds": seconds <= 10}
        yield "dry run to a budget", f"gpt-70b B1 {memory}", "f32", between

    def frontier():
        text = ours.lines(arguments.bin, "bpt-train", "--preset=gpt2", "--batch=1", "--context=8192", "--dry-run", "--frontier", "--json")
        [table] = [row for row in text if row["event"] == "frontier"]
        points = [(name, point["planned_peak_bytes"], point["predicted_step_seconds"]) for name, point in table.items() if name != "event"]
        falls = all(a[1] > b[1] and a[2] <= b[2] for a, b in zip(points, points[1:]))
        return {"points": [{"policy": name, "planned_bytes": size, "predicted_seconds": round(seconds, 1)} for name, size, seconds in points],
                "goal": "bytes fall, times rise", "holds": falls and len(points) > 1}
    yield "frontier", "gpt2 B1 T8192", "f32", frontier

    def longest():
        start = time.monotonic()
        text = ours.lines(arguments.bin, "bpt-train", "--preset=gpt2", "--batch=1", "--dry-run", "--max-context", "--memory=3GiB", "--json")
        seconds = time.monotonic() - start
        [found] = [row["max_context"] for row in text if row["event"] == "max_context"]
        return {"context": found, "seconds": round(seconds, 2), "goal": "seconds <= 8", "holds": seconds <= 8}
    yield "longest context search", "gpt2 B1 3GiB", "f32", longest


def longest(arguments):
    if not arguments.full:
        return

    def small():
        with tempfile.TemporaryDirectory() as where:
            path = graph(arguments.bin, where, context=131072, **SMALL)
            report = run(arguments.bin, path, 131072)
            return {"planned_bytes": report["planned_peak_bytes"], "allocated_bytes": report["measured_peak_bytes"], "seconds": report["seconds"],
                    "goal": "runs, allocated = planned", "holds": report["measured_peak_bytes"] == report["planned_peak_bytes"]}
    yield "long context", "loss.grad L4 E256 T131072", "f32", small

    def gpt2():
        seconds = ours.TrainStep(32768, options=("--memory=8GiB",), warm=0).time(arguments.bin)["seconds"]
        return {"seconds": seconds, "goal": "a step within 8 GiB runs", "holds": True}
    yield "long context", "train gpt2 B1 T32768 8GiB", "f32", gpt2


def spot_checks(arguments):
    """Gradients of GPT-2's layers and vocabulary: blocks against the form that has none (f64), or none outside attention (a long context)."""
    cases = [("f64", 2, 512, "vanilla", 1e-11)] + ([("f32", 1, 32768, "memory-efficient", 32768 * 2.0 ** -23)] if arguments.full else [])
    for dtype, layers, context, plain, limit in cases:
        def measure(dtype=dtype, layers=layers, context=context, plain=plain, limit=limit):
            with tempfile.TemporaryDirectory() as where:
                sizes = dict(layers=layers, heads=12, embed=768, vocab=50257, context=context, batch=1, dtype=dtype)
                outputs = [os.path.join(where, f"{name}.safetensors") for name in ("blocks", "plain")]
                for strategy, output in zip(("blockwise", plain), outputs):
                    run(arguments.bin, gradient(arguments.bin, where, strategy, **sizes), context, f"--outputs={output}")
                apart = difference(*outputs)
                return {"difference": apart, "goal": f"gradients within {limit:.1e} of {plain}", "holds": apart <= limit}
        yield "equal gradients", f"loss.grad of gpt2's L{layers} E768 V50257 T{context}", dtype, measure


def prices(arguments):
    """Time of blockwise against the others: the median of the ratios of runs that follow each other."""
    for context, rounds in ((2048, 9), (8192, 5)):
        def measure(context=context, rounds=rounds):
            with tempfile.TemporaryDirectory() as where:
                forms = {"blockwise": ("blockwise", "input"), "memory-efficient": ("memory-efficient", "input"), "vanilla": ("vanilla", "input")}
                paths = {name: gradient(arguments.bin, where, *form, context=context, **SMALL) for name, form in forms.items()}
                for name, path in paths.items():
                    subprocess.run([os.path.join(arguments.bin, "bpt-compile"), path, "--entry=loss.grad", "-o", f"{path}.so"], check=True)
                times = {name: [] for name in forms}
                for turn in range(max(arguments.rounds, rounds)):
                    for name, path in list(paths.items())[::-1 if turn % 2 else 1]:
                        times[name].append(ours.call(arguments.bin, "bpt-exec", f"{path}.so", "--entry=loss.grad", "--bench=1", "--json")["seconds"])
                ours_ = times["blockwise"]
                versus = {name: round(median(theirs / own for theirs, own in zip(seconds, ours_)), 3)
                          for name, seconds in times.items() if name != "blockwise"}
                holds = versus["memory-efficient"] >= 1 / 1.05 and versus["vanilla"] >= 1
                return {"seconds": median(ours_), "vs": versus, "goal": "keep input: memory-efficient >= 0.952, vanilla >= 1", "holds": holds}
        yield "price of blocks", f"loss.grad L4 E256 T{context}", "f32", measure


def bench(arguments, emit):
    groups = strategies, presets, packings, kept, residents, budgets, questions, prices, spot_checks, longest, paper.rows
    for group in groups:
        for work, shape, dtype, measure in group(arguments):
            if not re.search(arguments.filter, f"{work} {shape} {dtype}"):
                continue
            row = {"work": work, "dtype": dtype, "shape": shape}
            try:
                emit(row | measure())
            except ours.Failed as error:
                emit(row | {"error": str(error)})
