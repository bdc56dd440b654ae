"""PyTorch as a peer: reads one request a line on standard input, {"work", parameters.., "runs"}, and answers with the median
time, {"seconds"}. Full f32, signed random data, as many threads as PYTORCH_THREADS says."""
import json, os, sys, time

import torch
import torch.nn.functional as F

torch.set_num_threads(int(os.environ.get("PYTORCH_THREADS", os.cpu_count())))
torch.set_float32_matmul_precision("highest")
torch.manual_seed(0)
TYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def contraction(r):
    a, b = torch.randn(r["m"], r["k"]), torch.randn(r["k"], r["n"])
    return lambda: a @ b


def attention_inputs(r):
    shape = r["batch"], r["heads"], r["length"], r["dim"]
    return [torch.randn(*shape, dtype=TYPES[r["dtype"]], requires_grad=True) for _ in range(3)]


def attention(r):
    q, k, v = (x.detach() for x in attention_inputs(r))
    return lambda: F.scaled_dot_product_attention(q, k, v, is_causal=r["mask"] == "causal")


def attention_grad(r):
    q, k, v = attention_inputs(r)
    out = F.scaled_dot_product_attention(q, k, v, is_causal=r["mask"] == "causal")
    cotangent = torch.randn_like(out)
    return lambda: torch.autograd.grad(out, (q, k, v), cotangent, retain_graph=True)


def feed_forward_inputs(r):
    tensor = lambda *shape: torch.randn(*shape, requires_grad=True)
    return tensor(r["rows"], r["embed"]), tensor(r["embed"], r["hidden"]), tensor(r["hidden"], r["embed"])


def feed_forward(r):
    x, up, down = (t.detach() for t in feed_forward_inputs(r))
    return lambda: F.gelu(x @ up, approximate="tanh") @ down


def feed_forward_grad(r):
    """With the hidden recomputed, as the row says: five products."""
    x, up, down = feed_forward_inputs(r)
    cotangent = torch.randn(r["rows"], r["embed"])

    def run():
        hidden = F.gelu(x @ up, approximate="tanh")
        with torch.no_grad():
            ddown, dhidden = hidden.T @ cotangent, cotangent @ down.T
        return (*torch.autograd.grad(hidden, (x, up), dhidden), ddown)
    return run


def measure(request):
    run = globals()[request["work"]](request)
    run()
    seconds = []
    for _ in range(request["runs"]):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return {"seconds": sorted(seconds)[len(seconds) // 2], "version": torch.__version__}


for line in sys.stdin:
    print(json.dumps(measure(json.loads(line))), flush=True)
