"""The test table: one row for every row of the table and for every function made of them.

A row says how to call the function, which PyTorch function it must equal, and how to draw its
arguments. Three tests go over the rows: values (`test_forward`), gradients against differences
(`test_gradients`) and gradients against PyTorch (`test_torch`). A new operation needs a row here;
`test_complete` names the one that is missing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_course as tc
from tinygrad_course.ops import elementwise, linalg, loss, special, window
from tinygrad_course.ops import index as indexing
from tinygrad_course.ops import shape as shape_
from tinygrad_course.testing import strategies as ts
from tinygrad_course.testing.strategies import (
    ABOVE_ONE,
    AWAY_FROM_ZERO,
    FRACTIONS,
    KINKS,
    POSITIVE,
    REAL,
    SIGNED_UNIT,
    SPECIAL,
    UNIT,
    Domain,
)

Case = tuple[list[Any], dict[str, Any]]
TRUTH = Domain("0 and 1", (1.0, 0.0), distinct=False)
SMALL = Domain("between -3 and 3", tuple(v for v in REAL.numbers if abs(v) < 3))
NUMBERS = ("float64", "float32", "int64", "int32", "uint8", "bool")
SIGNED = ("float64", "float32", "int64", "int32")


class Maker:
    """Draws a row's arrays.

    Args:
        draw: Hypothesis's.
        kind: "smooth": each domain as the row gives it; "kinks": zeros and ties; "special": NaN
            and infinity too; "mixed": of any of the row's dtypes.
        dtypes: the dtypes to choose from.
    """

    def __init__(self, draw: Any, kind: str, dtypes: Sequence[str]) -> None:
        self.draw = draw
        self.kind = kind
        self.dtypes = dtypes
        self.empty = kind == "mixed"  # tensors without elements

    def dtype(self) -> str:
        return self.draw(st.sampled_from(self.dtypes)) if self.kind == "mixed" else "float64"

    def domain(self, domain: Domain, dtype: str) -> Domain:
        if dtype == "bool":
            return TRUTH
        if dtype.startswith(("int", "uint")):
            return Domain("positive whole", (1.0, 2.0, 3.0, 4.0, 5.0), distinct=False)
        if self.kind == "kinks":
            return KINKS
        return SPECIAL if self.kind == "special" else domain

    def shape(self, min_dims: int = 0, max_dims: int = 3) -> Any:
        side = 0 if self.empty else 1
        return self.draw(ts.shapes(min_dims, max_dims, min_side=side))

    def array(self, shape: Any, domain: Domain = REAL, dtype: str | None = None) -> Any:
        dtype = dtype or self.dtype()
        return self.draw(ts.arrays(shape, self.domain(domain, dtype), dtype))

    def broadcast(self, domains: Sequence[Domain]) -> list[Any]:
        dtypes = [self.dtype() for _ in domains]
        domains = [self.domain(d, t) for d, t in zip(domains, dtypes, strict=True)]
        side = 0 if self.empty else 1
        return list(self.draw(ts.broadcast_arrays(domains, dtypes, min_side=side)))

    def dim(self, ndim: int) -> int:
        return int(self.draw(ts.axis(ndim)))


@dataclass(frozen=True)
class Row:
    """One function under test.

    Args:
        name: unique; where it is the name of a row of the table or of a public function, this row
            covers both.
        ours, torch: the function on our Tensors, and PyTorch's on its own.
        case: draws (arguments, options).
        covers: further rows of the table and public functions that are tested here.
        order: how often it is differentiable; 0 for tests and whole numbers.
        kinks: whether zeros and ties are drawn too.
        special: whether the gradient equals PyTorch's at NaN and infinity too.
        dtypes: of the arguments whose values are compared.
        scalar: how many numbers it takes as an operation on Scalars; 0 if it is none.
    """

    name: str
    ours: Callable[..., Any]
    torch: Callable[..., Any]
    case: Callable[[Maker], Case]
    covers: tuple[str, ...] = ()
    order: int = 2
    kinks: bool = True
    special: bool = False
    dtypes: tuple[str, ...] = ("float64", "float32")
    scalar: int = 0
    domains: tuple[Domain, ...] = ()

    def __repr__(self) -> str:
        return f"<test row {self.name}>"

    def cases(self, kind: str) -> st.SearchStrategy[Case]:
        @st.composite
        def drawn(draw: Any) -> Case:
            return self.case(Maker(draw, kind, self.dtypes))

        return drawn()


ROWS: list[Row] = []


def row(name: str, ours: Any, oracle: Any, case: Any, **more: Any) -> None:
    ROWS.append(Row(name, ours, oracle, case, **more))


# --- elementwise ----------------------------------------------------------------------------------


def elementwise_row(name: str, *domains: Domain, oracle: Any = None, **more: Any) -> None:
    def case(make: Maker) -> Case:
        return make.broadcast(domains), {}

    more = {"dtypes": NUMBERS, "scalar": len(domains), "special": True, **more}
    ours = more.pop("ours", None) or getattr(elementwise, name)
    row(name, ours, oracle or getattr(torch, name), case, domains=domains, **more)


def sign_keeping_nan(x: Any) -> Any:
    return torch.where(x.isnan(), x.detach(), torch.sign(x))


for name in ["add", "mul"]:
    elementwise_row(name, REAL, REAL)
elementwise_row("sub", REAL, REAL, dtypes=SIGNED)
elementwise_row("div", REAL, AWAY_FROM_ZERO, kinks=False)
elementwise_row("pow", POSITIVE, SMALL, dtypes=SIGNED, kinks=False, special=False)
elementwise_row("neg", REAL, dtypes=SIGNED)
elementwise_row("square", REAL, dtypes=(*SIGNED, "uint8"))
elementwise_row("reciprocal", AWAY_FROM_ZERO, kinks=False)
# PyTorch's sign of NaN is 0, and so its slope of |x| at NaN; here NaN stays NaN
elementwise_row("sign", FRACTIONS, oracle=sign_keeping_nan, dtypes=(*SIGNED, "uint8"))
elementwise_row("abs", FRACTIONS, dtypes=(*SIGNED, "uint8"), special=False)
QUARTERS = Domain("a quarter off whole numbers", tuple(v for v in REAL.numbers if v % 0.5))
elementwise_row("round", QUARTERS, dtypes=(*SIGNED, "uint8"))
for name in ["floor", "ceil", "trunc", "relu"]:
    more = {"dtypes": SIGNED} if name == "relu" else {"dtypes": (*SIGNED, "uint8")}
    elementwise_row(name, FRACTIONS, **more)
for name in ["sqrt", "rsqrt", "log", "log2", "log10", "log1p"]:
    elementwise_row(name, POSITIVE, kinks=False)
for name in [
    "exp",
    "exp2",
    "expm1",
    "sin",
    "cos",
    "tan",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "sigmoid",
]:
    elementwise_row(name, SMALL)
for name in ["asin", "acos", "atanh"]:
    elementwise_row(name, SIGNED_UNIT, kinks=False)
elementwise_row("acosh", ABOVE_ONE, kinks=False)
elementwise_row("atan2", POSITIVE, REAL, kinks=False)
elementwise_row("softplus", SMALL, oracle=F.softplus, dtypes=("float64", "float32"))
elementwise_row("logsigmoid", SMALL, oracle=F.logsigmoid, dtypes=("float64", "float32"))
elementwise_row("maximum", REAL, REAL)
elementwise_row("minimum", REAL, REAL)
elementwise_row("floor_divide", REAL, AWAY_FROM_ZERO, order=0, dtypes=SIGNED)
elementwise_row("remainder", FRACTIONS, Domain("powers of 2", (1.0, 2.0, 4.0), distinct=False),
                kinks=False, special=False, dtypes=SIGNED)  # fmt: skip
for name in ["eq", "ne", "lt", "le", "gt", "ge"]:
    elementwise_row(name, KINKS, KINKS, order=0)
for name in ["isnan", "isinf", "isfinite"]:
    elementwise_row(name, SPECIAL, order=0)


def where_case(make: Maker) -> Case:
    c, x, y = make.broadcast([TRUTH, REAL, REAL])
    return [np.asarray(c == 1), x, y], {}


def clamp_case(make: Maker) -> Case:
    x = make.array(make.shape(), FRACTIONS)
    low = make.draw(st.sampled_from((None, -2.0, 0.0)))
    high = make.draw(st.sampled_from((2.0, 1.0) if low is None else (None, 2.0, 1.0)))
    return [x], {"min": low, "max": high}


def clamp_between_case(make: Maker) -> Case:
    return make.broadcast([REAL, REAL, REAL]), {}


for name in ["erf", "erfc"]:
    elementwise_row(name, SMALL, ours=getattr(special, name))


def labels_case(make: Maker) -> Case:
    rows, classes = make.draw(st.integers(1, 3)), make.draw(st.integers(1, 3))
    labels = st.integers(0, classes - 1)
    chosen = np.array([make.draw(labels) for _ in range(rows)], dtype=np.int64)
    return [make.array((rows, classes)), chosen], {}


def probabilities_case(make: Maker) -> Case:
    shape, dtype = make.shape(), make.dtype()
    return [make.array(shape, UNIT, dtype), make.array(shape, UNIT, dtype)], {}


row("cross_entropy", loss.cross_entropy, F.cross_entropy, labels_case)
row("binary_cross_entropy", loss.binary_cross_entropy,
    lambda x, y: F.binary_cross_entropy(x, y, reduction="none"),
    probabilities_case, kinks=False)  # fmt: skip
row("where", tc.where, torch.where, where_case, dtypes=NUMBERS, special=True)
row("clamp", tc.clamp, torch.clamp, clamp_case, covers=("clip",), special=True)
row("clamp between tensors", lambda x, a, b: tc.clamp(x, a, b),
    lambda x, a, b: torch.minimum(torch.maximum(x, a), b), clamp_between_case,
    kinks=False)  # fmt: skip


# --- shapes ---------------------------------------------------------------------------------------

ANY = ("float64", "float32", "int64", "bool")


def shape_row(name: str, oracle: Any = None, **more: Any) -> Callable[[Any], Any]:
    """A decorator: the function draws a case for the row of that name."""

    def decorated(case: Any) -> Any:
        ours = more.pop("ours", None) or getattr(tc, name, None) or getattr(tc.Tensor, name)
        reference = oracle or getattr(torch, name, None) or getattr(torch.Tensor, name)
        row(name, ours, reference, case, **more)
        return case

    return decorated


def factors(make: Maker, size: int) -> tuple[int, ...]:
    options = [s for s in np.ndindex(5, 5, 5) if np.prod(s) == size] or [(size,)]
    return make.draw(st.sampled_from([(size,), *options]))


@shape_row("reshape", covers=("view",), dtypes=ANY)
def reshape_case(make: Maker) -> Case:
    x = make.array(make.shape())
    return [x], {"shape": factors(make, x.size)}


ROWS[-1] = Row(
    "reshape", lambda x, shape: tc.reshape(x, shape), torch.reshape, reshape_case,
    covers=("view",), dtypes=ANY,
)  # fmt: skip


@shape_row("permute", ours=lambda x, dims: tc.permute(x, dims), dtypes=ANY)
def permute_case(make: Maker) -> Case:
    x = make.array(make.shape())
    return [x], {"dims": tuple(make.draw(st.permutations(range(x.ndim))))}


@shape_row("transpose", dtypes=ANY)
def transpose_case(make: Maker) -> Case:
    x = make.array(make.shape())
    return [x], {"dim0": make.dim(x.ndim), "dim1": make.dim(x.ndim)}


@shape_row("t")
def t_case(make: Maker) -> Case:
    return [make.array(make.shape(0, 2))], {}


def wider(make: Maker, shape: Any) -> tuple[int, ...]:
    """A shape that this one broadcasts to."""
    lead = make.draw(st.sampled_from(((), (1,), (2,), (2, 3))))
    side = st.integers(1, 3)
    return (*lead, *(make.draw(side) if n == 1 else n for n in shape))


@shape_row("broadcast_to", oracle=lambda x, shape: torch.broadcast_to(x, shape), dtypes=ANY)
def broadcast_case(make: Maker) -> Case:
    x = make.array(make.shape())
    return [x], {"shape": wider(make, x.shape)}


@shape_row("expand", ours=lambda x, size: x.expand(size), oracle=lambda x, size: x.expand(size))
def expand_case(make: Maker) -> Case:
    x = make.array(make.shape())
    size = wider(make, x.shape)
    lead = len(size) - x.ndim
    keep = make.draw(st.booleans())
    return [x], {"size": tuple(-1 if keep and i >= lead else n for i, n in enumerate(size))}


@shape_row(
    "sum_to",
    ours=lambda x, shape: shape_.sum_to(x, shape=shape, source=x.shape),
    oracle=lambda x, shape: x.sum_to_size(shape),
)
def sum_to_case(make: Maker) -> Case:
    small = tuple(max(n, 1) for n in make.shape())
    return [make.array(wider(make, small))], {"shape": small}


@shape_row("flatten", dtypes=ANY)
def flatten_case(make: Maker) -> Case:
    x = make.array(make.shape())
    first = make.draw(st.integers(0, max(x.ndim - 1, 0)))
    last = make.draw(st.integers(first, max(x.ndim - 1, 0)))
    return [x], {"start_dim": first, "end_dim": last - make.draw(st.sampled_from((0, x.ndim or 1)))}


@shape_row("unflatten")
def unflatten_case(make: Maker) -> Case:
    x = make.array((make.draw(st.integers(1, 2)), 6))
    return [x], {"dim": make.draw(st.sampled_from((1, -1))), "sizes": make.draw(
        st.sampled_from(((2, 3), (3, 2), (-1, 2), (6,), (1, 6))))}  # fmt: skip


@shape_row("unsqueeze", dtypes=ANY)
def unsqueeze_case(make: Maker) -> Case:
    x = make.array(make.shape())
    return [x], {"dim": make.dim(x.ndim + 1)}


@shape_row("squeeze", dtypes=ANY)
def squeeze_case(make: Maker) -> Case:
    x = make.array(make.shape())
    dim = make.draw(ts.axes(x.ndim))
    return [x], {} if dim is None else {"dim": dim}


@shape_row("flip", ours=lambda x, dims: shape_.flip(x, dims=dims))
def flip_case(make: Maker) -> Case:
    x = make.array(make.shape())
    dims = make.draw(st.lists(st.integers(0, x.ndim - 1), unique=True)) if x.ndim else []
    return [x], {"dims": tuple(dims)}


@shape_row(
    "pad",
    ours=lambda x, widths, value: shape_.pad(x, widths=widths, value=value),
    oracle=lambda x, widths, value: F.pad(
        x, [n for pair in reversed(widths) for n in pair], value=value
    ),
)
def pad_case(make: Maker) -> Case:
    make.empty = False
    x = make.array(make.shape(1, 3))
    width = st.sampled_from((0, 1, 2))
    widths = [(make.draw(width), make.draw(width)) for _ in x.shape]
    widths = [(-1, b) if n > 1 and make.draw(st.booleans()) else (a, b)
              for (a, b), n in zip(widths, x.shape, strict=True)]  # fmt: skip
    return [x], {"widths": widths, "value": 1.5}


def like(make: Maker, x: Any, dim: int) -> Any:
    """An array of the same shape but for one size."""
    sizes = list(x.shape)
    sizes[dim] = make.draw(st.integers(1, 3))
    return make.array(tuple(sizes))


@shape_row("cat", ours=lambda *xs, dim: tc.cat(xs, dim),
           oracle=lambda *xs, dim: torch.cat(xs, dim), dtypes=ANY)  # fmt: skip
def cat_case(make: Maker) -> Case:
    make.empty = False
    x = make.array(make.shape(1, 3))
    dim = make.dim(x.ndim)
    return [x, *(like(make, x, dim) for _ in range(make.draw(st.integers(0, 2))))], {"dim": dim}


@shape_row("stack", ours=lambda *xs, dim: tc.stack(xs, dim),
           oracle=lambda *xs, dim: torch.stack(xs, dim))  # fmt: skip
def stack_case(make: Maker) -> Case:
    x = make.array(make.shape(0, 2))
    others = [make.array(x.shape) for _ in range(make.draw(st.integers(0, 2)))]
    return [x, *others], {"dim": make.dim(x.ndim + 1)}


@shape_row("split")
def split_case(make: Maker) -> Case:
    x = make.array((make.draw(st.integers(1, 2)), 5))
    sizes = make.draw(st.sampled_from((1, 2, 3, 5, 7, [2, 3], [1, 4], [5])))
    return [x], {"split_size_or_sections": sizes, "dim": make.draw(st.sampled_from((1, -1)))}


ROWS[-1] = Row(
    "split", tc.split, lambda x, split_size_or_sections, dim: torch.split(
        x, split_size_or_sections, dim), split_case,
)  # fmt: skip


@shape_row("chunk")
def chunk_case(make: Maker) -> Case:
    x = make.array((2, make.draw(st.integers(1, 6))))
    return [x], {"chunks": make.draw(st.integers(1, 4)), "dim": 1}


@shape_row(
    "cast",
    ours=lambda x, dtype: x.to(np.dtype(dtype)),
    oracle=lambda x, dtype: x.to(getattr(torch, dtype)),
    dtypes=ANY,
)
def cast_case(make: Maker) -> Case:
    wanted = ("float32", "float16") if make.kind == "mixed" else ("float64",)
    return [make.array(make.shape())], {"dtype": make.draw(st.sampled_from(wanted))}


@shape_row("clone", dtypes=ANY)
def clone_case(make: Maker) -> Case:
    return [make.array(make.shape())], {}


# --- choosing by index ----------------------------------------------------------------------------


def as_torch(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(as_torch(i) for i in index)
    return torch.from_numpy(index.copy()) if isinstance(index, np.ndarray) else index


def forwards(index: Any) -> bool:
    """PyTorch's slices have no negative steps."""
    parts = index if isinstance(index, tuple) else (index,)
    return all((p.step or 1) > 0 for p in parts if isinstance(p, slice))


