"""Three training steps on the emulator against the same on the CPU: losses and norms within the naive error, weights within 2 lr steps.

  emulator_training.py BIN FOLDER MODEL [flags of the model..]

The naive error is what bf16 costs on the CPU: the distance of its losses from those of the same run in f32."""
import json
import math
import os
import random
import shutil
import struct
import subprocess
import sys

STEPS, RATE, EPSILON = 3, 1e-3, 2.0 ** -7


def train(bin_folder, folder, name, target, dtype, flags):
    out = os.path.join(folder, name)
    shutil.rmtree(out, ignore_errors=True)
    subprocess.run([os.path.join(bin_folder, "bpt-train"), f"--target={target}", f"--dtype={dtype}", f"--out={out}", "--seed=5",
                    f"--steps={STEPS}", f"--lr={RATE}", "--warmup=0", "--batch=1", "--tokens=" + os.path.join(folder, "tokens.u8"),
                    "--token-type=u8", *flags], check=True, stdout=subprocess.DEVNULL)
    rows = [json.loads(line) for line in open(os.path.join(out, "metrics.jsonl"))]
    return [(row["loss"], row["grad_norm"]) for row in rows], read_weights(os.path.join(out, f"checkpoints/step-{STEPS}"))


def read_weights(folder):
    """{name: [values]} of the f32 tensors of a checkpoint, without the optimizer's."""
    weights = {}
    for file in sorted(os.listdir(folder)):
        if not file.endswith(".safetensors"):
            continue
        data = open(os.path.join(folder, file), "rb").read()
        length = struct.unpack("<Q", data[:8])[0]
        for name, info in json.loads(data[8:8 + length]).items():
            if name == "__metadata__" or info["dtype"] != "F32" or name.endswith((".m", ".v")):
                continue
            begin, end = info["data_offsets"]
            weights[name] = struct.unpack(f"<{(end - begin) // 4}f", data[8 + length + begin:8 + length + end])
    return weights


def main():
    bin_folder, folder, *flags = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "tokens.u8"), "wb") as file:
        file.write(bytes(random.Random(1).choices(range(61), k=4000)))
    exact, _ = train(bin_folder, folder, "f32", "cpu", "f32", flags)
    cpu, cpu_weights = train(bin_folder, folder, "cpu", "cpu", "bf16", flags)
    gpu, gpu_weights = train(bin_folder, folder, "emulator", "emulator", "bf16", flags)
    assert len(exact) == len(cpu) == len(gpu) == STEPS, (exact, cpu, gpu)
    for step in range(STEPS):
        for what, e, c, g in zip(("loss", "norm"), exact[step], cpu[step], gpu[step]):
            allowed = 2 * abs(c - e) + 4 * EPSILON * abs(e)
            assert math.isfinite(g) and abs(g - c) <= allowed, f"step {step + 1}: {what} {g}, on the CPU {c}, allowed {allowed}"
    assert cpu_weights and cpu_weights.keys() == gpu_weights.keys()
    for name in cpu_weights:
        worst = max(abs(a - b) for a, b in zip(cpu_weights[name], gpu_weights[name]))
        assert worst <= 2 * RATE * STEPS, f"{name}: {worst} apart"
    print(f"{STEPS} steps equal: losses {[round(loss, 4) for loss, _ in gpu]}, {len(cpu_weights)} weights")


if __name__ == "__main__":
    main()
