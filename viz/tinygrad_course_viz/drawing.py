"""The front door: `draw_graph`, and the drawing that it returns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinygrad_course.errors import OptionError

from .collapse import Folding, collapsed, drawing_of, modules, picture
from .overlays import measured, seeds
from .page import Page, page
from .render import FORMATS, RenderError, render, svg, svgs, write
from .scopes import Scope, scopes_of
from .text import plain_text
from .views import views_of
from .walk import Graph, ends_of, read

COLLAPSE = ("repeats", "views")
SUFFIXES = (*FORMATS, "html", "dot", "txt")


class Drawing:
    """A picture of a graph as it was when it was drawn; it keeps no value of the graph alive.

    A notebook shows it as SVG. `dot` and `text` need nothing installed; `svg()` and the other
    formats need Graphviz.
    """

    def __init__(self, dot: str, text: str, pages: Sequence[Page] = ()) -> None:
        self.dot = dot
        self.text = text
        self._pages = list(pages)

    def svg(self) -> str:
        """The picture as an `<svg>` element.

        Raises:
            RenderError: no Graphviz was found, or it failed.
        """
        return svg(self.dot)

    def save(self, path: str | Path) -> Path:
        """Write the picture in the format that the suffix names, and return the path.

        Raises:
            OptionError: a suffix other than .svg, .png, .pdf, .html, .dot and .txt.
            RenderError: a picture was asked for and no Graphviz was found, or it failed.
            OSError: the folder is not there or cannot be written to.
        """
        path = Path(path)
        form = path.suffix.lower().lstrip(".")
        if form not in SUFFIXES:
            known = ", ".join(f".{s}" for s in SUFFIXES)
            raise OptionError(f"save({str(path)!r}): the suffix must be one of {known}")
        write(path, self._content(form))
        return path

    def _content(self, form: str) -> bytes:
        if form in FORMATS:
            return render(self.dot, form)
        if form == "html":
            drawn = svgs([p.dot for p in self._pages])
            return page(self._pages, drawn, self.text).encode()
        return {"dot": self.dot, "txt": self.text}[form].encode()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        try:
            return {"image/svg+xml": self.svg(), "text/plain": self.text}
        except RenderError as error:
            return {"text/plain": f"{self.text}\n(no picture: {error})"}

    def _repr_svg_(self) -> str | None:
        return self._repr_mimebundle_().get("image/svg+xml")

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<Drawing: {self.text.partition(chr(10))[0]}>"


def draw_graph(
    outputs: Any,
    params: Any = None,
    *,
    budget: int = 300,
    depth: int | None = None,
    overlay: str | None = None,
    collapse: str | Sequence[str] = (),
) -> Drawing:
    """Draw the graph behind one or several values. Nothing in it is changed.

    Args:
        outputs: a Tensor or Scalar, a sequence of them, or a dict of names to them.
        params: names for values in the graph: a dict of names to Tensors or Scalars; a module,
            whose parameters are named by their paths; or what `watch(model)` saw. A named Scalar's
            value is shown.
        budget: at most so many boxes; a larger graph is collapsed, and the picture says so.
        depth: draw modules as boxes: 0 all of them, 1 the outermost open, and so on.
        overlay: tint the boxes by a measure, and write it in them: "gradient" (its length),
            "ratio" (to the length of the value), "value" (range), "bytes" or "time" (of the
            forward). What is infinite or NaN is outlined, the first of them thickest.
        collapse: "views" draws no operation that only arranges numbers or casts them, and names it
            at the edge; "repeats" draws blocks once that occur several times in a row; or both.

    Raises:
        GradientError: an output is a constant: nothing was recorded for it.
        OptionError: a budget that is not a positive number, a depth without modules, an overlay
            that there is not, an unknown name in collapse.

    >>> from tinygrad_course import Scalar
    >>> x, y = Scalar(3.0), Scalar(2.0)
    >>> print(draw_graph(x * y - x, {"x": x, "y": y}))
    2 operations, 2 leaves
    #0 x; value 3, grad 0; += 2 gradients
    #1 y; value 2, grad 0
    #2 mul(#0, #1); value 6, grad 0; local derivatives 2, 3
    #3 sub(#2, #0); value 3, grad 0; output; local derivatives 1, -1
    <BLANKLINE>
    """
    if not isinstance(budget, int) or budget < 1:
        raise OptionError(f"draw_graph: budget must be a positive number of boxes, got {budget!r}")
    graph = read(outputs, params)
    scopes = scopes_of(graph, params)
    named = _named(collapse)
    if depth is None:
        drawn = picture(graph, budget, scopes, named)
    else:
        folding = _at_depth(graph, scopes, depth)
        drawn = drawing_of(graph, collapsed(graph, folding, budget, named))
    views = views_of(graph, scopes, drawn, named)
    if overlay is not None:
        readings = measured(graph, overlay, seeds(graph, (value for _, value in ends_of(outputs))))
        for view in views:
            view.picture.lay(overlay, readings)
    pages = [Page.of(view) for view in views]
    return Drawing(pages[0].dot, plain_text(drawn), pages)


def _named(collapse: str | Sequence[str]) -> tuple[str, ...]:
    named = (collapse,) if isinstance(collapse, str) else tuple(collapse)
    if unknown := [name for name in named if name not in COLLAPSE]:
        raise OptionError(
            f"draw_graph: collapse must be of {', '.join(COLLAPSE)}; got {unknown[0]!r}"
        )
    return named


def _at_depth(graph: Graph, scopes: Sequence[Scope], depth: int) -> Folding:
    if not isinstance(depth, int) or depth < 0:
        raise OptionError(f"draw_graph: depth must be a whole number from 0, got {depth!r}")
    if not scopes:
        raise OptionError(
            "draw_graph: depth needs modules; give the model, or what watch(model) saw, as params"
        )
    return modules(graph, scopes, {k for k, s in enumerate(scopes) if s.depth < depth})
