"""exp of single floats on the target cpu, against Python's."""
import math, os, struct, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "Conformance"))
import tensors

LIMITS = {"f32": (3.4028234663852886e38, 2.0 ** -126, 1e-6), "f64": (sys.float_info.max, sys.float_info.min, 1e-14)}


def neighbours(x, dtype, count=40):
    """Floats of `dtype` around x."""
    code, integer = ("f", "i") if dtype == "f32" else ("d", "q")
    [bits] = struct.unpack(integer, struct.pack(code, x))
    return [struct.unpack(code, struct.pack(integer, bits + i))[0] for i in range(-count, count + 1)]


def exp(x):
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


for dtype, (largest, smallest, error) in LIMITS.items():
    points = [0.0, -0.0, 1.0, -1.0, 500.0, -500.0, 1e30, -1e30, math.inf, -math.inf, math.nan]
    for x in (math.log(largest), math.log(smallest), math.log(largest) - math.log(2) / 2, math.log(2) / 2):
        points += neighbours(x, dtype)
    with tempfile.TemporaryDirectory() as where:
        path = lambda name: os.path.join(where, name)
        type = f"tensor<{len(points)}x{dtype}>"
        with open(path("g.mlir"), "w") as file:
            file.write(f"func.func @f(%x: {type} {{bpt.name = \"x\"}}) -> ({type} {{bpt.name = \"y\"}}) {{\n"
                       f"  %y = math.exp %x : {type}\n  return %y : {type}\n}}\n")
        tensors.write(path("in.safetensors"), {"x": (dtype.upper(), [len(points)], points)})
        subprocess.run([os.path.join(sys.argv[1], "bpt-run"), path("g.mlir"), f"--inputs={path('in.safetensors')}",
                        f"--outputs={path('out.safetensors')}"], check=True, stdout=subprocess.DEVNULL)
        results = tensors.read(path("out.safetensors"))[0]["y"][2]
    for x, y in zip(points, results):
        wanted = exp(x)
        if math.isnan(wanted):
            good = math.isnan(y)
        elif wanted > largest * (1 - error):  # about the last finite float: it, or infinity
            good = y == math.inf or y >= largest * (1 - error)
        elif wanted < smallest * (1 + error):
            good = 0 <= y <= smallest * (1 + error)
        else:
            good = abs(y - wanted) <= error * wanted
        if not good:
            sys.exit(f"{dtype}: exp({x!r}) is {wanted!r}, but got {y!r}")
