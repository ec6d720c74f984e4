"""The pictures between which a page can go: boxes open into what they hold, and close again."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from .collapse import Folding, Picture, drawing_of, modules, without_views
from .scopes import Scope
from .walk import Graph

MOST = 120  # pictures in a page; of more modules the outer ones open
WORK = 3_000_000  # nodes times pictures: beyond, a page has one picture
UNFOLDED = 80  # nodes of a box that opens into them
LINKS = 250, 6_000  # edges in a picture and in all of a page: more take Graphviz too long


@dataclass(slots=True)
class View:
    """One picture of a page: which box opens which view, and where one goes back to.

    `first` is the first box of what was opened.
    """

    picture: Picture
    title: str
    parent: int | None = None
    first: int | None = None
    opens: dict[int, int] = field(default_factory=dict)


def views_of(
    graph: Graph, scopes: Sequence[Scope], drawn: Picture, collapse: Collection[str] = ()
) -> list[View]:
    """The picture that was asked for, and those that its boxes or modules open into."""

    def with_open(opened: Collection[int]) -> Picture:
        folding = modules(graph, scopes, opened)
        return drawing_of(graph, without_views(graph, folding) if "views" in collapse else folding)

    if not scopes or len(graph) * min(len(scopes), MOST) > WORK:
        return _unfolded(graph, drawn)
    found = [View(drawn, "as drawn")]
    chosen = sorted(range(len(scopes)), key=lambda k: (scopes[k].depth, k))[:MOST]
    if len(drawn.records) - len(drawn.called) or drawn.frames:
        closed = with_open(())
        found += [View(closed, "every module closed")] if len(closed.links) <= LINKS[0] else []
    top = len(found) - 1
    place: dict[int, int] = {}
    links = 0
    for k in sorted(chosen):
        around = [k, *_around(scopes, k)]
        picture = with_open(set(around))
        links += len(picture.links)
        if len(picture.links) > LINKS[0] or links > LINKS[1]:
            break
        place[k] = len(found)
        parent = place.get(around[1], top) if len(around) > 1 else top
        keys = picture.frames[-1].keys  # frames stand in the order of scopes: k's is the last
        found.append(View(picture, scopes[k].title, parent, keys[0] if keys else None))
    ends = {scope: place[k] for k, scope in enumerate(scopes) if k in place}
    for view in found:
        for key in view.picture.called:
            inside = _scope_of(scopes, view.picture, key, graph)
            if inside in ends and view.picture.members[key][0] > 1:
                view.opens[key] = ends[inside]
    return found


def _around(scopes: Sequence[Scope], k: int) -> Iterator[int]:
    depth = scopes[k].depth
    for j in range(k - 1, -1, -1):
        if scopes[j].depth < depth:
            depth = scopes[j].depth
            yield j


def _scope_of(scopes: Sequence[Scope], picture: Picture, key: int, graph: Graph) -> Scope | None:
    """The call that a box stands for: the outermost of its title that ends there."""
    title = picture.called[key]
    return next((s for s in scopes if s.title == title and s.first <= key <= s.last), None)


def _unfolded(graph: Graph, drawn: Picture) -> list[View]:
    """Without modules, each box of a few nodes opens into them."""
    views = [View(drawn, "as drawn")]
    if drawn.blocks or drawn.arranged or len(graph) > WORK // MOST:
        return views
    boxes = {key: run for key, run in drawn.runs.items() if len(run) <= UNFOLDED}
    for key in list(boxes)[:MOST]:
        inner = list(range(len(graph)))
        kept = {k: run for k, run in drawn.runs.items() if k != key}
        for k, run in kept.items():
            for i in run:
                inner[i] = k
        views[0].opens[key] = len(views)
        opened = drawing_of(graph, Folding(inner, kept))
        views.append(View(opened, f"box #{key} open", 0, boxes[key][0]))
    return views
