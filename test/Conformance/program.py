"""Writes one MLIR function that holds many cases: arguments, ops and results of each, under the case's name."""
import random

# What the values of an argument are. NORMAL ones are made by bpt-run where nobody else needs to know them.
NORMAL = ("normal",)


def integers(low, high):
    """Integers in [low, high)."""
    return ("integers", low, high)


def uniform(low, high):
    return ("uniform", low, high)


class Size(int):
    """A size that is dynamic in the program."""

    def __new__(cls, value, name):
        size = int.__new__(cls, value)
        size.name = name
        return size


class Value:
    def __init__(self, ssa, shape, dtype):
        self.ssa, self.shape, self.dtype = ssa, tuple(shape), dtype
        dims = "".join(("?" if isinstance(n, Size) else str(int(n))) + "x" for n in self.shape)
        self.type = f"tensor<{dims}{dtype}>"

    def __str__(self):
        return self.ssa


class Argument(Value):
    def __init__(self, name, ssa, shape, dtype, values):
        super().__init__(ssa, shape, dtype)
        self.name, self.values = name, values


def typed(*values):
    """`%a, %b : type, type`"""
    return f"{', '.join(map(str, values))} : {', '.join(value.type for value in values)}"


class Program:
    """A function in the making. `dtype` is the storage type, `accumulator` what sums and statistics are in."""

    def __init__(self, dtype, name="f"):
        self.dtype, self.name = dtype, name
        self.accumulator = "f64" if dtype == "f64" else "f32"
        self.arguments, self.lines, self.results = [], [], []
        self.case, self.dims, self.count = None, {}, 0

    def add(self, case, gradient=True):
        """Adds a case: its ops, and with `gradient` its gradient ops."""
        self.case, self.dims = case, {}
        case.emit(self, case.parameters, gradient)

    def size(self, name):
        value = self.case.parameters[name]
        return Size(value, name) if self.case.parameters.get("dynamic") else value

    def sizes(self, *names):
        return tuple(self.size(name) for name in names)

    def rows(self):
        rows = self.case.parameters["rows"]
        return tuple(Size(n, f"row{i}") for i, n in enumerate(rows)) if self.case.parameters.get("dynamic") else rows

    def fresh(self):
        self.count += 1
        return f"%{self.count}"

    def argument(self, name, shape, dtype=None, values=NORMAL):
        ssa = f"%{self.case.name}_{name}"
        argument = Argument(f"{self.case.name}.{name}", ssa, shape, dtype or self.dtype, values)
        self.arguments.append(argument)
        for position, size in enumerate(shape):
            if isinstance(size, Size) and size.name not in self.dims:
                index = self.index(position)
                self.dims[size.name] = self.fresh()
                self.lines.append(f"{self.dims[size.name]} = tensor.dim {ssa}, {index} : {argument.type}")
        return argument

    def index(self, value):
        ssa = self.fresh()
        self.lines.append(f"{ssa} = arith.constant {value} : index")
        return ssa

    def empty(self, shape, dtype=None):
        value = Value(self.fresh(), shape, dtype or self.dtype)
        dims = ", ".join(self.dims[size.name] for size in shape if isinstance(size, Size))
        self.lines.append(f"{value} = tensor.empty({dims}) : {value.type}")
        return value

    def zeros(self, shape, dtype=None):
        out, zero, value = self.empty(shape, dtype), self.fresh(), Value(self.fresh(), shape, dtype or self.dtype)
        self.lines.append(f"{zero} = arith.constant 0.0 : {value.dtype}")
        self.lines.append(f"{value} = linalg.fill ins({zero} : {value.dtype}) outs({typed(out)}) -> {value.type}")
        return value

    def op(self, text, outs):
        """Emits a destination-style op: `text`, its outs, one result per out."""
        values = [Value(self.fresh(), out.shape, out.dtype) for out in outs]
        types = ", ".join(value.type for value in values)
        self.lines.append(f"{', '.join(map(str, values))} = {text} outs({typed(*outs)}) -> {types}")
        return values

    def result(self, name, value):
        self.results.append((f"{self.case.name}.{name}", value))

    def text(self):
        arguments = ", ".join(f'{a}: {a.type} {{bpt.name = "{a.name}"}}' for a in self.arguments)
        types = ", ".join(f'{value.type} {{bpt.name = "{name}"}}' for name, value in self.results)
        values = [value for _, value in self.results]
        lines = "\n".join("  " + line for line in self.lines)
        return f"func.func @{self.name}({arguments}) -> ({types}) {{\n{lines}\n  return {typed(*values)}\n}}\n"


def make_values(argument):
    """The values of an argument, from its name alone: the same for the goldens, the oracle and finite differences."""
    draw, count = random.Random(argument.name), 1
    for size in argument.shape:
        count *= size
    kind = argument.values[0]
    if kind == "normal":  # any values of variance 1 do
        return [(2 * draw.random() - 1) * 3 ** 0.5 for _ in range(count)]
    if kind == "uniform":
        low, high = argument.values[1:]
        return [low + (high - low) * draw.random() for _ in range(count)]
    if kind == "integers":
        low, high = argument.values[1:]
        return [low + int((high - low) * draw.random()) for _ in range(count)]
    if kind == "constant":
        return [argument.values[1]] * count
    if kind == "targets":  # classes, a third of them ignored
        classes, ignored = argument.values[1:]
        return [ignored if draw.random() < 1 / 3 else int(classes * draw.random()) for _ in range(count)]
    raise ValueError(f"{argument.name}: values {argument.values}")
