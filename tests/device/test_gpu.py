"""On a GPU: `pytest -m gpu`. The op table, the kernels at real sizes, training; and the stand-in,
which must refuse what CuPy refuses.

What is compared with is the CPU, which the rest of the suite compares with PyTorch.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_course as tc
from tests.benchmarks.models import lenet
from tests.parity.rows import BY_NAME, names
from tinygrad_course import devices, nn
from tinygrad_course.kernels import cost, geometry, lookup, moments, plain
from tinygrad_course.primitive import TABLE
from tinygrad_course.testing import strategies as ts

from . import standin
from .common import NEEDS_TORCH, check
from .models import small_alexnet

if why_not := devices.find_cupy()[1]:
    pytest.skip(why_not, allow_module_level=True)
pytestmark = pytest.mark.gpu


# --- rows -----------------------------------------------------------------------------------------


def drawable(row: Any) -> bool:
    return row.name not in NEEDS_TORCH or importlib.util.find_spec("torch") is not None


@pytest.mark.parametrize("name", names(drawable))
@ts.profile(5)
@given(data=st.data())
def test_values(name: str, data: Any) -> None:
    check(BY_NAME[name], data.draw(BY_NAME[name].cases("mixed")), False)


@pytest.mark.parametrize("name", names(lambda r: r.order and drawable(r)))
@ts.profile(5)
@given(data=st.data())
def test_gradients(name: str, data: Any) -> None:
    check(BY_NAME[name], data.draw(BY_NAME[name].cases("smooth")), True)


# --- kernels --------------------------------------------------------------------------------------


def on_gpu(x: Any) -> Any:
    return devices.place(x, "cuda")


def assert_close(got: Any, want: Any, sums: int = 1) -> None:
    """Equal up to the rounding of so many additions."""
    assert devices.is_cuda(got)
    got = devices.to_numpy(got)
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    eps = np.finfo(want.dtype).eps if want.dtype.kind == "f" else 0
    bound = 8 * eps * np.sqrt(sums) * max(np.abs(want).max(initial=0.0), 1.0)
    np.testing.assert_allclose(got, want, rtol=0, atol=bound)


# x, w, stride, padding, dilation, groups
CONVOLUTIONS = {
    "LeNet 1": ((32, 1, 28, 28), (6, 1, 5, 5), (1, 1), (2, 2), (1, 1), 1),
    "LeNet 2": ((32, 6, 14, 14), (16, 6, 5, 5), (1, 1), (0, 0), (1, 1), 1),
    "AlexNet 1": ((2, 3, 224, 224), (64, 3, 11, 11), (4, 4), (2, 2), (1, 1), 1),
    "AlexNet 2": ((4, 64, 27, 27), (192, 64, 5, 5), (1, 1), (2, 2), (1, 1), 1),
    "wide": ((8, 128, 28, 28), (256, 128, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "halved": ((4, 64, 31, 30), (96, 64, 3, 3), (2, 2), (1, 1), (1, 1), 1),
    "pointwise": ((4, 96, 14, 14), (130, 96, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    "gaps": ((2, 20, 20, 17), (33, 20, 3, 2), (1, 2), (2, 1), (2, 3), 1),
    "depthwise": ((4, 32, 15, 15), (32, 1, 3, 3), (1, 1), (1, 1), (1, 1), 32),
    "groups": ((3, 60, 9, 9), (120, 30, 3, 3), (1, 1), (1, 1), (1, 1), 2),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution(name: str, dtype: str) -> None:
    x_shape, w_shape, *rest = CONVOLUTIONS[name]
    how = dict(zip(("stride", "padding", "dilation", "groups"), rest, strict=True))
    rng = np.random.default_rng(0)
    shape = geometry.conv_shape(x_shape, w_shape, *rest)
    x, w, g = (rng.standard_normal(s).astype(dtype) for s in (x_shape, w_shape, shape))
    taps, pixels = w[0].size, shape[0] * shape[2] * shape[3]
    for row, args, size, sums in (
        ("conv2d", (x, w), {}, taps),
        ("conv2d_input", (g, w), {"size": x_shape[2:]}, w.size // w.shape[1]),
        ("conv2d_weight", (x, g), {"size": w_shape[2:]}, pixels),
    ):
        got = lookup("cuda", row)(*map(on_gpu, args), **size, **how)
        assert_close(got, getattr(plain, row)(*args, **size, **how), sums)


def test_gradients_of_weights_are_the_same_bits_each_time() -> None:
    rng = np.random.default_rng(0)
    x = on_gpu(rng.standard_normal((64, 3, 32, 32)).astype("float32"))
    g = on_gpu(rng.standard_normal((64, 8, 30, 30)).astype("float32"))
    how = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1, "size": (3, 3)}
    first, *others = [devices.to_numpy(lookup("cuda", "conv2d_weight")(x, g, **how)) for _ in "123"]
    assert all((first == other).all() for other in others)


@pytest.mark.parametrize("window", [(2, 2, 0), (3, 2, 1), (3, 1, 0)])
def test_pooling(window: tuple[int, int, int]) -> None:
    x = np.random.default_rng(0).standard_normal((16, 32, 27, 26)).astype("float32")
    k, s, p = ((n, n) for n in window)
    how = {"kernel_size": k, "stride": s, "padding": p}
    largest = {**how, "dilation": (1, 1), "ceil_mode": True}
    indices = plain.max_pool2d_indices(x, **largest)
    assert_close(lookup("cuda", "max_pool2d_indices")(on_gpu(x), **largest), indices)
    assert_close(lookup("cuda", "max_pool2d")(on_gpu(x), **largest), plain.max_pool2d(x, **largest))
    g = np.random.default_rng(1).standard_normal(indices.shape).astype("float32")
    got = lookup("cuda", "pool_put")(on_gpu(g), on_gpu(indices), size=(27, 26))
    assert_close(got, plain.pool_put(g, indices, size=(27, 26)), 9)
    mean = {**how, "ceil_mode": True, "count_include_pad": False, "divisor_override": None}
    assert_close(lookup("cuda", "avg_pool2d")(on_gpu(x), **mean), plain.avg_pool2d(x, **mean), 9)
    got = lookup("cuda", "avg_pool2d_input")(on_gpu(g), size=(27, 26), **mean)
    assert_close(got, plain.avg_pool2d_input(g, size=(27, 26), **mean), 9)


@pytest.mark.parametrize("shape", [(128, 10), (4096, 1000), (64, 50_000)])
def test_rows(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    x, g = (rng.standard_normal(shape).astype("float32") for _ in "xg")
    labels, one = rng.integers(0, shape[1], shape[0]), np.ones((), np.float32)
    for name in ("softmax", "log_softmax"):
        row = TABLE[name]
        out = row.forward(x, dim=1)
        assert_close(lookup("cuda", name)(on_gpu(x), dim=1), out, shape[1])
        got = lookup("cuda", f"{name}_back")(on_gpu(g), on_gpu(out), on_gpu(x), dim=1)
        assert_close(got, row.rules[0](g, out, x, dim=1), shape[1])
    args = on_gpu(x), on_gpu(labels)
    got = lookup("cuda", "cross_entropy")(*args)
    assert_close(got, cost.cross_entropy(x, labels), shape[1])
    got = lookup("cuda", "cross_entropy_back")(on_gpu(one), got, *args)
    assert_close(got, cost.cross_entropy_back(one, None, x, labels), shape[1])


NORMS: dict[str, Any] = {  # shape, dimensions averaged over, the shape of weights
    "batch": ((64, 96, 28, 28), (0, 2, 3), (1, 96, 1, 1)),
    "layer": ((2048, 768), (1,), (1, 768)),
    "group": ((16, 8, 6, 400), (2, 3), (1, 8, 6, 1)),
    "instance": ((32, 24, 20, 20), (2, 3), (1, 24, 1, 1)),
}


@pytest.mark.parametrize("name", NORMS)
def test_normalisation(name: str) -> None:
    shape, dims, form = NORMS[name]
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s).astype("float32") for s in (shape, form, form, shape)]
    x, w, b, g = arrays
    here, there = moments.Moments(dims, 1e-5), moments.Moments(dims, 1e-5)
    want = moments.normalise(x, w, b, form=form, by=here)
    moved = [on_gpu(a) for a in arrays]
    got = lookup("cuda", "normalise")(*moved[:3], form=form, by=there)
    sums = x.size // here.mean.size
    assert_close(got, want, sums)
    backs = moments.normalise_back(g, want, x, w, b, form=form, by=here)
    gots = lookup("cuda", "normalise_back")(moved[3], got, *moved[:3], form=form, by=there)
    for ours, theirs in zip(gots, backs, strict=True):
        assert_close(ours, theirs, max(sums, x.size // w.size))


def test_kernels_are_launched_by_cupy() -> None:
    """Numba's own launch, the last resort, takes its arguments apart in Python."""
    from tinygrad_course.kernels import cuda_pool

    x, indices = on_gpu(np.ones((1, 1, 2, 2), np.float32)), on_gpu(np.zeros((1, 1, 1, 1), np.int64))
    lookup("cuda", "pool_take")(x, indices)
    assert cuda_pool.take(np.dtype(np.float32)).way in ("ptx", "cubin")


