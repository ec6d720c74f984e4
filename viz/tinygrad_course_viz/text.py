"""A picture as lines of text: for terminals, for screen readers, and for tests."""

from __future__ import annotations

from collections.abc import Iterator

from .collapse import Picture
from .words import axes, details, notes, number, repeated, summary, title


def plain_text(picture: Picture) -> str:
    """One line per box, operands first, each with its number."""
    return "\n".join((summary(picture), *notes(picture), *_lines(picture))) + "\n"


def _lines(picture: Picture) -> Iterator[str]:
    block = {key: at for at, b in enumerate(picture.blocks) for key in b.keys}
    inside: int | None = None
    for key in sorted(picture.records, key=lambda k: (_start(picture, block.get(k), k), k)):
        if block.get(key) != inside:
            inside = block.get(key)
            if inside is not None:
                yield f"block {repeated(picture, inside)}:"
        yield ("  " if inside is not None else "") + _line(picture, key)


def _start(picture: Picture, at: int | None, key: int) -> int:
    """A block's boxes stay together."""
    return key if at is None else picture.blocks[at].keys[0]


def _line(picture: Picture, key: int) -> str:
    places = picture.operands[key]
    shown = ["constant" if p is None else f"#{p}" for p in places[:8]]
    shown += [f"… {len(places) - 8:,} more"] if len(places) > 8 else []
    applied = f"({', '.join(shown)})" if picture.records[key].op else ""
    parts = [f"#{key} {title(picture, key)}{applied}", *details(picture, key)]
    parts += [
        f"then takes #{link.source} of the copy before"
        for link in picture.links
        if link.loop and link.target == key
    ]
    parts += [
        f"#{link.source} by way of {', '.join(link.through)}"
        for link in picture.links
        if link.through and link.target == key
    ]
    return "; ".join((*parts, *_way_back(picture, key)))


def _way_back(picture: Picture, key: int) -> Iterator[str]:
    record = picture.records[key]
    if key in picture.members:
        return
    for p, sums in zip(picture.operands[key], record.sums, strict=False):
        if sums:
            yield f"gradient of #{p} summed over {axes(sums)}"
    slopes = [number(s) for s in record.slopes if s is not None]
    if slopes:
        yield f"local derivatives {', '.join(slopes)}"
