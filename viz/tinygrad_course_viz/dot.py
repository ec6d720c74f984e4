"""A picture as DOT text: no dependency, and the same bytes for the same graph."""

from __future__ import annotations

from collections.abc import Iterator

from .collapse import Link, Picture
from .overlays import MEANING, TINTS, WRONG, bounds, tint
from .words import (
    detached,
    details,
    kind,
    link_words,
    measure,
    notes,
    printable,
    repeated,
    shortened,
    summary,
    title,
)

FONT = "Helvetica,Arial,DejaVu Sans,sans-serif"

# Fills from the tints of Okabe and Ito's colours, which all readers can tell apart; every kind
# differs in its outline and its words too.
KINDS = {
    "leaf": ("#cfe8f7", "#0072b2", "filled", "leaf: a parameter or an input that requires grad"),
    "operation": ("#ffffff", "#444444", "rounded,filled", "operation"),
    "view": ("#eeeeee", "#888888", "rounded,filled", "view: the same numbers, arranged anew"),
    "output": ("#fde3b8", "#b35900", "rounded,filled,bold", "output: where backward() starts"),
    "collapsed": ("#ecd9e6", "#a03d78", "filled", "several nodes in one box"),
}


COPY = "#a03d78"


def dot_text(picture: Picture) -> str:
    """The DOT text of a picture."""
    return "\n".join(_lines(picture)) + "\n"


def _lines(picture: Picture) -> Iterator[str]:
    yield "digraph tinygrad_course {"
    yield f'  graph [fontname="{FONT}" fontsize=10 labelloc=b nodesep=0.3 ranksep=0.35 pad=0.1]'
    yield f'  node [fontname="{FONT}" fontsize=12 shape=box margin="0.12,0.06" height=0.3]'
    yield f'  edge [fontname="{FONT}" fontsize=10 color="#444444" arrowsize=0.7]'
    yield "  ordering=in"
    yield f"  label=<{_legend(picture)}>"
    for key in picture.records:
        yield _node(picture, key)
    for at in range(len(picture.blocks)):
        yield from _block(picture, at)
    yield from _frames(picture, None)
    for link in picture.links:
        yield _edge(picture, link)
    yield "}"


def _frames(picture: Picture, outer: int | None, indent: str = "  ") -> Iterator[str]:
    """A frame for every module that is drawn open, one inside the other."""
    for at, frame in enumerate(picture.frames):
        if frame.outer == outer:
            yield f'{indent}subgraph cluster_module_{at} {{ id="{frame_id(at)}"'
            yield f"{indent}  label=<<B>{escaped(shortened(frame.title))}</B>>"
            yield f'{indent}  labelloc=t labeljust=l style=rounded color="#666666"'
            yield indent + "  " + " ".join(f"n{key}" for key in frame.keys)
            yield from _frames(picture, at, indent + "  ")
            yield f"{indent}}}"


def _block(picture: Picture, at: int) -> Iterator[str]:
    """A frame around what is drawn once; what comes from the copy before enters as an ellipse."""
    keys = set(picture.blocks[at].keys)
    yield f"  subgraph cluster_{at} {{"
    yield f"    label=<<B>{escaped(repeated(picture, at))}</B>> labelloc=t labeljust=l"
    yield f'    style=dashed color="{COPY}" fontcolor="{COPY}"'
    yield "    " + " ".join(f"n{key}" for key in sorted(keys))
    for source in sorted({link.source for link in picture.links if link.loop} & keys):
        said = quoted(f"#{source} of the copy before")
        yield f'    p{source} [label={said} shape=ellipse style=dashed color="{COPY}" fontsize=10]'
    yield "  }"


def _node(picture: Picture, key: int) -> str:
    fill, line, style, _ = KINDS[kind(picture, key)]
    outline = ""
    if picture.overlay:
        fill = "#ffffff"
    if reading := picture.readings.get(key):
        sizes = [r.size for r in picture.readings.values() if r.finite]
        fill = tint(reading.size, sizes) if reading.finite else WRONG
        outline = "" if reading.finite else f" penwidth={5 if reading.first else 2}"
    lines = [f"<B>{escaped(title(picture, key))}</B>"]
    lines += [f'<FONT POINT-SIZE="10">{escaped(text)}</FONT>' for text in _stacked(picture, key)]
    spoken = "; ".join((f"#{key} {title(picture, key)}", *details(picture, key)))
    return (
        f'  n{key} [id="{node_id(key)}" label=<{"<BR/>".join(lines)}> style="{style}" '
        f'fillcolor="{fill}" color="{line}"{outline} tooltip={quoted(spoken)}]'
    )


