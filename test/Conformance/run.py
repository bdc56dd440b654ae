#!/usr/bin/env python3
"""Runs the conformance list (cases.py) and ends with 'N passed, N failed'.

  oracle    the reference in f64 equals PyTorch's results (goldens/) to 1e-12, relative
  gradient  bpt-differentiate's gradients agree with finite differences of the reference in f64
  model     a model's loss and gradients are the same for every way to form its layers, in f64 and on the target
  target    a target's results are within the naive error of the reference in f64 (DESIGN.md section 6)
  sizes     as target, but compiled once for a list of sizes (all that a case has dynamic); on the emulator each of its modes counts
  threads   a compiled object gives the same bytes with one thread and with three

  run.py --bin build/bin                           everything, on the CPU
  run.py --stage target --target emulator          another target
  run.py --only 'attention.*f32'                   cases whose name (stage, op, number, type) matches
A failure prints the case's parameters; --keep=DIR keeps the .mlir and .safetensors files of each run."""
import argparse
import concurrent.futures
import json
import math
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cases
import tensors
from program import NORMAL, Program, make_values

HERE = os.path.dirname(os.path.abspath(__file__))
STAGES = ("oracle", "gradient", "model", "target", "threads", "sizes")
CHUNK = 8            # cases in one program
SIZES, SIZES_OF = 40, {"attention": 24, "feed_forward": 12, "linear_cross_entropy": 12}  # runs of a program in the stage 'sizes'
TIMEOUT = 300        # seconds a tool may take; the longest takes ten
MODEL = 1e-11        # the same in a model, blocks summed in another order
GOLDEN = 1e-12       # rounding of a few hundred operations in f64
DIFFERENCE = 1e-6    # error of a central difference with STEP, relative
STEP = 1e-5
EPSILON = {"f64": 2.0 ** -52, "f32": 2.0 ** -23, "f16": 2.0 ** -10, "bf16": 2.0 ** -7}
# A naive error may happen to be 0 (a softmax of one column: dP - delta cancels exactly) where another order of the same sums
# leaves some roundings of the accumulator.
NOISE = 16 * 2.0 ** -23
# What one op rounded once may lose at most, relative to its largest element; catches a reference that sums in a narrow type.
NAIVE = {"f64": 0.0, "f32": 5e-5, "f16": 8e-3, "bf16": 4e-2}


class Failed(Exception):
    """A tool that did not do its work."""


