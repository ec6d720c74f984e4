"""Matrices at the edge: singular ones, values that coincide, and what has no derivative."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import tinygrad_course as tc
from tinygrad_course.testing import gradcheck

from .common import assert_equal

L = tc.linalg


def both(array: np.ndarray) -> tuple[tc.Tensor, torch.Tensor]:
    return tc.tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_the_determinant_of_a_singular_matrix(rank: int) -> None:
    """Its gradient, the cofactors, needs no inverse."""
    rng = np.random.default_rng(rank)
    x, y = both(rng.standard_normal((3, rank)) @ rng.standard_normal((rank, 3)))
    L.det(x).backward()
    minors = [[(-1) ** (i + j) * np.linalg.det(np.delete(np.delete(y.detach().numpy(), i, 0), j, 1))
               for j in range(3)] for i in range(3)]  # fmt: skip
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), minors, atol=1e-14)


def test_a_determinant_that_overflows() -> None:
    x, y = both(np.diag(np.full(60, 1e6, np.float32)))
    L.det(x).backward()
    torch.linalg.det(y).backward()
    assert np.isinf(L.det(x).item())
    sign, size = L.slogdet(x)
    assert_equal(size, torch.linalg.slogdet(y)[1], "slogdet")
    assert sign.item() == 1


@pytest.mark.parametrize("name", ["eigvalsh", "svdvals"])
def test_values_that_coincide_have_gradients(name: str) -> None:
    x, y = both(np.diag([2.0, 2.0, 5.0]))
    (getattr(L, name)(x) ** 3).sum().backward()
    (getattr(torch.linalg, name)(y) ** 3).sum().backward()
    assert x.grad is not None
    assert_equal(x.grad, y.grad, name)


def test_vectors_of_values_that_coincide_have_none() -> None:
    """A number would be a guess: which vectors they are is LAPACK's choice."""
    x = tc.tensor(np.diag([2.0, 2.0, 5.0]), requires_grad=True)
    weights = tc.tensor(np.arange(9.0).reshape(3, 3))
    (L.eigh(x).eigenvectors * weights).sum().backward()
    assert x.grad is not None
    assert np.isnan(x.grad.numpy()).any()


def test_a_rank_deficient_matrix_has_the_gradient_of_its_norm() -> None:
    x, y = both(np.outer([1.0, 2.0, 3.0], [1.0, 1.0]))
    L.matrix_norm(x, 2).backward()
    torch.linalg.matrix_norm(y, 2).backward()
    assert x.grad is not None
    assert_equal(x.grad, y.grad, "matrix_norm")


def test_full_matrices_are_orthonormal() -> None:
    x = tc.tensor(np.arange(6.0).reshape(3, 2))
    u, s, vh = L.svd(x)
    assert u.shape == (3, 3)
    np.testing.assert_allclose((u.T @ u).numpy(), np.eye(3), atol=1e-14)
    np.testing.assert_allclose((u[:, :2] * s @ vh).numpy(), x.numpy(), atol=1e-14)
    q, r = L.qr(x, "complete")
    assert (q.shape, r.shape) == ((3, 3), (3, 2))
    np.testing.assert_allclose((q @ r).numpy(), x.numpy(), atol=1e-14)


def test_the_results_have_names() -> None:
    x = tc.tensor([[2.0, 0.0], [0.0, 1.0]])
    assert L.eigh(x)._fields == ("eigenvalues", "eigenvectors")
    assert L.svd(x)._fields == ("U", "S", "Vh")
    assert L.qr(x)._fields == ("Q", "R")
    assert L.slogdet(x)._fields == ("sign", "logabsdet")


def test_a_gaussian_process_by_cholesky() -> None:
    """The likelihood of a Gaussian process, differentiated twice through three decompositions."""
    points = tc.tensor(np.linspace(0, 1, 4)[:, None])
    y = tc.tensor(np.array([0.5, -0.25, 1.0, 0.0]))

    def likelihood(scale: tc.Tensor) -> tc.Tensor:
        k = tc.exp(-((points - points.T) ** 2) / scale) + 0.1 * tc.eye(4, dtype=tc.float64)
        lower = L.cholesky(k)
        z = L.solve_triangular(lower, y[:, None], upper=False)
        return (z * z).sum() + 2 * lower.diagonal().log().sum()

    def directly(scale: tc.Tensor) -> tc.Tensor:
        k = tc.exp(-((points - points.T) ** 2) / scale) + 0.1 * tc.eye(4, dtype=tc.float64)
        return y @ L.inv(k) @ y + tc.logdet(k)

    scale = tc.tensor(0.5, dtype=tc.float64, requires_grad=True)
    gradcheck(likelihood, scale, order=2)
    (a,), (b,) = (tc.autograd.grad(f(scale), [scale]) for f in (likelihood, directly))
    assert a.item() == pytest.approx(b.item(), rel=1e-12)


@pytest.mark.parametrize("offset", [-4, -1, 0, 1, 4])
@pytest.mark.parametrize("name", ["tril_indices", "triu_indices"])
def test_places_of_triangles(name: str, offset: int) -> None:
    for row, col in ((3, 3), (2, 4), (4, 2), (0, 2)):
        got, want = (getattr(room, name)(row, col, offset) for room in (tc, torch))
        assert_equal(got, want, name)
    with pytest.raises(tc.errors.ShapeError, match=f"{name}.*-1"):
        getattr(tc, name)(-1, 2)


def test_dot_takes_vectors_and_scalars() -> None:
    a, b = tc.tensor([1.0, 2.0], requires_grad=True), tc.tensor([3.0, 4.0])
    tc.dot(a, b).backward()
    assert a.grad is not None
    assert a.grad.tolist() == [3, 4]
    assert tc.dot([tc.Scalar(1.0), tc.Scalar(2.0)], [3.0, 4.0]).data == 11


def test_einsum_multiplies_cheap_pairs_first() -> None:
    """In the order written, a middle result would have 10⁸ numbers."""
    a, b, c = tc.ones(100, 2), tc.ones(100, 2), tc.ones(100, 2)
    out = tc.einsum("ai,bj,ck,ai,bj,ck->ijk", a, b, c, a, b, c)
    assert out.shape == (2, 2, 2)
    assert out[0, 0, 0].item() == 1e6
