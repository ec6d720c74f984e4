"""LeNet-5 from the same weights and batches: 50 steps of Adam stay beside PyTorch's; and its
Hessian-vector products are PyTorch's."""

import numpy as np
import pytest

import tinygrad_course as tc

torch = pytest.importorskip("torch")


def lenet(nn, pool="MaxPool2d", bend="ReLU"):
    pool, bend = getattr(nn, pool), getattr(nn, bend)
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), bend(), pool(2),
        nn.Conv2d(6, 16, 5), bend(), pool(2),
        nn.Flatten(), nn.Linear(400, 120), bend(), nn.Linear(120, 84), bend(),
        nn.Linear(84, 10),
    )  # fmt: skip


def tensors(state):
    return {k: torch.tensor(v.numpy()) for k, v in state.items()}


def test_state_dicts_load_both_ways():
    ours, theirs = lenet(tc.nn), lenet(torch.nn)
    x = np.random.default_rng(0).normal(size=(3, 1, 28, 28)).astype(np.float32)
    ours.load_state_dict(theirs.state_dict())
    expected = theirs(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(ours(tc.tensor(x)).detach().numpy(), expected, atol=1e-5)
    again = lenet(torch.nn)
    again.load_state_dict(tensors(ours.state_dict()))
    assert (again(torch.tensor(x)).detach().numpy() == expected).all()


@pytest.fixture(scope="module")
def digits():
    pytest.importorskip("sklearn")
    images, labels = tc.data.datasets.digits(size=28, margin=4).tensors
    return (images - images.mean()) / images.std(), labels


# In float32 a unit of ReLU that stands at its kink may go either way by rounding alone, and then
# two runs part (PyTorch's from its own float64 run, too); tanh has no kinks.
@pytest.mark.parametrize(
    ("dtype", "tolerance", "pool", "bend"),
    [
        ("float64", 1e-9, "MaxPool2d", "ReLU"),
        ("float64", 1e-9, "AvgPool2d", "Tanh"),
        ("float32", 1e-4, "AvgPool2d", "Tanh"),
        ("float32", 1e-4, "MaxPool2d", "Tanh"),
    ],
)
def test_fifty_steps_of_adam_on_digits(digits, dtype, tolerance, pool, bend):
    tc.manual_seed(3)
    order = np.random.default_rng(3).permutation(len(digits[0]))
    ours = lenet(tc.nn, pool, bend).to(dtype)
    theirs = lenet(torch.nn, pool, bend).to(getattr(torch, dtype))
    theirs.load_state_dict(tensors(ours.state_dict()))
    a = tc.optim.Adam(ours.parameters(), lr=1e-3)
    b = torch.optim.Adam(theirs.parameters(), lr=1e-3)
    for step in range(50):
        batch = order[32 * step : 32 * (step + 1)]
        x, y = digits[0].numpy()[batch].astype(dtype), digits[1].numpy()[batch]
        loss = tc.nn.functional.cross_entropy(ours(tc.tensor(x)), tc.tensor(y))
        wanted = torch.nn.functional.cross_entropy(theirs(torch.tensor(x)), torch.tensor(y))
        for optimiser, value in ((a, loss), (b, wanted)):
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
        assert abs(loss.item() - wanted.item()) < tolerance
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), atol=tolerance)


def small(nn):
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.Tanh(), nn.MaxPool2d(2), nn.Conv2d(3, 4, 3), nn.Sigmoid(),
        nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 6), nn.Tanh(), nn.Linear(6, 3),
    )  # fmt: skip


def test_hessian_vector_products():
    rng = np.random.default_rng(0)
    ours, theirs = small(tc.nn).double(), small(torch.nn).double()
    theirs.load_state_dict(tensors(ours.state_dict()))
    x, y = rng.normal(size=(5, 1, 12, 12)), rng.integers(0, 3, 5)
    u, v = tc.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    loss = tc.nn.functional.cross_entropy(ours(u), tc.tensor(y))
    wanted = torch.nn.functional.cross_entropy(theirs(v), torch.tensor(y))
    p, q = [*ours.parameters(), u], [*theirs.parameters(), v]
    directions = [rng.normal(size=t.shape) for t in p]
    ga = tc.autograd.grad(loss, p, create_graph=True)
    gb = torch.autograd.grad(wanted, q, create_graph=True)
    da = sum((g * tc.tensor(d)).sum() for g, d in zip(ga, directions, strict=True))
    db = sum((g * torch.tensor(d)).sum() for g, d in zip(gb, directions, strict=True))
    ha, hb = tc.autograd.grad(da, p), torch.autograd.grad(db, q)
    for g, h in [*zip(ga, gb, strict=True), *zip(ha, hb, strict=True)]:
        np.testing.assert_allclose(g.detach().numpy(), h.detach().numpy(), rtol=1e-9, atol=1e-9)
