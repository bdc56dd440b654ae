"""What the main loops of attention do on Hopper, in PTX: the instructions of the algorithm and no others.

  hopper_loops.py BIN"""
import collections, os, re, subprocess, sys, tempfile

PRODUCT = re.compile(r"wgmma\.mma_async\.sync\.aligned\.m64n(\d+)k16\.\S+ \{[^}]*\}, (\{)?")


def attention(dim, mask, gradient):
    x, l = f"tensor<1x4096x8x{dim}xbf16>", "tensor<1x8x4096xf32>"
    attributes = f"{{mask = #bpt.{mask}, scale = 0.1 : f64}}"
    if not gradient:
        op, types = f"bpt.attention {attributes} ins(%a, %b, %c : {x}, {x}, {x}) outs(%d, %l : {x}, {l})", f"{x}, {l}"
    else:
        op, types = (f"bpt.attention_grad {attributes} cotangent(%a : {x}) ins(%a, %b, %c, %d, %l : {x}, {x}, {x}, {x}, {l}) "
                     f"outs(%a, %b, %c : {x}, {x}, {x})"), f"{x}, {x}, {x}"
    count = types.count("tensor")
    values = ", ".join(f"%r#{i}" for i in range(count))
    return (f"func.func @f(%a: {x}, %b: {x}, %c: {x}, %d: {x}, %l: {l}) -> ({types}) {{\n"
            f"  %r:{count} = {op} -> {types}\n  return {values} : {types}\n}}\n")


def compile_ptx(bin, text):
    with tempfile.TemporaryDirectory() as folder:
        source, ptx = os.path.join(folder, "f.mlir"), os.path.join(folder, "f.ptx")
        with open(source, "w") as file:
            file.write(text)
        subprocess.run([os.path.join(bin, "bpt-compile"), source, "--target=cuda", "--emit=ptx", "-o", ptx], check=True)
        return open(ptx).read()


def main_loops(ptx):
    """Innermost loops with products: the lines from a label to the last jump back to it."""
    lines = ptx.split("\n")
    labels = {match[1]: number for number, line in enumerate(lines) if (match := re.match(r"(\$L__BB\w+):", line))}
    ranges = {}
    for number, line in enumerate(lines):
        if (match := re.search(r"\bbra(?:\.uni)?\s+(\$L__BB\w+);", line)) and labels[match[1]] <= number:
            ranges[labels[match[1]]] = number
    found = [(begin, end) for begin, end in ranges.items() if any("wgmma.mma_async" in line for line in lines[begin:end])]
    return [lines[begin:end] for begin, end in found
            if not any(begin <= b and e <= end and (b, e) != (begin, end) for b, e in found)]


def count(lines):
    """{instruction: how many}, by name up to the first dot, and of conversions of pairs and of products."""
    counts = collections.Counter()
    for line in lines:
        if match := re.match(r"\s+(?:@!?%p\d+ )?([a-z]\w*)((?:\.\w+)*)", line):
            counts[match[1] + (".f32" if match[2].endswith(".f32") and match[1] != "cvt" else "")] += 1
    counts["pairs"] = sum("cvt.rn.bf16x2.f32" in line for line in lines)
    return counts


def products(lines):
    """[(columns, whether A is in registers)]"""
    return [(int(match[1]), bool(match[2])) for line in lines if (match := PRODUCT.search(line))]


def descriptors(lines):
    """64-bit registers that products read: one for each matrix, as constants are added inside the asm."""
    found = set()
    for line in lines:
        if match := PRODUCT.search(line):
            found |= set(re.findall(r"%rd\d+", line))
    return found


def forward(lines):
    """64 queries x N keys of a warpgroup: N / 2 scores a thread, and D / 2 sums. A thread holds two rows."""
    scores = {n // 2 for n, registers in products(lines) if not registers}
    sums = {n // 2 for n, registers in products(lines) if registers}
    if len(scores) != 1 or len(sums) != 1:
        return None, {}
    [scores], [sums] = scores, sums
    return {
        "products": sums * 2 // 16 + scores * 2 // 16,  # over D for the scores, over keys for the sums
        "ex2.f32": scores + 2,   # probabilities, and how much a row's sums shrink
        "fma.f32": scores + 4,   # the argument of each exponential; a row's sum
        "max.f32": scores + 4,   # a tree over the scores of a row, two shuffled, the one before
        "add.f32": scores - 2,   # a tree over the probabilities of a row
        "mul.f32": sums + 2,     # sums shrink; the shift of a row
        "pairs": scores // 2,    # probabilities to bf16
        "shfl": 4,               # maxima over the four threads of a row
    }, {"descriptors": 3}        # Q, K, V


def backward(lines):
    """N queries x 64 keys: N / 2 scores a thread. dV += P' dO and dK += dS' Q have A in registers."""
    made = collections.Counter(products(lines))
    scores = {n // 2 for (n, registers), number in made.items() if not registers}
    if not scores:
        return None, {}
    ex2 = count(lines)["ex2.f32"]
    return {
        "ex2.f32": ex2 if ex2 in scores else max(scores),  # probabilities
        "fma.f32": ex2,          # the argument of each exponential
        "pairs": ex2,            # probabilities and their gradients to bf16
    }, {"descriptors": 8}        # K, V, Q and dO by rows, dO and Q by columns, dS and K for dQ


def check(name, lines, expected, most):
    counts = count(lines)
    counts["products"], counts["descriptors"] = len(products(lines)), len(descriptors(lines))
    wrong = [f"{what}: {counts[what]}, not {number}" for what, number in expected.items() if counts[what] != number]
    wrong += [f"{what}: {counts[what]}, more than {number}" for what, number in most.items() if counts[what] > number]
    wrong += [line.strip() for line in lines if re.search(r"\b(ld|st)\.local\b", line)]
    print(f"{'FAIL' if wrong else 'ok'} {name}: {dict(counts)}")
    for line in wrong:
        print(f"  {line}")
    return not wrong


def main():
    good = True
    for gradient in (False, True):
        for dim in (64, 128):
            for mask in ("full", "causal"):
                name = f"{'backward' if gradient else 'forward'} {dim} {mask}"
                loops = main_loops(compile_ptx(sys.argv[1], attention(dim, mask, gradient)))
                if not loops:
                    print(f"FAIL {name}: no loop with products")
                    good = False
                for lines in loops:
                    expected, most = (backward if gradient else forward)(lines)
                    if expected is None:
                        print(f"FAIL {name}: a loop without both kinds of products: {products(lines)}")
                        good = False
                    else:
                        good &= check(name, lines, expected, most)
    return not good


if __name__ == "__main__":
    sys.exit(main())
