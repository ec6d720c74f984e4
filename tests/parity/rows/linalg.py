"""Products of matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_course as tc
from tinygrad_course.ops import linalg
from tinygrad_course.testing import strategies as ts
from tinygrad_course.testing.strategies import REAL, Domain

from .row import ANY, Case, Maker, shape_row
from .shape import two_dims


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


# --- products -------------------------------------------------------------------------------------

NUMERIC = ("float64", "float32", "int64")


def matrices(make: Maker, *shapes: tuple[int, ...]) -> list[Any]:
    """Arrays of one dtype."""
    dtype = make.dtype()
    return [make.array(s, REAL, dtype) for s in shapes]


def sides(make: Maker, count: int) -> list[int]:
    return [make.draw(st.integers(0 if make.empty else 1, 3)) for _ in range(count)]


def one_of(ours: Any, theirs: Any) -> dict[str, Any]:
    """A row for several functions of one kind: the option `which` says which."""
    return {
        "ours": lambda *xs, which, **options: getattr(ours, which)(*xs, **options),
        "oracle": lambda *xs, which, **options: getattr(theirs, which)(*xs, **options),
    }


@shape_row("dot", covers=("vdot", "mv", "bmm"), **one_of(tc, torch), dtypes=NUMERIC)
def dot_case(make: Maker) -> Case:
    b, n, k, m = sides(make, 4)
    shapes = {"dot": [(n,), (n,)], "vdot": [(n,), (n,)], "mv": [(n, k), (k,)],
              "bmm": [(b, n, k), (b, k, m)]}  # fmt: skip
    which = make.draw(st.sampled_from(tuple(shapes)))
    return matrices(make, *shapes[which]), {"which": which}


@shape_row("inner", dtypes=NUMERIC)
def inner_case(make: Maker) -> Case:
    (n,) = sides(make, 1)
    shapes = [(*make.shape(0, 2), n) if make.draw(st.booleans()) else () for _ in range(2)]
    return matrices(make, *shapes), {}


@shape_row("outer", dtypes=ANY)
def outer_case(make: Maker) -> Case:
    n, m = sides(make, 2)
    return [make.array((n,)), make.array((m,))], {}


@shape_row("addmm", covers=("addmv", "addr", "baddbmm", "addbmm"), **one_of(tc, torch),
           dtypes=NUMERIC)  # fmt: skip
def added_case(make: Maker) -> Case:
    """beta · input + alpha · product: the input broadcasts to the product."""
    make.empty = False
    b, n, k, m = sides(make, 4)
    shapes = {"addmm": [(n, m), (n, k), (k, m)], "addmv": [(n,), (n, k), (k,)],
              "addr": [(n, m), (n,), (m,)], "baddbmm": [(b, n, m), (b, n, k), (b, k, m)],
              "addbmm": [(n, m), (b, n, k), (b, k, m)]}  # fmt: skip
    which = make.draw(st.sampled_from(tuple(shapes)))
    out, *others = shapes[which]
    smaller = tuple(1 if make.draw(st.booleans()) else n for n in out)
    drop = make.draw(st.integers(0, len(out)))
    numbers = st.sampled_from((0, 1, 2, -3))
    return matrices(make, smaller[drop:], *others), {
        "which": which, "beta": make.draw(numbers), "alpha": make.draw(numbers)
    }  # fmt: skip


@shape_row("trace", dtypes=NUMERIC)
def trace_case(make: Maker) -> Case:
    n, m = sides(make, 2)
    return [make.array((n, m))], {}


@shape_row("kron", dtypes=ANY)
def kron_case(make: Maker) -> Case:
    make.empty = False
    return [make.array(make.shape()), make.array(make.shape(0, 2))], {}


@shape_row("cross", dtypes=NUMERIC)
def cross_case(make: Maker) -> Case:
    ndim = make.draw(st.integers(1, 3))
    dim = make.dim(ndim)
    sizes = [make.draw(st.sampled_from((1, 2))) for _ in range(ndim)]
    sizes[dim] = 3
    small = [1 if n != 3 and make.draw(st.booleans()) else n for n in sizes]
    return matrices(make, tuple(sizes), tuple(small)), {"dim": dim}


def chained(make: Maker) -> tuple[list[int], list[tuple[int, int]]]:
    n = make.draw(st.integers(2, 4))
    make.empty = False
    s = sides(make, n + 1)
    return s, [(s[i], s[i + 1]) for i in range(n)]


@shape_row("linalg.multi_dot", covers=("chain_matmul",), ours=lambda *xs: tc.linalg.multi_dot(xs),
           oracle=lambda *xs: torch.linalg.multi_dot(xs))  # fmt: skip
def multi_dot_case(make: Maker) -> Case:
    s, shapes = chained(make)
    ends: list[Any] = list(shapes)
    ends[0] = (s[1],) if make.draw(st.booleans()) else ends[0]
    ends[-1] = (s[-2],) if make.draw(st.booleans()) else ends[-1]
    return matrices(make, *ends), {}


EQUATIONS = (
    "ij,jk->ik", "ij,jk", "ij,kj->ki", "bij,bjk->bik", "bij,jk->bik", "i,j->ij", "i,i->", "ii",
    "ii->i", "ij->ji", "ij->", "ij,ij->i", "iij->ij", "ij,j,i->", "bhid,bhjd->bhij", "ij,jk,kl->il",
    "ijk,ilm,njm,nlk->", "...ij,...jk->...ik", "...i,...i->...", "i...,i->...", "...,...", "Ab,bA",
    "ba", "abc,bd->acd", "aij,bij->ab", "ijk,jki->", "ij,kl->ijkl", "ij,i->ji", "ijk->kij",
    "a,b,c->cab", "bnhd,bmhd->bhnm", "i...j,...j->...i",
)  # fmt: skip


@shape_row("einsum", ours=lambda *xs, equation: tc.einsum(equation, *xs),
           oracle=lambda *xs, equation: torch.einsum(equation, *xs),
           dtypes=NUMERIC)  # fmt: skip
def einsum_case(make: Maker) -> Case:
    equation = make.draw(st.sampled_from(EQUATIONS))
    parts = equation.split("->")[0].split(",")
    sizes = dict(zip("abcdehijklmnA", sides(make, 13), strict=True))
    dots = make.shape(0, 2)
    shapes = []
    for part in parts:
        cut = make.draw(st.integers(0, len(dots)))
        broad = tuple(1 if make.draw(st.booleans()) else n for n in dots[cut:])
        left, ellipsis, right = part.partition("...")
        once = len(set(part)) == len(part)
        shape = [
            tuple(1 if once and make.draw(st.integers(0, 9)) == 9 else sizes[c] for c in p)
            for p in (left, right)
        ]
        shapes.append((*shape[0], *(broad if ellipsis else ()), *shape[1]))
    return matrices(make, *shapes), {"equation": equation}


@shape_row("tensordot", dtypes=NUMERIC)
def tensordot_case(make: Maker) -> Case:
    shared, a, b = (tuple(sides(make, make.draw(st.integers(0, 2)))) for _ in range(3))
    n = len(shared)
    if make.draw(st.booleans()):
        return matrices(make, a + shared, shared + b), {"dims": n}
    order = make.draw(st.permutations(range(n)))
    first = [len(a) + i for i in order]
    second = [i - len(shared + b) for i in order]
    return matrices(make, a + shared, shared + b), {"dims": (first, second)}


@shape_row("cdist", special=False)
def cdist_case(make: Maker) -> Case:
    p = make.draw(st.sampled_from((2.0, 1.0, 0.0, 1.5, 3.0, math.inf)))
    if p == math.inf and make.kind == "kinks":
        p = 2.0  # PyTorch hands every tied difference the whole gradient
    n, m, d = sides(make, 3)
    d = max(d, 1)
    lead = make.draw(st.sampled_from(((), (2,))))
    rows = apart(make.array((math.prod(lead) * m + n, d)))
    mode = make.draw(st.sampled_from(("use_mm", "donot_use_mm"))) + "_for_euclid_dist"
    if make.kind in ("kinks", "mixed"):
        mode = "donot_use_mm_for_euclid_dist"  # where PyTorch's other way is inexact
    return [rows[:n], rows[n:].reshape(*lead, m, d)], {"p": p, "compute_mode": mode}


# --- decompositions -------------------------------------------------------------------------------

WELL = Domain("small whole numbers", (1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 0.25, 0.75), distinct=False)


def lead(make: Maker) -> tuple[int, ...]:
    return make.draw(st.sampled_from(((), (1,), (2,), (2, 1))))


def regular(make: Maker, n: int, batch: tuple[int, ...] = ()) -> Any:
    """Square matrices with an inverse, whose eigenvalues and singular values lie apart."""
    dtype = make.dtype()
    noise = make.draw(ts.arrays((*batch, n, n), WELL, "float64"))
    large = np.diag([6.0, -11.0, 17.0, 23.0][:n])
    return (noise + large[make.draw(st.permutations(range(n)))]).astype(dtype)


def square(make: Maker) -> Any:
    return regular(make, make.draw(st.integers(1, 3)), lead(make))


def positive(x: Any) -> Any:
    """A symmetric positive definite matrix from any."""
    eye = np.eye(x.shape[-1], dtype=str(x.dtype).removeprefix("torch."))
    return x @ x.mT + 4 * (tc.tensor(eye) if isinstance(x, tc.Tensor) else torch.tensor(eye))


def on_linalg(name: str, **more: Any) -> Any:
    """A row for a function of both `linalg` rooms."""
    return shape_row(
        f"linalg.{name}", ours=getattr(tc.linalg, name), oracle=getattr(torch.linalg, name),
        **{"kinks": False, **more},
    )  # fmt: skip


@on_linalg("det", covers=("det",))
def det_case(make: Maker) -> Case:
    if make.kind == "smooth" or make.draw(st.booleans()):
        return [square(make)], {}
    return [np.ones((2, 2)) @ np.diag([1.0, make.draw(st.sampled_from((0.0, 2.0)))])], {}


@on_linalg("slogdet", covers=("slogdet", "log_abs_det", "det_sign"))
def slogdet_case(make: Maker) -> Case:
    return [square(make)], {}


@shape_row("logdet", kinks=False)
def logdet_case(make: Maker) -> Case:
    x = square(make)
    return [x @ x.swapaxes(-1, -2) if make.draw(st.booleans()) or make.kind == "smooth" else x], {}


@on_linalg("inv", covers=("inv", "inverse"))
def inv_case(make: Maker) -> Case:
    return [square(make)], {}


@on_linalg("solve", covers=("solve",))
def solve_case(make: Maker) -> Case:
    a = square(make)
    n, left = a.shape[-1], make.draw(st.booleans())
    if make.draw(st.booleans()):
        return [a, make.array(a.shape[:-1], REAL, a.dtype.name)], {}
    k = make.draw(st.integers(1, 2))
    shape = (*lead(make)[:1], *((n, k) if left else (k, n)))
    if shape == a.shape[:-1]:  # that would be vectors
        shape, left = (n, k), True
    return [a, make.array(shape, REAL, a.dtype.name)], {"left": left}


@on_linalg("solve_triangular")
def solve_triangular_case(make: Maker) -> Case:
    a = square(make)
    n, left = a.shape[-1], make.draw(st.booleans())
    a = a + np.eye(n, dtype=a.dtype) * (np.diagonal(a, 0, -2, -1)[..., None] == 0)
    shape = (*lead(make)[:1], *((n, 2) if left else (2, n)))
    return [a, make.array(shape, REAL, a.dtype.name)], {
        "upper": make.draw(st.booleans()), "left": left, "unitriangular": make.draw(st.booleans()),
    }  # fmt: skip


@on_linalg("matrix_power")
def matrix_power_case(make: Maker) -> Case:
    return [square(make)], {"n": make.draw(st.integers(-2, 4))}


@shape_row(
    "cholesky", covers=("linalg.cholesky",), kinks=False,
    ours=lambda x, upper: tc.linalg.cholesky(positive(x), upper=upper),
    oracle=lambda x, upper: torch.linalg.cholesky(positive(x), upper=upper),
)  # fmt: skip
def cholesky_case(make: Maker) -> Case:
    return [square(make)], {"upper": make.draw(st.booleans())}


def weights(vectors: Any) -> Any:
    """A number for each vector: with the values themselves, differences would be inexact."""
    numbers = np.arange(1.0, vectors.shape[-1] + 1)
    if isinstance(vectors, tc.Tensor):
        return tc.tensor(numbers).type_as(vectors)
    return torch.tensor(numbers).type_as(vectors)


def of_eigh(room: Any) -> Any:
    """Eigenvalues, and what does not depend on the signs of eigenvectors."""

    def f(x: Any, UPLO: str) -> Any:
        values, vectors = room.eigh(x + x.mT, UPLO)
        mixed = (vectors * weights(vectors)) @ vectors.mT
        return values, mixed, room.eigvalsh(x + x.mT, UPLO)

    return f


@shape_row("linalg.eigh", covers=("eigh", "linalg.eigvalsh"), kinks=False,
           ours=of_eigh(tc.linalg), oracle=of_eigh(torch.linalg))  # fmt: skip
def eigh_case(make: Maker) -> Case:
    return [square(make)], {"UPLO": make.draw(st.sampled_from("LU"))}


def of_svd(room: Any) -> Any:
    """Singular values, and what does not depend on signs."""

    def f(x: Any, full_matrices: bool) -> Any:
        u, s, vh = room.svd(x, full_matrices)
        k = s.shape[-1]
        u, vh = u[..., :k], vh[..., :k, :]
        return s, (u * weights(u)) @ u.mT, (u * weights(u)) @ vh, room.svdvals(x)

    return f


def wide(make: Maker) -> Any:
    """Matrices of every form, whose singular values lie apart."""
    m, n = make.draw(st.integers(1, 3)), make.draw(st.integers(1, 3))
    return regular(make, 3, lead(make))[..., :m, :n] + np.eye(m, n, dtype="float32") * 31


@shape_row("linalg.svd", covers=("svd", "linalg.svdvals"), kinks=False,
           ours=of_svd(tc.linalg), oracle=of_svd(torch.linalg))  # fmt: skip
def svd_case(make: Maker) -> Case:
    make.dtypes = ("float64",)
    return [wide(make)], {"full_matrices": make.draw(st.booleans())}


def of_qr(room: Any) -> Any:
    """Q and R with a positive diagonal: LAPACK's signs may differ."""

    def f(x: Any, mode: str) -> Any:
        q, r = room.qr(x, mode)
        signs = r.diagonal(0, -2, -1).detach().sign()
        k = signs.shape[-1]
        if mode == "r":
            return r[..., :k, :] * signs.unsqueeze(-1), q
        return q[..., :k] * signs.unsqueeze(-2), r[..., :k, :] * signs.unsqueeze(-1)

    return f


