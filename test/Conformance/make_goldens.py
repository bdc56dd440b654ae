"""Computes what the oracle is held against: every SMALL case with PyTorch in f64, gradients by its autograd, dropout by a
Philox of numpy. Run by `./dev goldens`; the files in goldens/ are committed."""
import os
import re

import numpy as np
import torch
import torch.nn.functional as F

import cases
import tensors
from program import Program, make_values

torch.set_default_dtype(torch.float64)
INTEGERS = {"i32": torch.int64, "i64": torch.int64}


def philox(counter, key):
    """Philox4x32-10 (Salmon et al. 2011) on arrays of uint64 that hold 32-bit words."""
    low = np.uint64(0xFFFFFFFF)
    c0, c1, c2, c3 = (np.asarray(c, np.uint64) & low for c in counter)
    k0, k1 = (np.uint64(k) for k in key)
    for _ in range(10):
        p0, p1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (p1 >> np.uint64(32)) ^ c1 ^ k0, p1 & low, (p0 >> np.uint64(32)) ^ c3 ^ k1, p0 & low
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & low, (k1 + np.uint64(0xBB67AE85)) & low
    return c0, c1, c2, c3


# The known answers of Random123, kat_vectors.
assert [int(w) for w in philox((0, 0, 0, 0), (0, 0))] == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
assert [int(w) for w in philox((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0))] == \
    [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]


