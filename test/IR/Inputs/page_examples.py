"""Turns the example of every op page into a function, and says which op has none.

  page_examples.py FILE.td..      prints functions separated by // -----
"""
import re, sys

# One value with its type, as in `ins(%x, %y : tensor<..>, tensor<..>)`, at any place of an example.
GROUP = re.compile(r"((?:%\w+(?:, )?)+)\s*:\s*((?:(?:tensor|memref)<[^>]*>|index|i\d+|f\d+)(?:,\s*(?:tensor|memref)<[^>]*>)*)")
TYPE = re.compile(r"(?:tensor|memref)<[^>]*>|index|i\d+|f\d+")


def examples(text):
    """(op, example or None) for every op defined in the TableGen file."""
    for definition in re.split(r"\ndef ", text)[1:]:
        mnemonic = re.match(r"BPT_\w+Op : BPT_\w*Op<\"(\w+)\"", definition)
        if mnemonic:
            example = re.search(r"```mlir\n(.*?)```", definition, re.S)
            yield mnemonic[1], example and example[1]


def function(op, body):
    """The example with what it does not define as arguments."""
    defined = set(re.findall(r"%\w+", " ".join(re.findall(r"^\s*(%[\w, %]*)=", body, re.M))))
    defined.update(re.findall(r"(%\w+):", body))  # block arguments
    arguments = {}
    for names, types in GROUP.findall(body):
        for name, type in zip(re.findall(r"%\w+", names), TYPE.findall(types)):
            if name not in defined:
                arguments.setdefault(name, type)
    signature = ", ".join(f"{name}: {type}" for name, type in arguments.items())
    if op == "yield":  # its example is the end of a body
        body = f"bpt.checkpoint keep(all) inputs({', '.join(arguments)} : {', '.join(arguments.values())}) {{\n" \
               f"^bb0({signature.replace('%', '%in_')}):\n{body.replace('%', '%in_')}}} -> {', '.join(arguments.values())}\n"
    return f"func.func @{op}({signature}) {{\n{body}return\n}}\n"


def main():
    found = [pair for path in sys.argv[1:] for pair in examples(open(path).read())]
    missing = [op for op, example in found if not example]
    if missing:
        sys.exit(f"no example on the page of {', '.join(missing)}")
    print("// -----\n".join(function(op, example) for op, example in found))


main()
