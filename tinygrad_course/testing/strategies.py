"""Hypothesis strategies for Tensors: shapes, layouts, and numbers that shrink away from kinks.

Shrinking usually ends at 0, at equal elements and at size 1: where relu, abs and max have kinks,
so that a false alarm there hides a real bug elsewhere. Numbers drawn here are distinct, not zero,
exact in every floating dtype, and shrink to 1, 2, 3, ...; zeros and ties are a domain of their own.

>>> from hypothesis import given
>>> from tinygrad_course.testing import gradcheck, strategies as ts
>>> @given(ts.broadcasting(2))
... def test_product(xs):
...     gradcheck(lambda x, y: x * y, xs, order=2)
>>> test_product()
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

try:
    from hypothesis import HealthCheck, settings
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as hnp
except ImportError as error:
    raise ImportError(
        "tinygrad_course.testing.strategies needs Hypothesis: "
        "pip install 'tinygrad_course[testing]'"
    ) from error

from tinygrad_course import nn, optim
from tinygrad_course.creation import from_numpy
from tinygrad_course.errors import OptionError
from tinygrad_course.scalar import Scalar
from tinygrad_course.tensor import Tensor

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
Strategy = st.SearchStrategy[Any]

FLOATING = ("float64", "float32", "float16")
INTEGER = ("int64", "int32", "uint8")
LAYOUTS = ("contiguous", "transposed", "strided", "reversed", "zero-stride")


# --- numbers --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Domain:
    """Numbers to draw from, the simplest first.

    Args:
        name: what they are.
        numbers: exact in every floating dtype.
        distinct: no number is drawn twice for one example, so nothing is tied.
    """

    name: str
    numbers: tuple[float, ...] = field(repr=False)
    distinct: bool = True


def _dyadic(low: float, high: float, finest: int = 32) -> tuple[float, ...]:
    """Multiples of powers of 1/2 strictly between two bounds, without 0: coarse ones first."""
    found: dict[float, None] = {}
    denominator = 1
    while denominator <= finest:
        steps = range(1, int(max(abs(low), abs(high)) * denominator) + 1)
        both = [s * k / denominator for s in (1, -1) for k in steps]
        found.update(dict.fromkeys(v for v in both if low < v < high))
        denominator *= 2
    return tuple(found)


REAL = Domain("real", _dyadic(-9, 9, 16))
POSITIVE = Domain("positive", _dyadic(0, 9))
UNIT = Domain("open unit interval", _dyadic(0, 1, 256))
SIGNED_UNIT = Domain("between -1 and 1", _dyadic(-1, 1, 256))
ABOVE_ONE = Domain("above 1", tuple(v + 1 for v in _dyadic(0, 9)))
AWAY_FROM_ZERO = Domain("at least 1 away from 0", tuple(v for v in _dyadic(-9, 9) if abs(v) >= 1))
FRACTIONS = Domain(
    "at least 1/8 away from whole numbers",
    tuple(v for v in _dyadic(-9, 9, 64) if 0.125 <= v % 1 <= 0.875),
)
KINKS = Domain("zeros and ties", (0.0, 1.0, -1.0, 2.0, 0.5), distinct=False)
SPECIAL = Domain(
    "every kind of float", (1.0, 0.0, -0.0, -1.0, np.inf, -np.inf, np.nan, 0.5), distinct=False
)
WHOLE = Domain("whole numbers", tuple(float(i) for i in (1, 2, 3, 0, 4, 5, 6, 7)), distinct=False)


@st.composite
def numbers(draw: Any, domain: Domain, count: int) -> list[float]:
    """`count` numbers of a domain; they shrink to its first ones."""
    last = len(domain.numbers) - 1
    if domain.distinct and count > last:
        raise OptionError(f"the domain {domain.name!r} has {last + 1} numbers, not {count}")
    places = draw(
        st.lists(
            st.integers(0, last), min_size=count, max_size=count, unique=domain.distinct
        )
    )  # fmt: skip
    return [domain.numbers[i] for i in places]


# --- arrays and tensors ---------------------------------------------------------------------------


def shapes(min_dims: int = 0, max_dims: int = 3, min_side: int = 1, max_side: int = 3) -> Strategy:
    """Shapes of few dimensions and small sides; `min_side=0` lets tensors without elements in."""
    return hnp.array_shapes(
        min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=max_side
    )


def empty_shapes(max_dims: int = 3, max_side: int = 3) -> Strategy:
    """Shapes of tensors without elements: at least one side is 0."""
    sides = st.lists(st.integers(0, max_side), min_size=0, max_size=max_dims - 1)
    return (
        st.tuples(sides, sides)
        .map(lambda two: (*two[0], 0, *two[1])[-max_dims:])
        .filter(lambda shape: 0 in shape)
    )


def laid_out(array: Array, layout: str) -> Array:
    """The same numbers in another layout in memory.

    "zero-stride" repeats the first entry of the longest axis without copying, so it changes the
    numbers, and cannot be written into.

    Raises:
        OptionError: a layout that is not in `LAYOUTS`.
    """
    if layout not in LAYOUTS:
        raise OptionError(f"layout is {layout!r}; use one of {', '.join(LAYOUTS)}")
    if layout == "contiguous" or array.ndim == 0 or array.size == 0:
        return array
    if layout == "transposed":
        return np.ascontiguousarray(array.T).T
    if layout == "zero-stride":
        axis = int(np.argmax(array.shape))
        return np.broadcast_to(array.take([0], axis), array.shape)
    step = 2 if layout == "strided" else -1
    room = np.zeros([n * abs(step) for n in array.shape], array.dtype)
    out = room[tuple(slice(None, None, step) for _ in array.shape)]
    out[...] = array
    return out


def _layouts(layout: Any, domain: Domain) -> Strategy:
    if isinstance(layout, str):
        return st.just(layout)
    # repeated numbers are tied, which a domain of distinct ones promises not to be
    usual = LAYOUTS[:-1] if domain.distinct else LAYOUTS
    return st.sampled_from(tuple(layout or usual))


@st.composite
def arrays(
    draw: Any, shape: Any, domain: Domain = REAL, dtype: Any = "float64", layout: Any = None
) -> Array:
    """A NumPy array; arguments as for `tensors`."""
    shape = draw(shape) if isinstance(shape, st.SearchStrategy) else shape
    dtype = draw(dtype) if isinstance(dtype, st.SearchStrategy) else dtype
    values = draw(numbers(domain, int(np.prod(shape))))
    array = np.array(values, dtype=np.float64).reshape(shape).astype(dtype)
    return laid_out(array, draw(_layouts(layout, domain)))


def tensors(
    shape: Any = None,
    dtype: Any = "float64",
    values: Domain = REAL,
    requires_grad: bool = True,
    layout: Any = None,
) -> Strategy:
    """Tensors that shrink to small contiguous ones holding 1, 2, 3, ...

    Args:
        shape: a shape or a strategy for shapes; 0 to 3 dimensions of 1 to 3 unless given.
        dtype: a dtype or a strategy for dtypes.
        values: a `Domain`, for example `POSITIVE`, or `KINKS` for zeros and ties.
        requires_grad: whether gradients flow to them.
        layout: one of `LAYOUTS`, several to choose from, or None for all that the domain allows.

    Raises:
        OptionError: an unknown layout, or a shape with more elements than distinct numbers.

    >>> from hypothesis import find
    >>> find(tensors((2, 2)), lambda x: True)
    tensor([[1., 2.],
            [3., 4.]], dtype=float64, requires_grad=True)
    """
    shape = shapes() if shape is None else shape
    return arrays(shape, values, dtype, layout).map(
        lambda array: _tensor(array, requires_grad and array.dtype.kind == "f")
    )


def _tensor(array: Array, requires_grad: bool) -> Tensor:
    tensor = from_numpy(array)
    return tensor.requires_grad_() if requires_grad else tensor


@st.composite
def broadcast_arrays(
    draw: Any,
    domains: Sequence[Domain],
    dtypes: Sequence[Any],
    layout: Any = None,
    min_side: int = 1,
) -> tuple[Array, ...]:
    """Arrays whose shapes broadcast against each other; equal domains share distinct numbers."""
    found = draw(
        hnp.mutually_broadcastable_shapes(
            num_shapes=len(domains), max_dims=3, min_side=min_side, max_side=3
        )
    ).input_shapes
    sizes = [int(np.prod(s)) for s in found]
    values: dict[Domain, list[float]] = {}
    for domain in dict.fromkeys(domains):
        count = sum(n for n, d in zip(sizes, domains, strict=True) if d == domain)
        values[domain] = draw(numbers(domain, count))
    out = []
    for shape, size, domain, dtype in zip(found, sizes, domains, dtypes, strict=True):
        own, values[domain] = values[domain][:size], values[domain][size:]
        array = np.array(own, dtype=np.float64).reshape(shape).astype(dtype)
        out.append(laid_out(array, draw(_layouts(layout, domain))))
    return tuple(out)


def broadcasting(
    n: int,
    dtype: Any = "float64",
    values: Domain | Sequence[Domain] = REAL,
    requires_grad: bool = True,
    layout: Any = None,
) -> Strategy:
    """Tuples of n Tensors whose shapes broadcast; arguments as for `tensors`.

    >>> from hypothesis import find
    >>> x, y = find(broadcasting(2), lambda found: True)
    >>> (x * y).requires_grad
    True
    """
    domains = [values] * n if isinstance(values, Domain) else list(values)
    return broadcast_arrays(domains, [dtype] * n, layout).map(
        lambda found: tuple(_tensor(a, requires_grad and a.dtype.kind == "f") for a in found)
    )


# --- numbers that belong together -----------------------------------------------------------------


@st.composite
def signature(
    draw: Any,
    text: str,
    dtype: Any = "float64",
    values: Domain = REAL,
    requires_grad: bool = True,
    layout: Any = None,
    min_side: int = 1,
    max_side: int = 3,
) -> tuple[Tensor, ...]:
    """Tensors whose shapes fit a signature, such as that of a matrix product.

    Args:
        text: NumPy's notation for generalised functions: "(n?,k),(k,m?)->(n?,m?)"; a dimension
            with "?" may be missing, and batch dimensions that broadcast may stand in front.
        dtype, values, requires_grad, layout: as for `tensors`.
        min_side, max_side: of every dimension.

    >>> from hypothesis import find
    >>> x, y = find(signature("(n?,k),(k,m?)->(n?,m?)"), lambda found: True)
    >>> (x @ y).requires_grad
    True
    """
    shapes_found = draw(
        hnp.mutually_broadcastable_shapes(
            signature=text, max_dims=1, min_side=min_side, max_side=max_side
        )
    ).input_shapes
    sizes = [int(np.prod(s)) for s in shapes_found]
    pool = draw(numbers(values, sum(sizes)))
    out = []
    for shape, size in zip(shapes_found, sizes, strict=True):
        own, pool = pool[:size], pool[size:]
        array = np.array(own, dtype=np.float64).reshape(shape).astype(dtype)
        out.append(_tensor(laid_out(array, draw(_layouts(layout, values))), requires_grad))
    return tuple(out)


@st.composite
def simplex(draw: Any, shape: Any, dtype: Any = "float64", requires_grad: bool = True) -> Tensor:
    """Probabilities: positive numbers whose sums along the last axis are exactly 1.

    >>> from hypothesis import find
    >>> find(simplex((2,)), lambda p: True).sum().item()
    1.0
    """
    shape = tuple(draw(shape) if isinstance(shape, st.SearchStrategy) else shape)
    *lead, classes = shape
    rows = []
    for _ in range(int(np.prod(lead))):
        cuts = draw(
            st.lists(st.integers(1, 255), min_size=classes - 1, max_size=classes - 1, unique=True)
        )
        rows.append(np.diff([0, *sorted(cuts), 256]) / 256)
    return _tensor(np.array(rows).reshape(shape).astype(dtype), requires_grad)


@st.composite
def one_hot(draw: Any, shape: Any, dtype: Any = "float64", requires_grad: bool = False) -> Tensor:
    """Labels: a single 1 along the last axis, elsewhere 0."""
    shape = tuple(draw(shape) if isinstance(shape, st.SearchStrategy) else shape)
    *lead, classes = shape
    count = int(np.prod(lead))
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=count, max_size=count))
    return _tensor(np.eye(classes)[labels].reshape(shape).astype(dtype), requires_grad)


@st.composite
def spd(draw: Any, n: Any = None, dtype: Any = "float64", requires_grad: bool = True) -> Tensor:
    """A symmetric positive definite matrix: L Lᵀ + 1, of small numbers.

    Args:
        n: how many rows, or a strategy for it; 1 to 3 unless given.
        dtype, requires_grad: as for `tensors`.
    """
    side = draw(n) if isinstance(n, st.SearchStrategy) else n or draw(st.integers(1, 3))
    small = Domain("small", tuple(v for v in REAL.numbers if abs(v) <= 2 and v * 4 % 1 == 0))
    lower = np.tril(np.reshape(draw(numbers(small, side * side)), (side, side)))
    return _tensor((lower @ lower.T + np.eye(side)).astype(dtype), requires_grad)


@st.composite
def well_conditioned(
    draw: Any, n: Any = None, dtype: Any = "float64", requires_grad: bool = True
) -> Tensor:
    """A square matrix that is safely invertible: its diagonal outweighs the rest of each row."""
    side = draw(n) if isinstance(n, st.SearchStrategy) else n or draw(st.integers(1, 3))
    rest = np.reshape(draw(numbers(SIGNED_UNIT, side * side)), (side, side))
    np.fill_diagonal(rest, 0.0)
    diagonal = draw(st.lists(st.sampled_from((1.0, -1.0)), min_size=side, max_size=side))
    return _tensor((rest + np.diag(diagonal) * (side + 0.5)).astype(dtype), requires_grad)


def scalars(values: Domain = REAL, requires_grad: bool = True) -> Strategy:
    """Scalars that shrink to 1, 2, 3, ...

    >>> from hypothesis import find
    >>> find(scalars(), lambda x: x.data > 2)
    Scalar(data=3, grad=0)
    """
    return st.sampled_from(values.numbers).map(lambda v: Scalar(v, requires_grad))


# --- modules and optimisers -----------------------------------------------------------------------

SMOOTH = ("Tanh", "Sigmoid", "Softplus", "GELU")


@st.composite
def modules(draw: Any, depth: int = 2, dtype: Any = "float64") -> tuple[Any, Tensor]:
    """A small network and an input for it; its parameters are drawn, distinct and not zero.

    Args:
        depth: the most Linear layers, each followed by a smooth activation or a LayerNorm.
        dtype: of parameters and input.

    >>> from hypothesis import given
    >>> from tinygrad_course.testing import gradcheck
    >>> @given(modules())
    ... def test_networks(found):
    ...     net, x = found
    ...     gradcheck(net, x)
    """
    sides = draw(st.lists(st.integers(1, 3), min_size=2, max_size=depth + 1))
    layers: list[Any] = []
    for inner, outer in itertools.pairwise(sides):
        layers.append(nn.Linear(inner, outer, bias=draw(st.booleans())))
        kind = draw(st.sampled_from((*SMOOTH, *(["LayerNorm"] if outer > 1 else []))))
        layers.append(nn.LayerNorm(outer) if kind == "LayerNorm" else getattr(nn, kind)())
    net = nn.Sequential(*layers).to(np.dtype(dtype))
    for parameter in net.parameters():
        drawn = draw(numbers(SIGNED_UNIT, parameter.numel()))
        parameter.data = np.reshape(drawn, parameter.shape).astype(dtype)
    x = draw(tensors((draw(st.integers(1, 2)), sides[0]), dtype, layout="contiguous"))
    return net, x


OPTIONS: dict[str, dict[str, tuple[Any, ...]]] = {
    "SGD": {"momentum": (0.0, 0.5), "weight_decay": (0.0, 0.25), "maximize": (False, True)},
    "Adam": {"betas": ((0.9, 0.999), (0.5, 0.75)), "amsgrad": (False, True)},
    "AdamW": {"weight_decay": (0.01, 0.25), "amsgrad": (False, True)},
    "Adagrad": {"lr_decay": (0.0, 0.5), "weight_decay": (0.0, 0.25)},
    "RMSprop": {"alpha": (0.99, 0.5), "momentum": (0.0, 0.5), "centered": (False, True)},
}


@st.composite
def optimizers(draw: Any, names: Sequence[str] = tuple(OPTIONS)) -> Callable[[Any], Any]:
    """An optimiser with options that fit together, yet without parameters: call it with them.

    >>> from hypothesis import find
    >>> make = find(optimizers(), lambda found: True)
    >>> isinstance(make([Tensor([1.0], requires_grad=True)]), optim.Optimizer)
    True
    """
    name = draw(st.sampled_from(tuple(names)))
    options = {"lr": draw(st.sampled_from((0.5, 0.125, 0.01)))}
    for option, values in OPTIONS[name].items():
        value = draw(st.sampled_from(values))
        if value != values[0]:
            options[option] = value
    return functools.partial(getattr(optim, name), **options)


# --- arguments ------------------------------------------------------------------------------------


def axis(ndim: int) -> Strategy:
    """One dimension of `ndim`, counted from either end."""
    bound = max(ndim, 1)
    return st.integers(-bound, bound - 1)


@st.composite
def axes(draw: Any, ndim: int, min_size: int = 1) -> Any:
    """A `dim`: None, one dimension, or a tuple of different ones."""
    kind = draw(st.sampled_from(("none", "one", "several")))
    if kind == "none":
        return None
    if kind == "one" or ndim == 0:
        return draw(axis(ndim))
    found = draw(st.lists(st.integers(0, ndim - 1), min_size=min_size, unique=True))
    return tuple(d - draw(st.sampled_from((0, ndim))) for d in found)


@st.composite
def indices(draw: Any, shape: Shape) -> Any:
    """An index into a shape: ints, slices, None, Ellipsis, integer arrays or boolean masks."""
    kinds = ["basic"] + (["integers", "mask"] if shape and 0 not in shape else [])
    kind = draw(st.sampled_from(kinds))
    if kind == "basic":
        return draw(hnp.basic_indices(shape, allow_newaxis=True))
    if kind == "mask":
        return np.array(draw(st.lists(st.booleans(), min_size=shape[0], max_size=shape[0])))
    return draw(
        hnp.integer_array_indices(shape, result_shape=hnp.array_shapes(max_dims=2, max_side=3))
    )


@st.composite
def conv_args(draw: Any, dims: int = 2) -> tuple[Shape, Shape, dict[str, Any]]:
    """Shapes of input and weight of a convolution, and its options: they fit by construction.

    The input is (N, C, sizes), the weight (O, C / groups, windows), for 1, 2 or 3 dimensions.
    """
    small = st.integers(1, 2)
    groups = draw(small)
    inner, outer, batch = draw(small), groups * draw(small), draw(small)
    options: dict[str, Any] = {"stride": [], "padding": [], "dilation": []}
    sizes, windows = [], []
    for _ in range(dims):
        window, stride, dilation = draw(st.integers(1, 3)), draw(small), draw(small)
        padding = draw(st.integers(0, 2))
        reach = dilation * (window - 1) + 1
        sizes.append(max(reach - 2 * padding, 1) + draw(st.integers(0, 2)))
        windows.append(window)
        for key, value in (("stride", stride), ("padding", padding), ("dilation", dilation)):
            options[key].append(value)
    how = {key: tuple(value) for key, value in options.items()}
    return (batch, groups * inner, *sizes), (outer, inner, *windows), {**how, "groups": groups}


@st.composite
def pool_args(draw: Any, dims: int = 2) -> tuple[Shape, dict[str, Any]]:
    """Shape (N, C, sizes) of the input of a pooling, and its options: they fit by construction."""
    options: dict[str, Any] = {"kernel_size": [], "stride": [], "padding": [], "dilation": []}
    sizes = []
    for _ in range(dims):
        window, stride = draw(st.integers(1, 3)), draw(st.integers(1, 3))
        dilation, padding = draw(st.integers(1, 2)), draw(st.integers(0, window // 2))
        reach = dilation * (window - 1) + 1
        sizes.append(max(reach - 2 * padding, dilation) + draw(st.integers(0, 3)))
        for key, value in zip(options, (window, stride, padding, dilation), strict=True):
            options[key].append(value)
    how: dict[str, Any] = {key: tuple(value) for key, value in options.items()}
    how["ceil_mode"] = draw(st.booleans())
    return (draw(st.integers(1, 2)), draw(st.integers(1, 2)), *sizes), how


# --- profiles -------------------------------------------------------------------------------------


def examples(n: int) -> int:
    """n, times the environment variable TINYGRAD_COURSE_EXAMPLES: for long runs."""
    return max(1, round(n * float(os.environ.get("TINYGRAD_COURSE_EXAMPLES", "1"))))


def profile(max_examples: int = 100) -> Callable[[Any], Any]:
    """Settings for tests with compiled kernels, as a decorator: no deadline.

    A first call compiles, and a deadline would call that flaky.

    Args:
        max_examples: how many, before TINYGRAD_COURSE_EXAMPLES multiplies it.
    """
    return settings(
        max_examples=examples(max_examples),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


settings.register_profile("tinygrad_course", deadline=None, print_blob=True)
