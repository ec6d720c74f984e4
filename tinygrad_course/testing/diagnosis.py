"""What a failed check says: where, how much, a snippet to paste, and a guess at the cause."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_course.graph import Value
from tinygrad_course.scalar import Scalar
from tinygrad_course.tensor import Tensor

from .problem import Array, Slot

COURSE = 1e-7  # "great", in the course's scale of relative errors


def relative_error(a: Any, n: Any) -> float:
    """The course's relative error ‖a − n‖ / (‖a‖ + ‖n‖); 0 if both are 0."""
    total = float(np.linalg.norm(a) + np.linalg.norm(n))
    return float(np.linalg.norm(np.subtract(a, n))) / total if total else 0.0


def place(slots: Sequence[Slot], i: int) -> str:
    """A coordinate of the flat vector in words."""
    for slot in slots:
        if i < slot.array.size:
            where = tuple(int(k) for k in np.unravel_index(i, slot.array.shape))
            value = float(slot.array[where])
            at = f"[{', '.join(map(str, where))}]" if where else ""
            return f"{slot.name}{at} = {value:.12g}"
        i -= slot.array.size
    raise IndexError(i)


@dataclass
class Finding:
    """Gradients that lie outside the slopes.

    Args:
        slots: the differentiated values.
        coordinates: the compared places in the flat vector of all their numbers.
        a, n: analytic and numeric gradient there.
        wrong: which of them disagree; `worst`: the one that disagrees most.
        left, right: the contribution of each result (row) to the slopes at each place (column).
        results: the function's results.
    """

    slots: Sequence[Slot]
    coordinates: Array
    a: Array
    n: Array
    wrong: Array
    worst: int
    left: Array
    right: Array
    results: Sequence[Array]

    def place(self) -> str:
        """The worst coordinate in words."""
        return place(self.slots, int(self.coordinates[self.worst]))

    def lines(self) -> list[str]:
        """The numbers at the worst coordinate."""
        i = self.worst
        a, n = float(self.a[i]), float(self.n[i])
        error = relative_error([a], [n])
        return [
            f"analytic (backward rule)       {a:.12g}",
            f"numeric (central difference)   {n:.12g}",
            f"slope from the left            {self.left[:, i].sum():.12g}",
            f"slope from the right           {self.right[:, i].sum():.12g}",
            f"relative error |a - n| / (|a| + |n|) = {error:.3g}   (the course: below {COURSE:g})",
        ]

    def guess(self) -> str:
        """A likely cause."""
        for a, n, x, slot in self._slots():
            for cause in (
                self._constant(a, n), self._partial(), self._moved(a, n), self._branch(a, n, x),
                self._factor_everywhere(a, n),
            ):  # fmt: skip
                if cause:
                    return cause + (f" ({slot.name})" if len(self.slots) > 1 else "")
        return "none; compare the rule with the formula by hand"

    def _slots(self) -> Iterator[tuple[Array, Array, Array, Slot]]:
        """(analytic, numeric, value, slot) of the slots that are wrong, in their shape if whole."""
        start = 0
        for slot in self.slots:
            here = (self.coordinates >= start) & (self.coordinates < start + slot.array.size)
            x = slot.array.reshape(-1)[self.coordinates[here] - start].astype(np.float64)
            start += slot.array.size
            if self.wrong[here].any():
                parts = [self.a[here], self.n[here], x]
                if here.sum() == slot.array.size:
                    parts = [p.reshape(slot.array.shape) for p in parts]
                yield (*parts, slot)

    def _constant(self, a: Array, n: Array) -> str:
        """One factor between all of them?"""
        if not a.any():
            return "no gradient arrives: a value detached, or computed outside the graph"
        if np.isnan(a).any():
            return "the rule gives nan: 0 / 0 or inf - inf?"
        r = _ratio(a, n)
        return "" if r is None else self._factor(r, n)

    def _factor_everywhere(self, a: Array, n: Array) -> str:
        r = _ratio(a, n)
        return "" if r is None else f"a factor {r:.6g} everywhere"

    def _factor(self, r: float, n: Array) -> str:
        known = {-1.0: "the sign", 2.0: "factor 2: a contribution is counted twice",
                 0.5: "factor 1/2: one of two contributions is missing"}  # fmt: skip
        causes = [cause for value, cause in known.items() if abs(r / value - 1) < 1e-3]
        sizes = {int(v) for s in (n.shape, *(p.shape for p in self.results)) for v in s}
        sizes |= {n.size, *(p.size for p in self.results)}
        for size in sorted(sizes - {0, 1}):
            if abs(r / size - 1) < 1e-3:
                causes.append(f"factor {size}, a size: a mean whose rule is that of a sum")
            if abs(r * size - 1) < 1e-3:
                causes.append(f"factor 1/{size}, a size: a sum whose rule is that of a mean")
        return "; or ".join(causes)

    def _moved(self, a: Array, n: Array) -> str:
        """The right numbers in other places?"""
        for order in itertools.permutations(range(a.ndim)) if 1 < a.ndim < 5 else ():
            turned = a.transpose(order)
            if turned.shape == n.shape and _close(turned, n):
                return "transposed"
        for axis in range(a.ndim):
            if _close(np.flip(a, axis), n):
                return f"reversed along axis {axis}"
            for k in range(1, min(a.shape[axis], 5)):
                for way in (k, -k):
                    if _close(np.roll(a, way, axis), n):
                        return f"shifted by {k} along axis {axis}: off by one?"
        if _close(np.sort(a, axis=None), np.sort(n, axis=None)):
            return "the right numbers in the wrong places"
        return ""

    def _branch(self, a: Array, n: Array, x: Array) -> str:
        """Wrong on one side of some value only?"""
        bad = ~np.isclose(a, n, rtol=1e-3)
        if bad.all() or not bad.any():
            return ""
        if x[bad].min() > x[~bad].max():
            return f"wrong only from {x[bad].min():g} on, right up to {x[~bad].max():g}: a branch?"
        if x[bad].max() < x[~bad].min():
            return f"wrong only up to {x[bad].max():g}, right from {x[~bad].min():g} on: a branch?"
        return ""

    def _partial(self) -> str:
        """Only one of several contributions?"""
        i = self.worst
        parts = (self.left[:, i] + self.right[:, i]) / 2
        parts = parts[np.abs(parts) > 1e-9 * np.abs(parts).max(initial=0.0)]
        if parts.size > 1:
            if np.isclose(self.a[i], parts[-1], rtol=1e-3):
                return "only the last of several contributions arrives: = in place of +=?"
            if np.isclose(self.a[i], parts, rtol=1e-3).any():
                return "only one of several contributions arrives: a missing sum?"
        return ""