class Runner:
    def __init__(self, options):
        self.bin, self.machine, self.keep, self.code = options.bin, options.target, options.keep, options.emulator_code
        self.most_sizes = options.sizes
        self.worst = {}  # {what: (error, where)}

    def note_error(self, what, error, where):
        self.worst[what] = max(self.worst.get(what, (0.0, where)), (error, where))

    def tool(self, name, *arguments):
        command = [os.path.join(self.bin, name), *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            raise Failed(f"{' '.join(command)}: more than {TIMEOUT} s")
        if done.returncode:
            raise Failed(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-2000:]}")
        return done.stdout

    def run(self, folder, entry, target, *flags, program=None):
        """Runs a function of folder/program.mlir, or of a compiled program, on the values in folder/in.safetensors."""
        program = program or os.path.join(folder, "program.mlir")
        call = ("bpt-exec", program) if program.endswith(".so") else ("bpt-run", program, f"--target={target}")
        return self.tool(*call, f"--entry={entry}", "--threads=2", f"--inputs={os.path.join(folder, 'in.safetensors')}", "--json", *flags)

    def results(self, folder, entry, target, program=None, flags=()):
        """{result: (dtype, shape, values)}"""
        outputs = os.path.join(folder, "out.safetensors")
        report = json.loads(self.run(folder, entry, target, f"--outputs={outputs}", *flags, program=program))
        if report["planned_peak_bytes"] != report["measured_peak_bytes"]:
            raise Failed(f"planned were {report['planned_peak_bytes']} bytes, but {report['measured_peak_bytes']} were allocated")
        return tensors.read(outputs)[0]

    def modes(self, dtype):
        """Flags for the emulator. Kernels of their own work asynchronously: in every mode, and the largest errors count."""
        flags = [f"--emulator-code={self.code}"] if self.machine == "emulator" else []
        return flags + (["--emulator-mode=all"] if flags and dtype in ("bf16", "f16") else [])

    def both_errors(self, folder, *flags):
        """[({result: naive relative error}, {result: relative error})] against the reference in f64, of each run."""
        text = self.tool("bpt-run", os.path.join(folder, "program.mlir"), "--entry=f", f"--target={self.machine}", "--threads=2",
                         "--check", "--naive", "--json", *flags)
        reports = [json.loads(line) for line in text.splitlines()]
        return [tuple({name: entry[key] for name, entry in report.items()} for key in ("naive_max_rel", "max_rel")) for report in reports]

    def group(self, stage, op, dtype, chunk):
        """[(case, note or None)] of a chunk of cases; when the whole fails to run, each alone says which."""
        with tempfile.TemporaryDirectory() as scratch:
            folder = scratch
            if self.keep:
                folder = os.path.join(self.keep, f"{stage}-{op}-{dtype}-{chunk[0].name}" + ("" if len(chunk) > 1 else "-alone"))
                os.makedirs(folder, exist_ok=True)
            try:
                notes = getattr(self, stage)(folder, op, dtype, chunk)
                if stage == "sizes":
                    return notes
                return [(case, notes.get(case.name)) for case in chunk]
            except Failed as failure:
                if len(chunk) == 1:
                    return [(chunk[0], str(failure))]
        return [result for case in chunk for result in self.group(stage, op, dtype, [case])]

    def write(self, folder, program, values, inputs=None):
        with open(os.path.join(folder, "program.mlir"), "w") as file:
            file.write(program.text())
        tensors.write(inputs or os.path.join(folder, "in.safetensors"), values)

    # Each stage: {case name: what is wrong}.

    def oracle(self, folder, op, dtype, chunk):
        goldens, metadata = tensors.read(os.path.join(HERE, "goldens", op + ".safetensors"))
        program = build(chunk, dtype)
        self.write(folder, program, {a.name: (a.dtype.upper(), a.shape, make_values(a)) for a in program.arguments})
        results, notes = self.results(folder, "f", "reference"), {}
        for case in chunk:
            if metadata.get(case.name) != case.describe():
                notes[case.name] = "the golden is of other parameters; run ./dev goldens"
                continue
            for name in results_of(program, case):
                if results[name][1] != goldens[name][1]:
                    notes[case.name] = f"{name} is {results[name][1]}, but {goldens[name][1]} in PyTorch"
                    break
                error = tensors.relative_error(results[name][2], goldens[name][2])
                self.note_error("reference from PyTorch, f64", error, name)
                if not error <= GOLDEN:
                    notes[case.name] = f"{name} is {error:.2e} from PyTorch, more than {GOLDEN:.0e}"
        return notes

    def write_special(self, folder, program, inputs=None):
        """Writes the program and the arguments with special values; the flags let the tool make the others."""
        special = [a for a in program.arguments if a.values != NORMAL]
        self.write(folder, program, {a.name: (a.dtype.upper(), a.shape, make_values(a)) for a in special}, inputs)
        return [f"--shape={a.name}={'x'.join(str(int(n)) for n in a.shape)}" for a in program.arguments if a.values == NORMAL]

    def target(self, folder, op, dtype, chunk):
        program = build(chunk, dtype)
        shapes = self.write_special(folder, program)
        [(naive, ours)] = self.both_errors(folder, f"--inputs={os.path.join(folder, 'in.safetensors')}", *shapes, *self.modes(dtype))
        return {case.name: note for case in chunk if (note := self.judge(program, case, dtype, naive, ours))}

    def judge(self, program, case, dtype, naive, ours):
        """What is wrong with the errors of the results of one case, or None."""
        note = None
        for name, value in results_of(program, case).items():
            self.note_error(f"reference from f64, {dtype}", naive[name], name)
            self.note_error(f"{self.machine} from f64, {dtype}", ours[name], name)
            limit = 2 * naive[name] + 4 * EPSILON[value.dtype] + (NOISE if naive[name] < NOISE else 0)
            if value.dtype != dtype and case.parameters.get("wide"):
                limit += EPSILON[dtype]  # kernels round what goes into the products of a gradient to the storage type
            if dtype == "f64":
                limit = GOLDEN
            if not naive[name] <= NAIVE[dtype]:
                note = f"{name} of the reference is {naive[name]:.2e} from f64, more than {NAIVE[dtype]:.0e}"
            elif not ours[name] <= limit:
                note = (f"{name} is {ours[name]:.2e} from the reference in f64, more than {limit:.2e} "
                        f"(the naive error is {naive[name]:.2e})")
        return note

    def sizes(self, folder, op, dtype, chunk):
        """[(case with sizes, note or None)] of the runs of one program that holds the chunk."""
        count = min(SIZES_OF.get(op, SIZES), self.most_sizes)
        runs, lines = list(zip(*(cases.resized(case, count) for case in chunk))), []
        for number, run in enumerate(runs):
            program, inputs = build(run, dtype), os.path.join(folder, f"in{number}.safetensors")
            lines.append(" ".join([f"--inputs={inputs}", f"--seed={number}", *self.write_special(folder, program, inputs)]))
        with open(os.path.join(folder, "runs"), "w") as file:
            file.write("\n".join(lines) + "\n")
        errors = self.both_errors(folder, f"--runs={os.path.join(folder, 'runs')}", *self.modes(dtype))
        return [(case, self.judge(build(run, dtype), case, dtype, *both)) for run, both in zip(runs, errors, strict=True) for case in run]

    def threads(self, folder, op, dtype, chunk):
        shapes = self.write_special(folder, build(chunk, dtype))
        library = os.path.join(folder, "program.so")
        self.tool("bpt-compile", os.path.join(folder, "program.mlir"), "--target=cpu", "--opt-level=1", "--emit=so", "-o", library)
        results = []
        for number in (1, 3):
            outputs = os.path.join(folder, f"out{number}.safetensors")
            self.tool("bpt-exec", library, "--entry=f", f"--threads={number}", f"--inputs={os.path.join(folder, 'in.safetensors')}",
                      f"--outputs={outputs}", "--json", *shapes)
            results.append(tensors.read(outputs)[0])
        one, three = results
        return {case.name: f"{name} differs between one thread and three" for case in chunk for name in one
                if name.startswith(case.name + ".") and not same_bits(one[name], three[name])}

    def gradient(self, folder, op, dtype, chunk):
        program = build(chunk, dtype, gradient=False)
        point = {a.name: (a.dtype.upper(), a.shape, make_values(a)) for a in program.arguments}
        floats = [a for a in program.arguments if a.dtype == dtype]
        direction = {a.name: values_like(a, ".direction") for a in floats}
        cotangents = {name: values_like(value, ".cotangent", name) for name, value in program.results}

        self.write(folder, program, point)
        source = os.path.join(folder, "program.mlir")
        text = self.tool("bpt-opt", source, "--pass-pipeline=builtin.module(bpt-differentiate{function=f})")
        library, moved = os.path.join(folder, "program.so"), []
        self.tool("bpt-compile", source, "--target=reference", "--emit=so", "-o", library)
        for sign in (1, -1):
            shifted = dict(point)
            for name, step in direction.items():
                shifted[name] = (*point[name][:2], [x + sign * STEP * d for x, d in zip(point[name][2], step)])
            tensors.write(os.path.join(folder, "in.safetensors"), shifted)
            moved.append(self.results(folder, "f", "reference", program=library))
        with open(source, "w") as file:
            file.write(text)
        given = dict(point)
        if not (len(program.results) == 1 and not program.results[0][1].shape):
            for name, value in program.results:
                given[name + ".cotangent"] = (dtype.upper(), value.shape, cotangents[name])
        else:
            cotangents[program.results[0][0]] = [1.0]
        tensors.write(os.path.join(folder, "in.safetensors"), given)
        grads = self.results(folder, "f.grad", "reference")

        notes = {}
        for case in chunk:
            change = scale = 0.0
            for name in results_of(program, case):
                for c, up, down in zip(cotangents[name], moved[0][name][2], moved[1][name][2]):
                    if up != down:  # rows without a visible column stay at -inf
                        change += c * (up - down) / (2 * STEP)
                        scale += (c * (up - down) / (2 * STEP)) ** 2
            slope = 0.0
            for argument in floats:
                if argument.name.startswith(case.name + "."):
                    grad = grads[argument.name + ".grad"][2]
                    slope += math.fsum(g * d for g, d in zip(grad, direction[argument.name]))
            error = abs(change - slope) / max(abs(change), math.sqrt(scale), 1e-300)
            self.note_error("gradient from finite differences, f64", error, case.name)
            if not (error <= DIFFERENCE or change == slope):
                notes[case.name] = f"the derivative along a direction is {slope:.12g}, by differences {change:.12g} ({error:.1e})"
        return notes


    def model(self, folder, op, dtype, chunk):
        [model] = chunk
        graph, exact_graph = os.path.join(folder, "graph.mlir"), os.path.join(folder, "graph64.mlir")
        for path, changes in ((graph, {}), (exact_graph, {"dtype": "f64"})):
            with open(path, "w") as file:
                file.write(self.tool("bpt-gen", *model.command(changes)))
        inputs = os.path.join(folder, "in.safetensors")
        plain = self.differentiate(folder, "plain", graph, "")
        formed = self.differentiate(folder, "formed", graph, model.passes() + ",")
        tensors.write(inputs, parameters(open(graph).read()))
        rounded = tensors.read(inputs)[0]
        # Kernels are compared one by one as users get them, in the stage 'target'; here what joins them counts.
        run = lambda target, program: self.results(folder, "loss.grad", target, program, flags=["--opt-level=1"] if target == "cpu" else [])
        results = {"naive": run("reference", plain), "ours": run(self.machine, formed)}
        exact = results["naive"]
        if dtype == "f64":
            results["formed"] = run("reference", formed)
        else:
            tensors.write(inputs, {name: ("F64", shape, values) for name, (_, shape, values) in rounded.items()})
            exact = run("reference", self.differentiate(folder, "plain64", exact_graph, ""))
        errors = {what: {name: tensors.relative_error(tensor[2], exact[name][2]) for name, tensor in result.items()}
                  for what, result in results.items()}
        naive, ours = errors["naive"], errors["ours"]
        for name in exact:
            if dtype == "f64":
                self.note_error("model from its plain form, f64", errors["formed"][name], f"{model.name} {name}")
                if not errors["formed"][name] <= MODEL:
                    return {model.name: f"{name} of the formed model is {errors['formed'][name]:.2e} from the plain one, more than {MODEL:.0e}"}
            self.note_error(f"model on the {self.machine} by naive error, {dtype}", ours[name] / max(naive[name], EPSILON[dtype]), f"{model.name} {name}")
            # One draw of many roundings stands for the naive error here, so it is taken three times, not twice.
            limit = MODEL if dtype == "f64" else 3 * naive[name] + 4 * EPSILON[dtype]
            if not ours[name] <= limit:
                return {model.name: f"{name} is {ours[name]:.2e} from the plain model in f64, more than {limit:.2e} (the naive error is {naive[name]:.2e})"}
        return {}

    def differentiate(self, folder, name, graph, passes):
        path = os.path.join(folder, name + ".mlir")
        with open(path, "w") as file:
            file.write(self.tool("bpt-opt", graph, f"--pass-pipeline=builtin.module({passes}bpt-differentiate{{function=loss}})"))
        return path


