"""Indices, shapes, products, matrices: what is wrong is said with names, what was given, and a way.

Each call raises an error of the project's own, and the text names the function and the numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_course as tc
from tinygrad_course import errors

L = tc.linalg
X = tc.tensor(np.arange(6.0).reshape(2, 3))
V = tc.tensor([1.0, 2.0, 3.0], dtype=tc.float64)
S = tc.tensor([[2.0, 1.0], [1.0, 3.0]], dtype=tc.float64)
I = tc.tensor([0, 1])  # noqa: E741
M = tc.tensor([True, False])
ZERO = tc.tensor(1.0)
OURS = (
    errors.ShapeError, errors.DtypeError, errors.OptionError, errors.GradientError,
    errors.LinAlgError, IndexError,
)  # fmt: skip

WRONG: dict[str, list[Any]] = {
    # indexing
    "index": [lambda: X[5], lambda: X[0, 0, 0], lambda: X[1.5], lambda: X[V],
              lambda: X[I.to(tc.uint8)],
              lambda: X[tc.tensor([True, False, True])], lambda: X[I, tc.tensor([0, 1, 2])]],
    "gather": [lambda: X.gather(0, I), lambda: X.gather(2, I), lambda: X.gather(0, X),
               lambda: X.gather(1, tc.tensor([[-1]])), lambda: X.gather(1, tc.tensor([[3]])),
               lambda: X.gather(1, tc.tensor([[0], [0], [0]]))],
    "take_along_dim": [lambda: tc.take_along_dim(X, I, 0), lambda: tc.take_along_dim(X, X, 0),
                       lambda: tc.take_along_dim(X, tc.tensor([[3]]), 1)],
    "take": [lambda: X.take(tc.tensor([6])), lambda: X.take(V), lambda: X.take(M)],
    "index_select": [lambda: X.index_select(0, tc.tensor([2])), lambda: X.index_select(0, V),
                     lambda: X.index_select(0, tc.tensor([-1])), lambda: X.index_select(0, [0]),
                     lambda: X.index_select(0, tc.tensor([[0]])),
                     lambda: ZERO.index_select(0, tc.tensor([0, 0]))],
    "index_add": [lambda: X.index_add(0, I, V), lambda: X.index_add(0, I, X.float()),
                  lambda: X.index_add(0, tc.tensor([2, 0]), X), lambda: X.index_add(0, V, X),
                  lambda: I.index_add(0, I, I, alpha=0.5)],
    "index_copy": [lambda: X.index_copy(0, I, V), lambda: X.index_copy(1, I, X),
                   lambda: X.index_copy(0, tc.tensor([-1, 0]), X)],
    "index_fill": [lambda: X.index_fill(0, tc.tensor([2]), 0.0), lambda: X.index_fill(0, I, V),
                   lambda: X.index_fill(0, I, "one")],
    "index_put": [lambda: X.index_put((I,), V.float()),
                  lambda: X.index_put((I,), tc.zeros(3, 3).double()),
                  lambda: X.index_put((I,), tc.zeros(4, 2, 3).double())],
    "masked_fill": [lambda: V.masked_fill(M, 0.0), lambda: V.masked_fill(V, 0.0),
                    lambda: V.masked_fill(V > 1, V), lambda: I.masked_fill(I > 0, float("inf")),
                    lambda: I.to(tc.uint8).masked_fill(I > 0, 256),
                    lambda: V.half().masked_fill(V > 1, 1e9)],
    "masked_select": [lambda: V.masked_select(M), lambda: V.masked_select(V)],
    "scatter": [lambda: X.scatter(1, I, X), lambda: X.scatter(1, tc.tensor([[-1]]), 1.0),
                lambda: X.scatter(1, tc.tensor([[0]]), X.float()),
                lambda: X.scatter(1, tc.tensor([[0]])),
                lambda: X.scatter(1, tc.tensor([[0]]), X, value=1.0),
                lambda: X.scatter(1, tc.tensor([[0]]), X, reduce="multiply"),
                lambda: X.scatter(1, tc.tensor([[0, 0, 0, 0]]), X)],
    "scatter_add": [lambda: X.scatter_add(1, tc.tensor([[0, 0, 0, 0]]), X),
                    lambda: X.scatter_add(1, tc.tensor([[3]]), X)],
    "where": [lambda: tc.where(M, I)],
    # shapes
    "broadcast_tensors": [lambda: tc.broadcast_tensors(V, M)],
    "movedim": [lambda: X.movedim(0, (0, 1)), lambda: X.movedim((0, 0), (0, 1)),
                lambda: X.movedim(2, 0)],
    "flip": [lambda: X.flip(2), lambda: X.flip((0, 0)), lambda: X.flip(0.5)],
    "roll": [lambda: X.roll((1, 2), 0), lambda: X.roll((1, 2)), lambda: ZERO.roll(1, 0)],
    "rot90": [lambda: V.rot90(), lambda: X.rot90(1, (0, 0)), lambda: X.rot90(1, (0,))],
    "repeat": [lambda: X.repeat(2), lambda: X.repeat(2, -1), lambda: X.repeat(2, 0.5)],
    "repeat_interleave": [lambda: X.repeat_interleave(-1), lambda: X.repeat_interleave(I, 1),
                          lambda: X.repeat_interleave(1.5),
                          lambda: V.repeat_interleave(2, output_size=5)],
    "meshgrid": [lambda: tc.meshgrid(X, V), lambda: tc.meshgrid(V, I),
                 lambda: tc.meshgrid(V, indexing="x")],
    "diagonal": [lambda: V.diagonal(), lambda: X.diagonal(0, 1, 1), lambda: X.diagonal(0, 0, 2)],
    "diag_embed": [lambda: tc.diag_embed(ZERO), lambda: tc.diag_embed(V, 0, 1, 1)],
    "diag": [lambda: tc.diag(ZERO), lambda: tc.diag(tc.zeros(1, 1, 1))],
    "tril": [lambda: V.tril()],
    "triu": [lambda: V.triu()],
    "select": [lambda: X.select(0, 2), lambda: ZERO.select(0, 0), lambda: X.select(2, 0)],
    "narrow": [lambda: X.narrow(0, 1, 2), lambda: X.narrow(0, -3, 1), lambda: X.narrow(0, 0, -1)],
    "unbind": [lambda: ZERO.unbind(), lambda: X.unbind(2)],
    "tensor_split": [lambda: X.tensor_split(0), lambda: ZERO.tensor_split(1)],
    "hsplit": [lambda: X.hsplit(2), lambda: ZERO.hsplit(1)],
    "vsplit": [lambda: V.vsplit(1), lambda: X.vsplit(3)],
    "unfold": [lambda: V.unfold(0, 4, 1), lambda: V.unfold(0, 1, 0), lambda: V.unfold(1, 1, 1)],
    "diff": [lambda: ZERO.diff(), lambda: V.diff(-1), lambda: V.diff(dim=1)],
    "cat": [lambda: tc.cat([]), lambda: tc.cat([X, V]), lambda: tc.cat([X, X.T])],
    "stack": [lambda: tc.stack([]), lambda: tc.stack([X, V]), lambda: tc.hstack([X, ZERO])],
    "view": [lambda: X.view(4), lambda: X.view(-1, -1), lambda: X.view(2.0, 3),
             lambda: X.view_as(S)],
    "expand": [lambda: X.expand(3, 3), lambda: X.expand(3), lambda: X.expand_as(V)],
    "split": [lambda: X.split([1, 2]), lambda: X.split(-1), lambda: X.chunk(0),
              lambda: X.split(1, 2)],
    "unflatten": [lambda: X.unflatten(1, (2, 2)), lambda: X.unflatten(2, (1,)),
                  lambda: X.unflatten(1, (-1, -1))],
    # products
    "matmul": [lambda: X @ X, lambda: X @ ZERO, lambda: X @ V.float(), lambda: M @ M],
    "mm": [lambda: X.mm(V), lambda: X.mm(X)],
    "bmm": [lambda: X.bmm(X), lambda: tc.bmm(X[None], tc.zeros(2, 3, 2).double())],
    "mv": [lambda: X.mv(X), lambda: X.mv(V[:2])],
    "dot": [lambda: V.dot(V[:2]), lambda: V.dot(X), lambda: tc.dot(V, V.float())],
    "vdot": [lambda: V.vdot(X)],
    "inner": [lambda: X.inner(V[:2])],
    "outer": [lambda: X.outer(V)],
    "cross": [lambda: tc.cross(X, V), lambda: tc.cross(S, S), lambda: tc.cross(X, X, 0),
              lambda: L.cross(S, S)],
    "addmm": [lambda: tc.addmm(V, X, X), lambda: tc.addmm(V[:2], X, V),
              lambda: tc.addmm(V, X, X.T), lambda: tc.addmm(V.float(), X, X.T),
              lambda: tc.addmm(I, S.long(), S.long(), alpha=0.5)],
    "baddbmm": [lambda: tc.baddbmm(X, X, X)],
    "addmv": [lambda: tc.addmv(V, X, V)],
    "addr": [lambda: tc.addr(V[:2], V, V)],
    "trace": [lambda: V.trace()],
    "multi_dot": [lambda: L.multi_dot([X]), lambda: L.multi_dot([X, X[None], X])],
    "tensordot": [lambda: tc.tensordot(X, X, 1), lambda: tc.tensordot(X, X, 3),
                  lambda: tc.tensordot(X, X, ([0], [0, 1])), lambda: tc.tensordot(X, X, ([0], [5])),
                  lambda: tc.tensordot(X, X.float(), 2)],
    "einsum": [lambda: tc.einsum("ij", V), lambda: tc.einsum("ij,jk->ik", X),
               lambda: tc.einsum("i->j", V),
               lambda: tc.einsum("i->ii", V), lambda: tc.einsum("i1->i", X),
               lambda: tc.einsum("ii", X),
               lambda: tc.einsum("i,i", V, V[:2]), lambda: tc.einsum("i,i", V, V.float()),
               lambda: tc.einsum(X, [0, 1]), lambda: tc.einsum("i-j", V),
               lambda: tc.einsum("i,i", M, M)],
    "cdist": [lambda: tc.cdist(X, V), lambda: tc.cdist(X, S), lambda: tc.cdist(X, X, p=-1),
              lambda: tc.cdist(X, X.float()), lambda: tc.cdist(I[None], I[None]),
              lambda: tc.cdist(X, X, compute_mode="no")],
    # matrices
    "det": [lambda: tc.det(X), lambda: tc.det(V), lambda: L.det(S.long()), lambda: L.det(S.half())],
    "slogdet": [lambda: tc.slogdet(X)],
    "inv": [lambda: L.inv(X), lambda: L.inv(tc.zeros(2, 2))],
    "solve": [lambda: L.solve(X, V), lambda: L.solve(S, V), lambda: L.solve(S, S.float()),
              lambda: L.solve(tc.zeros(2, 2), tc.ones(2)), lambda: L.solve(S, V[:2], left=False)],
    "solve_triangular": [lambda: L.solve_triangular(X, X, upper=True),
                         lambda: L.solve_triangular(S, V[:2], upper=True),
                         lambda: L.solve_triangular(tc.zeros(2, 2), tc.ones(2, 1), upper=False)],
    "cholesky": [lambda: L.cholesky(X), lambda: tc.cholesky(-S)],
    "eigh": [lambda: L.eigh(X), lambda: L.eigh(S, "l")],
    "svd": [lambda: L.svd(V)],
    "qr": [lambda: L.qr(V), lambda: L.qr(S, "full"),
           lambda: L.qr(X.T.clone().requires_grad_(), "complete")],
    "matrix_norm": [lambda: L.matrix_norm(V), lambda: L.matrix_norm(X, "no"),
                    lambda: L.matrix_norm(X, 3),
                    lambda: L.matrix_norm(X, dim=(0, 0)), lambda: L.matrix_norm(X, dim=(0,)),
                    lambda: L.matrix_norm(X.long())],
    "vector_norm": [lambda: L.vector_norm(X, "fro"), lambda: L.vector_norm(I)],
    "norm": [lambda: L.norm(V, "fro"), lambda: L.norm(X[None], 1),
             lambda: L.norm(X[None], dim=(0, 1, 2))],
    "matrix_power": [lambda: L.matrix_power(X, 2), lambda: L.matrix_power(tc.zeros(2, 2), -1)],
}  # fmt: skip
CASES = [(name, i) for name, calls in WRONG.items() for i in range(len(calls))]

# Words that stand for a function whose own name is that of the row or function that it is made of.
MADE_OF = {
    "index": ("getitem", "index"), "view": ("reshape",), "stack": ("stack", "cat"),
    "expand": ("expand", "broadcast_to"), "split": ("split", "chunk", "dim"),
    "mm": ("mm", "matmul"), "bmm": ("bmm", "matmul"), "mv": ("mv", "matmul"),
    "dot": ("dot", "matmul"), "inner": ("tensordot",), "addmm": ("addmm", "matmul"),
    "baddbmm": ("bmm",), "addmv": ("addmv", "matmul"), "tensordot": ("tensordot", "einsum"),
    "matrix_power": ("matrix_power", "inv"), "vector_norm": ("norm",), "multi_dot": ("multi_dot",),
}  # fmt: skip


@pytest.mark.parametrize(("name", "i"), CASES)
def test_errors_name_what_is_wrong(name: str, i: int) -> None:
    with pytest.raises(OURS) as found:
        WRONG[name][i]()
    text = str(found.value)
    words = (*MADE_OF.get(name, ()), name, "dim", "shape is made of ints")
    assert any(word in text for word in words), text
    assert any(c.isdigit() for c in text) or "'" in text or "dtype" in text, text


# --- tensors keep their values when a call fails, and constants do not lose their memory ----------


@pytest.mark.parametrize("value", [tc.ones(4), 1.0])
def test_a_write_that_fails_changes_nothing(value: Any) -> None:
    x = tc.zeros(3)
    with pytest.raises(errors.ShapeError, match=r"x\[index\] = value"):
        x[tc.tensor([0, 5])] = value
    assert x.tolist() == [0, 0, 0]


def test_writing_into_constants_reaches_nobody_else() -> None:
    """A constant that nothing else holds is written without a copy; a shared one is not."""
    x = tc.zeros(4)
    alone = id(x._data)
    x[1] = 2.0
    assert id(x._data) == alone
    view, array, stacked = x[:2], x.numpy(), tc.stack([x, x])
    x[0] = 5.0
    assert x.tolist() == [5, 2, 0, 0]
    assert view.tolist() == array[:2].tolist() == stacked[0, :2].tolist() == [0, 2]


def test_a_constant_written_after_use_leaves_gradients_alone() -> None:
    w = tc.ones(3, requires_grad=True)
    x = tc.tensor([1.0, 2.0, 3.0])
    y = (w * x).sum()
    x[0] = 100.0
    y.backward()
    assert w.grad is not None
    assert w.grad.tolist() == [1, 2, 3]


def test_an_index_written_after_use_leaves_gradients_alone() -> None:
    for index in (tc.tensor([0, 1]), np.array([0, 1])):
        x = tc.ones(3, requires_grad=True)
        y = x[index].sum()
        index[0] = 2
        y.backward()
        assert x.grad is not None
        assert x.grad.tolist() == [1, 1, 0]


VIEWS = [
    lambda x: x[0], lambda x: x[:, 1:], lambda x: x[None], lambda x: x[..., 0], lambda x: x.T,
    lambda x: x.view(6), lambda x: x.view_as(x), lambda x: x.transpose(0, 1),
    lambda x: x.permute(1, 0), lambda x: x.movedim(0, 1), lambda x: x.swapaxes(0, 1),
    lambda x: x.unsqueeze(0), lambda x: x[None].squeeze(0), lambda x: x.expand(2, 2, 3),
    lambda x: x.select(0, 0), lambda x: x.narrow(1, 0, 2), lambda x: x.unbind()[0],
    lambda x: x.split(1)[0], lambda x: x.chunk(2)[1], lambda x: x.tensor_split(2)[0],
    lambda x: x.diagonal(), lambda x: x.unfold(1, 2, 1), lambda x: x.flatten(), lambda x: x.t(),
    lambda x: x.unflatten(1, (3, 1)), lambda x: tc.broadcast_to(x, (2, 2, 3)),
    lambda x: x.expand_as(x), lambda x: x.hsplit(3)[0],
]  # fmt: skip


@pytest.mark.parametrize("view", VIEWS)
def test_writing_through_a_view_raises(view: Any) -> None:
    x = X * 1
    with pytest.raises(errors.GradientError, match="clone"):
        view(x).zero_()
    with pytest.raises(errors.GradientError, match="clone"):
        view(x)[...] = 0.0
    assert x.tolist() == X.tolist()


@pytest.mark.parametrize("view", [v for v in VIEWS if "unfold" not in v.__code__.co_names])
def test_a_view_of_what_nobody_holds_is_written(view: Any) -> None:
    """tc.arange(6).reshape(2, 3), a result and its transpose: the write can miss nobody."""
    x = view(X * 1)
    again = x.clone()
    x[0] = again[0] = 7.0
    assert x.tolist() == again.tolist()
    x = view(X * 1)
    assert x.zero_().sum().item() == 0
    a, b = (X.clone().requires_grad_() for _ in range(2))
    y = view(a * 1)
    y.pow_(2)
    y.sum().backward()
    (view(b) ** 2).sum().backward()
    assert a.grad is not None
    assert b.grad is not None
    assert a.grad.tolist() == b.grad.tolist()


def test_views_of_one_base_are_not_written() -> None:
    base = X * 1
    a, b = base.view(6), base[0]
    del base
    with pytest.raises(errors.GradientError, match="clone"):
        a[0] = 1.0
    del b
    a[0] = 1.0
    assert a.tolist() == [1, 1, 2, 3, 4, 5]


COPIES = [
    lambda x: x[tc.tensor([0])], lambda x: x[x > 1], lambda x: x.flip(0), lambda x: x.roll(1),
    lambda x: x.rot90(), lambda x: x.rot90(2), lambda x: x.rot90(0), lambda x: x.repeat(1, 1),
    lambda x: x.repeat_interleave(2), lambda x: x.tril(), lambda x: x.diag(), lambda x: x.diff(),
    lambda x: x.diff(0), lambda x: x.index_select(0, I), lambda x: x.take(I),
    lambda x: x.masked_fill(x > 1, 0.0), lambda x: tc.cat([x]), lambda x: tc.stack([x]),
    lambda x: x @ V, lambda x: x @ x.T, lambda x: x[None] @ x.T,
    lambda x: tc.einsum("ij,j->i", x, V),
    lambda x: tc.einsum("ij,kj->ki", x, x), lambda x: tc.kron(x, x), lambda x: tc.diag_embed(x),
    lambda x: L.solve(S, x[:, 0]), lambda x: L.qr(x).Q, lambda x: L.svd(x).Vh,
    lambda x: L.svd(x, full_matrices=False).U, lambda x: tc.nn.functional.linear(x[None], x),
    lambda x: L.eigh(S).eigenvalues,
]  # fmt: skip


@pytest.mark.parametrize("copy", COPIES)
def test_what_is_no_view_is_written_and_the_base_is_not(copy: Any) -> None:
    x = X * 1
    assert copy(x).zero_().sum().item() == 0
    assert x.tolist() == X.tolist()


def test_results_do_not_change_with_the_leaf() -> None:
    """What PyTorch computes as a copy is one: a later write into the leaf does not show."""
    leaf = tc.tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    results = [f(leaf) for f in COPIES]
    before = [r.tolist() for r in results]
    with tc.no_grad():
        leaf.add_(100.0)
    assert [r.tolist() for r in results] == before


# --- in place -------------------------------------------------------------------------------------

WRITES: dict[str, Any] = {
    "masked_fill_": (X > 2, 7.0), "index_fill_": (1, I, 7.0), "index_add_": (0, I, X),
    "index_copy_": (0, I, X), "scatter_": (1, tc.tensor([[2], [0]]), 7.0),
    "scatter_add_": (1, tc.tensor([[2], [0]]), X), "index_put_": ((I, I), V[:2]), "tril_": (),
    "triu_": (1,), "addmm_": (S, X), "addr_": (V[:2], V), "clamp_": (1.0, 3.0), "relu_": (),
    "add_": (X,), "sub_": (X,), "mul_": (X,), "div_": (X + 1,),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITES)
def test_in_place_is_the_function_and_its_gradient(name: str) -> None:
    args = WRITES[name]
    a, b = (X.clone().requires_grad_() for _ in range(2))
    written, before = a * 2 - 3, a * 2 - 3
    assert getattr(written, name)(*args) is written
    expected = getattr(b * 2 - 3, name[:-1])(*args)
    assert written.tolist() == expected.tolist() != before.tolist()
    (written * X).sum().backward()
    (expected * X).sum().backward()
    assert a.grad is not None
    assert b.grad is not None
    assert a.grad.tolist() == b.grad.tolist()


@pytest.mark.parametrize("name", WRITES)
def test_in_place_on_a_leaf_raises_outside_no_grad(name: str) -> None:
    leaf = X.clone().requires_grad_()
    with pytest.raises(errors.GradientError, match="no_grad"):
        getattr(leaf, name)(*WRITES[name])
    with tc.no_grad():
        getattr(leaf, name)(*WRITES[name])
    assert leaf.tolist() == getattr(X, name[:-1])(*WRITES[name]).tolist()
    assert leaf.is_leaf


def test_rows_written_in_a_loop() -> None:
    """A decoder's loop: each row is written from the one before, and gradients reach the start."""
    start = tc.tensor([1.0, 2.0], dtype=tc.float64, requires_grad=True)
    outputs = tc.zeros(4, 2, dtype=tc.float64)
    state = start
    for t in range(4):
        state = state * 2
        outputs[t] = state
    outputs.sum().backward()
    assert outputs[:, 0].tolist() == [2, 4, 8, 16]
    assert start.grad is not None
    assert start.grad.tolist() == [30, 30]


def test_a_mask_is_written_with_numbers_and_tensors() -> None:
    x = (X * 1).requires_grad_()
    y = x * 1
    y[y > 3] = 0.0
    y[:, ::2] = y[:, ::2] * 10
    y[0, [0, 1]] = tc.tensor([5.0, 6.0], dtype=tc.float64)
    y.sum().backward()
    assert y.tolist() == [[5, 6, 20], [30, 0, 0]]
    assert x.grad is not None
    assert x.grad.tolist() == [[0, 0, 10], [10, 0, 0]]
