"""Errors in single precision: at most twice those of PyTorch, against double precision.

Sums of random numbers, so many that rounding errors show. Two measures of an array's error, each of
which a kernel must keep to: the root of the mean square, as a share of the results' own; and the
largest, where an error counts as a share of the sum of the magnitudes that were added up for that
result (for functions of one row, of the largest result). A rounding unit is allowed beyond: the
least error that a result in single precision can have, which PyTorch's is near where little is
added up.

Winograd's way of convolution is off here; its errors have a bound of their own.

What is drawn is the same in every run. Of a hundred other convolutions, nine had a gradient whose
largest error was 3 to 4 times PyTorch's, all with strides, in sums of some hundred products: 3
rounding units of what was added up, where PyTorch is off by one. The mean error never was.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course.kernels import cpu, cpu_channels_plan, cpu_many, cpu_winograd_plan

torch = pytest.importorskip("torch")

Array = Any
ROUNDING = 2.0**-24
some = settings(
    max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
seeds = st.integers(0, 2**32 - 1)


def errors(got: Array, exact: Array, size: Array) -> list[float]:
    """Both measures of an error; `size` is what it is a share of, element by element."""
    far = np.asarray(got, np.float64) - exact
    largest = np.max(np.abs(far) / np.maximum(size, np.finfo(np.float64).tiny))
    return [np.sqrt(np.mean(far**2) / np.mean(exact**2)), largest]


def compare(what: str, ours: Array, theirs: Array, exact: Array, size: Array = None) -> None:
    """Raise if the error is more than twice PyTorch's."""
    ours, theirs, exact = (np.asarray(a) for a in (ours, theirs, exact))
    assert ours.dtype == theirs.dtype == np.float32
    size = np.abs(exact).max() if size is None else np.asarray(size)
    measures = zip(
        ("mean", "largest"), errors(ours, exact, size), errors(theirs, exact, size), strict=True
    )
    for name, own, peer in measures:
        assert own <= 2 * peer + ROUNDING, f"{what}: {name} error {own:.2e}, PyTorch's {peer:.2e}"


# --- convolution ----------------------------------------------------------------------------------


class Conv(NamedTuple):
    """Shapes of the input and the weight, and options."""

    x: tuple[int, ...]
    w: tuple[int, ...]
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1


@contextmanager
def by(way: str) -> Iterator[None]:
    """Convolution in one of its ways, on this machine's threads."""
    with pytest.MonkeyPatch.context() as patch:
        for room in (cpu_channels_plan, cpu_many, cpu_winograd_plan):
            patch.setattr(room, "pays", lambda *_, here=room: here is WAYS[way])
        patch.setattr(cpu, "_plan", cpu._plan.__wrapped__)  # which remembers its choices
        yield


WAYS = {"plain loops": None, "channels as vectors": cpu_channels_plan, "images as lanes": cpu_many}


def check_convolution(case: Conv, ways: Any, seed: int) -> None:
    """All four passes: the result, the gradients of input, weight and bias."""
    rng = np.random.default_rng(seed)
    options = case._asdict()
    shapes = options.pop("x"), options.pop("w")
    x, w = (rng.standard_normal(shape).astype("f4") for shape in shapes)
    b = rng.standard_normal(len(w)).astype("f4")
    g = rng.standard_normal(torch.conv2d(*map(torch.tensor, (x, w, b)), **options).shape)
    arrays = (x, w, b, g.astype("f4"))
    theirs = passes(arrays, np.float32, options)
    exact = passes(arrays, np.float64, options)
    sizes = passes(tuple(map(np.abs, arrays)), np.float64, options)
    for way in ways:
        with by(way):
            found = own_passes(arrays, options)
        for name, *numbers in zip(PASSES, found, theirs, exact, sizes, strict=True):
            compare(f"{name} by {way}, {case}", *numbers)


PASSES = ("forward", "gradient of the input", "gradient of the weight", "gradient of the bias")


def passes(arrays: tuple[Array, ...], dtype: Any, options: Any) -> list[Array]:
    """PyTorch's four results."""
    x, w, b, g = (torch.tensor(a.astype(dtype)) for a in arrays)
    leaves = [a.requires_grad_() for a in (x, w, b)]
    out = torch.conv2d(x, w, b, **options)
    return [a.detach().numpy() for a in (out, *torch.autograd.grad(out, leaves, g))]


def own_passes(arrays: tuple[Array, ...], options: Any) -> list[Array]:
    x, w, b, g = arrays
    how = {k: v if k == "groups" else (v, v) for k, v in options.items()}
    return [
        cpu.conv2d(x, w, b, **how),
        cpu.conv2d_input(g, w, size=x.shape[2:], **how),
        cpu.conv2d_weight(x, g, size=w.shape[2:], **how),
        cpu.conv2d_bias(g),
    ]


@st.composite
def convolutions(draw: Any) -> Conv:
    """Shapes with some dozens of products in every sum, and hundreds of sums."""
    groups, kernel = draw(st.sampled_from([1, 1, 2, 3])), draw(st.integers(1, 5))
    inputs, outputs, images = (draw(st.integers(low, 24)) for low in (6, 6, 2))
    stride, dilation = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    reach, padding = (kernel - 1) * dilation + 1, draw(st.integers(0, (kernel - 1) * dilation))
    height, width = (reach + draw(st.integers(5, 15)) for _ in range(2))
    x, w = (images, groups * inputs, height, width), (groups * outputs, inputs, kernel, kernel)
    return Conv(x, w, stride, padding, dilation, groups)