def _stacked(picture: Picture, key: int) -> list[str]:
    """The box's further lines; a leaf's shape has its own, for leaves stand side by side."""
    lines, record = details(picture, key), picture.records[key]
    if kind(picture, key) == "leaf" and measure(record) in lines:
        at, shape = lines.index(measure(record)), str(record.shape)
        lines[at : at + 1] = [shape, lines[at].removeprefix(f"{shape} ")]
    return lines


def _edge(picture: Picture, link: Link) -> str:
    marks = []
    if words := link_words(picture, link):
        marks.append(f"label={quoted('  ' + ' · '.join(words) + '  ')}")
    if picture.records[link.source].op and not link.loop:
        marks.append("weight=8")  # operations in a straight line, leaves at their side
    if link.sums:
        marks.append("style=dashed")
    if link.loop:
        marks.append(f'style=dashed color="{COPY}" fontcolor="{COPY}"')
    marked = f" [{' '.join(marks)}]" if marks else ""
    start = "p" if link.loop else "n"
    return f"  {start}{link.source} -> n{link.target}{marked}"


def _legend(picture: Picture) -> str:
    """A small table under the picture: what the graph holds, and what the boxes mean."""
    present = {kind(picture, key) for key in picture.records}
    rows = [f'<TD ALIGN="LEFT"><B>{escaped(summary(picture))}</B></TD>']
    rows += [
        f'<TD ALIGN="LEFT" BGCOLOR="{fill}" COLOR="{line}" BORDER="1">{escaped(meaning)}</TD>'
        for name, (fill, line, _, meaning) in KINDS.items()
        if name in present and not picture.overlay
    ]
    rows += _scale(picture)
    signs = (*_signs(picture), *notes(picture))
    rows += [f'<TD ALIGN="LEFT">{escaped(text)}</TD>' for text in signs]
    cells = "".join(f"<TR>{row}</TR>" for row in rows)
    return f'<TABLE BORDER="0" CELLSPACING="2" CELLPADDING="2">{cells}</TABLE>'


def _scale(picture: Picture) -> Iterator[str]:
    """What the tints of an overlay mean."""
    if not picture.overlay:
        return
    yield f'<TD ALIGN="LEFT"><B>{escaped(MEANING[picture.overlay])}</B></TD>'
    edges = bounds(r.size for r in picture.readings.values() if r.finite)
    for low, high, colour in zip(edges, edges[1:], TINTS, strict=False):
        said = f"{low:.3g} to {high:.3g}"
        yield f'<TD ALIGN="LEFT" BGCOLOR="{colour}" BORDER="1">{said}</TD>'
    if any(not r.finite for r in picture.readings.values()):
        said = "infinity or NaN; the thickest outline is the first"
        yield f'<TD ALIGN="LEFT" BGCOLOR="{WRONG}" BORDER="1">{said}</TD>'


def _signs(picture: Picture) -> Iterator[str]:
    links, records = picture.links, picture.records
    if any(link.places and len(records[link.target].parents) > 1 for link in links):
        yield "1, 2, … at an edge: which operand"
    if detached(picture):
        yield "constant: the graph ends there: an input, detach(), or no requires_grad"
    if any(link.slope is not None for link in links):
        yield "∂: the local derivative that the gradient is multiplied by on the way back"
    if any(link.sums for link in links):
        yield "dashed, Σ: broadcast; its gradient is summed over those axes on the way back"
    if any(picture.uses[key] > 1 and key not in picture.members for key in records):
        yield "+=: the gradients of all uses are added up here"
    if picture.blocks:
        yield "dashed frame: drawn once for all its copies; dashed ellipse: from the copy before"


def node_id(key: int) -> str:
    """The id of a box in the SVG."""
    return f"n{key}"


def frame_id(at: int) -> str:
    """The id of an open module's frame in the SVG."""
    return f"f{at}"


def edge_id(source: int, target: int, place: int) -> str:
    """The id of an edge in the SVG: from, to, which operand."""
    return f"e{source}_{target}_{place}"


def escaped(text: str) -> str:
    """Text for an HTML-like label."""
    return printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def quoted(text: str) -> str:
    """Text for a quoted DOT string, where Graphviz reads both backslashes and HTML entities."""
    return '"' + escaped(text.replace("\\", "\\\\")).replace('"', "&quot;") + '"'