def test_random_bits() -> None:
    want = np.zeros(100_003, np.uint32)
    plain.philox(want, 12345, 7)
    got = on_gpu(np.zeros(100_003, np.uint32))
    lookup("cuda", "philox")(got, 12345, 7)
    np.testing.assert_array_equal(devices.to_numpy(got), want)


# --- training -------------------------------------------------------------------------------------

MODELS = {
    "LeNet, Adam": (lenet, lambda p: tc.optim.Adam(p, lr=1e-3)),
    "AlexNet, SGD": (small_alexnet, lambda p: tc.optim.SGD(p, lr=0.01, momentum=0.9)),
    "LeNet, RMSprop": (lenet, lambda p: tc.optim.RMSprop(p, lr=1e-4)),
}


def prepared(name: str, device: str) -> tuple[Any, Any]:
    """A training step and the parameters that it changes."""
    make, choose = MODELS[name]
    tc.manual_seed(0)
    model = make(nn).to(device)
    optimizer = choose(model.parameters())
    rng = np.random.default_rng(0)
    x = tc.tensor(rng.standard_normal((32, 1, 28, 28), np.float32)).to(device)
    y = tc.tensor(rng.integers(0, 10, 32)).to(device)

    def step() -> Any:
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, list(model.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_training_follows_the_cpu(name: str) -> None:
    """Ten steps: the losses agree to single precision, the weights to what ten steps make of it."""
    (here, mine), (there, others) = prepared(name, "cpu"), prepared(name, "cuda")
    for _ in range(10):
        np.testing.assert_allclose(there().item(), here().item(), rtol=1e-4)
    for a, b in zip(mine, others, strict=True):
        assert b.device.type == "cuda"
        np.testing.assert_allclose(b.numpy(force=True), a.numpy(force=True), rtol=1e-2, atol=2e-4)


@pytest.mark.parametrize("name", MODELS)
def test_a_step_copies_nothing_to_the_host(name: str) -> None:
    """CuPy raises where it would wait for the GPU, and a copy to the host waits."""
    import cupyx

    step, _ = prepared(name, "cuda")
    step()
    step()
    with cupyx.allow_synchronize(False):
        loss = step()
    with pytest.raises(cupyx.DeviceSynchronized), cupyx.allow_synchronize(False):
        loss.item()


def test_kernels_go_to_cupys_current_stream() -> None:
    import cupy

    x, w = tc.rand(4, 3, 9, 9), tc.rand(5, 3, 3, 3)
    with cupy.cuda.Stream(non_blocking=True) as stream:
        out = nn.functional.conv2d(x.to("cuda"), w.to("cuda")) * 2
        stream.synchronize()
        got = out.numpy()
    np.testing.assert_allclose(got, (nn.functional.conv2d(x, w) * 2).numpy(), rtol=1e-4)


# --- the stand-in ---------------------------------------------------------------------------------


def test_the_list_of_names_is_true() -> None:
    """What the stand-in lets pass, this CuPy has."""
    import cupy

    for path in standin.NAMES:
        found: Any = cupy
        for part in path.split("."):
            found = getattr(found, part)
        assert callable(found)


@pytest.mark.parametrize(
    "refused",
    [
        lambda x: np.asarray(x),
        lambda x: x + np.ones(3, np.float32),
        lambda x: np.add(x, np.ones(3, np.float32)),
        lambda x: np.multiply(x, np.float32(2).reshape(())),
        lambda x: np.maximum.accumulate(x),
        lambda x: x.max(initial=0.0),
        lambda x: np.eye(3, like=x),
        lambda x: x.__setitem__(slice(None), np.ones(3, np.float32)),
        lambda x: x.argsort(kind="quicksort"),
    ],
)
def test_the_stand_in_refuses_what_cupy_refuses(refused: Any) -> None:
    for x in (on_gpu(np.ones(3, np.float32)), standin.ndarray(np.ones(3, np.float32))):
        with pytest.raises((TypeError, ValueError, NotImplementedError)):
            refused(x)
