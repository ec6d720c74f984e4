"""`gradcheck`: are the backward rules the derivatives of the forward?

The gradient of Σ c · f(x), with random numbers c, is compared with differences of f in float64.
Differences are taken from both sides, so that a kink is seen as one: there any value between the
slopes passes, and coordinates that are tied must share the gradient so that it sums rightly.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from tinygrad_course.errors import DtypeError, GradientError
from tinygrad_course.graph import Value

from . import diagnosis
from .differences import Differences, Slopes, flat, spread
from .problem import Array, GradientOf, Problem, Slot, name_of
from .rounding import apart, excused, noise

RTOL = {8: 1e-6, 4: 2e-3, 2: 3e-2}  # by the size of a number in bytes
ATOL = {8: 1e-8, 4: 1e-5, 2: 3e-3}  # times the largest slope


class GradientMismatch(AssertionError):
    """A backward rule that is not the derivative of its forward; the text says where and why."""


@dataclass
class Report:
    """What a check that passed has seen; true.

    Args:
        name: the function.
        compared: how many coordinates and directions were compared.
        judged: how many of them lie at a kink, where any value between the slopes passes.
        error: the course's relative error ‖a − n‖ / (‖a‖ + ‖n‖) of the coordinates off the kinks,
            with a as the same rule gives it in float64 where only rounding makes it another.
        second: the same for the gradient of the gradient, with order=2.
    """

    name: str
    compared: int
    judged: int
    error: float
    second: Report | None = None

    def __bool__(self) -> bool:
        return True


@dataclass
class Options:
    """The arguments of `gradcheck` that are numbers."""

    eps: float | None
    rtol: float | None
    atol: float | None
    exhaustive: int
    projections: int
    max_judged: float
    seed: int


def gradcheck(
    fn: Callable[..., Any],
    inputs: Any = (),
    *,
    order: int = 1,
    eps: float | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    exhaustive: int = 64,
    projections: int = 4,
    max_judged: float = 0.5,
    seed: int = 0,
    name: str | None = None,
) -> Report:
    """Check the gradients of a function, a module or a `Function` against differences.

    (f(x + h e) − f(x)) / h and (f(x) − f(x − h e)) / h, weighted by random c, must have
    the gradient of Σ c · f between them, up to rounding. What a rule in float32 adds by rounding is
    known from the same rule in float64 (see `rounding`).

    On the way: gradients have their input's shape and dtype, inputs stay untouched, the gradient
    is linear in c, two runs give the same, and so does a strided copy of the inputs.

    Args:
        fn: takes and returns Tensors or Scalars, one or several. A module's parameters are
            checked too.
        inputs: one value or a sequence; those that require grad are differentiated. Where fn
            accepts them, differences are taken in float64, whatever the inputs' dtype.
        order: 2 checks the gradient of the gradient as well.
        eps: the step for numbers of size 1, rounded to a power of two; from the dtype by default.
        rtol, atol: tolerances; from the dtype by default, atol in parts of the largest slope.
        exhaustive: up to this many numbers each one is moved; of more, a sample of this many, and
            `projections` random directions that move all.
        max_judged: the largest share of coordinates that may lie at kinks.
        seed: of the random numbers.
        name: what to call the function in a report.

    Raises:
        GradientMismatch: a gradient that is wrong, or too many coordinates at kinks.
        GradientError: no input requires grad, or fn is not finite there.

    >>> import tinygrad_course as tc
    >>> x = tc.tensor([[1.0, -2.0]], dtype=tc.float64, requires_grad=True)
    >>> report = gradcheck(tc.relu, x)
    >>> report.compared, report.judged
    (2, 0)
    """
    if order not in (1, 2):
        raise GradientError(f"gradcheck: order is 1 or 2, got {order!r}")
    inputs = [inputs] if isinstance(inputs, Value) else list(inputs)
    options = Options(eps, rtol, atol, exhaustive, projections, max_judged, seed)
    restore = _remember_buffers(fn)
    try:
        check = _Check(Problem(fn, inputs), options, name or name_of(fn), inputs)
        report = check.run()
        if order == 2:
            report.second = _second(check, inputs, options)
    finally:
        restore()
    return report


def _second(check: _Check, inputs: Sequence[Any], options: Options) -> Report:
    """The check of the gradient as a function of the inputs and the cotangents."""
    weights = check.tracked_cotangents()
    fn = GradientOf(check.problem, len(weights))
    problem = Problem(fn, [*inputs, *weights])
    second = _Check(problem, options, f"{check.name}, second order", inputs)
    # a gradient may be a small difference of numbers as large as the values: 1 - tanh(x)²
    values = check.difference.at
    second.difference.inner = float(np.abs(values[np.isfinite(values)]).max(initial=0.0))
    return second.run()


def _remember_buffers(fn: Any) -> Callable[[], None]:
    """Running statistics and the like are put back after the check."""
    named = getattr(fn, "named_buffers", None)
    kept = [(b, b.numpy().copy()) for _, b in named() if b is not None] if named else []

    def restore() -> None:
        for buffer, array in kept:
            buffer.data = array

    return restore


class _Check:
    """One function at one point: gradients, slopes, and their comparison."""

    def __init__(
        self, problem: Problem, options: Options, name: str, inputs: Sequence[Any]
    ) -> None:
        self.problem = problem
        self.options = options
        self.name = name
        self.inputs = inputs
        self.rng = np.random.default_rng(options.seed)
        self.difference = self._differences()
        self.eps = max(float(np.finfo(problem.dtype).eps), self.difference.rounding)
        size = problem.dtype.itemsize
        self.rtol = RTOL[size] if options.rtol is None else options.rtol
        if self.difference.dtype.itemsize < 8 and options.rtol is None:
            self.rtol = 10 * self.difference.rounding ** (2 / 3)
        self.atol = ATOL[size]
        self.shared = 0  # coordinates at kinks that only moving several together shows

    def _differences(self) -> Differences:
        """Differences in float64 if the function computes in it, else in its own precision."""
        problem, eps = self.problem, self.options.eps
        found = None
        try:
            found = Differences(problem.values, problem.arrays, np.float64, eps)
            lowest = min((p.dtype.itemsize for p in found.parts), default=8)
        except (DtypeError, TypeError):
            lowest = problem.dtype.itemsize
        if found is None or lowest < 8:
            found = Differences(problem.values, problem.arrays, f"f{lowest}", eps)
        if np.isnan(found.at).any():
            raise GradientError(f"gradcheck: {self.name} is not a number at these inputs")
        return found

    def run(self) -> Report:
        """Every comparison; raises at the first that fails."""
        cotangent = self._cotangent()
        gradients = self._gradients(cotangent)
        slopes, coordinates = self._coordinates()
        judged = slopes.kink | slopes.lost
        self._compare(gradients, slopes, coordinates, cotangent)
        self._ties(gradients, coordinates[judged], cotangent)
        directions, kinky = self._project(gradients, cotangent, len(coordinates))
        compared = len(coordinates) + directions
        count = min(int(judged.sum()) + kinky + self.shared, compared)  # one may be both
        if compared and count > self.options.max_judged * compared:
            self._fail(
                f"{self.name} is not verified: {count} of {compared} coordinates lie at kinks, "
                "where many gradients would pass",
                ["choose inputs away from the kinks, or pass max_judged=1.0 if this is the point"],
            )
        error = diagnosis.relative_error(
            gradients[coordinates][~judged], (cotangent @ slopes.middle)[~judged]
        )
        return Report(self.name, compared, count, error)

    # --- cotangents and gradients ---

    def _cotangent(self) -> Array:
        """Random weights of the results; 0 for results that are infinite."""
        at = self.difference.at
        return np.where(np.isfinite(at), spread(self.rng, at.size), 0.0)

    def _shaped(self, cotangent: Array) -> list[Array]:
        parts, start = [], 0
        for like in self.difference.parts:
            parts.append(cotangent[start : start + like.size].reshape(like.shape))
            start += like.size
        return parts

    def tracked_cotangents(self) -> list[Any]:
        """The weights as leaves, for the second order."""
        leaves = self.problem.leaves()
        results = self.problem.run(leaves)
        return [
            _leaf_like(r, c) for r, c in zip(results, self._shaped(self._cotangent()), strict=True)
        ]

    def _gradients(self, cotangent: Array) -> Array:
        """The gradient of all slots as one vector, with everything that is checked on the way."""
        problem = self.problem
        leaves = problem.leaves()
        results = problem.run(leaves)
        first = self._pull(results, leaves, cotangent)
        again = problem.leaves()
        repeated = self._pull(problem.run(again), again, cotangent)
        self._untouched()
        if not np.array_equal(first, repeated, equal_nan=True):
            self._fail_at(first, repeated, "differs between two runs", "first run", "second run")
        self._linear(results, leaves, cotangent)
        strided = problem.leaves(_strided)
        other_layout = self._pull(problem.run(strided), strided, cotangent)
        self._near(other_layout, first, "depends on the layout of the inputs in memory",
                   "strided inputs", "as given")  # fmt: skip
        return self._without_rounding(first, cotangent)

    def _linear(self, results: Sequence[Any], leaves: Sequence[Any], cotangent: Array) -> None:
        """The gradient is linear in what arrives."""
        other = self._cotangent()
        both, one, two = (
            self._pull(results, leaves, c) for c in (cotangent + 2 * other, cotangent, other)
        )
        self._near(both, one + 2 * two, "is not linear in the gradient that arrives",
                   "rule at c + 2d", "c and d apart")  # fmt: skip

    def _without_rounding(self, gradients: Array, cotangent: Array) -> Array:
        """The gradient of the same rule in float64, wherever only rounding makes it another."""
        if self.problem.dtype.itemsize == 8 or self.difference.dtype.itemsize < 8:
            return gradients
        parts = self._shaped(cotangent)
        try:
            exact = flat(self.problem.gradient(self.problem.arrays, parts, np.float64))
        except Exception:  # a rule for one precision, whatever it says of another
            return gradients
        error, size = apart(gradients, exact), float(np.abs(cotangent).max(initial=0.0))
        rounded = np.abs(error) <= 8 * self.eps * size  # as a number of size 1 in the rule may be
        if not rounded.all():
            rounded |= excused(error, self._noise(), np.abs(exact) + size, self.eps)
        return np.where(rounded, exact, gradients)

    def _noise(self) -> Array:
        """What rounding adds to the gradient, in units of eps; in the highest precision there is.

        So nothing that is wrong in a lower one alone is taken for rounding.
        """
        rng, problem = np.random.default_rng(self.options.seed), self.problem
        cotangent = spread(rng, self.difference.at.size) * np.isfinite(self.difference.at)
        directions = [spread(rng, a.size).reshape(a.shape) for a in problem.arrays]
        twist = spread(rng, cotangent.size)
        for dtype in (self.difference.dtype, problem.dtype):

            def along(h: float, dtype: Any = dtype) -> Array:
                pairs = zip(problem.arrays, directions, strict=True)
                arrays = [a * (1 + h * d) for a, d in pairs]
                parts = self._shaped(cotangent * (1 + h * twist))
                return flat(problem.gradient(arrays, parts, dtype))

            try:
                return noise(along, float(np.finfo(dtype).eps))
            except Exception:  # a rule for one precision, or no numbers but such as add up to 1
                continue
        return np.zeros(self.difference.x.size)

    def _pull(self, results: Sequence[Any], leaves: Sequence[Any], cotangent: Array) -> Array:
        try:
            grads = self.problem.pull(results, leaves, self._shaped(cotangent))
        except (GradientError, ValueError, TypeError, IndexError) as error:
            guess = diagnosis.guess_from(str(error))
            self._fail(f"the backward pass of {self.name} fails: {error}", guess, error)
        arrays = []
        for slot, g in zip(self.problem.slots, grads, strict=True):
            if g is None:
                arrays.append(np.zeros(slot.array.shape))
                continue
            array = np.asarray(g if isinstance(g, float) else _raw(g))
            self._check_kind(slot, array)
            arrays.append(array)
        return flat(arrays)

    def _check_kind(self, slot: Slot, array: Array) -> None:
        want = slot.array
        if array.shape != want.shape:
            self._fail(
                f"the gradient of {self.name} has shape {array.shape} for {slot.name} of shape "
                f"{want.shape}",
                [f"guess: {diagnosis.shape_guess(array.shape, want.shape)}"],
            )
        if array.dtype != want.dtype and not slot.is_scalar:
            self._fail(
                f"the gradient of {self.name} has dtype {array.dtype} for {slot.name} of dtype "
                f"{want.dtype}",
                ["guess: a constant of another dtype in the rule"],
            )

    def _untouched(self) -> None:
        for slot, before in zip(self.problem.slots, self.problem.arrays, strict=True):
            if not np.array_equal(slot.array, before, equal_nan=True):
                self._fail(
                    f"{self.name} wrote into {slot.name}",
                    [f"before: {before.tolist()}", f"after:  {slot.array.tolist()}"],
                )

    def _near(self, a: Array, b: Array, what: str, *labels: str) -> None:
        """Equal up to rounding."""
        size = max(float(np.abs(b[np.isfinite(b)]).max(initial=0.0)), 1.0)
        same = np.isclose(a, b, rtol=256 * self.eps, atol=256 * self.eps * size)
        same |= ~np.isfinite(a) & ~np.isfinite(b)
        if not same.all():
            same |= excused(apart(a, b), self._noise(), size, self.eps)
        if not same.all():
            self._fail_at(a, b, what, *labels)

    # --- comparisons ---

    def _coordinates(self) -> tuple[Slopes, Array]:
        """Slopes along every coordinate, or along a sample of them that no slot is left out of."""
        size, most = self.difference.x.size, self.options.exhaustive
        chosen = np.arange(size)
        if size > most:
            share = max(most // len(self.problem.slots), 1)
            starts = np.cumsum([0, *(a.size for a in self.problem.arrays)])
            chosen = np.concatenate([
                np.sort(self.rng.choice(np.arange(a, b), min(share, b - a), replace=False))
                for a, b in itertools.pairwise(starts)
            ])  # fmt: skip
        return self.difference.along_axes(chosen), chosen

    def _tolerance(self, a: Array, scale: Array) -> Array:
        size = np.maximum(np.abs(a), scale)
        if self.options.atol is not None:
            return self.options.atol + self.rtol * size
        return self.rtol * size + self.atol * float(scale.max(initial=0.0))

    def _compare(
        self, gradients: Array, slopes: Slopes, coordinates: Array, cotangent: Array
    ) -> None:
        a = gradients[coordinates]
        low, high, scale = slopes.weighted(cotangent)
        excess = np.maximum(low - a, a - high) - self._tolerance(a, scale)
        wrong = ~(excess <= 0) & ~slopes.lost
        # a small disagreement may be rounding inside the function; look again
        small = wrong & (excess < max(1e-2, 10 * self.rtol) * scale.max(initial=0.0))
        if small.any():
            wrong[small] = self._still_wrong(a[small], coordinates[small], cotangent)
        if wrong.any():
            fair = self._shared_fairly(gradients, coordinates[wrong], cotangent)
            self.shared += int(fair.sum())
            wrong[wrong] = ~fair
        if not wrong.any():
            return
        worst = int(np.nanargmax(np.where(wrong, np.nan_to_num(excess, nan=np.inf), -np.inf)))
        numeric = cotangent @ slopes.middle
        found = diagnosis.Finding(
            self.problem.slots, coordinates, a, numeric, wrong, worst,
            slopes.left * cotangent[:, None], slopes.right * cotangent[:, None],
            self.difference.parts,
        )  # fmt: skip
        self._fail(
            f"the gradient of {self.name} is wrong at {found.place()}",
            [*found.lines(), "", f"guess: {found.guess()}", "", *self._counts(slopes, wrong)],
        )

    def _still_wrong(self, a: Array, coordinates: Array, cotangent: Array) -> Array:
        """Which of these disagree with differences by more than those vary with the step.

        Rounding inside the function, where large numbers cancel, does not show in its results.
        """
        looks = [self.difference.along_axes(coordinates, s) for s in (0.5, 1.0, 4.0, 16.0, 64.0)]
        middles = np.stack([cotangent @ look.middle for look in looks])
        bounds = [look.weighted(cotangent) for look in looks]
        margin = 2 * (middles.max(0) - middles.min(0)) + self._tolerance(a, bounds[1][2])
        low = np.min([b[0] for b in bounds], axis=0) - margin
        high = np.max([b[1] for b in bounds], axis=0) + margin
        return np.asarray(~((low <= a) & (a <= high)))

    def _shared_fairly(self, gradients: Array, places: Array, cotangent: Array) -> Array:
        """Which of these places lie at a kink that no move along one axis shows.

        The median of 0, 0, 0 stays when one of them moves, and follows when all do: the gradient
        of what they do together may be shared among them in any way that adds up.
        """
        x = self.difference.x
        fair = np.zeros(places.size, bool)
        for value in np.unique(x[places]):
            group = np.flatnonzero(x == value)
            if 1 < group.size <= self.options.exhaustive:
                fair[x[places] == value] = self._is_fair(gradients[group], group, cotangent)
        return fair

    def _is_fair(self, a: Array, group: Array, cotangent: Array) -> bool:
        direction = np.zeros_like(self.difference.x)
        direction[group] = 1.0
        together, alone = self.difference.along(direction), self.difference.along_axes(group)
        if together.kink.any() or together.lost.any():
            return False
        both = together.middle[:, 0]
        extra = both - alone.middle.sum(1)
        noise = together.noise[:, 0] + alone.noise.sum(1)
        extra[np.abs(extra) <= noise + 1e-3 * np.abs(both)] = 0.0
        if not extra.any():
            return False  # the slopes add up, so this is no kink
        low, high, _ = alone.weighted(cotangent)
        shares = cotangent * extra
        slack = float(np.abs(cotangent) @ (self.rtol * np.abs(both) + noise))
        within = (a >= low + np.minimum(shares, 0.0).sum() - slack).all()
        within &= (a <= high + np.maximum(shares, 0.0).sum() + slack).all()
        sums = alone.kink.any() or abs(a.sum() - float(cotangent @ both)) <= slack * group.size
        return bool(within and sums)

    def _counts(self, slopes: Slopes, wrong: Array) -> list[str]:
        judged = int((slopes.kink | slopes.lost).sum())
        return [f"{wrong.sum()} of {wrong.size} compared coordinates are wrong, {judged} at kinks"]

    def _ties(self, gradients: Array, judged: Array, cotangent: Array) -> None:
        """Tied coordinates that move together: where that is smooth, their gradients must sum."""
        x = self.difference.x
        for size in np.unique(np.abs(x[judged]))[:8]:
            for group in (x == size, x == -size, np.abs(x) == size):
                if group.sum() < 2:
                    continue
                direction = np.where(group, np.where(x < 0, -1.0, 1.0), 0.0)
                slopes = self.difference.along(direction)
                if slopes.kink.any() or slopes.lost.any():
                    continue
                low, high, scale = (v[0] for v in slopes.weighted(cotangent))
                a = float(gradients @ direction)
                most = np.abs(gradients[group]).sum()
                if not low - self.rtol * most <= a <= high + self.rtol * max(most, scale):
                    self._fail_ties(group, a, (low + high) / 2)

    def _fail_ties(self, group: Array, a: float, n: float) -> None:
        places = [diagnosis.place(self.problem.slots, int(i)) for i in np.flatnonzero(group)[:6]]
        self._fail(
            f"the gradients of {self.name} at tied values do not sum rightly",
            [
                "tied: " + ", ".join(places),
                f"analytic sum (backward rules)      {a:.12g}",
                f"numeric sum (all moved together)   {n:.12g}",
                "",
                f"guess: {diagnosis.tie_guess(a, n)}",
            ],
        )

    def _project(self, gradients: Array, cotangent: Array, seen: int) -> tuple[int, int]:
        """Random directions that move every coordinate, if there are too many to move each."""
        x = self.difference.x
        if x.size <= seen:
            return 0, 0
        _, inverse, counts = np.unique(np.abs(x), return_inverse=True, return_counts=True)
        plain = (counts[inverse] == 1) & (x != 0)
        kinky = 0
        for _ in range(self.options.projections):
            direction = spread(self.rng, x.size)
            slopes = self.difference.along(direction)
            if slopes.kink.any():  # leave out zeros and ties: they are where kinks are
                direction = direction * plain
                slopes = self.difference.along(direction)
            if slopes.kink.any() or slopes.lost.any():
                kinky += 1
            elif not self._agrees(gradients, direction, slopes, cotangent):
                self._bisect(gradients, direction, cotangent)
        return self.options.projections, kinky

    def _agrees(self, gradients: Array, direction: Array, slopes: Slopes, cotangent: Array) -> bool:
        low, high, _ = slopes.weighted(cotangent)
        terms = gradients * direction
        tolerance = self.rtol * float(np.linalg.norm(terms)) + (self.options.atol or 0.0)
        return bool(low[0] - tolerance <= terms.sum() <= high[0] + tolerance)

    def _bisect(self, gradients: Array, direction: Array, cotangent: Array) -> None:
        """Halve a direction that disagrees until one coordinate is left, and report that."""
        places = np.flatnonzero(direction)
        while places.size > 1:
            errors = []
            halves = np.array_split(places, 2)
            for half in halves:
                part = np.zeros_like(direction)
                part[half] = direction[half]
                low, high, _ = self.difference.along(part).weighted(cotangent)
                a = float(gradients @ part)
                errors.append(max(low[0] - a, a - high[0]))
            places = halves[int(np.argmax(errors))]
        self._compare(gradients, self.difference.along_axes(places), places, cotangent)
        self._fail(f"the gradient of {self.name} disagrees with differences along a direction", [])

    # --- failures ---

    def _fail_at(self, a: Array, b: Array, what: str, left: str, right: str) -> None:
        worst = int(np.argmax(np.nan_to_num(np.abs(a - b), nan=np.inf)))
        width = max(len(left), len(right)) + 2
        self._fail(
            f"the gradient of {self.name} {what}",
            [
                f"at {diagnosis.place(self.problem.slots, worst)}",
                f"{left:<{width}}{a[worst]:.12g}",
                f"{right:<{width}}{b[worst]:.12g}",
            ],
        )

    def _fail(
        self, headline: str, lines: Sequence[str], cause: Exception | None = None
    ) -> NoReturn:
        body = [*lines, "", "to reproduce:", *diagnosis.snippet(self.name, self.inputs)]
        raise GradientMismatch(
            headline + "\n\n" + "\n".join(f"  {s}".rstrip() for s in body) + "\n"
        ) from cause


def _raw(g: Any) -> Any:
    data = g.detach()
    return data.numpy() if hasattr(data, "numpy") else data.data


def _leaf_like(result: Any, cotangent: Array) -> Any:
    if hasattr(result, "numpy"):
        return type(result)(cotangent, dtype=result.dtype, requires_grad=True)
    return type(result)(float(cotangent))


def _strided(array: Array) -> Array:
    """The same numbers with gaps between them, in another order in memory."""
    if array.ndim == 0:
        return array.copy()
    room = np.zeros([2 * n for n in reversed(array.shape)], array.dtype).T
    out = room[tuple(slice(None, None, 2) for _ in array.shape)]
    out[...] = array
    return out
