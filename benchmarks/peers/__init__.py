"""Peers of the benchmarks: each measures a row's work in its own process, with as many threads as ours."""
import json, os, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))


def say(text):
    print(f"bench: {text}", file=sys.stderr)


def install(build, packages):
    """The python of a virtual environment in the build folder with `packages`, or None with a line that says why not."""
    python = os.path.join(build, "venv", "bin", "python")
    if not os.path.exists(python):
        subprocess.run([sys.executable, "-m", "venv", os.path.join(build, "venv")], check=True)
    done = subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], capture_output=True, text=True)
    if done.returncode:
        say(f"{', '.join(packages)} cannot be installed, its ratios are left out: {done.stderr.strip().splitlines()[-1:]}")
        return None
    return python


class Peer:
    """A server that answers requests, one JSON object a line: see serve.py. It starts with the first request."""

    def __init__(self, build, packages, script, *arguments):
        self.build, self.packages, self.command = build, packages, [os.path.join(HERE, script), *arguments]
        self.python, self.process = "", None

    def available(self):
        if self.python == "":
            self.python = install(self.build, self.packages)
        return self.python is not None

    def start(self):
        unset = {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"}  # they slow a current OpenBLAS down
        environment = {name: value for name, value in os.environ.items() if name not in unset}
        environment |= {"PEER_THREADS": str(os.cpu_count()), "OPENBLAS_NUM_THREADS": str(os.cpu_count())}
        # Large results in pages that were used before: new ones for each call slow PyTorch's norms down five times.
        environment |= {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}
        self.process = subprocess.Popen([self.python, *self.command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    def stop(self):
        if self.process:
            self.process.stdin.close()
            self.process.wait()
            self.process = None

    def measure(self, request):
        """Seconds, or None with a line that says why not."""
        if not self.process:
            self.start()
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        answer = json.loads(line) if line else {"error": f"it ended with {self.process.wait()}"}
        if "error" in answer:
            say(f"{' '.join(map(os.path.basename, self.command))}: {request['work']} is left out: {answer['error']}")
        if not line:
            self.process = None
        return answer.get("seconds")


def all_peers(build):
    """By the names that rows call them."""
    from .llm_c import LlmC
    torch = ["torch", "numpy"]
    return {"pytorch": Peer(build, torch, "pytorch.py"), "openblas": Peer(build, ["numpy", "threadpoolctl"], "openblas.py"),
            "iree": Peer(build, ["numpy", "iree-base-compiler", "iree-base-runtime"], "iree_kernels.py"),
            "eager": Peer(build, torch, "gpt2.py", "eager"), "torch.compile": Peer(build, torch, "gpt2.py", "compile"),
            "llm.c": LlmC(build)}
