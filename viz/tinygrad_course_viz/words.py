"""What is said about a box and a link, in plain words: the DOT and the text form share it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from .collapse import Link, Picture
from .walk import Record

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
NAME = 48  # characters of a name that are shown


def shortened(name: str, width: int = NAME) -> str:
    """A long name with its middle left out."""
    name = printable(name)
    if len(name) <= width:
        return name
    half = (width - 1) // 2
    return f"{name[:half]}…{name[-half:]}"


def printable(text: str) -> str:
    """Text without line breaks, control characters and halves of characters."""
    return _CONTROL.sub("\ufffd", text)


def title(picture: Picture, key: int) -> str:
    """The box's headline: the operation, or the name of the leaf."""
    record = picture.records[key]
    if key in picture.members:
        return shortened(picture.called.get(key, "")) or _count(picture.members[key][0], "node")
    if record.op:
        return f"{shortened(record.name)} = {record.op}" if record.name else record.op
    return shortened(record.name) or "leaf"


def kind(picture: Picture, key: int) -> str:
    """Which of the legend's kinds a box is."""
    record = picture.records[key]
    if key in picture.members:
        return "collapsed"
    if record.output:
        return "output"
    if not record.op:
        return "leaf"
    return "view" if record.view else "operation"


def details(picture: Picture, key: int) -> list[str]:
    """The box's further lines."""
    reading = picture.readings.get(key)
    return _details(picture, key) + ([reading.text] if reading and reading.text else [])


def _details(picture: Picture, key: int) -> list[str]:
    record = picture.records[key]
    if key in picture.members:
        count, what = picture.members[key]
        what = f"{_count(count, 'node')}: {what}" if key in picture.called else what
        last = [] if record.scalar else [f"last: {measure(record)}"]
        return [line for line in (printable(what), *last, shortened(record.output)) if line]
    lines = [_settings(record)]
    lines += [f"in {shortened(record.module)}" if record.module else ""]
    lines += [numbers(record) if record.scalar else measure(record)]
    if not record.op and record.has_grad and not record.scalar:
        lines.append("has a gradient")
    if picture.uses[key] > 1:
        lines.append(f"+= {picture.uses[key]:,} gradients")
    if any(link.loop and link.source == key for link in picture.links):
        lines.append(f"#{key}, to the next copy")
    return [line for line in (*lines, shortened(record.output)) if line]


def spoken(picture: Picture, key: int) -> str:
    """All that is known of a box, in a line: for the panel beside the picture and for search."""
    record = picture.records[key]
    parts = [f"#{key} {title(picture, key)}", *details(picture, key)]
    known = record.stats and picture.overlay != "value"
    return "; ".join([*parts, record.stats] if known else parts)


def _settings(record: Record) -> str:
    constants = [
        f"operand {i + 1} is {_constant(record, i)}"
        for i, p in enumerate(record.parents)
        if p is None
    ]
    more = [f"{len(constants) - 3:,} more are constant"] if len(constants) > 3 else []
    return ", ".join(filter(None, (record.settings(), *constants[:3], *more)))


def _constant(record: Record, i: int) -> str:
    """A constant operand: its value if it is one number, its name if `params` names it."""
    known = record.constants[i] if record.constants else None
    if known is not None:
        return number(known)
    name = shortened(record.frozen.get(i, ""))
    return f"the constant {name}" if name else "constant"


def measure(record: Record) -> str:
    """Shape, dtype and size in memory."""
    if record.shape is None:
        return "several results"
    return f"{record.shape} {record.dtype}, {size(record.nbytes)}"


def detached(picture: Picture) -> bool:
    """Whether an operand in the picture is a constant, at which the graph ends."""
    shown = (r for key, r in picture.records.items() if key not in picture.members)
    return any(None in r.parents for r in shown)


def numbers(record: Record) -> str:
    """A Scalar's value and gradient."""
    value = "" if record.value is None else f"value {number(record.value)}"
    return ", ".join(filter(None, (value, f"grad {number(record.grad or 0.0)}")))


def number(value: float) -> str:
    """Four significant digits."""
    return f"{value:.4g}"


def size(nbytes: int) -> str:
    """Bytes in the largest unit that leaves at least one."""
    power = min(int(math.log(nbytes, 1024)), 4) if nbytes else 0
    return f"{nbytes / 1024**power:.3g} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"


def link_words(picture: Picture, link: Link) -> list[str]:
    """What stands at an edge: the operand's place, the broadcast, the local derivative."""
    target = picture.records[link.target]
    words = []
    if link.count > 1:
        words.append(f"×{link.count:,}")
    elif link.places and len(target.parents) > 1:
        words.append(str(link.places[0] + 1))
    if link.through:
        words.append("via " + ", ".join(link.through))
    if link.sums:
        words.append(f"Σ {axes(link.sums)}")
    if link.slope is not None:
        words.append(f"∂ {number(link.slope)}")
    return words


def axes(which: Sequence[int]) -> str:
    """`axis 0` or `axes 0, 2`."""
    return f"{'axis' if len(which) == 1 else 'axes'} {', '.join(map(str, which))}"


def summary(picture: Picture) -> str:
    """The picture in a line: what the graph holds and what of it is hidden."""
    parts = [_count(picture.operations, "operation"), _count(picture.leaves, "leaf", "leaves")]
    parts += [size(picture.nbytes)] if picture.nbytes else []
    text = ", ".join(parts)
    if picture.hidden:
        text += f"; {_count(picture.hidden, 'node')} hidden"
        text += "" if picture.arranged else " in collapsed boxes and repeats"
    return text


def notes(picture: Picture) -> list[str]:
    """What a reader must know to read the picture right."""
    said = []
    if picture.arranged:
        said.append(f"hidden on the edges: {picture.arranged}")
    if picture.freed and any(r.scalar for r in picture.records.values()):
        said.append("a backward pass freed the graph: values that it held are not shown")
    return said


def repeated(picture: Picture, block: int) -> str:
    """The headline of a block that is drawn once for several."""
    times, keys = picture.blocks[block].times, len(picture.blocks[block].keys)
    return f"×{times:,}, drawn once ({(times - 1) * keys:,} nodes hidden)"


def _count(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"
