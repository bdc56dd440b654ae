"""The rows of `./dev bench cpu`: what is measured, its goal, and the ratios to peers that are wanted."""
from dataclasses import dataclass, field

import graphs
from ours import Compile, Kernel, TrainStep, take_turns


@dataclass
class Row:
    """`figure` is the field that `goal` is about (without a goal only ratios are judged), `peak` what a share of peak refers to; a ratio None
    is reported only; at most `rounds` (0: any) turns."""
    work: str
    sizes: dict
    ours: list
    figure: str
    goal: float | None
    ratios: dict = field(default_factory=dict)
    dtype: str = "f32"
    peak: str = "gflops"
    rounds: int = 0

    @property
    def shape(self):
        return " ".join(f"{name}={value}" for name, value in self.sizes.items())

    @property
    def is_paired(self):
        """Whether the machine's peak takes turns with ours, a few milliseconds each."""
        return all(isinstance(one, Kernel) for one in self.ours) and self.figure != "of_bandwidth"

    def time(self, bin):
        """One object with "seconds" for each of ours; where they are paired with the FLOPs of the peak in such a time."""
        if not self.is_paired:
            return [one.time(bin) for one in self.ours]
        return take_turns(bin, self.ours, avx2=self.peak == "gflops_avx2")

    @property
    def title(self):
        return f"{self.work} {self.shape}" + (f" {self.dtype}" if self.dtype != "f32" else "")


def compute(work, sizes, text, flops, goal, ratios, **more):
    long = flops > 10 ** 11  # noise matters less
    return Row(work, sizes, [Kernel(text, flops)], "of_peak", goal, ratios, rounds=2 if long else 0, **more)


def contraction(m, n, k, operands="nn"):
    sizes = {"m": m, "n": n, "k": k} | ({"operands": operands} if operands != "nn" else {})
    iree = {"iree": None} if operands == "nn" else {}
    return compute("contraction", sizes, graphs.contraction(m, n, k, operands), 2 * m * n * k, 0.92,
                   {"openblas": 0.97, "pytorch": 1.0} | iree)


def contractions(full):
    for size in (1000, 1023, 1024, 2048) + ((4095, 4096) if full else ()):
        yield contraction(size, size, size)
    for size in (1024, 2048):
        for operands in ("nt", "tn"):
            yield contraction(size, size, size, operands)


def visible(length, mask):
    """Pairs of a query and a key."""
    if mask == "causal":
        return length * (length + 1) // 2
    if mask.startswith("sliding_window"):
        window = int(mask[len("sliding_window<"):-1])
        return length * (2 * window - 1) - window * (window - 1)
    return length * length


def attention_flops(sizes, grad=False):
    return (10 if grad else 4) * sizes["dim"] * visible(sizes["length"], sizes["mask"]) * sizes["batch"] * sizes["heads"]


def attention(length, heads, dim, mask, goals, ratios, dtype="f32", **more):
    """Forward and gradient; `goals` and `ratios` to PyTorch are of both. Short forwards of a full mask have IREE as a peer, too."""
    sizes = {"batch": 1, "length": length, "heads": heads, "dim": dim, "mask": mask} | more
    for work, grad, goal, ratio in zip(("attention", "attention_grad"), (False, True), goals, ratios):
        flops = attention_flops(sizes, grad)
        peers = {"pytorch": ratio}
        if (work, mask, dtype) == ("attention", "full", "f32") and not more and flops < 5 * 10 ** 9:  # IREE takes seconds for these
            peers["iree"] = 60
        yield compute(work, sizes, graphs.attention(**sizes, dtype=dtype, grad=grad), flops, goal, peers, dtype=dtype)


def attentions(full):
    for dim in (64, 128):
        for mask in ("full", "causal"):
            causal = mask == "causal"
            ratios = 1.8 if causal and dim == 128 else 1.3, 1.4
            for length in (1024, 4096, 16384):
                for heads in (1, 2, 12):
                    goals = (0.75, 0.65) if causal else (0.80, 0.70)
                    if length == 1024:
                        goals = [round(goal - 0.08, 2) for goal in goals]
                    if full or length < 16384 or heads < 12:
                        yield from attention(length, heads, dim, mask, goals, ratios)
    for mask in ("full", "causal"):
        yield from attention(4096, 2, 128, mask, (0.72, 0.60), (1.2, 3.0), "bf16")
    goals, ratios = (0.65, 0.65), (1.3, 1.3)
    for dim in (40, 80, 96, 256):
        yield from attention(4096, 2, dim, "full", goals, ratios)
    yield from attention(16384, 1, 64, "sliding_window<512>", goals, ratios)
    yield from attention(2048, 16, 128, "causal", goals, ratios, kv_heads=2)
    yield from attention(2048, 4, 64, "full", goals, ratios, bias="1HST")
    yield from attention(2048, 4, 64, "full", goals, ratios, dropout=0.1)


