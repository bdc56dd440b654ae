"""Every kind of kernel for sm_90a through ptxas: nothing goes to local memory, and no product of a warpgroup is serialised or
gets a fence it did not ask for (C75xx).

  hopper_variants.py BIN PTXAS [--all] [--filter=REGEX] [--json]

One function a variant, some of them in a module; a kernel that fails is found again by the place of its op. Names the variants
that fail; --json prints how many kernels there are and how many fail. Without --all it is every SAMPLE-th of the list."""
import argparse, collections, concurrent.futures, json, os, re, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "Conformance"))
from cases import MASKS, Case
from program import Program

LEAST = 200   # kernels of the whole list
SAMPLE = 8    # the whole list takes eight minutes of one core
CHUNK = 4     # variants of a module
DIMS = (64, 80, 128, 192, 256)
ATTENTION = {"B": 2, "S": 257, "T": 385, "H": 2, "G": 1, "scale": 0.1, "stream": 3, "softcap": 0.0, "dropout": 0.0, "bias": "",
             "segments": False, "offset": None, "probabilities": False, "dlse": False, "dynamic": False}
FEATURES = ({"bias": "BHST"}, {"segments": True}, {"softcap": 5.0}, {"dropout": 0.1}, {"offset": 13}, {"dlse": True}, {"dynamic": True},
            {"softcap": 5.0, "dropout": 0.1, "bias": "1H1T", "segments": True, "offset": 13})
FEED_FORWARD = {"rows": (2, 257), "E": 200, "F": 328, "N": 200, "activation": "gelu_tanh", "gate": False, "up_bias": False,
                "gate_bias": False, "down_bias": False, "transposed": False, "hidden": False, "dynamic": False}
CROSS_ENTROPY = {"rows": (2, 257), "E": 200, "V": 1000, "transposed": True, "ignore": -100, "targets": "some", "count": None,
                 "dynamic": False}


def variants():
    """(op, type, parameters): attention has its gradient in the same function."""
    for dtype in ("bf16", "f16"):
        for dim in DIMS:
            for mask in MASKS:
                yield "attention", dtype, {**ATTENTION, "D": dim, "mask": mask}
    for feature in FEATURES:
        for dim in DIMS:
            for mask in MASKS[:2]:
                yield "attention", "bf16", {**ATTENTION, **feature, "D": dim, "mask": mask}
    for dtype in ("bf16", "f16"):
        for kind in ("contract", "contract_transposed", "outer"):
            for columns in (64, 192, 520):
                yield "dense", dtype, {"kind": kind, "rows": (2, 257), "E": 328, "F": columns, "dynamic": False}
        for changed in ({}, {"activation": "silu", "gate": True}, {"up_bias": True, "down_bias": True}, {"hidden": True}, {"transposed": True},
                        {"activation": "relu"}, {"activation": "gelu_erf", "gate": True, "up_bias": True, "gate_bias": True, "hidden": True}):
            yield "feed_forward", dtype, {**FEED_FORWARD, **changed}
        for transposed in (False, True):
            yield "linear_cross_entropy", dtype, {**CROSS_ENTROPY, "transposed": transposed}
        for norm in ("layer_norm", "rms_norm"):
            yield norm, dtype, {"rows": (2, 33), "E": 768, "weight": True, "bias": norm == "layer_norm", "eps": 1e-5, "dynamic": False}


def describe(op, dtype, parameters):
    plain = {**ATTENTION, **FEED_FORWARD, **CROSS_ENTROPY}
    return " ".join([op, dtype] + [f"{name}={value}" for name, value in parameters.items() if plain.get(name) != value])


def write_module(path, chunk):
    """Functions with one line for each op; returns the variant of each line."""
    lines, owners = [], []
    for number, (op, dtype, parameters) in enumerate(chunk):
        program = Program(dtype, f"f{number}")
        program.add(Case(op, number, parameters))
        text = program.text().rstrip("\n").split("\n")
        lines += text
        owners += [describe(op, dtype, parameters)] * len(text)
    with open(path, "w") as file:
        file.write("\n".join(lines) + "\n")
    return owners


def call(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
    return done.stdout + done.stderr


def name_kernels(options, module, owners):
    """{kernel: variant}"""
    text = call([os.path.join(options.bin, "bpt-compile"), module, "--target=cuda", "--emit=mlir", "--stop-after=llvm", "-o", "-"])
    places = re.findall(r'\{name = "(\w+)", place = "[^"]*:(\d+)"\}', text)
    return {kernel: owners[int(line) - 1] for kernel, line in places}


Result = collections.namedtuple("Result", "kernels failures")


def assemble(options, chunk):
    with tempfile.TemporaryDirectory() as folder:
        module, ptx = os.path.join(folder, "variants.mlir"), os.path.join(folder, "variants.ptx")
        owners = write_module(module, chunk)
        call([os.path.join(options.bin, "bpt-compile"), module, "--target=cuda", "--emit=ptx", "-o", ptx])
        log = call([options.ptxas, "-arch=sm_90a", "-v", ptx, "-o", os.path.join(folder, "variants.cubin")])
        kernels, bad, current = 0, {}, ""
        for line in log.split("\n"):
            if match := re.search(r"Compiling entry function '(\w+)'", line):
                current, kernels = match[1], kernels + 1
            spills = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line)
            if (spills and any(int(number) for number in spills.groups()[1:])) or "C75" in line:
                kernel = match[1] if (match := re.search(r"function '(\w+)'", line)) else current
                bad.setdefault(kernel, []).append(line.strip())
        names = name_kernels(options, module, owners) if bad else {}
        return Result(kernels, [f"{names.get(kernel, '')}, {kernel}: {'; '.join(lines)}" for kernel, lines in bad.items()])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin")
    parser.add_argument("ptxas")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--filter", default="")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    chosen = [variant for variant in list(variants())[::1 if options.all or options.filter else SAMPLE] if re.search(options.filter, describe(*variant))]
    chunks = [chosen[i:i + CHUNK] for i in range(0, len(chosen), CHUNK)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda chunk: assemble(options, chunk), chunks))
    kernels, failures = sum(result.kernels for result in results), [text for result in results for text in result.failures]
    for text in failures:
        print(f"FAIL {text}", file=sys.stderr if options.json else sys.stdout)
    if options.json:
        print(json.dumps({"variants": len(chosen), "kernels": kernels, "failing": len(failures)}))
    else:
        print(f"{len(chosen)} variants, {kernels} kernels, {len(failures)} fail")
    return bool(failures) or (options.all and not options.filter and kernels < LEAST) or not kernels


if __name__ == "__main__":
    sys.exit(main())
