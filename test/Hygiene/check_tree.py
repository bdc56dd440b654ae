#!/usr/bin/env python3
"""Checks what can be checked about the tree itself (STYLE 16). Prints one line a finding; exit 1 if there is any.

  check_tree.py ROOT
"""
import os, re, subprocess, sys

ROOT = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else ".")
LAYERS = ["IR", "Interfaces", "Analysis", "Transforms", "Conversion", "Pipelines", "Engine", "CAPI"]
# The models are built on the dialect alone; the runtime is a leaf, whose plan, packer and ABI the compiler shares.
ALLOWED = {layer: set(LAYERS[:i + 1]) | {"Runtime"} for i, layer in enumerate(LAYERS)}
ALLOWED["IR"] = {"IR"}
ALLOWED["Interfaces"] = {"IR", "Interfaces"}
ALLOWED["Models"] = {"IR", "Models"}
ALLOWED["Emulator"] = {"Emulator", "Runtime"}
ALLOWED["Engine"] |= {"Models", "Emulator"}
ALLOWED["CAPI"] |= {"Models"}
ALLOWED["Runtime"] = {"Runtime"}
# What of the runtime the compiler below the engine may see.
SHARED_RUNTIME = {"RuntimeABI.h", "RuntimeABI.def", "Manifest.h", "Plan.h", "Packer.h", "Formula.h", "Error.h",
                  "DataType.h", "EmulatorABI.h", "EmulatorABI.def"}
LIMITS = {"lib": 500, "include": 300, "tools": 100, "td": 400, "mlir": 300}
OPEN_ENDS = re.compile(r"(^|[^A-Za-z])(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)([^A-Za-z]|$)")  # in pieces: this file is checked, too
DIRECTIVE = re.compile(r"^\s*(?://|#|;)\s*([A-Z][A-Z0-9_-]*?)(-NEXT|-SAME|-NOT|-DAG|-LABEL|-EMPTY|-COUNT-\d+)?(\{[A-Z]+\})?:")

findings = []


def finding(path, line, text):
    findings.append(f"{os.path.relpath(path, ROOT)}:{line}: {text}")


def tracked():
    out = subprocess.run(["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard"],
                         capture_output=True, text=True)
    names = out.stdout.split("\n") if out.returncode == 0 else [
        os.path.relpath(os.path.join(d, f), ROOT) for d, _, fs in os.walk(ROOT) for f in fs]
    return [os.path.join(ROOT, n) for n in names if n and os.path.isfile(os.path.join(ROOT, n))]


def lines(path):
    return open(path, encoding="utf-8", errors="replace").read().split("\n")


def layer_of(path):
    match = re.match(r"(?:include|lib)/bpt/(\w+)/", os.path.relpath(path, ROOT))
    return match[1] if match else None


def check_includes(path):
    layer = layer_of(path)
    if layer not in ALLOWED:
        return
    for number, line in enumerate(lines(path), 1):
        if match := re.match(r'#include "bpt/(\w+)/([\w./]+)"', line):
            target, header = match[1], match[2]
            if target not in ALLOWED[layer]:
                finding(path, number, f"{layer} includes {target}/{header}: includes point downwards only")
            elif target == "Runtime" and layer not in ("Runtime", "Engine", "CAPI") and header not in SHARED_RUNTIME:
                finding(path, number, f"{layer} includes {target}/{header}, which the compiler does not share with the runtime")
        if layer == "Runtime" and re.match(r'#include ["<](mlir|llvm)/', line):
            finding(path, number, "the runtime includes LLVM")


def check_size(path):
    relative = os.path.relpath(path, ROOT)
    kind = ("td" if path.endswith(".td") else "mlir" if path.endswith(".mlir") else relative.split("/")[0])
    count = len(lines(path))
    if count > LIMITS.get(kind, 700) and path.endswith((".cpp", ".h", ".td", ".mlir", ".py")):
        finding(path, count, f"{count} lines; the limit here is {LIMITS.get(kind, 700)}: split by op group or by phase")