def index_of(make: Maker, shape: Any) -> Any:
    return make.draw(ts.indices(shape).filter(forwards))


@shape_row("getitem", ours=lambda x, index: x[index], oracle=lambda x, index: x[as_torch(index)],
           dtypes=ANY)  # fmt: skip
def getitem_case(make: Maker) -> Case:
    x = make.array(make.shape())
    return [x], {"index": index_of(make, x.shape)}


def scatter_reference(x: Any, index: Any, shape: Any) -> Any:
    """Zeros, with every element of x added at the place that the index gives it."""
    places = torch.arange(int(np.prod(shape))).reshape(shape)[as_torch(index)].reshape(-1)
    zeros = torch.zeros(int(np.prod(shape)), dtype=x.dtype)
    return zeros.index_add(0, places, x.reshape(-1)).reshape(shape)


@shape_row(
    "scatter_into",
    ours=lambda x, index, shape: indexing.scatter_into(x, index=index, shape=shape),
    oracle=scatter_reference,
)
def scatter_into_case(make: Maker) -> Case:
    shape = make.shape()
    index = index_of(make, shape)
    return [make.array(np.zeros(shape)[index].shape)], {"index": index, "shape": shape}


def written(x: Any, v: Any, index: Any) -> Any:
    """x with v at index, as an assignment."""
    x = x.clone()
    x[as_torch(index) if isinstance(x, torch.Tensor) else index] = v
    return x