def feed_forwards(full):
    for rows, embed, hidden in ((4096, 768, 3072),) + (((2048, 2048, 8192),) if full else ()):
        sizes = {"rows": rows, "embed": embed, "hidden": hidden}
        product = 2 * rows * embed * hidden
        yield compute("feed_forward", sizes, graphs.feed_forward(**sizes), 2 * product, 0.88, {"pytorch": 1.4})
        # The hidden is recomputed: five products.
        yield compute("feed_forward_grad", sizes, graphs.feed_forward(**sizes, parts=("grad",)), 5 * product, 0.88, {"pytorch": 1.4})
    for rows, embed, hidden, activation in ((4096, 768, 3072, "gelu_tanh"), (2048, 2048, 8192, "gelu_tanh"), (2048, 2048, 5632, "swiglu")):
        for keep in ("input", "hidden"):
            sizes = {"rows": rows, "embed": embed, "hidden": hidden, "activation": activation, "keep": keep}
            products = {("gelu_tanh", "input"): 7, ("gelu_tanh", "hidden"): 6, ("swiglu", "input"): 11, ("swiglu", "hidden"): 9}
            yield compute("feed_forward_and_grad", sizes, graphs.feed_forward(**sizes, parts=("forward", "grad")),
                          products[activation, keep] * 2 * rows * embed * hidden, 0.88, {"pytorch": 1.4})


def vocabularies():
    sizes = {"rows": 1024, "embed": 768, "vocab": 50257}
    yield compute("linear_cross_entropy_and_grad", sizes, graphs.linear_cross_entropy_and_grad(**sizes), 3 * 2 * 1024 * 768 * 50257, 0.85,
                  {"pytorch": 1.3})


def bandwidth(work, sizes, text, bytes, **more):
    return Row(work, sizes, [Kernel(text, bytes, **more)], "of_bandwidth", 0.85, {"pytorch": 1.0}, peak="gbytes_per_second")


def bandwidths():
    """Bytes are those of large tensors, each read and each write. Gradients are added to what is there: read and written, too."""
    elements = 1 << 25
    yield bandwidth("adamw", {"elements": elements}, graphs.adamw(elements), 4 * 7 * elements, zeros={"v": [elements]})
    rows, embed = 16384, 2048
    for work in ("layer_norm", "rms_norm"):
        sizes = {"rows": rows, "embed": embed}
        yield bandwidth(work, sizes, graphs.norm(work, rows, embed), 4 * 2 * rows * embed)
        yield bandwidth(f"{work}_grad", sizes, graphs.norm(work, rows, embed, True), 4 * 4 * rows * embed)
    sizes = {"tokens": 8192, "vocab": 50257, "embed": 768}
    different = round(50257 * (1 - (1 - 1 / 50257) ** 8192))  # rows of the table, expected for random tokens
    yield bandwidth("embedding", sizes, graphs.embedding(**sizes), 4 * 768 * (different + 8192))
    yield bandwidth("embedding_grad", sizes, graphs.embedding(**sizes, grad=True), 4 * 768 * (2 * different + 8192))


def train_steps(full):
    def step(context, goal, ratios, **more):
        sizes = {"model": "gpt2", "batch": 1, "context": context}
        return Row("train_step", sizes, [TrainStep(context)], "of_peak", goal, ratios, **more)
    yield step(1024, 0.71, {"torch.compile": 1.3, "eager": 1.9}, rounds=2)
    yield Row("train_step", {"model": "gpt2", "batch": 4, "context": 64}, [TrainStep(64, batch=4)], "of_peak", None, {"llm.c": 8}, rounds=2)
    yield Row("compile train_step", {"model": "gpt2", "batch": 1, "context": 1024}, [Compile(1024)], "seconds", 10, {"torch.compile": None},
              peak="", rounds=1)
    for context in (4096, 16384) if full else ():
        yield step(context, 0.65, {"torch.compile": 1.3}, rounds=1)


def machines(full):
    """Threads, the AVX2 code, and lengths."""
    product = 2048, 2048, 2048
    dims = {"m": 2048, "n": 2048, "k": 2048}
    heads = {"batch": 1, "length": 4096, "heads": 2, "dim": 128, "mask": "full"}
    works = (("contraction", dims, graphs.contraction(*product), 2 * 2048 ** 3, 0.80),
             ("attention", heads, graphs.attention(**heads), attention_flops(heads), 0.65))
    for work, sizes, text, flops, _ in works:
        yield Row(f"{work} on 2 threads against 1", sizes, [Kernel(text, flops, threads=threads) for threads in (2, 1)], "speedup", 1.9,
                  peak="")
    for work, sizes, text, flops, goal in works:
        yield Row(work, sizes | {"cpu": "x86-64-v3"}, [Kernel(text, flops, cpu="x86-64-v3")], "of_peak", goal, peak="gflops_avx2")
    lengths = (4096, 8192, 16384) + ((32768,) if full else ())
    sizes = [{"batch": 1, "length": length, "heads": 2, "dim": 128, "mask": "causal"} for length in lengths]
    yield Row("attention over lengths", sizes[0] | {"length": ",".join(map(str, lengths))},
              [Kernel(graphs.attention(**size), attention_flops(size)) for size in sizes], "spread", 1.10, peak="")


def rows(full):
    yield from contractions(full)
    yield from attentions(full)
    yield from feed_forwards(full)
    yield from vocabularies()
    yield from bandwidths()
    yield from machines(full)
    yield from train_steps(full)
