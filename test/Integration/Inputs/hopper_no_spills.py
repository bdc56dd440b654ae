#!/usr/bin/env python3
"""Kernels for sm_90a by ptxas: nothing is spilled, and no product is serialised or gets a fence it did not ask for (C75xx).

  hopper_no_spills.py BIN PTXAS
"""
import os, re, subprocess, sys, tempfile

BIN, PTXAS = sys.argv[1:3]
# What convert-bpt-to-nvvm leaves, to what NVPTX takes.
LOWER = ["--convert-scf-to-cf", "--convert-arith-to-llvm", "--convert-cf-to-llvm", "--convert-nvvm-to-llvm",
         "--reconcile-unrealized-casts", "--gpu-module-to-binary=format=isa"]
# Variants of a kernel: head dim, and what its scores go through.
PLAIN = {"mask": "#bpt.full"}
CAUSAL = {"mask": "#bpt.causal"}
EVERYTHING = {"mask": "#bpt.intersection<#bpt.causal, #bpt.sliding_window<300>>", "softcap": 8.0, "dropout": 0.1, "bias": True,
              "segments": True}
VARIANTS = [(64, PLAIN), (64, CAUSAL), (128, PLAIN), (128, CAUSAL), (192, CAUSAL), (256, PLAIN), (64, {"dropout": 0.1}),
            (128, {"dropout": 0.1}), (128, {"softcap": 8.0}), (128, EVERYTHING)]


def attention(dim, options, gradient):
    """One function with bpt.attention or bpt.attention_grad on bf16, two query heads for a key head."""
    query, key = f"memref<?x?x2x{dim}xbf16>", f"memref<?x?x1x{dim}xbf16>"
    rows, seed, bias, segments = "memref<?x2x?xf32>", "memref<i64>", "memref<?x2x?x?xbf16>", "memref<?x?xi32>"
    arguments = f"%q: {query}, %k: {key}, %l: {rows}, %seed: {seed}, %b: {bias}, %s: {segments}, %w: memref<?xi8>"
    attributes = f"mask = {options.get('mask', '#bpt.full')}, scale = 0.1 : f64"
    for name in ("softcap", "dropout"):
        if name in options:
            attributes += f", {name} = {options[name]} : f64"
    optional = ""
    if "bias" in options:
        optional += f" bias(%b : {bias})"
    if "segments" in options:
        optional += f" segments(%s, %s : {segments}, {segments})"
    if "dropout" in options:
        optional += f" seed(%seed : {seed})"
    if not gradient:
        op = (f"bpt.attention {{{attributes}}} ins(%q, %k, %k : {query}, {key}, {key}){optional} "
              f"outs(%q, %l : {query}, {rows})")
    else:
        outs, types = "%q, %k, %k", f"{query}, {key}, {key}"
        if "bias" in options:
            outs, types = outs + ", %b", f"{types}, {bias}"
        op = (f"bpt.attention_grad {{{attributes}}} cotangent(%q : {query}) ins(%q, %k, %k, %q, %l : {query}, {key}, {key}, "
              f"{query}, {rows}){optional} outs({outs} : {types}) workspace(%w : memref<?xi8>)")
    return f"func.func @f({arguments}) {{\n  {op}\n  return\n}}\n"


def run(command, text):
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command[:2])}: exit {done.returncode}\n{done.stderr[:2000]}")
    return done.stdout


def ptx_of(source):
    module = run([os.path.join(BIN, "bpt-opt"), "-", "--convert-bpt-to-nvvm"], source)
    binary = run(["mlir-opt", "-"] + LOWER, module)
    escaped = re.search(r'assembly = "((?:[^"\\]|\\.)*)"', binary).group(1)
    return re.sub(r"\\([0-9A-F]{2})", lambda m: chr(int(m[1], 16)), escaped).replace('\\"', '"').replace("\\\\", "\\").rstrip("\0")


def messages_of(ptx):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "kernel.ptx")
        with open(path, "w") as file:
            file.write(ptx)
        done = subprocess.run([PTXAS, "-arch=sm_90a", "-v", path, "-o", os.path.join(folder, "kernel.cubin")],
                              capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


failed = 0
for gradient in (False, True):
    for dim, options in VARIANTS:
        code, messages = messages_of(ptx_of(attention(dim, options, gradient)))
        spills = [int(n) for n in re.findall(r"(\d+) bytes spill stores", messages)]
        bad = code or not spills or any(spills) or "C75" in messages
        failed += bool(bad)
        print(f"{'FAIL' if bad else 'ok'} {'gradient' if gradient else 'forward'} {dim} {options}")
        if bad:
            print(messages)
sys.exit(failed != 0)
