"""Peers of the benchmarks: each measures a row's work in its own process, with as many threads as ours."""
import json, os, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))


def install(build, packages):
    """The python of a virtual environment in the build folder with `packages`, or None with a line that says why not."""
    python = os.path.join(build, "venv", "bin", "python")
    if not os.path.exists(python):
        subprocess.run([sys.executable, "-m", "venv", os.path.join(build, "venv")], check=True)
    done = subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], capture_output=True, text=True)
    if done.returncode:
        print(f"bench: {', '.join(packages)} cannot be installed, its ratios are left out: {done.stderr.strip().splitlines()[-1:]}",
              file=sys.stderr)
        return None
    return python


class Server:
    """A peer that answers requests, one JSON object a line."""
    packages, script, environment = [], "", {}

    def __init__(self, build):
        self.build, self.process = build, None

    def available(self):
        python = install(self.build, self.packages)
        if python:
            unset = {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"}  # they slow a current OpenBLAS down
            environment = {name: value for name, value in os.environ.items() if name not in unset} | self.environment
            self.process = subprocess.Popen([python, os.path.join(HERE, self.script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            text=True, env=environment)
        return python is not None

    def measure(self, request):
        """Seconds, or None for work the peer has nothing for."""
        if not self.takes(request):
            return None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        return json.loads(line)["seconds"] if line else None


class PyTorch(Server):
    name, packages, script = "pytorch", ["torch", "numpy"], "pytorch.py"
    environment = {"PYTORCH_THREADS": str(os.cpu_count())}

    def takes(self, request):
        return True


class OpenBLAS(Server):
    """OpenBLAS as it comes with numpy."""
    name, packages, script = "openblas", ["numpy", "threadpoolctl"], "openblas.py"
    environment = {"OPENBLAS_NUM_THREADS": str(os.cpu_count())}

    def takes(self, request):
        return request["work"] == "contraction"
