"""What is measured of ours, by calls of tools in processes of their own."""
import array, json, math, os, random, subprocess, tempfile
from dataclasses import dataclass


class Failed(Exception):
    pass


def output(bin, tool, *arguments):
    """What a tool prints."""
    done = subprocess.run([os.path.join(bin, tool), *arguments], capture_output=True, text=True)
    if done.returncode:
        raise Failed(next((line for line in done.stderr.splitlines() if "error: " in line), f"{tool} ended with {done.returncode}"))
    return done.stdout


def call(bin, tool, *arguments):
    """The JSON object that a tool prints."""
    return json.JSONDecoder().raw_decode(output(bin, tool, *arguments))[0]  # notes may follow


def lines(bin, tool, *arguments):
    """The JSON objects that a tool prints, one a line."""
    return [json.loads(line) for line in output(bin, tool, *arguments).splitlines()]


def peak(bin, name):
    """The machine's rates, among them `name`: gflops, gflops_avx2 or gbytes_per_second."""
    return call(bin, "bpt-peak", "memory" if name == "gbytes_per_second" else "compute")


class Kernel:
    """@f of a module, compiled ahead of time. `amount` is its FLOPs, or bytes; arguments in `zeros` are not random."""

    def __init__(self, text, amount, cpu="native", threads=None, zeros=None):
        self.text, self.amount, self.cpu, self.threads, self.zeros, self.where = text, amount, cpu, threads or os.cpu_count(), zeros, None

    def runs(self):
        """As many as take a third of a second, about."""
        return max(1, min(15, 5 * 10 ** 10 // self.amount))

    def compile(self, bin):
        """The shared object, made once."""
        if not self.where:
            self.where = tempfile.TemporaryDirectory()
            with open(self.path("f.mlir"), "w") as f:
                f.write(self.text)
            if self.zeros:
                write_zeros(self.path("zeros.safetensors"), self.zeros)
            output(bin, "bpt-compile", self.path("f.mlir"), "--emit=so", "-o", self.path("f.so"), f"--cpu={self.cpu}")
        return self.path("f.so")

    def path(self, name):
        return os.path.join(self.where.name, name)

    def time(self, bin):
        object = self.compile(bin)
        inputs = [f"--inputs={self.path('zeros.safetensors')}"] if self.zeros else []
        return {"seconds": call(bin, "bpt-exec", object, "--entry=f", f"--threads={self.threads}", f"--bench={self.runs()}", "--json", *inputs)["seconds"]}


def take_turns(bin, kernels, avx2=False):
    """The times of kernels in turns with the machine's peak, and the FLOPs that it does in such times. Their arguments are random."""
    assert not any(kernel.zeros for kernel in kernels)
    seconds = 0.6 if len(kernels) == 1 else 2 * len(kernels)  # several are compared with each other
    return lines(bin, "bpt-paired", *(kernel.compile(bin) for kernel in kernels), "--entry=f", f"--seconds={seconds}",
                 f"--threads={','.join(str(kernel.threads) for kernel in kernels)}", *(["--avx2"] if avx2 else []))


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
    """A step of GPT-2 124M in f32: the median of `steps` after the first `warm`. `amount` is known after a run."""
    context: int
    steps: int = 1
    amount: int = 0
    options: tuple = ()
    warm: int = 2
    batch: int = 1

    def runs(self):
        return self.steps

    def start(self, bin, where):
        tokens = os.path.join(where, "random.u16")
        draw = random.Random(0)
        with open(tokens, "wb") as f:
            array.array("H", (draw.randrange(50257) for _ in range(2 * self.batch * self.context + 2))).tofile(f)
        return subprocess.Popen([os.path.join(bin, "bpt-train"), "--model=gpt", "--preset=gpt2", f"--batch={self.batch}", f"--context={self.context}",
                                 f"--tokens={tokens}", f"--out={where}/run", "--json", *self.options], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def time(self, bin):
        seconds = []
        with tempfile.TemporaryDirectory() as where, self.start(bin, where) as process:
            for line in process.stdout:
                event = json.loads(line)
                self.amount = event.get("step_flops", self.amount)
                if "step" in event:
                    seconds.append(event["seconds"])
                if len(seconds) == self.warm + self.steps:
                    process.kill()  # no checkpoint
                    return {"seconds": sorted(seconds[self.warm:])[self.steps // 2]}
            raise Failed(process.stderr.read().strip())


@dataclass
class Compile(TrainStep):
    """The cold compilation of that step."""

    def time(self, bin):
        with tempfile.TemporaryDirectory() as where, self.start(bin, where) as process:
            for line in process.stdout:
                if (event := json.loads(line)).get("event") == "start":
                    process.kill()
                    return {"seconds": event["compile_seconds"]}
            raise Failed(process.stderr.read().strip())