@shape_row("index_put", ours=written, oracle=written)
def index_put_case(make: Maker) -> Case:
    x = make.array(make.shape(), REAL, "float64")
    index = index_of(make, x.shape)
    places = np.arange(x.size).reshape(x.shape)[index]
    if np.unique(places).size < places.size:  # which of several values stays is not defined
        index = ()
        places = x
    small = tuple(1 if make.draw(st.booleans()) else n for n in places.shape)
    return [x, make.array(small, SMALL, "float64")], {"index": index}


def along(make: Maker) -> tuple[Any, int, Any]:
    """A shape, a dimension of it, and an index as `gather` takes it."""
    make.empty = False
    shape = make.shape(1, 3)
    dim = make.dim(len(shape))
    sizes = [make.draw(st.integers(1, n)) for n in shape]
    sizes[dim] = make.draw(st.integers(1, 3))
    index = make.draw(hnp.arrays(np.int64, tuple(sizes), elements=st.integers(0, shape[dim] - 1)))
    return shape, dim, index


@shape_row("gather", ours=lambda x, i, dim: tc.gather(x, dim, i),
           oracle=lambda x, i, dim: torch.gather(x, dim, i))  # fmt: skip
def gather_case(make: Maker) -> Case:
    shape, dim, index = along(make)
    return [make.array(shape), index], {"dim": dim}