def parameters(graph):
    """{name: tensor} of the float arguments of @loss: small weights, norms about 1; tokens are left to the tool."""
    values = {}
    signature = re.search(r"func.func @loss\((.*)\) -> ", graph).group(1)
    for shape, dtype, name in re.findall(r"tensor<((?:\d+x)*)(\w+)> \{[^}]*bpt.name = \"([^\"]*)\"", signature):
        sizes = [int(size) for size in shape.split("x") if size]
        if dtype in EPSILON:
            middle = 1.0 if len(sizes) == 1 and name.endswith("weight") else 0.0
            like = type("Argument", (), {"name": name, "shape": sizes, "values": NORMAL})
            values[name] = (dtype.upper(), sizes, [middle + 0.2 * value for value in make_values(like)])
    return values


def build(chunk, dtype, gradient=True):
    program = Program(dtype)
    for case in chunk:
        program.add(case, gradient)
    return program


def same_bits(a, b):
    return tensors.encode(a[0], a[2]) == tensors.encode(b[0], b[2])


def results_of(program, case):
    """{name: value} of the results of one case."""
    return {name: value for name, value in program.results if name.startswith(case.name + ".")}


def values_like(value, suffix, name=None):
    argument = type("Argument", (), {"name": (name or value.name) + suffix, "shape": value.shape, "values": NORMAL})
    return make_values(argument)


