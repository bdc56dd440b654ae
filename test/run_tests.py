#!/usr/bin/env python3
"""Runs every test of a build: gtest programs, lit, conformance on the CPU and on the emulated GPU. Ends with 'N passed, N failed'.

  run_tests.py --build build [--only gtest|lit|conformance|emulator] [--filter REGEX]
"""
import argparse, concurrent.futures, glob, json, os, re, shutil, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))


def find_lit(build):
    """lit of the LLVM packages, or one on the PATH, or lit from PyPI in the build folder."""
    for name in ("/usr/lib/llvm-22/bin/lit", "lit-22", "lit"):
        found = name if os.path.exists(name) else shutil.which(name)
        if found:
            return [found]
    venv = os.path.join(build, "venv")
    if not os.path.exists(os.path.join(venv, "bin", "lit")):
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([os.path.join(venv, "bin", "pip"), "install", "--quiet", "lit"], check=True)
    return [os.path.join(venv, "bin", "lit")]


HANGS_AFTER = 20 * 60  # seconds, ten times what the longest program takes


def run_gtest_program(program, pattern):
    """(what it printed, passed, failed)"""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [program, f"--gtest_output=json:{report.name}", "--gtest_brief=1"]
        if pattern:
            command.append(f"--gtest_filter=*{pattern}*")
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=HANGS_AFTER)
        except subprocess.TimeoutExpired as hung:
            return f"{(hung.stdout or b'').decode(errors='replace')}FAIL {program}: no end after {HANGS_AFTER} s\n", 0, 1
        try:
            result = json.load(open(report.name))
            return done.stdout, result["tests"] - result["failures"] - result.get("disabled", 0), result["failures"]
        except (OSError, ValueError):  # it crashed before it could report
            return f"{done.stdout}FAIL {program}: exit {done.returncode}\n", 0, 1


def run_gtest(build, pattern):
    """All programs at once: the longest wait for files and threads now and then."""
    programs = sorted(glob.glob(os.path.join(build, "bin", "*-tests")))
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for text, good, bad in pool.map(lambda program: run_gtest_program(program, pattern), programs):
            print(text, end="", flush=True)
            passed, failed = passed + good, failed + bad
    return passed, failed


def run_lit(build, pattern):
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = find_lit(build) + ["-sv", f"--output={report.name}", os.path.join(build, "test")]
        if pattern:
            command.append(f"--filter={pattern}")
        subprocess.run(command)
        try:
            tests = json.load(open(report.name))["tests"]
        except (OSError, ValueError):
            print("FAIL lit gave no report")
            return 0, 1
    good = {"PASS", "XFAIL", "FLAKYPASS"}
    skipped = {"UNSUPPORTED", "EXCLUDED", "SKIPPED"}
    return (sum(t["code"] in good for t in tests), sum(t["code"] not in good | skipped for t in tests))


def run_conformance(build, pattern, *options):
    command = [sys.executable, os.path.join(HERE, "Conformance", "run.py"), "--bin", os.path.join(build, "bin"), *options]
    if pattern:
        command += ["--only", pattern]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    counts = None
    for line in process.stdout:
        if match := re.fullmatch(r"(\d+) passed, (\d+) failed\n?", line):
            counts = int(match[1]), int(match[2])
        else:
            print(line, end="", flush=True)
    code = process.wait()
    if counts is None or (code and not counts[1]):
        print(f"FAIL conformance ended with exit {code}")
        return (counts[0] if counts else 0), 1
    return counts


def run_emulator(build, pattern):
    """In bf16, which has kernels of its own and warp code; the other types take the emulator many minutes. What has dynamic sizes runs with
    some of them, in every mode (with all: `./dev bench gpu`); the rest as it is; and some as the GPU compiler's optimiser leaves them."""
    runs = (("bf16", "--stage", "sizes", "--sizes", "8"), ("(adamw|global_norm).*bf16", "--stage", "target"),
            ("(attention|feed_forward|layer_norm|cross_entropy|dense)[0-9] bf16", "--stage", "target", "--emulator-code", "optimized"))
    counts = [run_conformance(build, pattern or only, "--target", "emulator", *options) for only, *options in runs]
    return tuple(map(sum, zip(*counts)))


SUITES = {"gtest": run_gtest, "lit": run_lit, "conformance": run_conformance, "emulator": run_emulator}


def main():
    parser = argparse.ArgumentParser(description="runs every test of a build")
    parser.add_argument("--build", default="build")
    parser.add_argument("--only", choices=SUITES, help="one suite; default: all")
    parser.add_argument("--filter", default="", help="only tests whose name matches")
    arguments = parser.parse_args()
    passed = failed = 0
    for name in [arguments.only] if arguments.only else SUITES:
        start = time.time()
        good, bad = SUITES[name](os.path.abspath(arguments.build), arguments.filter)
        print(f"{name}: {good} passed, {bad} failed, {time.time() - start:.0f} s", file=sys.stderr, flush=True)
        passed += good
        failed += bad
    if passed + failed == 0:
        print("no test was run", file=sys.stderr)
        failed = 1
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
