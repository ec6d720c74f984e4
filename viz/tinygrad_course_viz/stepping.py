"""The backward pass as a page that is walked step by step, or as a sequence of pictures."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_course.errors import GradientError, OptionError
from tinygrad_course.graph import SCALAR, Value

from .backward import Move, Step, replay
from .collapse import Picture, picture
from .dot import FONT, KINDS, edge_id, escaped, node_id, quoted
from .page import STEPS, asset
from .render import FORMATS, RenderError, render, svg, svgs, write
from .scalars import expanded, known_arrays
from .walk import Graph, ends_of, read
from .words import kind, measure, number, printable, title

BUDGET = 60  # boxes: a longer pass is not followed by eye
SUFFIXES = ("html", "txt", "dot", *FORMATS)
BLANK = "\u2007"  # keeps room for the numbers that will stand there


class BackwardDrawing:
    """A backward pass as it would run: a page to step through, pictures, and words.

    Made by `draw_backward`. It keeps numbers and text, and no part of the graph.

    Attributes:
        dot: the picture after the last step, as DOT text.
        text: the steps in words, a line for each gradient that is handed on.
        steps: how many steps there are.
    """

    def __init__(
        self, dot: str, words: list[str], states: list[dict[str, Any]], zooms: dict[str, str]
    ) -> None:
        self.dot = _filled(dot, states[-1]["texts"])
        self._dot = dot
        self.text = "\n".join(words) + "\n"
        self.steps = len(states) - 1
        self._words, self._states, self._zooms = words, states, zooms

    def html(self) -> str:
        """The page: self-contained, with buttons, a slider and the keyboard.

        Raises:
            RenderError: no Graphviz was found, or it failed.
        """
        zooms = dict(zip(self._zooms, svgs(list(self._zooms.values())), strict=True))
        data = json.dumps({"states": self._states, "words": self._words}, ensure_ascii=False)
        return STEPS.format(
            svg=_numbered(_svg(self._dot), {}),
            text=escape(self.text),
            count=self.steps,
            data=data.replace("<", "\\u003c"),
            zooms="\n".join(
                f'<section class="zoom" id="zoom-{key}" hidden>{zoom}</section>'
                for key, zoom in zooms.items()
            ),
            style=asset("stepping.css"),
            script=asset("stepping.js"),
        )

    def frames(self) -> Iterator[str]:
        """An SVG for every state: before the first step, and after each.

        Raises:
            RenderError: no Graphviz was found, or it failed.
        """
        base = _svg(self._dot)
        for state, words in zip(self._states, self._words, strict=True):
            yield _coloured(_numbered(base, state["texts"]), state, words)

    def save(self, path: str | Path) -> Path:
        """Write the page (.html), the words (.txt) or the last state, and return the path.

        Raises:
            OptionError: a suffix other than .html, .txt, .svg, .png, .pdf and .dot.
            RenderError: no Graphviz was found, or it failed.
        """
        path = Path(path)
        form = path.suffix.lower().lstrip(".")
        if form not in SUFFIXES:
            known = ", ".join(f".{s}" for s in SUFFIXES)
            raise OptionError(f"save({str(path)!r}): the suffix must be one of {known}")
        if form in FORMATS:
            content = render(self.dot, form)
        elif form == "html":
            content = self.html().encode()
        else:
            content = {"txt": self.text, "dot": self.dot}[form].encode()
        write(path, content)
        return path

    def save_frames(self, folder: str | Path) -> list[Path]:
        """Write `step_000.svg`, `step_001.svg`, ... into a folder that is there."""
        paths = []
        for k, frame in enumerate(self.frames()):
            paths.append(Path(folder) / f"step_{k:03}.svg")
            write(paths[-1], frame.encode())
        return paths

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        try:
            return {"image/svg+xml": list(self.frames())[-1], "text/plain": self.text}
        except RenderError as error:
            return {"text/plain": f"{self.text}\n(no picture: {error})"}

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<BackwardDrawing: {self.steps} steps>"


def draw_backward(outputs: Any, params: Any = None, *, gradient: Any = None) -> BackwardDrawing:
    """The backward pass of a small graph, step by step. Nothing in the graph is changed.

    Each step takes one node whose gradient is complete and hands gradient × local derivative to
    its operands; where a value has several users, what they hand back is added up.

    Args:
        outputs: a Tensor or Scalar, a sequence of them, or a dict of names to them.
        params: names for values in the graph: a dict, or a module.
        gradient: what the pass starts with; 1 by default, ones for a tensor of several elements.

    Raises:
        GradientError: an output is a constant, or a backward pass freed the graph.
        OptionError: more than 60 nodes: too many to follow.

    >>> from tinygrad_course import Scalar
    >>> x, y = Scalar(3.0), Scalar(2.0)
    >>> print(draw_backward(x * y - x, {"x": x, "y": y}))
    start: the gradient of sub (#3) is 1
    1. sub (#3), gradient 1: 1 × 1 = 1 to mul (#2); 1 × -1 = -1 to x (#0)
    2. mul (#2), gradient 1: 1 × 2 = 2 to x (#0), -1 + 2 = 1; 1 × 3 = 3 to y (#1)
    <BLANKLINE>
    """
    graph = read(outputs, params)
    if len(graph) > BUDGET:
        raise OptionError(
            f"draw_backward: {len(graph):,} nodes are too many to follow step by step; at most "
            f"{BUDGET}. Take a smaller model or a part of this one, or draw_graph for all of it"
        )
    drawn = picture(graph, BUDGET)
    ends = [value for _, value in ends_of(outputs)]
    start = {graph.number[_node(v)]: _seed(v, gradient) for v in ends}
    steps = replay(graph, start)
    arrays = known_arrays(graph)
    complete = {step.node: step.gradient for step in steps}
    states = list(_states(start, steps))
    room: dict[str, int] = {}
    for state in states:
        for name, said in state["texts"].items():
            room[name] = max(room.get(name, 0), len(said))
    return BackwardDrawing(
        _dot(drawn, room),
        list(_words(drawn, start, steps)),
        states,
        _zooms(graph, arrays, complete),
    )


def draw_scalars(output: Any, params: Any = None) -> Any:
    """The operation that made a small Tensor, drawn number by number with Scalars.

    The row's own forward runs on Scalars, so the graph is that of its arithmetic: a matrix product
    becomes multiplications and additions. Values and gradients are shown, for a gradient of 1 at
    every element of the result.

    Args:
        output: a Tensor in a graph, of few elements, as its operands.
        params: names for values in the graph: a dict, or a module.

    Raises:
        OptionError: it is too large, its operands are not known, or it has no form on numbers.

    >>> import tinygrad_course as tc
    >>> x = tc.tensor([[1.0, 2.0]], requires_grad=True)
    >>> w = tc.tensor([[3.0], [4.0]], requires_grad=True)
    >>> print(draw_scalars(x @ w, {"x": x, "w": w}).text.splitlines()[0])
    3 operations, 4 leaves
    """
    from .drawing import draw_graph

    graph = read(output, params)
    if len(ends_of(output)) != 1:
        raise OptionError("draw_scalars: give one Tensor")
    arrays = known_arrays(graph)
    return draw_graph(*expanded(graph, len(graph) - 1, arrays))


def _node(value: Value) -> Any:
    return value.node


def _seed(value: Value, gradient: Any) -> Any:
    node = _node(value)
    if node.kind is SCALAR:
        return float(1.0 if gradient is None else gradient)
    given = np.ones(node.shape, node.dtype) if gradient is None else gradient
    given = np.asarray(getattr(given, "_data", given), node.dtype)
    if given.shape != node.shape:
        raise GradientError(
            f"draw_backward: the gradient has shape {given.shape}, the output {node.shape}"
        )
    return given


def _zooms(graph: Graph, arrays: dict[int, Any], gradients: dict[int, Any]) -> dict[str, str]:
    """The scalar graphs of the operations that have one, as DOT."""
    from .drawing import draw_graph

    found = {}
    for i, gradient in gradients.items():
        try:
            found[node_id(i)] = draw_graph(*expanded(graph, i, arrays, gradient)).dot
        except OptionError:
            continue
    return found


# --- words ----------------------------------------------------------------------------------------


def shown(value: Any) -> str:
    """A gradient in a few characters: the number, the few numbers, or the shape and the length."""
    if isinstance(value, float) or np.size(value) == 1:
        return number(float(value))
    array = np.asarray(value)
    if array.size <= 4:
        return _listed(array)
    return f"{array.shape}, norm {number(float(np.linalg.norm(array.astype(np.float64))))}"


def _listed(array: Any) -> str:
    if not array.ndim:
        return f"{float(array):.3g}"
    return f"[{', '.join(map(_listed, array))}]"


def _product(step: Step, move: Move) -> str:
    if move.slope is None:
        return shown(move.contribution)
    return f"{shown(step.gradient)} × {number(move.slope)} = {shown(move.contribution)}"


def _words(drawn: Picture, start: dict[int, Any], steps: Sequence[Step]) -> Iterator[str]:
    def called(key: int) -> str:
        return f"{title(drawn, key)} (#{key})"

    yield "start: " + "; ".join(
        f"the gradient of {called(k)} is {shown(g)}" for k, g in start.items()
    )
    for k, step in enumerate(steps, 1):
        parts = []
        for move in step.moves:
            part = f"{_product(step, move)} to {called(move.source)}"
            if move.before is not None:
                sums = (shown(move.before), shown(move.contribution), shown(move.after))
                part += f", {sums[0]} + {sums[1]} = {sums[2]}"
            parts.append(part)
        yield printable(
            f"{k}. {called(step.node)}, gradient {shown(step.gradient)}: " + "; ".join(parts)
        )


# --- pictures -------------------------------------------------------------------------------------


def _states(start: dict[int, Any], steps: Sequence[Step]) -> Iterator[dict[str, Any]]:
    """What the picture shows before the first step and after each."""
    texts = {f"g{k}": f"grad {shown(g)}" for k, g in start.items()}
    done: list[str] = []
    yield {"texts": dict(texts), "now": "", "edges": [], "done": []}
    for step in steps:
        edges = []
        for move in step.moves:
            edges.append(edge_id(move.source, step.node, move.place))
            texts[f"t{edges[-1]}"] = _product(step, move)
            texts[f"g{move.source}"] = f"grad {shown(move.after)}"
        yield {"texts": dict(texts), "now": node_id(step.node), "edges": edges, "done": list(done)}
        done.append(node_id(step.node))


def _dot(drawn: Picture, room: dict[str, int]) -> str:
    """DOT text with room for a gradient in every box and a product at every edge."""

    def blank(name: str) -> str:
        return f"«{name}»{BLANK * room.get(name, 1)}"

    lines = [
        "digraph backward {",
        f'  graph [fontname="{FONT}" nodesep=0.4 ranksep=0.45 pad=0.1]',
        f'  node [fontname="{FONT}" fontsize=12 shape=box margin="0.12,0.06"]',
        f'  edge [fontname="{FONT}" fontsize=10 color="#444444" arrowsize=0.7]',
    ]
    for key, record in drawn.records.items():
        fill, line, style, _ = KINDS[kind(drawn, key)]
        known = "" if record.value is None else f"value {number(record.value)}"
        below = known if record.scalar else measure(record)
        rows = [f"<B>{escaped(title(drawn, key))}</B>"]
        rows += [f'<FONT POINT-SIZE="10">{escaped(t)}</FONT>' for t in (below, record.output) if t]
        rows.append(f'<FONT POINT-SIZE="10">{blank(f"g{key}")}</FONT>')
        lines.append(
            f'  n{key} [id="{node_id(key)}" label=<{"<BR/>".join(rows)}> style="{style}" '
            f'fillcolor="{fill}" color="{line}" tooltip={quoted(title(drawn, key))}]'
        )
    for link in drawn.links:
        name = edge_id(link.source, link.target, link.places[0])
        label = quoted(blank(f"t{name}"))
        lines.append(f'  n{link.source} -> n{link.target} [id="{name}" label={label}]')
    return "\n".join([*lines, "}"]) + "\n"


def _svg(dot: str) -> str:
    return _NODE.sub(_centred, svg(dot))


_NODE = re.compile(r'<g id="n\d+" class="node">.*?</g>(?=\s*(?:<!--|</g>))', re.DOTALL)


def _centred(node: re.Match[str]) -> str:
    """A box's marked line in its middle, whatever will stand there."""
    outline = re.search(r' (?:points|d)="([^"]+)"', node[0])
    if outline is None:
        return node[0]
    across = [float(x) for x in re.findall(r"(-?[\d.]+),-?[\d.]+", outline[1])]
    middle = f'text-anchor="middle" x="{(min(across) + max(across)) / 2:g}"'
    return re.sub(r'text-anchor="start" x="[^"]+"([^>]*>«)', rf"{middle}\1", node[0])


def _filled(dot: str, texts: dict[str, str]) -> str:
    """The marks in DOT text replaced by what they stand for."""
    return re.sub(f"«([a-z0-9_]+)»{BLANK}*", lambda m: escaped(texts.get(m[1], "no gradient")), dot)


def _numbered(drawn: str, texts: dict[str, str]) -> str:
    """The marks «g3» made into elements with that id, holding the text of the state."""
    return re.sub(
        "«([a-z0-9_]+)»[\u2007\u00a0 ]*",
        lambda m: f'<tspan id="{m[1]}">{escape(texts.get(m[1], ""))}</tspan>',
        drawn,
    )


def _coloured(drawn: str, state: dict[str, Any], words: str) -> str:
    """The state's colours as a style sheet inside the SVG, and its words as the title."""
    rules = [
        f"#{n} polygon, #{n} path {{ stroke: #0072b2; stroke-width: 2 }}" for n in state["done"]
    ]
    if state["now"]:
        rules.append(
            f"#{state['now']} polygon, #{state['now']} path {{ stroke: #d55e00; stroke-width: 4 }}"
        )
    rules += [f"#{e} path {{ stroke: #d55e00; stroke-width: 3 }}" for e in state["edges"]]
    head = f"<title>{escape(words)}</title><style>{' '.join(rules)}</style>"
    end = drawn.index(">") + 1
    return drawn[:end] + head + drawn[end:]