def is_emulated(case):
    """Large operands are there for the caches of a CPU; the emulator would take minutes."""
    sizes = [case.parameters.get(name, 1) for name in ("E", "F", "V")]
    return math.prod(case.parameters.get("rows", ())) * math.prod(size for size in sizes if isinstance(size, int)) < 1 << 24


def all_groups(options):
    """(stage, op, dtype, cases) in the order of the list."""
    def chunks(stage, op, dtype, list_of_cases):
        wanted = [c for c in list_of_cases if re.search(options.only, f"{stage} {c.name} {dtype}")]
        return [(stage, op, dtype, wanted[i:i + CHUNK]) for i in range(0, len(wanted), CHUNK)]

    groups = []
    for op in cases.SMALL:
        groups += chunks("oracle", op, "f64", cases.SMALL[op])
    for op in cases.DIFFERENTIABLE:
        groups += chunks("gradient", op, "f64", cases.finite_difference_cases(op))
    for model in cases.MODELS:
        groups += chunks("model", "model", model.parameters["dtype"], [model])
    for dtype in cases.DTYPES:
        for op in cases.TARGET:
            groups += chunks("target", op, dtype, [c for c in cases.TARGET[op] if c.parameters["dtype"] == dtype
                                                   and (options.target != "emulator" or is_emulated(c))])
    for dtype in cases.DTYPES:
        for op in cases.TARGET:
            groups += chunks("sizes", op, dtype, [c for c in cases.TARGET[op] if c.parameters["dtype"] == dtype and cases.is_resizable(c)
                                                  and is_emulated(c)])
    if options.target == "cpu":
        for op in cases.TARGET:
            groups += chunks("threads", op, "f32", [c for c in cases.TARGET[op] if c.parameters["dtype"] == "f32"])
    return [group for group in groups if group[0] in options.stages]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=os.path.join(HERE, "../../build/bin"), help="folder of bpt's tools")
    parser.add_argument("--stage", action="append", dest="stages", choices=STAGES, help="may be given again; default: all but sizes")
    parser.add_argument("--target", default="cpu", help="what the stage 'target' runs on")
    parser.add_argument("--emulator-code", default="emitted", choices=("emitted", "optimized"), help="what runs on the emulator")
    parser.add_argument("--sizes", type=int, default=SIZES, help="most sizes of a program in the stage sizes, by default as many as there are")
    parser.add_argument("--only", default="", help="regular expression over 'stage case type'")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs at a time")
    parser.add_argument("--keep", help="folder that keeps the files of each run")
    parser.add_argument("--verbose", action="store_true", help="also print what passed, and the largest errors")
    options = parser.parse_args()
    options.stages = options.stages or STAGES[:-1]
    runner = Runner(options)
    good = bad = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        groups = all_groups(options)
        for group, results in zip(groups, pool.map(lambda group: runner.group(*group), groups)):
            stage = group[0]
            for case, note in results:
                weight = 3 if stage == "sizes" and "--emulator-mode=all" in runner.modes(group[2]) else 1
                good, bad = good + weight * (note is None), bad + (note is not None)
                if note is not None:
                    print(f"FAIL {stage} {case.name} {group[2]}: {note}\n     {case.describe()}", flush=True)
                elif options.verbose:
                    print(f"ok   {stage} {case.name} {group[2]}", flush=True)
    if options.verbose:
        for what, (error, where) in sorted(runner.worst.items()):
            print(f"worst {what}: {error:.2e} at {where}")
    print(f"{good} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
