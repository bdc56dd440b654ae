#!/usr/bin/env python3
"""Makes the folder that ./dev gpu runs on a machine with a Hopper GPU and nothing but its driver.

  bundle.py --bin build/bin --out build/gpu-bundle [--only REGEX] [--types bf16,f16]

  bin/ lib/            bpt-exec and what it links
  cases/NAME/          program.so (cubins), in.safetensors, flags, expected.safetensors with the allowed distance of each result
  speed/NAME/          program.so, what.json: work, dtype, shape, goal
  run.sh peers.py      copies: the runner needs no Python, peers need PyTorch

Expected results are the reference's on this machine, allowed distances those of the conformance list: twice the naive error and four
units in the last place, and one more for the rounding of what is expected."""
import argparse
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "test", "Conformance"))
import cases
import run as conformance
import tensors

import speed

LIMIT = 60 << 20  # bytes that go to another machine


def call(options, tool, *arguments):
    done = subprocess.run([os.path.join(options.bin, tool), *arguments], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{tool} {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def make_case(options, op, dtype, chunk):
    """One program with a chunk of the conformance list, what goes in and what must come out."""
    folder = os.path.join(options.out, "cases", f"{op}-{dtype}-{chunk[0].name}")
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        runner = conformance.Runner(argparse.Namespace(bin=options.bin, target="cpu", keep=None))
        program = conformance.build(chunk, dtype)
        flags = runner.write_special(scratch, program)
        naive = runner.errors(scratch, "reference", flags)
        common = ["--entry=f", f"--inputs={os.path.join(scratch, 'in.safetensors')}", *flags]
        source, outputs = os.path.join(scratch, "program.mlir"), os.path.join(scratch, "out.safetensors")
        call(options, "bpt-run", source, "--target=reference", f"--outputs={outputs}", *common)
        call(options, "bpt-compile", source, "--target=cuda", "--cpu=x86-64", "--emit=so", "-o", os.path.join(folder, "program.so"))
        shutil.copy(os.path.join(scratch, "in.safetensors"), folder)
        add_tolerances(outputs, os.path.join(folder, "expected.safetensors"), naive)
    with open(os.path.join(folder, "flags"), "w") as file:
        file.write("\n".join(flags) + "\n")


def add_tolerances(source, target, naive):
    """Copies a safetensors file with `tolerance.NAME` of each tensor in its metadata."""
    data = open(source, "rb").read()
    length = int.from_bytes(data[:8], "little")
    header, metadata = json.loads(data[8:8 + length]), {}
    for name, (dtype, _, values) in tensors.read(source)[0].items():
        finite = [abs(v) for v in values if abs(v) != float("inf") and v == v]
        epsilon = conformance.EPSILON[dtype.lower()]
        noise = conformance.NOISE if naive[name] < conformance.NOISE else 0
        metadata["tolerance." + name] = repr((2 * naive[name] + 5 * epsilon + noise) * max(finite, default=0.0))
    text = json.dumps(header | {"__metadata__": metadata}).encode()
    text += b" " * (-len(text) % 8)
    with open(target, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + data[8 + length:])


def make_speed(options, row):
    folder = os.path.join(options.out, "speed", row.name)
    os.makedirs(folder, exist_ok=True)
    source = os.path.join(folder, "program.mlir")
    with open(source, "w") as file:
        file.write(row.text)
    call(options, "bpt-compile", source, "--target=cuda", "--cpu=x86-64", "--emit=so", "--entry=f", "-o", os.path.join(folder, "program.so"))
    with open(os.path.join(folder, "what.json"), "w") as file:
        json.dump(row.describe(), file)


def copy_tools(options):
    """bpt-exec with the libraries that a machine may lack: all but those of the C library."""
    for name in ("bin", "lib"):
        os.makedirs(os.path.join(options.out, name), exist_ok=True)
    tool = os.path.join(options.bin, "bpt-exec")
    shutil.copy(tool, os.path.join(options.out, "bin"))
    for line in subprocess.run(["ldd", tool], capture_output=True, text=True, check=True).stdout.splitlines():
        match = re.search(r"=> (\S+)", line)
        if match and not re.match(r"(libc|libm|libdl|libpthread|librt|ld-linux)\b", os.path.basename(match[1])):
            shutil.copy(match[1], os.path.join(options.out, "lib"))
    for name in ("run.sh", "peers.py"):
        shutil.copy(os.path.join(HERE, name), options.out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=os.path.join(ROOT, "build/bin"))
    parser.add_argument("--out", default=os.path.join(ROOT, "build/gpu-bundle"))
    parser.add_argument("--only", default="", help="regular expression over 'op type'")
    parser.add_argument("--types", default="bf16,f16,f32")
    options = parser.parse_args()
    shutil.rmtree(options.out, ignore_errors=True)
    copy_tools(options)
    jobs = []
    for dtype in options.types.split(","):
        for op in cases.TARGET:
            chosen = [c for c in cases.TARGET[op] if c.parameters["dtype"] == dtype and re.search(options.only, f"{op} {dtype}")]
            jobs += [(make_case, op, dtype, chosen[i:i + conformance.CHUNK]) for i in range(0, len(chosen), conformance.CHUNK)]
    jobs += [(make_speed, row) for row in speed.rows() if re.search(options.only, row.name)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for done in [pool.submit(make, options, *arguments) for make, *arguments in jobs]:
            done.result()
    size = sum(os.path.getsize(os.path.join(where, name)) for where, _, names in os.walk(options.out) for name in names)
    print(f"{options.out}: {len(jobs)} programs, {size / 2 ** 20:.1f} MiB")
    if size > LIMIT:
        raise SystemExit(f"expected at most {LIMIT >> 20} MiB; choose fewer with --only or --types")


if __name__ == "__main__":
    main()