@shape_row("take_along_dim")
def take_along_case(make: Maker) -> Case:
    make.empty = False
    x = make.array(make.shape(1, 3))
    dim = make.dim(x.ndim)
    order = np.asarray(np.argsort(x, axis=dim), np.int64)
    return [x, order], {"dim": dim}


@shape_row(
    "scatter_along",
    ours=lambda x, i, dim, shape: indexing.scatter_at(x, i, dim=dim % x.ndim, shape=shape),
    oracle=lambda x, i, dim, shape: torch.zeros(shape, dtype=x.dtype).scatter_add(dim, i, x),
)
def scatter_along_case(make: Maker) -> Case:
    shape, dim, index = along(make)
    return [make.array(index.shape), index], {"dim": dim, "shape": shape}


# --- products -------------------------------------------------------------------------------------


@shape_row("matmul", covers=("__matmul__",))
def matmul_case(make: Maker) -> Case:
    found = make.draw(
        hnp.mutually_broadcastable_shapes(
            signature="(n?,k),(k,m?)->(n?,m?)", max_dims=2, max_side=3, min_side=not make.empty
        )
    )
    dtype = make.dtype()
    return [make.array(s, REAL, dtype) for s in found.input_shapes], {}


@shape_row("mm")
def mm_case(make: Maker) -> Case:
    n, k, m = (make.draw(st.integers(1, 3)) for _ in range(3))
    dtype = make.dtype()
    return [make.array((n, k), REAL, dtype), make.array((k, m), REAL, dtype)], {}