def kept(seed, plane, row, column, stream, probability):
    """1 / (1 - p) where the element survives, else 0."""
    plane, row, column = np.broadcast_arrays(plane, row, column)
    words = philox((column // 8, row, plane, np.full_like(row, stream)), (seed & 0xFFFFFFFF, seed >> 32))
    half = column % 8
    word = np.choose(half // 2, words)
    bits = (word >> (16 * (half % 2)).astype(np.uint64)) & np.uint64(0xFFFF)
    threshold = min(65535, round(probability * 65536))
    return torch.from_numpy((bits >= threshold) / (1 - probability))


def visible(mask, i, j):
    """Whether column j is visible to row i, by the text of the mask."""
    name, size = re.fullmatch(r"#bpt\.(\w+)(?:<(.*)>)?", mask).groups()
    if name == "full":
        return torch.ones(torch.broadcast_shapes(i.shape, j.shape), dtype=torch.bool)
    if name == "causal":
        return j <= i
    if name == "sliding_window":
        return (i - j).abs() < int(size)
    if name == "prefix":
        return (j < int(size)) | (j <= i)
    assert name == "intersection", mask
    return torch.stack([visible(part, i, j) for part in size.split(", ")]).all(0)


def attention(p, a):
    q, k, v = a["q"], a["k"], a["v"]
    b, s, h, _ = q.shape
    t, repeat = k.shape[1], h // k.shape[2]
    k, v = k.repeat_interleave(repeat, 2), v.repeat_interleave(repeat, 2)
    z = torch.einsum("bihd,bjhd->bhij", q, k) * p["scale"]
    if p["softcap"]:
        z = p["softcap"] * torch.tanh(z / p["softcap"])
    if "bias" in a:
        z = z + a["bias"]
    rows = torch.arange(s)[:, None] + (p["offset"] or 0)
    seen = visible(p["mask"], rows, torch.arange(t)[None]).expand(b, 1, s, t)
    if p["segments"]:
        seen = seen & (a["qsegments"][:, None, :, None] == a["ksegments"][:, None, None, :])
    some = seen.any(-1, keepdim=True).expand(b, h, s, 1)
    z = torch.where(some & seen, z, torch.where(some, -torch.inf, 0.0))  # no NaN in rows without a visible column
    lse = torch.logsumexp(z, -1)
    probabilities = torch.where(some, torch.softmax(z, -1), 0.0)
    dropped = probabilities
    if p["dropout"]:
        plane = (np.arange(h)[None, :] + h * np.arange(b)[:, None])[:, :, None, None]
        dropped = probabilities * kept(int(a["seed"]), plane, rows.numpy()[None, None], np.arange(t)[None, None, None], p["stream"], p["dropout"])
    return {"out": torch.einsum("bhij,bjhd->bihd", dropped, v), "lse": torch.where(some[..., 0], lse, -torch.inf),
            "probabilities": probabilities}


ACTIVATIONS = {"gelu_tanh": lambda x: F.gelu(x, approximate="tanh"), "gelu_erf": F.gelu, "relu": F.relu, "silu": F.silu,
               "identity": lambda x: x}


def feed_forward(p, a):
    weight = lambda name: a[name].T if p["transposed"] else a[name]
    u = a["x"] @ weight("up") + a.get("up_bias", 0)
    activation, hidden = ACTIVATIONS[p["activation"]], u
    if p["gate"]:
        g = a["x"] @ weight("gate") + a.get("gate_bias", 0)
        activated, hidden = activation(g) * u, torch.cat([g, u], -1)
    else:
        activated = activation(u)
    return {"out": activated @ weight("down") + a.get("down_bias", 0), "hidden": hidden}


def layer_norm(p, a):
    return {"out": F.layer_norm(a["x"], a["x"].shape[-1:], a.get("weight"), a.get("bias"), p["eps"])}


def rms_norm(p, a):
    return {"out": F.rms_norm(a["x"], a["x"].shape[-1:], a.get("weight"), p["eps"])}


def rotary(p, a):
    x, half = a["x"], p["D"] // 2
    position = torch.arange(p["S"]) + float(p["offset"] or 0)
    angle = position[:, None] * p["theta"] ** (-torch.arange(half) / half)
    turn = torch.polar(torch.ones_like(angle), -angle if p["inverse"] else angle)[:, None]
    y = torch.complex(x[..., :half], x[..., half:]) * turn
    return {"out": torch.cat([y.real, y.imag], -1)}


def dropout(p, a):
    b, s, *rest = a["x"].shape
    n = int(np.prod(rest, dtype=int))
    scale = kept(int(a["seed"]), np.arange(b)[:, None, None], (np.arange(s) + (p["offset"] or 0))[:, None], np.arange(n), p["stream"],
                 p["probability"])
    return {"out": a["x"] * scale.reshape(a["x"].shape)}


def embedding(p, a):
    return {"out": F.embedding(a["ids"].clamp(0, p["V"] - 1), a["table"])}


def linear_cross_entropy(p, a):
    logits = a["x"] @ (a["w"].T if p["transposed"] else a["w"])
    flat, targets = logits.reshape(-1, p["V"]), a["targets"].reshape(-1)
    if p["count"] is None:
        loss = F.cross_entropy(flat, targets, ignore_index=p["ignore"])
    else:
        loss = F.cross_entropy(flat, targets, ignore_index=p["ignore"], reduction="sum") / p["count"]
    return {"loss": loss, "lse": torch.logsumexp(logits, -1)}


def adamw(p, a):
    param = torch.nn.Parameter(a["param"].detach().clone())
    optimizer = torch.optim.AdamW([param], lr=a["lr"].item(), betas=(p["beta1"], p["beta2"]), eps=p["eps"], weight_decay=p["decay"])
    optimizer.state[param] = {"step": torch.tensor(float(p["step"] - 1)), "exp_avg": a["m"].detach().clone(),
                              "exp_avg_sq": a["v"].detach().clone()}
    clip = min(1.0, p["clip"] / (a["norm"].item() + 1e-6)) if p["clip"] else 1.0
    param.grad = a["grad"].detach() * clip
    optimizer.step()
    state = optimizer.state[param]
    return {"param_after": param, "m_after": state["exp_avg"], "v_after": state["exp_avg_sq"]}


def global_norm(p, a):
    return {"norm": torch.nn.utils.get_total_norm(list(a.values()))}


def dense(p, a):
    if p["kind"] == "residual":
        return {"out": a["x"] + a["y"]}
    x, w = a["x"], a["w"]
    return {"out": {"contract": lambda: x @ w, "contract_transposed": lambda: x @ w.T,
                    "outer": lambda: torch.einsum("...e,...f->ef", x, w)}[p["kind"]]()}


def expected(case):
    """{result: tensor} of a case, gradients included where the program has them."""
    program = Program("f64")
    program.add(case)
    arguments = {}
    for argument in program.arguments:
        name = argument.name.split(".")[1]
        value = torch.tensor(make_values(argument), dtype=INTEGERS.get(argument.dtype, torch.float64)).reshape(argument.shape)
        arguments[name] = value.requires_grad_() if value.is_floating_point() else value
    results = globals()[case.op](case.parameters, {n: v for n, v in arguments.items()})
    wanted = [name.split(".")[1] for name, _ in program.results]
    before = {name[1:-7]: value for name, value in arguments.items() if name.endswith("_before")}
    if before:
        # d<name> = d<name>_before + gradient of sum(cotangent * result)
        total = sum((results[name] * arguments["d" + name]).masked_fill(~torch.isfinite(results[name]), 0).sum()
                    for name in results if "d" + name in arguments)
        grads = torch.autograd.grad(total, [arguments[name] for name in before], allow_unused=True)
        for (name, start), grad in zip(before.items(), grads):
            results["d" + name] = start if grad is None else start + grad
    # The op that is forward and gradient gives the same results.
    results |= {name: results[name.removeprefix("fused_")] for name in wanted if name.startswith("fused_")}
    return {name: results[name].detach() for name in wanted}


def main():
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "goldens")
    os.makedirs(folder, exist_ok=True)
    for op, list_of_cases in cases.SMALL.items():
        stored, metadata = {}, {"torch": torch.__version__.split("+")[0]}
        for case in list_of_cases:
            metadata[case.name] = case.describe()
            for name, value in expected(case).items():
                stored[f"{case.name}.{name}"] = ("F64", list(value.shape), value.reshape(-1).tolist())
        path = os.path.join(folder, op + ".safetensors")
        tensors.write(path, stored, metadata)
        print(f"{path}: {len(list_of_cases)} cases, {os.path.getsize(path)} bytes")


if __name__ == "__main__":
    main()
