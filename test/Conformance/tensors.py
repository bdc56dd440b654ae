"""safetensors with the standard library alone: what the conformance runner reads and writes.

A tensor is (dtype, shape, values): dtype as in the file ("F64", "I32", ..), values an `array` or a list of numbers."""
import array
import json
import math
import struct
import sys

CODES = {"F64": "d", "F32": "f", "I64": "q", "I32": "i"}
SIZES = {"F64": 8, "F32": 4, "BF16": 2, "F16": 2, "I64": 8, "I32": 4}


def read(path):
    """{name: (dtype, shape, values)} and the file's own metadata."""
    with open(path, "rb") as file:
        data = file.read()
    length = struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8:8 + length])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = (entry["dtype"], entry["shape"], decode(entry["dtype"], data[8 + length + begin:8 + length + end]))
    return tensors, metadata


def write(path, tensors, metadata=None):
    """Writes {name: (dtype, shape, values)}."""
    header, chunks, offset = ({"__metadata__": metadata} if metadata else {}), [], 0
    for name, (dtype, shape, values) in tensors.items():
        chunk = encode(dtype, values)
        if len(chunk) != SIZES[dtype] * math.prod(shape):
            raise ValueError(f"{name}: expected {math.prod(shape)} values for {shape}, but got {len(chunk) // SIZES[dtype]}")
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + len(chunk)]}
        offset += len(chunk)
        chunks.append(chunk)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(chunks))


def decode(dtype, data):
    if dtype == "F16":
        return [value[0] for value in struct.iter_unpack("<e", data)]
    if dtype == "BF16":
        return [struct.unpack("<f", b"\0\0" + data[i:i + 2])[0] for i in range(0, len(data), 2)]
    return _little(array.array(CODES[dtype], data))


def encode(dtype, values):
    if dtype == "F16":
        return struct.pack(f"<{len(values)}e", *values)
    if dtype == "BF16":
        return b"".join(struct.pack("<H", _bf16(value)) for value in values)
    return _little(array.array(CODES[dtype], values)).tobytes()


def _bf16(value):
    """Bits of the nearest bf16, ties to even."""
    bits = struct.unpack("<I", struct.pack("<f", value))[0]
    if value != value:
        return (bits >> 16) | 0x40
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16


def _little(values):
    if sys.byteorder == "big":
        values.byteswap()
    return values


def relative_error(ours, expected):
    """max |a - b| / max |b|; equal infinities and two NaNs differ by 0, other non-finite pairs by infinity."""
    largest = worst = 0.0
    for a, b in zip(ours, expected):
        if a == b or (a != a and b != b):
            difference = 0.0
        else:
            difference = abs(a - b) if math.isfinite(a) and math.isfinite(b) else math.inf
        worst = max(worst, difference)
        if math.isfinite(b):
            largest = max(largest, abs(b))
    if worst == 0.0:
        return 0.0
    return worst / largest if largest else math.inf
