"""Files as accidents leave them: cut off, with flipped bits, with sizes that are not true."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

HUGE = (2**63 - 1, 2**62, 2**40, 2**31, -1, 10**30, 0)


def damaged(whole: bytes, random: Any) -> Iterator[tuple[str, bytes]]:
    """Without end, damaged forms of a safetensors file, and what was done to each."""
    ways = (_cut, _flipped, _overwritten, _first_bytes, _inserted, _sizes, _types, _swapped)
    while True:
        for way in ways:
            content = way(whole, random)
            if content != whole:
                yield way.__name__, content


def _cut(whole: bytes, random: Any) -> bytes:
    return whole[: random.integers(len(whole))]


def _flipped(whole: bytes, random: Any) -> bytes:
    content = bytearray(whole)
    for _ in range(random.integers(1, 5)):
        content[random.integers(len(whole))] ^= 1 << random.integers(8)
    return bytes(content)


def _overwritten(whole: bytes, random: Any) -> bytes:
    start, size = random.integers(len(whole)), random.integers(1, 64)
    return whole[:start] + random.bytes(size) + whole[start + size :]


def _first_bytes(whole: bytes, random: Any) -> bytes:
    """The length of the header, which the file begins with."""
    length = int(random.choice([0, 1, 7, 2**16, 10**8, 2**31, 2**40, 2**62, 2**63]))
    return (length + int(random.integers(3))).to_bytes(8, "little") + whole[8:]


def _inserted(whole: bytes, random: Any) -> bytes:
    start = random.integers(len(whole) + 1)
    return whole[:start] + random.bytes(random.integers(1, 64)) + whole[start:]


def _header(whole: bytes) -> tuple[dict[str, Any], bytes]:
    end = 8 + int.from_bytes(whole[:8], "little")
    return json.loads(whole[8:end]), whole[end:]


def _with_header(header: dict[str, Any], data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def _tensor(header: dict[str, Any], random: Any) -> dict[str, Any]:
    return header[random.choice([name for name in header if name != "__metadata__"])]


def _sizes(whole: bytes, random: Any) -> bytes:
    """A shape or an offset that is huge, negative or zero."""
    header, data = _header(whole)
    numbers = _tensor(header, random)[random.choice(["shape", "data_offsets"])]
    size = HUGE[random.integers(len(HUGE))]
    if numbers and random.random() < 0.7:
        numbers[random.integers(len(numbers))] = size
    else:
        numbers += [size, 0][: random.integers(1, 3)]
    return _with_header(header, data)


def _types(whole: bytes, random: Any) -> bytes:
    """A dtype, a shape or the metadata that are something else."""
    header, data = _header(whole)
    tensor = _tensor(header, random)
    match random.integers(4):
        case 0:
            tensor["dtype"] = random.choice(["F16", "I32", "BF16", "F8_E4M3", "C64", "X", "F4"])
        case 1:
            tensor["shape"] = random.choice([None, "x", 3.5])
        case 2:
            header["__metadata__"] = random.choice([None, "x", 3])
        case _:
            del tensor[random.choice(list(tensor))]
    return _with_header(header, data)


def _swapped(whole: bytes, random: Any) -> bytes:
    """Two tensors under each other's names."""
    header, data = _header(whole)
    a, b = random.choice([name for name in header if name != "__metadata__"], 2)
    header[a], header[b] = header[b], header[a]
    return _with_header(header, data)