def _ratio(a: Array, n: Array) -> float | None:
    """The factor between two gradients, if there is one and it is not 1."""
    big = np.abs(n) > 1e-6 * np.abs(n).max(initial=0.0)
    if not big.any() or np.isnan(a).any():
        return None
    r = float(a[big].flat[0] / n[big].flat[0])
    return r if _close(a, r * n) and abs(r - 1) >= 1e-3 else None


def _close(a: Array, n: Array) -> bool:
    return bool(np.allclose(a, n, rtol=1e-3, atol=1e-6 * float(np.abs(n).max(initial=0.0))))


def shape_guess(got: tuple[int, ...], want: tuple[int, ...]) -> str:
    """Why a gradient has another shape."""
    lead = len(got) - len(want)
    if lead >= 0:
        axes = [*range(lead), *(i + lead for i, n in enumerate(want) if n == 1 != got[i + lead])]
        kept = [n for i, n in enumerate(got) if i >= lead and i not in axes]
        if axes and kept == [n for i, n in enumerate(want) if i + lead not in axes]:
            return (
                f"broadcasting is not undone: a missing sum over axis {', '.join(map(str, axes))}"
            )
    if sorted(got) == sorted(want):
        return "transposed"
    if int(np.prod(got)) == int(np.prod(want)):
        return "a missing reshape to the input's shape"
    return "a shape from another step of the rule"


def guess_from(message: str) -> list[str]:
    """A guess from an error that names the gradient's shape and the argument's."""
    shapes = [ast.literal_eval(s) for s in re.findall(r"shape (\([\d, ]*\))", message)]
    return [f"guess: {shape_guess(shapes[0], shapes[1])}"] if len(shapes) == 2 else []


def tie_guess(a: float, n: float) -> str:
    """Why tied gradients do not sum."""
    if abs(a) < 1e-9 * abs(n):
        return "no tied element gets the gradient"
    ratio = a / n if n else 0.0
    if ratio > 1.5 and abs(ratio - round(ratio)) < 1e-3:
        return f"each of {round(ratio)} tied elements gets the whole gradient"
    return "the shares of tied elements must be non-negative and add up to the gradient"


# --- snippets -------------------------------------------------------------------------------------


def snippet(name: str, inputs: Sequence[Any]) -> list[str]:
    """Lines of Python that make the inputs again and repeat the check."""
    lines = ["import tinygrad_course as tc", "from tinygrad_course.testing import gradcheck", ""]
    lines += [f"x{i} = {literal(x)}" for i, x in enumerate(inputs)]
    names = ", ".join(f"x{i}" for i in range(len(inputs)))
    return [*(f"  {s}" for s in lines), f"  gradcheck(fn, [{names}])  # fn: {name}"]


def call(name: str, inputs: Sequence[Any], keywords: dict[str, Any]) -> str:
    """The call of a function with these arguments, as Python."""
    given = [*map(literal, inputs), *(f"{k}={literal(v)}" for k, v in keywords.items())]
    return f"{name}({', '.join(given)})"


def literal(x: Any) -> str:
    """Python that makes this value again."""
    if isinstance(x, Scalar):
        return f"tc.Scalar({x.data!r}, requires_grad={x.requires_grad})"
    if not isinstance(x, (Tensor, np.ndarray)):
        return repr(x)
    array = x.detach().numpy() if isinstance(x, Value) else x
    numbers = str(array.tolist()).replace("inf", "float('inf')").replace("nan", "float('nan')")
    if array.size == 0:
        numbers = f"tc.zeros({array.shape})"
    elif array.size > 200:
        numbers = f"tc.randn({array.shape})"
    wanted = ", requires_grad=True" if isinstance(x, Value) and x.requires_grad else ""
    made = f"tc.tensor({numbers}, dtype=tc.{array.dtype}{wanted})"
    return made + (f"  # of {array.size} numbers" if array.size > 200 else "")