@shape_row("linear", ours=linalg.linear, oracle=F.linear)
def linear_case(make: Maker) -> Case:
    lead = make.shape(0, 2)
    n, m = make.draw(st.integers(1, 3)), make.draw(st.integers(1, 3))
    dtype = make.dtype()
    bias = [make.array((m,), REAL, dtype)] if make.draw(st.booleans()) else []
    return [make.array((*lead, n), REAL, dtype), make.array((m, n), REAL, dtype), *bias], {}


# --- reductions -----------------------------------------------------------------------------------


def dims_case(domain: Domain = REAL, empty: bool = True, least: int = 0) -> Any:
    """An array, and `dim` (None, one or several) and `keepdim`."""

    def case(make: Maker) -> Case:
        make.empty = make.empty and empty
        x = make.array(make.shape(least, 3), domain)
        return [x], {"dim": make.draw(ts.axes(x.ndim)), "keepdim": make.draw(st.booleans())}

    return case


def dim_case(domain: Domain = REAL, keepdim: bool = True, least: int = 0) -> Any:
    """An array, and one `dim`."""

    def case(make: Maker) -> Case:
        make.empty = False
        x = make.array(make.shape(least, 3), domain)
        keep = {"keepdim": make.draw(st.booleans())} if keepdim else {}
        return [x], {"dim": make.dim(x.ndim), **keep}

    return case


