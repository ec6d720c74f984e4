"""Records folded into a picture small enough to read.

A folding says for each record which box it is drawn in. They are tried from the one that hides
least to the one that always fits, and the first that fits the budget is drawn:

* nothing is hidden;
* `repeats`: a block that occurs several times in a row is drawn once; what one copy hands to the
  next enters it at the top;
* `modules`: each call of a module becomes one box, the innermost ones first;
* `chains`: a run of operations that feed only each other becomes one box;
* both;
* `spans`: so many consecutive operations to a box.

Two of them can be asked for by name, on top of whichever is drawn: `repeats`, and `views`, which
draws no operation that only arranges numbers anew or casts them, and names it at the edge instead.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .overlays import Reading, together
from .scopes import Scope
from .walk import Graph, Record

SPANS = 40  # boxes of consecutive operations say little: few are enough
LINKS_PER_BOX = 4  # more than these on average, and the layout takes minutes
READABLE = 60  # boxes in which a large model is drawn if its modules allow it
VAST = 200_000  # of more boxes repeats are not looked for a second time
PARALLEL = 4  # so many edges between two boxes are drawn; more become one

Tokens = np.ndarray[Any, Any]


@dataclass(slots=True)
class Block:
    """Boxes that stand for `times` copies of themselves, one after another."""

    keys: list[int]
    times: int


@dataclass(slots=True)
class Folding:
    """Where each record is drawn.

    `inner`: the key of each record's box before repeats were folded. `fold`: the key that stands
    for such a key in the picture, if not itself. `copy`: the block of such a key, and which of its
    copies it belongs to. `members`: the records of a box that holds several operations. `frames`:
    modules that are drawn open; `called`: the names of boxes that are modules; `through`: nodes
    that are not drawn, and what they arrange.
    """

    inner: list[int]
    members: dict[int, Sequence[int]] = field(default_factory=dict)
    fold: dict[int, int] = field(default_factory=dict)
    copy: dict[int, tuple[int, int]] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    called: dict[int, str] = field(default_factory=dict)
    through: dict[int, int] = field(default_factory=dict)

    def inner_keys(self) -> list[int]:
        """The boxes before repeats are folded, parents before children."""
        return sorted(set(self.inner))

    def boxes(self) -> list[int]:
        """The boxes of the picture, parents before children."""
        return [key for key in self.inner_keys() if self.fold.get(key, key) == key]


@dataclass(slots=True)
class Link:
    """Edges between two boxes: of which operands, over which axes summed on the way back.

    `loop`: from one copy of a block to the next; `through`: operations on it that are not drawn.
    """

    source: int
    target: int
    places: list[int]
    sums: tuple[int, ...]
    slope: float | None
    loop: bool
    count: int = 1
    through: tuple[str, ...] = ()


@dataclass(slots=True)
class Frame:
    """A module that is drawn open: a frame around its boxes, inside that of `outer`."""

    title: str
    keys: list[int]
    outer: int | None


@dataclass(slots=True)
class Picture:
    """What is drawn: the boxes by key, the links, and how many nodes a box hides, and which.

    `members`: of a box of several nodes, their count and a list in words; `runs`: the nodes.
    `arranged`: a list of the operations that are not drawn because they only arrange numbers.
    """

    records: dict[int, Record]
    operands: dict[int, list[int | None]]
    uses: dict[int, int]
    links: list[Link]
    members: dict[int, tuple[int, str]]
    blocks: list[Block]
    operations: int
    leaves: int
    nbytes: int
    freed: bool
    frames: list[Frame] = field(default_factory=list)
    called: dict[int, str] = field(default_factory=dict)
    runs: dict[int, Sequence[int]] = field(default_factory=dict)
    arranged: str = ""
    overlay: str = ""
    readings: dict[int, Reading] = field(default_factory=dict)

    def lay(self, overlay: str, readings: Mapping[int, Reading]) -> None:
        """Lay a measure over the boxes."""
        self.overlay = overlay
        for key in self.records:
            inside = [readings[i] for i in self.runs.get(key, (key,)) if i in readings]
            reading = together(overlay, inside)
            if reading is not None:
                self.readings[key] = reading

    @property
    def hidden(self) -> int:
        """How many nodes of the graph are not drawn as themselves."""
        return self.operations + self.leaves - len(self.records) + len(self.members)


def picture(
    graph: Graph, budget: int, scopes: Sequence[Scope] = (), collapse: Collection[str] = ()
) -> Picture:
    """The graph in at most `budget` boxes, or all of it if it is that small."""
    for found, most in _foldings(graph, budget, scopes):
        folding = collapsed(graph, found, budget, collapse)
        if len(folding.boxes()) <= most:
            drawn = drawing_of(graph, folding)
            if len(drawn.links) <= LINKS_PER_BOX * budget:
                return drawn
    raise AssertionError("one span always fits")


def _foldings(graph: Graph, budget: int, scopes: Sequence[Scope]) -> Iterator[tuple[Folding, int]]:
    """Foldings to try, each with the boxes that it may have: with modules at hand, fewer."""
    plain = Folding(list(range(len(graph))))
    few = min(budget, READABLE) if scopes else budget
    yield plain, few
    yield repeats(graph, plain, budget), few
    for depth in sorted({s.depth for s in scopes}, reverse=True):
        opened = {k for k, s in enumerate(scopes) if s.depth < depth}
        yield modules(graph, scopes, opened), few
    chained = chains(graph)
    if few < budget:
        yield plain, budget
    yield chained, budget
    if len(graph) - sum(len(run) - 1 for run in chained.members.values()) <= VAST:
        yield repeats(graph, chained, budget), budget
    yield spans(graph, budget), budget


def collapsed(graph: Graph, folding: Folding, budget: int, collapse: Collection[str]) -> Folding:
    """A folding with what was asked for by name on top."""
    if "views" in collapse:
        folding = without_views(graph, folding)
    if "repeats" in collapse and not folding.blocks:
        folding = repeats(graph, folding, budget)
    return folding


# --- foldings -------------------------------------------------------------------------------------


def modules(graph: Graph, scopes: Sequence[Scope], opened: Collection[int]) -> Folding:
    """Every call of a module is one box, but for those in `opened`, which become frames."""
    inner = list(range(len(graph)))
    boxes: dict[int, list[int]] = {}  # by the scope's number
    around: dict[int, int] = {}  # the innermost opened scope of what is not in a box
    stack: list[int] = []
    coming = 0
    for i in range(len(graph)):
        if not graph.ops[i]:
            continue
        while stack and scopes[stack[-1]].last < i:
            stack.pop()
        while coming < len(scopes) and scopes[coming].first <= i:
            if scopes[coming].last >= i:
                stack.append(coming)
            coming += 1
        closed = next((k for k in stack if k not in opened), None)
        if closed is not None:
            boxes.setdefault(closed, []).append(i)
        elif stack:
            around[i] = stack[-1]
    folding = Folding(inner)
    for k, run in boxes.items():
        key = run[-1]
        around[key] = next((a for a in _outward(scopes, k) if a in opened), -1)
        folding.members[key], folding.called[key] = run, scopes[k].title
        for i in run:
            inner[i] = key
    _leaves_inside(graph, folding, around)
    _frame(folding, scopes, opened, around)
    return folding


def _outward(scopes: Sequence[Scope], k: int) -> Iterator[int]:
    """The scopes around scope `k`, from the inside out."""
    depth = scopes[k].depth
    for j in range(k - 1, -1, -1):
        if scopes[j].depth < depth:
            depth = scopes[j].depth
            yield j


def _leaves_inside(graph: Graph, folding: Folding, around: dict[int, int]) -> None:
    """A leaf goes where all its users are: into their box, or into their frame."""
    users: dict[int, set[int]] = defaultdict(set)
    for i, parents in enumerate(graph.parents):
        for p in parents:
            if p is not None and not graph.ops[p]:
                users[p].add(folding.inner[i])
    for leaf, boxes in users.items():
        if len(boxes) == 1 and leaf not in graph.outputs:
            (box,) = boxes
            if box in folding.members:
                folding.inner[leaf] = box
                folding.members[box] = sorted((*folding.members[box], leaf))
            elif box in around:
                around[leaf] = around[box]


def _frame(
    folding: Folding, scopes: Sequence[Scope], opened: Collection[int], around: dict[int, int]
) -> None:
    numbers = {k: at for at, k in enumerate(sorted(opened))}
    for k in sorted(opened):
        outer = next((numbers[j] for j in _outward(scopes, k) if j in opened), None)
        keys = sorted(key for key, home in around.items() if home == k)
        folding.frames.append(Frame(scopes[k].title, keys, outer))


def chains(graph: Graph) -> Folding:
    """Runs in which each operation feeds only the next, and the next takes only it from the graph.

    A box is keyed by its last operation, so that keys stay in order.
    """
    ops, only = graph.ops, _only_users(graph)
    inner = list(range(len(graph)))
    members: dict[int, list[int]] = {}
    for i, parents in enumerate(graph.parents):
        sources = {p for p in parents if p is not None}
        source = sources.pop() if len(sources) == 1 else None
        if source is None or only[source] != i or not ops[source]:
            continue
        run = members.pop(source, None) or [source]
        run.append(i)
        members[i] = run
    for key, run in members.items():
        for i in run:
            inner[i] = key
    return Folding(inner, dict(members))


def without_views(graph: Graph, base: Folding) -> Folding:
    """Operations that only arrange numbers are not drawn: edges start where the numbers are from.

    Outputs are drawn whatever they are, and so is what stands in a box or in a block already.
    """
    inner, through = list(base.inner), dict(base.through)
    for i in range(len(graph)):
        sources = [p for p in graph.parents[i] if p is not None]
        kept = i in graph.outputs or i in base.members or i in base.copy or inner[i] != i
        if not kept and graph.arranges(i) and len(sources) == 1:
            through[i], inner[i] = sources[0], inner[sources[0]]
    frames = [Frame(f.title, [k for k in f.keys if k not in through], f.outer) for f in base.frames]
    return replace(base, inner=inner, through=through, frames=frames)


def _only_users(graph: Graph) -> list[int]:
    """For each record the one record that uses it: -1 for none, -2 for several or an output."""
    only = [-1] * len(graph)
    for i, parents in enumerate(graph.parents):
        for p in parents:
            if p is not None and only[p] != i:
                only[p] = i if only[p] == -1 else -2
    for i in graph.outputs:
        only[i] = -2
    return only


def repeats(graph: Graph, base: Folding, budget: int) -> Folding:
    """Blocks of operations that occur several times in a row, folded onto their first copy."""
    keys = [key for key in base.inner_keys() if graph.ops[key]]
    found = _tandems(_tokens(graph, base, keys), budget)
    folding = replace(base, fold={}, copy={}, blocks=[])
    for at, (start, period, times) in enumerate(sorted(found)):
        for j in range(period * times):
            key = keys[start + j]
            folding.copy[key] = (at, j // period)
            folding.fold[key] = keys[start + j % period]
        folding.blocks.append(Block(keys[start : start + period], times))
    _fold_leaves(graph, folding)
    folding.frames = _outside(folding)
    return folding


def _outside(folding: Folding) -> list[Frame]:
    """The frames that hold nothing of a block: the others would cross its own."""
    kept = [at for at, f in enumerate(folding.frames) if not any(k in folding.copy for k in f.keys)]
    place = {at: new for new, at in enumerate(kept)}
    found = [folding.frames[at] for at in kept]
    return [Frame(f.title, f.keys, None if f.outer is None else place.get(f.outer)) for f in found]


def _tokens(graph: Graph, base: Folding, keys: list[int]) -> Tokens:
    """A number for each box; equal where the boxes do the same with equal shapes."""
    seen: dict[object, int] = {}
    tokens = []
    for key in keys:
        run = base.members.get(key)
        what = graph.alike[key] if run is None else tuple([graph.alike[i] for i in run])
        tokens.append(seen.setdefault((what, key in graph.outputs), len(seen)))
    return np.array(tokens, dtype=np.min_scalar_type(len(seen)))


def _tandems(tokens: Tokens, budget: int) -> list[tuple[int, int, int]]:
    """(start, period, times) of stretches that repeat, the ones that hide most first.

    Only blocks of at most `budget` boxes are of use. Nothing is found where even the best could
    not bring the picture within it: `budget` stretches must hide all but `budget` boxes.
    """
    n = len(tokens)
    periods = range(1, min(n // 2, budget) + 1)
    if not any(_may_repeat(tokens, period, (n - budget) // budget) for period in periods):
        return []
    candidates: list[tuple[int, int, int, int]] = []
    for period in periods:
        starts, lengths = _runs(tokens[:-period] == tokens[period:])
        hides = lengths // period * period
        for i in np.argsort(-hides, kind="stable")[:64]:
            if hides[i]:
                times = int(lengths[i]) // period + 1
                candidates.append((-int(hides[i]), period, int(starts[i]), times))
    chosen: list[tuple[int, int, int]] = []
    taken = np.zeros(n, bool)
    for _, period, start, times in sorted(candidates):
        stretch = slice(start, start + period * times)
        if not taken[stretch].any():
            taken[stretch] = True
            chosen.append((start, period, times))
    return chosen


def _may_repeat(tokens: Tokens, period: int, least: int) -> bool:
    """Whether at least so many tokens in a row can equal those a period later: by a sample."""
    step = max(least // 8, 1)
    _, lengths = _runs(tokens[:-period:step] == tokens[period::step])
    return bool(lengths.max() >= min(least // step - 1, 7))


def _runs(same: np.ndarray[Any, Any]) -> tuple[Tokens, Tokens]:
    """Where runs of True start, and how long they are; some are empty."""
    breaks = np.concatenate(([-1], np.flatnonzero(~same), [len(same)]))
    return breaks[:-1] + 1, np.diff(breaks) - 1


def _fold_leaves(graph: Graph, folding: Folding) -> None:
    """Leaves that each copy of a block has of its own are folded onto those of the first copy."""
    home: dict[int, tuple[int, int] | None] = {}  # None: used outside a block, or by several copies
    uses: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for i, parents in enumerate(graph.parents):
        into = folding.inner[i]
        for place, q in enumerate(parents):
            p = None if q is None else folding.inner[q]
            if p is not None and p != into and not graph.ops[p]:
                here = folding.copy.get(into)
                if home.setdefault(p, here) != here or p in graph.outputs:
                    home[p] = None
                elif here is not None:
                    uses[p].append((folding.fold[into], place))
    alike: dict[object, list[tuple[int, int, int]]] = defaultdict(list)
    for leaf, where in home.items():
        if where is not None:
            alike[(where[0], graph.alike[leaf], *uses[leaf])].append((where[1], leaf, where[0]))
    for found in alike.values():
        block = folding.blocks[found[0][2]]
        if [copy for copy, _, _ in found] == list(range(block.times)):
            block.keys.append(found[0][1])
            for copy, leaf, at in found:
                folding.fold[leaf], folding.copy[leaf] = found[0][1], (at, copy)


def spans(graph: Graph, budget: int) -> Folding:
    """Consecutive nodes, so many to a box that boxes and links are few enough."""
    n = len(graph)
    pairs = [(p, i) for i, parents in enumerate(graph.parents) for p in parents if p is not None]
    ends = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    boxes = min(budget, SPANS)
    while True:
        width = -(-n // boxes)
        start, end = (ends // width).T
        links = np.unique(start[start != end] * (boxes + 1) + end[start != end])
        if boxes == 1 or len(links) <= LINKS_PER_BOX * boxes:
            break
        boxes //= 2
    inner = [min(i // width * width + width, n) - 1 for i in range(n)]
    members: dict[int, Sequence[int]] = {
        min(start + width, n) - 1: range(start, min(start + width, n))
        for start in range(0, n, width)
    }
    return Folding(inner, members if width > 1 else {})


# --- the picture ----------------------------------------------------------------------------------


def drawing_of(graph: Graph, folding: Folding) -> Picture:
    """What a folding shows."""
    boxes = folding.boxes()
    leaves = graph.ops.count("")
    uses = _uses(graph, folding)
    return Picture(
        records={key: graph.record(key) for key in boxes},
        operands={key: _operands(graph, folding, key) for key in boxes},
        uses={key: uses[key] for key in boxes},
        links=_links(graph, folding),
        members={
            key: (len(folding.members[key]), _listed(graph, folding.members[key]))
            for key in boxes
            if key in folding.members
        },
        blocks=[Block(sorted(b.keys), b.times) for b in folding.blocks],
        operations=len(graph) - leaves,
        leaves=leaves,
        nbytes=graph.nbytes,
        freed=graph.freed,
        frames=folding.frames,
        called={key: folding.called[key] for key in boxes if key in folding.called},
        runs={key: folding.members[key] for key in boxes if key in folding.members},
        arranged=_listed(graph, sorted(folding.through)),
    )


def _uses(graph: Graph, folding: Folding) -> Counter[int]:
    """How often each node is used; what only arranges it, and is not drawn, is no use."""
    through = folding.through
    if not through:
        return Counter(p for parents in graph.parents for p in parents if p is not None)
    drawn = (parents for i, parents in enumerate(graph.parents) if i not in through)
    return Counter(_drawn(folding, p)[0] for parents in drawn for p in parents if p is not None)


def _drawn(folding: Folding, p: int) -> tuple[int, list[int]]:
    """Where the numbers of a node are from, and by way of which nodes that are not drawn."""
    way = []
    while p in folding.through:
        way.append(p)
        p = folding.through[p]
    return p, way[::-1]


def _operands(graph: Graph, folding: Folding, key: int) -> list[int | None]:
    """The boxes that feed a box, in operand order; for a box of several operations, each once."""
    inside = folding.members.get(key)
    if inside is None:
        inner = [None if p is None else folding.inner[p] for p in graph.parents[key]]
        return [None if i is None else folding.fold.get(i, i) for i in inner]
    sources = (folding.inner[p] for i in inside for p in graph.parents[i] if p is not None)
    return list(dict.fromkeys(folding.fold.get(s, s) for s in sources if s != key))


def _links(graph: Graph, folding: Folding) -> list[Link]:
    """The edges between boxes, each once: copies of a block have the same ones."""
    inner, fold, copy = folding.inner, folding.fold, folding.copy
    links: dict[tuple[int, int, bool, int], Link] = {}
    for i, parents in enumerate(graph.parents):
        into = inner[i]
        target, there, many = fold.get(into, into), copy.get(into), into in folding.members
        for place, p in enumerate(parents):
            if p is None or inner[p] == into:
                continue
            here = copy.get(inner[p])
            loop = here is not None and there is not None and here[0] == there[0] and here != there
            key = (fold.get(inner[p], inner[p]), target, loop, -1 if many else place)
            if key not in links:
                links[key] = Link(*key[:2], [] if many else [place], (), None, loop)
                links[key].through = tuple(graph.ops[j] for j in _drawn(folding, p)[1])
                if not many:
                    _measure(links[key], graph, i, place)
    return _merged(links)


def _measure(link: Link, graph: Graph, i: int, place: int) -> None:
    record = graph.record(i)
    link.sums = record.sums[place] if record.sums else ()
    link.slope = record.slopes[place] if record.slopes and not link.loop else None


def _merged(links: dict[tuple[int, int, bool, int], Link]) -> list[Link]:
    """Many edges between the same two boxes made into one."""
    between = Counter(key[:3] for key in links)
    merged: dict[object, Link] = {}
    for key, link in links.items():
        into = merged.setdefault(key[:3] if between[key[:3]] > PARALLEL else key, link)
        if into is not link:
            into.places += link.places
            into.count += 1
            into.slope = None
    return list(merged.values())


def _listed(graph: Graph, members: Sequence[int]) -> str:
    """What a box of several operations holds: `mul ×3, add ×2, 4 leaves`."""
    ops = Counter(graph.ops[i] for i in members)
    ends = [graph.outputs[i] for i in members[:-1] if i in graph.outputs]
    leaves = ops.pop("", 0)
    parts = [name if n == 1 else f"{name} ×{n:,}" for name, n in ops.most_common(4)]
    rest = len(ops) - 4
    parts += [f"{rest} other operation{'s' if rest > 1 else ''}"] if rest > 0 else []
    parts += [f"{leaves:,} leaves" if leaves > 1 else "1 leaf"] if leaves else []
    parts += [ends[0] if len(ends) == 1 else f"{len(ends):,} outputs"] if ends else []
    return ", ".join(parts)
