#!/usr/bin/env python3
"""The same work by PyTorch on this GPU: SDPA with cuDNN and flash, cuBLAS. Prints one JSON object a row and peer.

  peers.py SPEED_FOLDER
Data are N(0,1); times are medians of 20 runs by CUDA events after warm-up."""
import glob
import json
import os
import sys

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention


def seconds(work):
    for _ in range(5):
        work()
    times = []
    for _ in range(20):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        work()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end) * 1e-3)
    return sorted(times)[len(times) // 2]


def attention(what, backend):
    shape = (1, what["heads"], what["length"], what["dim"])
    q, k, v = (torch.randn(shape, device="cuda", dtype=torch.bfloat16, requires_grad=what["backward"]) for _ in range(3))
    with sdpa_kernel(backend):
        if not what["backward"]:
            return seconds(lambda: scaled_dot_product_attention(q, k, v, is_causal=what["causal"]))
        out = scaled_dot_product_attention(q, k, v, is_causal=what["causal"])
        cotangent = torch.randn_like(out)
        return seconds(lambda: torch.autograd.grad(out, (q, k, v), cotangent, retain_graph=True))


def product(what):
    a = torch.randn(what["m"], what["k"], device="cuda", dtype=torch.bfloat16)
    b = torch.randn(what["k"], what["n"], device="cuda", dtype=torch.bfloat16)
    return seconds(lambda: a @ b)


def main():
    for path in sorted(glob.glob(os.path.join(sys.argv[1], "*", "what.json"))):
        row = json.load(open(path))
        what = row["peer"]
        peers = {"cublas": lambda: product(what)} if what["kind"] == "product" else {
            "cudnn": lambda: attention(what, SDPBackend.CUDNN_ATTENTION), "flash": lambda: attention(what, SDPBackend.FLASH_ATTENTION)}
        for name, measure in peers.items():
            try:
                time = measure()
                print(json.dumps({"name": row["name"], "peer": name, "seconds": time, "gflops": row["flops"] / time * 1e-9}), flush=True)
            except RuntimeError as error:
                print(json.dumps({"name": row["name"], "peer": name, "error": str(error).split("\n")[0]}), flush=True)


if __name__ == "__main__":
    main()
