"""OpenBLAS through numpy as a peer. Says on standard error which kernels it runs."""
import sys

import numpy as np
from threadpoolctl import threadpool_info

from serve import serve_functions

for library in threadpool_info():
    if library["user_api"] == "blas":
        print(f"bench: {library['internal_api']} {library['version']}, kernels for {library['architecture']}, "
              f"{library['num_threads']} threads", file=sys.stderr)

random = np.random.default_rng(0)


def operand(transposed, rows, columns):
    shape = (columns, rows) if transposed else (rows, columns)
    matrix = random.standard_normal(shape, dtype=np.float32)
    return matrix.T if transposed else matrix


def contraction(r):
    operands = r.get("operands", "nn")
    a, b = operand(operands[0] == "t", r["m"], r["k"]), operand(operands[1] == "t", r["k"], r["n"])
    return lambda: a @ b


serve_functions({"contraction": contraction})
