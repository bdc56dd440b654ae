"""repeats.py BIN OBJECT COUNT: runs an object COUNT times with one to four threads in turn; all results have the same bytes."""
import os, subprocess, sys, tempfile

bin, program, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
with tempfile.TemporaryDirectory() as where:
    first, path = None, os.path.join(where, "out.safetensors")
    for run in range(count):
        subprocess.run([os.path.join(bin, "bpt-exec"), program, f"--threads={run % 4 + 1}", f"--outputs={path}"], check=True,
                       stdout=subprocess.DEVNULL)
        with open(path, "rb") as file:
            result = file.read()
        first = first or result
        if result != first:
            sys.exit(f"run {run} with {run % 4 + 1} threads differs from the first")