def full(x: Any, dim: Any) -> Any:
    return tuple(range(x.ndim)) if dim is None else dim


def over_all(f: Any) -> Any:
    """PyTorch's function with None for all dimensions."""
    return lambda x, dim, keepdim: f(x, full(x, dim), keepdim)


row("sum", tc.sum, torch.sum, dims_case(), dtypes=NUMBERS, special=True)
row("mean", tc.mean, torch.mean, dims_case(), special=True)
for name in ["amax", "amin"]:
    row(name, getattr(tc, name), over_all(getattr(torch, name)), dims_case(empty=False),
        special=True, dtypes=NUMBERS)  # fmt: skip
for name in ["max", "min"]:
    row(name, getattr(tc, name), getattr(torch, name), dim_case(), special=True, dtypes=NUMBERS)
    row(f"{name} of all", getattr(tc, name), getattr(torch, name),
        lambda make: (dims_case(empty=False)(make)[0], {}))  # fmt: skip
    row(f"{name} of two", getattr(tc, name), getattr(torch, name),
        lambda make: (make.broadcast([REAL, REAL]), {}), dtypes=NUMBERS)  # fmt: skip
for name in ["argmax", "argmin"]:
    row(name, getattr(tc, name), getattr(torch, name), dim_case(), order=0, dtypes=SIGNED)
