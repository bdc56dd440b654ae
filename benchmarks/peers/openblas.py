"""OpenBLAS through numpy as a peer: see pytorch.py for the protocol. Says on standard error which kernels it runs."""
import json, sys, time

import numpy as np
from threadpoolctl import threadpool_info

for library in threadpool_info():
    if library["user_api"] == "blas":
        print(f"bench: {library['internal_api']} {library['version']}, kernels for {library['architecture']}, "
              f"{library['num_threads']} threads", file=sys.stderr)

random = np.random.default_rng(0)
for line in sys.stdin:
    r = json.loads(line)
    a = random.standard_normal((r["m"], r["k"]), dtype=np.float32)
    b = random.standard_normal((r["k"], r["n"]), dtype=np.float32)
    a @ b
    seconds = []
    for _ in range(r["runs"]):
        start = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"seconds": sorted(seconds)[len(seconds) // 2]}), flush=True)
