"""What is measured of ours: each is one call of a tool, in a process of its own."""
import array, json, math, os, random, subprocess, tempfile
from dataclasses import dataclass, field


class Failed(Exception):
    pass


def call(bin, tool, *arguments):
    """The JSON object that a tool prints."""
    done = subprocess.run([os.path.join(bin, tool), *arguments], capture_output=True, text=True)
    if done.returncode:
        raise Failed(done.stderr.strip().split("\n")[-1] or f"{tool} ended with {done.returncode}")
    return json.JSONDecoder().raw_decode(done.stdout)[0]  # notes may follow


def lines(bin, tool, *arguments):
    """The JSON objects that a tool prints, one a line."""
    done = subprocess.run([os.path.join(bin, tool), *arguments], capture_output=True, text=True)
    if done.returncode:
        raise Failed(done.stderr.strip().split("\n")[0] or f"{tool} ended with {done.returncode}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def peak(bin, name):
    """The machine's rates, among them `name`: gflops, gflops_avx2 or gbytes_per_second."""
    return call(bin, "bpt-peak", "memory" if name == "gbytes_per_second" else "compute")


@dataclass
class Kernel:
    """@f of a module, timed by bpt-run. `amount` is its FLOPs, or bytes; arguments in `zeros` are not random."""
    text: str
    amount: int
    options: tuple = ()
    zeros: dict = field(default_factory=dict)

    def runs(self):
        """As many as take a third of a second, about."""
        return max(1, min(15, 5 * 10 ** 10 // self.amount))

    def seconds(self, bin):
        with tempfile.TemporaryDirectory() as where:
            path, inputs, options = os.path.join(where, "f.mlir"), os.path.join(where, "zeros.safetensors"), self.options
            with open(path, "w") as f:
                f.write(self.text)
            if self.zeros:
                write_zeros(inputs, self.zeros)
                options += (f"--inputs={inputs}",)
            return call(bin, "bpt-run", path, "--entry=f", f"--bench={self.runs()}", "--json", *options)["seconds"]


def write_zeros(path, shapes):
    """A safetensors file of f32 zeros."""
    header, end = {}, 0
    for name, shape in shapes.items():
        begin, end = end, end + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        f.truncate(8 + len(text) + end)


@dataclass
class TrainStep:
    """A step of GPT-2 124M in f32, batch 1: the median of `steps` after the first `warm`. `amount` is known after a run."""
    context: int
    steps: int = 1
    amount: int = 0
    options: tuple = ()
    warm: int = 2

    def runs(self):
        return self.steps

    def start(self, bin, where):
        tokens = os.path.join(where, "random.u16")
        draw = random.Random(0)
        with open(tokens, "wb") as f:
            array.array("H", (draw.randrange(50257) for _ in range(2 * self.context + 2))).tofile(f)
        return subprocess.Popen([os.path.join(bin, "bpt-train"), "--model=gpt", "--preset=gpt2", "--batch=1", f"--context={self.context}",
                                 f"--tokens={tokens}", f"--out={where}/run", "--json", *self.options], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def seconds(self, bin):
        seconds = []
        with tempfile.TemporaryDirectory() as where, self.start(bin, where) as process:
            for line in process.stdout:
                event = json.loads(line)
                self.amount = event.get("step_flops", self.amount)
                if "step" in event:
                    seconds.append(event["seconds"])
                if len(seconds) == self.warm + self.steps:
                    process.kill()  # no checkpoint
                    return sorted(seconds[self.warm:])[self.steps // 2]
            raise Failed(process.stderr.read().strip())


@dataclass
class Compile(TrainStep):
    """The cold compilation of that step."""

    def seconds(self, bin):
        with tempfile.TemporaryDirectory() as where, self.start(bin, where) as process:
            for line in process.stdout:
                if (event := json.loads(line)).get("event") == "start":
                    process.kill()
                    return event["compile_seconds"]
            raise Failed(process.stderr.read().strip())