@shape_row("linalg.qr", covers=("qr",), kinks=False, ours=of_qr(tc.linalg),
           oracle=of_qr(torch.linalg))  # fmt: skip
def qr_case(make: Maker) -> Case:
    x = wide(make)
    modes = ["reduced"] + (["complete"] if x.shape[-2] <= x.shape[-1] else [])
    modes += ["r", "complete"] if make.kind == "mixed" else []
    return [x], {"mode": make.draw(st.sampled_from(modes))}


@on_linalg("matrix_rank", order=0)
def matrix_rank_case(make: Maker) -> Case:
    x = wide(make)
    return [x - x[..., :1] if make.draw(st.booleans()) else x], {}


def apart(x: Any) -> Any:
    """The same numbers a little off, so that no sums or differences of them are equal in size."""
    off = np.sqrt(np.arange(2, x.size + 2)).reshape(x.shape) / 64
    return (x + off).astype(x.dtype)


def normed(make: Maker) -> Any:
    x = apart(make.array(make.shape(2, 3)))
    return x, two_dims(make, x.ndim)


@on_linalg("matrix_norm")
def matrix_norm_case(make: Maker) -> Case:
    make.empty = False
    ords = ("fro", 1, -1, math.inf, -math.inf)
    if make.kind == "smooth":
        x, dim = wide(make), (-2, -1)
        ords = (*ords, "nuc", 2, -2)
    else:
        x, dim = normed(make)
    return [x], {
        "ord": make.draw(st.sampled_from(ords)), "dim": dim, "keepdim": make.draw(st.booleans())
    }  # fmt: skip


