"""Looks for vectors that went to the stack in loops of multiply-adds, in the assembly of one kernel of each kind."""
import os, re, subprocess, sys, tempfile

BIN = sys.argv[1]
X, W, L, A = "tensor<1024x256xf32>", "tensor<256x512xf32>", "tensor<1x2x1024xf32>", "tensor<1x1024x2x64xf32>"


def function(arguments, results, body):
    names = ", ".join(f"%a{i}: {type}" for i, type in enumerate(arguments))
    values = ", ".join(f"%r#{i}" for i in range(len(results))) if len(results) > 1 else "%r"
    return (f"func.func @f({names}) -> ({', '.join(results)}) {{\n  {body}\n  return {values} : {', '.join(results)}\n}}\n")


def contraction(left, right):
    maps = ", ".join(f"affine_map<(m, n, k) -> ({dims})>" for dims in (left, right, "m, n"))
    shapes = ["1024x256" if left == "m, k" else "256x1024", "256x512" if right == "k, n" else "512x256", "1024x512"]
    a, b, c = (f"tensor<{shape}xf32>" for shape in shapes)
    return function([a, b, c], [c], f"%r = linalg.contract indexing_maps = [{maps}] ins(%a0, %a1 : {a}, {b}) outs(%a2 : {c}) -> {c}")


CAUSAL = "{mask = #bpt.causal, scale = 0.125 : f64}"
KERNELS = {
    "contraction": contraction("m, k", "k, n"),
    "contraction, A transposed": contraction("k, m", "k, n"),
    "contraction, B transposed": contraction("m, k", "n, k"),
    "attention": function([A, A, A, A, L], [A, L], f"%r:2 = bpt.attention {CAUSAL} ins(%a0, %a1, %a2 : {A}, {A}, {A}) "
                          f"outs(%a3, %a4 : {A}, {L}) -> {A}, {L}"),
    "attention_grad": function([A, A, A, A, A, L, A, A, A], [A, A, A], f"%r:3 = bpt.attention_grad {CAUSAL} cotangent(%a0 : {A}) "
                               f"ins(%a1, %a2, %a3, %a4, %a5 : {A}, {A}, {A}, {A}, {L}) outs(%a6, %a7, %a8 : {A}, {A}, {A}) -> {A}, {A}, {A}"),
    "feed_forward": function([X, W, "tensor<512x256xf32>", X], [X], f"%r = bpt.feed_forward ins(%a0 : {X}) up(%a1 : {W}) "
                             f"down(%a2 : tensor<512x256xf32>) outs(%a3 : {X}) -> {X}"),
}
LEAST = {"x86-64-v3": 12, "x86-64-v4": 24}  # multiply-adds of one step of the register tile


def compile_kernel(text, cpu):
    """The assembly of a function."""
    with tempfile.NamedTemporaryFile("w", suffix=".mlir") as file:
        file.write(text)
        file.flush()
        done = subprocess.run([os.path.join(BIN, "bpt-compile"), file.name, "--emit=asm", f"--cpu={cpu}", "-o", "-"],
                              capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def inner_loops(assembly):
    """(label, lines) of loops that are one block: from a label to the jump back to it."""
    for loop in re.finditer(r"^(\.LBB\w+):((?:(?!^\.LBB).)*?)^\s+j\w+\s+\1\b", assembly, flags=re.M | re.S):
        yield loop[1], loop[2].split("\n")


for name, text in KERNELS.items():
    for cpu, least in LEAST.items():
        found = 0
        for label, lines in inner_loops(compile_kernel(text, cpu)):
            lines = [line for line in lines if line.strip() and not line.strip().startswith("#")]
            products = sum(re.match(r"\s+vfmadd\w+ps\b", line) is not None for line in lines)
            if products < max(least, 0.45 * len(lines)):  # others, such as exponentials, load constants anyway
                continue
            found += 1
            spilled = [line for line in lines if re.search(r"\b(16|32|64)-byte .*(Spill|Reload)", line)]
            if spilled:
                sys.exit(f"{name}, {cpu}: the loop at {label} goes to the stack:\n" + "\n".join(spilled))
        if not found:
            sys.exit(f"{name}, {cpu}: expected loops of {least} multiply-adds, but found none")
        print(f"{name}, {cpu}: {found} loops of multiply-adds in registers")

# Tiles of AMX stay in their registers, too.
for name in ("contraction", "contraction, A transposed", "contraction, B transposed", "feed_forward"):
    lines = compile_kernel(KERNELS[name].replace("f32", "bf16"), "x86-64-v4+amx").split("\n")
    products = sum("tdpbf16ps" in line for line in lines)
    spilled = [line for line in lines if re.search(r"\btile.*(Spill|Reload)", line)]
    if spilled or products < 4:
        sys.exit(f"{name}: {products} products in tiles, which go to the stack:\n" + "\n".join(spilled))
    print(f"{name}, x86-64-v4+amx: {products} products in tiles")