for name in ["all", "any"]:
    row(name, getattr(tc, name), getattr(torch, name), dim_case(KINKS), order=0, dtypes=ANY)
row("logsumexp", tc.logsumexp,
    over_all(torch.logsumexp),
    lambda make: needs_dim(dims_case()(make)), special=True)  # fmt: skip
row("softmax", tc.softmax, torch.softmax, dim_case(keepdim=False), special=True)
row("log_softmax", tc.log_softmax, torch.log_softmax, dim_case(keepdim=False), special=True)
row("cumsum", tc.cumsum, torch.cumsum, dim_case(keepdim=False), special=True, dtypes=NUMBERS)
row("norm", tc.norm, lambda x, dim, keepdim: torch.linalg.vector_norm(x, 2, dim, keepdim),
    dims_case(), order=2)  # fmt: skip


def needs_dim(case: Case) -> Case:
    (x,), how = case
    return [x], {**how, "dim": full(x, how["dim"])}


def spread_case(make: Maker) -> Case:
    make.empty = False
    shape = make.shape(1, 3)
    x = make.array((*shape, make.draw(st.integers(2, 3))))
    dim = make.draw(st.sampled_from((None, -1, (0, x.ndim - 1))))
    correction = make.draw(st.sampled_from((0, 1)))
    return [x], {"dim": dim, "correction": correction, "keepdim": make.draw(st.booleans())}


row("var", tc.var, torch.var, spread_case)
row("std", tc.std, torch.std, spread_case, kinks=False)


# --- windows --------------------------------------------------------------------------------------


def conv_case(make: Maker) -> Case:
    x, w, how = make.draw(ts.conv_args())
    dtype = make.dtype()
    bias = [make.array((w[0],), REAL, dtype)] if make.draw(st.booleans()) else []
    small = Domain("few", REAL.numbers[:32], distinct=False)
    return [make.array(x, small, dtype), make.array(w, small, dtype), *bias], how


