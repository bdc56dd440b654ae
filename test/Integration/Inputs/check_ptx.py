#!/usr/bin/env python3
"""Assembles the PTX of the gpu.binary on standard input for sm_90a. Fails where a kernel spills registers, or where ptxas serialises a
product or adds a fence (messages C75xx).

  check_ptx.py PTXAS
"""
import os, re, subprocess, sys, tempfile

escaped = re.search(r'assembly = "((?:[^"\\]|\\.)*)"', sys.stdin.read())
if not escaped:
    sys.exit("expected a gpu.binary with assembly")
text = re.sub(r"\\([0-9A-F]{2})", lambda m: chr(int(m[1], 16)), escaped[1]).replace('\\"', '"').replace("\\\\", "\\").rstrip("\0")
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "kernels.ptx")
    with open(path, "w") as file:
        file.write(text)
    done = subprocess.run([sys.argv[1], "-arch=sm_90a", "-v", path, "-o", os.path.join(folder, "kernels.cubin")],
                          capture_output=True, text=True)
messages = done.stdout + done.stderr
spills = re.findall(r"(\d+) bytes spill stores", messages)
print(messages)
if done.returncode or not spills or any(int(n) for n in spills) or "C75" in messages:
    sys.exit("expected kernels without spills and without C75xx")