@some
@given(convolutions(), seeds)
def test_convolution(case: Conv, seed: int) -> None:
    simple = case.stride == case.groups == 1
    check_convolution(case, [way for way in WAYS if simple or way != "images as lanes"], seed)


LARGE = {
    "64 channels, 3×3": Conv((4, 64, 14, 14), (64, 64, 3, 3), padding=1),
    "256 channels, 3×3": Conv((2, 256, 8, 8), (256, 256, 3, 3), padding=1),
    "32 channels, 5×5": Conv((4, 32, 16, 16), (64, 32, 5, 5), padding=2),
    "3 channels, 11×11, stride 4": Conv((2, 3, 99, 99), (64, 3, 11, 11), stride=4, padding=2),
    "long sums over pixels": Conv((16, 8, 48, 48), (16, 8, 3, 3), padding=1),
    "128 images, 5×5": Conv((128, 6, 14, 14), (16, 6, 5, 5)),
    "every channel by itself": Conv((4, 64, 28, 28), (64, 1, 3, 3), padding=1, groups=64),
}


@pytest.mark.parametrize("name", LARGE)
def test_convolution_of_many_numbers(name: str) -> None:
    case = LARGE[name]
    ways = [way for way in WAYS if max(case.w[:2]) < 32 or way != "images as lanes"]
    check_convolution(case, ways, 0)


# --- the other kernels, as the library calls them -------------------------------------------------


def check(what: str, ours: Any, theirs: Any, *arrays: Array) -> None:
    """A function's result, and the gradients of its arguments: all floating arrays."""
    found = []
    for tensor, function, dtype in ((tc.tensor, ours, "f4"), (torch.tensor, theirs, "f4"),
                                    (torch.tensor, theirs, "f8")):  # fmt: skip
        leaves = [tensor(a.astype(dtype)).requires_grad_() for a in arrays]
        out = function(*leaves)
        g = np.random.default_rng(1).standard_normal(tuple(out.shape)).astype("f4")
        out.backward(tensor(g.astype(dtype)))
        found.append([out.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves)])
    for i, numbers in enumerate(zip(*found, strict=True)):
        compare(f"{what}, {f'gradient {i}' if i else 'forward'}", *numbers)


def both(call: Any) -> tuple[Any, Any]:
    """A function of our `functional`, and of PyTorch's."""
    return tuple(partial(call, lib.nn.functional) for lib in (tc, torch))


@st.composite
def rows(draw: Any) -> Array:
    """At least 4,096 numbers, from where on there are kernels for them."""
    length, spread = draw(st.integers(16, 1500)), draw(st.sampled_from([1, 5]))
    count = 4096 // length + draw(st.integers(1, 20))
    x = np.random.default_rng(draw(seeds)).standard_normal((count, length))
    return (spread * x).astype("f4")


@some
@given(rows())
def test_softmax(x: Array) -> None:
    for name in ("softmax", "log_softmax"):
        check(name, *both(lambda f, x, name=name: getattr(f, name)(x, -1)), x)


@some
@given(rows())
def test_cross_entropy(x: Array) -> None:
    """A loss is one number, and may be near by chance: there are some, for other labels each."""
    rng = np.random.default_rng(0)
    labels = [torch.tensor(rng.integers(0, x.shape[1], len(x))) for _ in range(10)]

    def losses(f: Any, x: Any) -> Any:
        lib = torch if f is torch.nn.functional else tc
        return lib.stack([f.cross_entropy(x, lib.tensor(y.numpy())) for y in labels])

    check("cross_entropy", *both(losses), x)


@some
@given(rows(), st.sampled_from([0, 3]), st.integers(1, 3))
def test_normalisation(x: Array, mean: int, images: int) -> None:
    x, pixels = x + np.float32(mean), x.size // (images * 8)
    planes = x.reshape(-1)[: images * pixels * 8].reshape(images, 8, pixels)
    for name, call, x, features in (
        ("layer_norm", lambda f, x, w, b: f.layer_norm(x, w.shape, w, b), x, x.shape[1]),
        ("group_norm", lambda f, x, w, b: f.group_norm(x, 4, w, b), planes, 8),
        ("batch_norm", lambda f, x, *p: f.batch_norm(x, None, None, *p, training=True), planes, 8),
    ):
        w, b = np.random.default_rng(2).standard_normal((2, features)).astype("f4")
        check(name, *both(call), x, w, b)


@some
@given(st.integers(1, 9), st.integers(1, 4), st.integers(0, 4), st.booleans(), seeds)
def test_average_pooling(size: int, stride: int, padding: int, count: bool, seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal((2, 5, 23, 29)).astype("f4")
    how = {"padding": min(padding, size // 2), "count_include_pad": count}
    check("avg_pool2d", *both(lambda f, x: f.avg_pool2d(x, size, stride, **how)), x)


@some
@given(st.sampled_from(["tanh", "sigmoid", "gelu"]), st.sampled_from([0.1, 1, 4]), seeds)
def test_activations(name: str, spread: float, seed: int) -> None:
    x = (spread * np.random.default_rng(seed).standard_normal(20_000)).astype("f4")
    check(name, *both(lambda f, x: getattr(f, name)(x)), x)


@some
@given(st.integers(33, 150), st.integers(17, 70), st.booleans(), seeds)
def test_attention(length: int, features: int, causal: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrays = rng.standard_normal((3, 4, 4, length, features)).astype("f4")
    call = both(lambda f, *x: f.scaled_dot_product_attention(*x, is_causal=causal))
    check("attention", *call, *arrays)