def quiet(f: Any) -> Any:
    """Without PyTorch's warning that an even kernel makes it copy the input."""

    def call(*args: Any, **how: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return f(*args, **how)

    return call


def named_padding_case(make: Maker) -> Case:
    (x, w, *b), how = conv_case(make)
    reach = [d * (k - 1) + 1 for d, k in zip(how["dilation"], w.shape[2:], strict=True)]
    fits = all(n >= r for n, r in zip(x.shape[2:], reach, strict=True))
    how["padding"] = make.draw(st.sampled_from(("same", "valid") if fits else ("same",)))
    return [x, w, *b], {**how, "stride": 1}


def conv_sizes(x: Any, w: Any, how: dict[str, Any]) -> dict[str, Any]:
    return {**how, "image": tuple(x[2:]), "window": tuple(w[2:])}


def conv_input_case(make: Maker) -> Case:
    x, w, how = make.draw(ts.conv_args())
    y = F.conv2d(torch.zeros(x), torch.zeros(w), **how).shape
    small = Domain("few", REAL.numbers[:32], distinct=False)
    dtype = make.dtype()
    return [make.array(tuple(y), small, dtype), make.array(w, small, dtype)], conv_sizes(x, w, how)


def conv_weight_case(make: Maker) -> Case:
    x, w, how = make.draw(ts.conv_args())
    y = F.conv2d(torch.zeros(x), torch.zeros(w), **how).shape
    small = Domain("few", REAL.numbers[:32], distinct=False)
    dtype = make.dtype()
    return [make.array(x, small, dtype), make.array(tuple(y), small, dtype)], conv_sizes(x, w, how)


def torch_conv_input(y: Any, w: Any, image: Any, window: Any, **how: Any) -> Any:
    size = (y.shape[0], w.shape[1] * how["groups"], *image)
    return torch.nn.grad.conv2d_input(size, w, y, **how)


def torch_conv_weight(x: Any, y: Any, image: Any, window: Any, **how: Any) -> Any:
    size = (y.shape[1], x.shape[1] // how["groups"], *window)
    return torch.nn.grad.conv2d_weight(x, size, y, **how)


row("conv2d", window.conv2d, F.conv2d, conv_case, kinks=False)
row("conv2d, padding by name", window.conv2d, quiet(F.conv2d), named_padding_case, kinks=False)
row("conv2d_input", window.conv2d_input, torch_conv_input, conv_input_case, kinks=False)
row("conv2d_weight", window.conv2d_weight, torch_conv_weight, conv_weight_case, kinks=False)


def max_pool_case(make: Maker) -> Case:
    x, how = make.draw(ts.pool_args())
    return [make.array(x, Domain("many", ts.UNIT.numbers))], {**how, "return_indices": True}


def avg_pool_case(make: Maker) -> Case:
    x, how = make.draw(ts.pool_args())
    del how["dilation"]
    how["count_include_pad"] = make.draw(st.booleans())
    how["divisor_override"] = make.draw(st.sampled_from((None, 3)))
    x = (*x[:2], *(n + 1 for n in x[2:]))
    return [make.array(x, Domain("few", REAL.numbers[:32], distinct=False))], how


row("max_pool2d", window.max_pool2d, F.max_pool2d, max_pool_case,
    covers=("max_pool2d_indices", "pool_take", "pool_put"))  # fmt: skip
row("avg_pool2d", window.avg_pool2d, F.avg_pool2d, avg_pool_case, kinks=False,
    covers=("avg_pool2d_input",))  # fmt: skip

# Rows of the table that no Tensor function reaches by itself, and the test that has them.
ELSEWHERE = {
    "dot_scalars": "test_scalars.test_dot",
    "pick": "test_scalars.test_several_outputs",
}

BY_NAME = {row.name: row for row in ROWS}


def names(chosen: Callable[[Row], Any] = lambda row: True) -> list[str]:
    """Names for a parametrized test; they read better than rows."""
    return [row.name for row in ROWS if chosen(row)]