@on_linalg("vector_norm", kinks=True)
def vector_norm_case(make: Maker) -> Case:
    make.empty = False
    x = make.array(make.shape())
    ord = make.draw(st.sampled_from((2, 1, 0, 3, math.inf, -math.inf, 1.5)))
    dim = make.draw(ts.axes(x.ndim)) if x.ndim else None
    return [x], {"ord": ord, "dim": dim, "keepdim": make.draw(st.booleans())}


@on_linalg("norm")
def norm_case(make: Maker) -> Case:
    make.empty = False
    if make.draw(st.booleans()):
        x = make.array(make.shape())
        dims = ts.axes(x.ndim).filter(lambda d: not isinstance(d, tuple) or len(d) < 3)
        return [x], {"dim": make.draw(dims) if x.ndim else None}
    x, dim = normed(make)
    one = make.draw(st.booleans())
    return [x], {"ord": make.draw(st.sampled_from((1, math.inf))), "dim": dim[0] if one else dim}


@on_linalg("vecdot")
def vecdot_case(make: Maker) -> Case:
    n = make.draw(st.integers(1, 3))
    return matrices(make, (2, n), make.draw(st.sampled_from(((n,), (2, n), (1, n))))), {}


@on_linalg("cross", kinks=True)
def linalg_cross_case(make: Maker) -> Case:
    return matrices(make, (2, 3), make.draw(st.sampled_from(((1, 3), (2, 3))))), {}


@shape_row("linalg.matmul", covers=("linalg.diagonal",), ours=lambda x: tc.linalg.matmul(
    x, tc.linalg.diagonal(x)), oracle=lambda x: torch.linalg.matmul(
    x, torch.linalg.diagonal(x)))  # fmt: skip
def linalg_matmul_case(make: Maker) -> Case:
    return [make.array((2, 2))], {}


@shape_row("cofactors", ours=lambda x: linalg.cofactors(x),
           oracle=lambda x: torch.linalg.det(x)[..., None, None] * torch.linalg.inv(x).mT,
           kinks=False)  # fmt: skip
def cofactors_case(make: Maker) -> Case:
    return [square(make)], {}
