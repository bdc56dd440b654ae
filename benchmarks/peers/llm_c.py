"""llm.c's CPU trainer as a peer: GPT-2 124M in f32, 4 sequences of 64 tokens, from random parameters."""
import array, os, random, re, subprocess

from . import say

SOURCE = "https://github.com/karpathy/llm.c"
LAYERS, WIDTH, CONTEXT, VOCABULARY, PADDED = 12, 768, 1024, 50257, 50304
HEADER = 256  # integers


def write_header(f, *fields):
    f.write(array.array("i", [*fields, *[0] * (HEADER - len(fields))]).tobytes())


def write_parameters(path):
    """A checkpoint of version 3: scales of norms are 1, biases 0, weights random."""
    draw = random.Random(0)
    block = array.array("f", (draw.gauss(0, 0.02) for _ in range(1 << 16))).tobytes()

    def random_bytes(elements):
        count, rest = divmod(4 * elements, len(block))
        return block * count + block[:rest]

    def constant(value, elements):
        return array.array("f", [value]).tobytes() * elements
    with open(path, "wb") as f:
        write_header(f, 20240326, 3, CONTEXT, VOCABULARY, LAYERS, 12, WIDTH, PADDED)
        f.write(random_bytes(PADDED * WIDTH) + random_bytes(CONTEXT * WIDTH))
        norm = [(1.0, LAYERS * WIDTH), (0.0, LAYERS * WIDTH)]
        linear = lambda outputs, inputs: [(None, LAYERS * outputs * inputs), (0.0, LAYERS * outputs)]
        for value, elements in (*norm, *linear(3 * WIDTH, WIDTH), *linear(WIDTH, WIDTH), *norm, *linear(4 * WIDTH, WIDTH),
                                *linear(WIDTH, 4 * WIDTH), (1.0, WIDTH), (0.0, WIDTH)):
            f.write(random_bytes(elements) if value is None else constant(value, elements))


def write_tokens(path, count=8192):
    draw = random.Random(0)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        write_header(f, 20240520, 1, count)
        f.write(array.array("H", (draw.randrange(VOCABULARY) for _ in range(count))).tobytes())


class LlmC:
    """Fetched with git and compiled in the build folder when it is first asked for."""

    def __init__(self, build):
        self.folder, self.is_ready = os.path.abspath(os.path.join(build, "llm.c")), None

    def prepare(self):
        if not os.path.exists(os.path.join(self.folder, "train_gpt2.c")):
            subprocess.run(["git", "clone", "--quiet", "--depth=1", SOURCE, self.folder], check=True, capture_output=True, text=True)
        # Its own Makefile's flags.
        subprocess.run([os.environ.get("CC", "cc"), "-Ofast", "-march=native", "-fopenmp", "-DOMP", "train_gpt2.c", "-lm", "-o", "train_gpt2"],
                       cwd=self.folder, check=True, capture_output=True, text=True)
        write_parameters(os.path.join(self.folder, "gpt2_124M.bin"))
        for part in ("train", "val"):
            write_tokens(os.path.join(self.folder, f"dev/data/tinyshakespeare/tiny_shakespeare_{part}.bin"))

    def available(self):
        if self.is_ready is None:
            try:
                self.prepare()
                self.is_ready = True
            except (OSError, subprocess.CalledProcessError) as error:
                say(f"llm.c cannot be had, its ratios are left out: {(getattr(error, 'stderr', None) or str(error)).strip().splitlines()[-1:]}")
                self.is_ready = False
        return self.is_ready

    def measure(self, request):
        """Seconds of a step: the median of as many as are asked for, after one."""
        assert (request["batch"], request["context"]) == (4, 64)  # what its main() trains with
        seconds, wanted = [], request["runs"] + 1
        with subprocess.Popen(["stdbuf", "-oL", "./train_gpt2"], cwd=self.folder, stdout=subprocess.PIPE, text=True,
                              env={**os.environ, "OMP_NUM_THREADS": str(os.cpu_count())}) as process:
            for line in process.stdout:
                if found := re.match(r"step \d+: .*took ([\d.]+) ms", line):
                    seconds.append(float(found[1]) / 1000)
                if len(seconds) == wanted:
                    process.kill()
                    return sorted(seconds[1:])[request["runs"] // 2]
        say(f"llm.c ended after {len(seconds)} of {wanted} steps, its ratio is left out")
        return None

    def stop(self):
        pass