def check_lit(path):
    text = lines(path)
    prefixes = set()
    for line in text:
        if re.search(r"\bRUN\b", line):
            prefixes |= set(re.findall(r"--check-prefix(?:es)?[= ]([\w,-]+)", line))
    prefixes = {p for group in prefixes for p in group.split(",")} | {"CHECK"}
    known = prefixes | {"RUN", "REQUIRES", "UNSUPPORTED", "XFAIL", "NOTE", "COM", "DEFINE", "REDEFINE", "END", "ALLOW_RETRIES"}
    runs = 0
    used = set()
    for number, line in enumerate(text, 1):
        if re.match(r"^\s*//\s*RUN\b(?!:)", line):
            finding(path, number, "RUN without a colon never runs")
        match = DIRECTIVE.match(line)
        if not match:
            continue
        word = match[1]
        runs += word == "RUN"
        if word in prefixes:
            used.add(word)
        elif word not in known and (word.startswith(("CHECK", "CHE", "CEHCK")) or match[2]):
            finding(path, number, f"'{word}' is no prefix of a RUN line: the check never runs")
    for prefix in prefixes - used - {"CHECK"}:
        finding(path, 1, f"check prefix {prefix} is used by a RUN line but has no check")
    if not runs:
        finding(path, 1, "no RUN line")


def check_diagnostics(path):
    text = open(path, encoding="utf-8", errors="replace").read()
    for match in re.finditer(r'emit(?:OpError|Error|Warning)\((?:[^()"]*, )?"((?:[^"\\]|\\.)*)"', text):
        message, number = match[1], text[:match.start()].count("\n") + 1
        if message[:1].isupper() and not message.split(" ")[0].isupper():
            finding(path, number, f"diagnostic starts with a capital: '{message}'")
        if message.endswith("."):
            finding(path, number, f"diagnostic ends with a full stop: '{message}'")


def check_source(path):
    relative = os.path.relpath(path, ROOT)
    for number, line in enumerate(lines(path), 1):
        if relative.startswith("lib/") and re.search(r"\bcl::(opt|list)\b", line):
            finding(path, number, "cl::opt in a library: options belong to passes and pipelines")
        if OPEN_ENDS.search(line):
            finding(path, number, "left open in the tree")
    if relative.startswith(("lib/", "tools/", "include/")) and not lines(path)[0].startswith("//"):
        finding(path, 1, "expected a first line that says what the file is for")


def kebab(name):
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"-\1", re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1-\2", name)).lower()


def check_passes(path):
    """Every pass has a page, a file of its name and a test of its name."""
    text = open(path).read()
    layer = layer_of(path)
    for match in re.finditer(r'def (\w+)Pass : Pass<"([\w-]+)"', text):
        name, flag = match[1], match[2]
        number = text[:match.start()].count("\n") + 1
        body = text[match.end():text.find("\ndef ", match.end()) if "\ndef " in text[match.end():] else len(text)]
        if "let description" not in body:
            finding(path, number, f"{flag} has no page")
        word = flag.removeprefix("bpt-")
        tests = os.listdir(os.path.join(ROOT, "test", layer)) if os.path.isdir(os.path.join(ROOT, "test", layer)) else []
        if not any(t == word + ".mlir" or t.startswith(word + "-") for t in tests):
            finding(path, number, f"{flag} has no test test/{layer}/{word}.mlir")


def check_ops(path):
    """Every op has a page with constraints and an example; every constraint stands in a test's function name or case."""
    text = open(path).read()
    tests = ""
    folder = os.path.join(ROOT, "test", "IR")
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        tests += open(os.path.join(folder, name)).read() if name.endswith(".mlir") else ""
    for match in re.finditer(r'def BPT_(\w+)Op : BPT_\w*Op<"(\w+)"', text):
        mnemonic = match[2]
        number = text[:match.start()].count("\n") + 1
        body = text[match.end():text.find("\ndef ", match.end()) if "\ndef " in text[match.end():] else len(text)]
        if "```mlir" not in body:
            finding(path, number, f"bpt.{mnemonic} has no example")
        for constraint in re.findall(r"^\s*\* (C\d+):", body, re.M):
            if f"{mnemonic}_{constraint.lower()}" not in tests:
                finding(path, number, f"constraint {constraint} of bpt.{mnemonic} has no test @{mnemonic}_{constraint.lower()}..")


def main():
    for path in tracked():
        relative = os.path.relpath(path, ROOT)
        if path.endswith((".cpp", ".h")):
            check_includes(path)
            check_source(path)
            if relative.startswith("lib/bpt/") and layer_of(path) != "Runtime":
                check_diagnostics(path)
        if relative.startswith(("lib/", "include/", "tools/", "test/")):
            check_size(path)
        if relative.startswith("test/") and path.endswith(".mlir") and "/Inputs/" not in path:
            check_lit(path)
        if path.endswith("Passes.td"):
            check_passes(path)
        if relative.startswith("include/bpt/IR/") and path.endswith("Ops.td"):
            check_ops(path)
    for text in findings:
        print(text)
    print(f"{len(findings)} findings")
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main())
