"""Convolution, pooling and resizing layers against PyTorch in float64, with the same weights."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course import nn
from tinygrad_course.errors import DtypeError, OptionError, ShapeError
from tinygrad_course.nn import functional as F
from tinygrad_course.testing import strategies as ts

torch = pytest.importorskip("torch")
seeds = st.integers(0, 2**32 - 1)


def follow(name: str, x: Any, *args: Any, call: dict[str, Any] | None = None, **how: Any) -> None:
    """The layer of that name has PyTorch's result, gradients, state and repr."""
    ours, theirs = getattr(nn, name)(*args, **how), getattr(torch.nn, name)(*args, **how)
    assert repr(ours) == repr(theirs)
    ours, theirs = ours.double(), theirs.double()
    state = {k: v.numpy() + 0.25 for k, v in theirs.state_dict().items()}
    ours.load_state_dict({k: tc.tensor(v) for k, v in state.items()})
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    for k, v in theirs.state_dict().items():
        np.testing.assert_array_equal(state[k], v.numpy())
    a, b = tc.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an even kernel makes PyTorch copy the input
        p, q = ours(a, **call or {}), theirs(b, **call or {})
    np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-9, atol=1e-9)
    g = np.random.default_rng(0).normal(size=p.shape)
    p.backward(tc.tensor(g))
    q.backward(torch.tensor(g))
    for u, v in [(a, b), *zip(ours.parameters(), theirs.parameters(), strict=True)]:
        np.testing.assert_allclose(u.grad.numpy(), v.grad.numpy(), rtol=1e-9, atol=1e-9)


def numbers(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).normal(size=shape)


def image(draw: Any, channels: int, dims: int, size: int = 7) -> Any:
    shape = (2, channels, *range(size, size + dims))
    return numbers(draw(seeds), *shape[draw(st.integers(0, 1)) :])


@ts.profile(40)
@given(st.data())
def test_convolutions(data: Any) -> None:
    dims, pick = data.draw(st.integers(1, 3)), lambda *v: data.draw(st.sampled_from(v))
    how = {
        "stride": pick(1, 2, (1, 2, 1)[:dims]),
        "padding": pick(0, 1, (2, 1, 0)[:dims], "same", "valid"),
        "dilation": pick(1, 2),
        "groups": pick(1, 2),
        "bias": pick(True, False),
        "padding_mode": pick("zeros", "reflect", "replicate", "circular"),
    }
    assume(how["padding"] != "same" or how["stride"] == 1)
    kernel = pick(1, 2, 3, (2, 3, 1)[:dims])
    x = image(data.draw, 4, dims, 5)
    follow(f"Conv{dims}d", x, 4, 2, kernel, **how)


@ts.profile(30)
@given(st.data())
def test_transposed_convolutions(data: Any) -> None:
    dims, pick = data.draw(st.integers(1, 3)), lambda *v: data.draw(st.sampled_from(v))
    how = {
        "stride": pick(2, 3, (3, 2, 2)[:dims]),
        "padding": pick(0, 1, (1, 0, 1)[:dims]),
        "output_padding": pick(0, 1),
        "groups": pick(1, 2),
        "bias": pick(True, False),
        "dilation": pick(1, 2),
    }
    x = image(data.draw, 4, dims, 3)
    follow(f"ConvTranspose{dims}d", x, 4, 6, pick(2, 3, (2, 3, 1)[:dims]), **how)


@pytest.mark.parametrize("size", [(8, 9), (7, 11), [2, 6, 8, 9]])
def test_a_transposed_convolution_of_a_wanted_size(size: Any) -> None:
    x = numbers(0, 2, 4, 4, 4)
    how = {"stride": (2, 3), "padding": 1, "bias": False}
    follow("ConvTranspose2d", x, 4, 6, (3, 2), call={"output_size": size}, **how)
    layer = nn.ConvTranspose2d(4, 6, (3, 2), **how).double()
    for wrong in ((9, 9), (6, 8), (8,), (1, 2, 8, 9, 9)):
        with pytest.raises(OptionError, match=r"sizes from \[7, 9\] to \[8, 11\]|out of reach"):
            layer(tc.tensor(x), output_size=wrong)


@ts.profile(25)
@given(st.data())
def test_pooling(data: Any) -> None:
    dims, pick = data.draw(st.integers(1, 3)), lambda *v: data.draw(st.sampled_from(v))
    kernel = pick(2, 3, (2, 3, 2)[:dims])
    how = {"stride": pick(None, 1, 2), "padding": pick(0, 1), "ceil_mode": pick(True, False)}
    x = image(data.draw, 2, dims, 4)
    follow(f"MaxPool{dims}d", x, kernel, **how, dilation=pick(1, 2) if how["padding"] else 1)
    how["count_include_pad"] = pick(True, False)
    if dims > 1:
        how["divisor_override"] = pick(None, 5)
    follow(f"AvgPool{dims}d", x, kernel, **how)


@ts.profile(25)
@given(st.data())
def test_adaptive_pooling(data: Any) -> None:
    dims, pick = data.draw(st.integers(1, 3)), lambda *v: data.draw(st.sampled_from(v))
    size = pick(1, 2, 3, (2, 4, 1)[:dims])
    if dims > 1 and isinstance(size, tuple):
        size = pick(size, (None, *size[1:]))
    x = image(data.draw, 2, dims, 4)
    follow(f"AdaptiveAvgPool{dims}d", x, size)
    if dims < 3:
        follow(f"AdaptiveMaxPool{dims}d", x, size)


@pytest.mark.parametrize(
    ("name", "args"),
    [("MaxPool1d", (2,)), ("MaxPool2d", (2,)), ("MaxPool3d", (2,)), ("AdaptiveMaxPool1d", (2,)),
     ("AdaptiveMaxPool2d", ((2, 3),))],
)  # fmt: skip
def test_maxima_give_indices_when_asked(name: str, args: Any) -> None:
    x = numbers(0, 2, 3, *(4, 5, 6)[: int(name[-2])])
    x = np.round(x)  # ties
    values, indices = getattr(nn, name)(*args, return_indices=True)(tc.tensor(x))
    v, i = getattr(torch.nn, name)(*args, return_indices=True)(torch.tensor(x))
    np.testing.assert_array_equal(values.numpy(), v.numpy())
    np.testing.assert_array_equal(indices.numpy(), i.numpy())
    assert indices.dtype == np.int64


UPSAMPLED = [
    ((5,), {"size": 7}), ((5,), {"scale_factor": 2, "mode": "linear"}),
    ((4, 5), {"scale_factor": (2, 3)}), ((4, 5), {"size": (6, 3), "mode": "area"}),
    ((4, 5), {"scale_factor": 1.7, "mode": "bilinear", "align_corners": True}),
    ((4, 5), {"scale_factor": 1.7, "mode": "bicubic", "recompute_scale_factor": True}),
    ((2, 3, 4), {"scale_factor": 2, "mode": "trilinear"}),
    ((2, 3, 4), {"size": (3, 2, 9), "mode": "nearest-exact"}),
]  # fmt: skip


@pytest.mark.parametrize(("size", "how"), UPSAMPLED)
def test_upsample(size: Any, how: Any) -> None:
    follow("Upsample", numbers(0, 2, 3, *size), **how)


def test_arrangements_of_pixels() -> None:
    follow("PixelShuffle", numbers(0, 2, 12, 3, 4), 2)
    follow("PixelUnshuffle", numbers(0, 2, 3, 6, 9), 3)
    how = {"kernel_size": (2, 3), "dilation": (2, 1), "padding": (1, 0), "stride": 2}
    follow("Unfold", numbers(0, 2, 3, 6, 7), **how)
    follow("Fold", numbers(0, 2, 18, 9), (6, 7), **how)
    follow("Fold", numbers(0, 18, 9), (6, 7), **how)


@pytest.mark.parametrize("name", ["ZeroPad2d", "ReflectionPad2d", "ReplicationPad2d"])
@pytest.mark.parametrize("padding", [1, (2, 0, 1, 3)])
def test_borders(name: str, padding: Any) -> None:
    follow(name, numbers(0, 2, 3, 4, 5), padding)


@pytest.mark.parametrize(
    ("name", "args", "how"),
    [
        ("Conv1d", (32, 200, 4), {"groups": 2}),
        ("Conv3d", (8, 200, 2), {}),
        ("ConvTranspose2d", (300, 16, 2), {}),
        ("ConvTranspose2d", (300, 32, (2, 2)), {"groups": 2}),
    ],
)
def test_default_initial_values_have_pytorchs_distribution(name: str, args: Any, how: Any) -> None:
    tc.manual_seed(0)
    torch.manual_seed(0)
    ours, theirs = getattr(nn, name)(*args, **how), getattr(torch.nn, name)(*args, **how)
    p, q = ours.weight.detach().numpy(), theirs.weight.detach().numpy()
    levels = np.linspace(0.05, 0.95, 10)
    np.testing.assert_allclose(np.quantile(p, levels), np.quantile(q, levels), atol=0.01)
    assert abs(np.abs(p).max() - 1 / 8) < 1e-3
    assert np.abs(ours.bias.detach().numpy()).max() <= 1 / 8


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: nn.Conv1d(3, 4, 3, groups=2), "Conv1d: in_channels 3.*divide into groups=2"),
        (lambda: nn.Conv3d(2, 4, (1, 2, 0)), "kernel_size must be at least 1"),
        (lambda: nn.Conv2d(2, 4, (1, 2, 3)), "kernel_size is .*pair of integers"),
        (lambda: nn.Conv2d(2, 4, 3, padding="full"), "'full'"),
        (lambda: nn.Conv2d(2, 4, 3, padding="same", stride=2), "stride 1"),
        (lambda: nn.Conv2d(2, 4, 3, padding_mode="edge"), "padding_mode"),
        (lambda: nn.ConvTranspose2d(2, 4, 3, padding_mode="reflect"), "padding_mode"),
        (lambda: nn.ConvTranspose2d(2, 4, 3, padding="same"), "made of numbers"),
    ],
)
def test_wrong_options_are_refused_when_the_layer_is_made(make: Any, text: str) -> None:
    with pytest.raises((OptionError, ShapeError), match=text):
        make()


# --- models ---------------------------------------------------------------------------------------


def u_net(nn: Any, cat: Any) -> Any:
    """Down by a maximum and by a stride, up by a transposed convolution and by resizing."""

    class UNet(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Sequential(nn.Conv2d(1, 4, 3, padding="same"), nn.SiLU())
            self.second = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.ELU())
            self.third = nn.Conv2d(8, 8, 3, stride=2, padding=1, padding_mode="reflect")
            self.pool = nn.MaxPool2d(2)
            self.up = nn.ConvTranspose2d(8, 8, 4, stride=2, padding=1)
            self.wide = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            self.last = nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(20, 4, 3), nn.PixelShuffle(2))
            self.head = nn.Sequential(nn.AdaptiveAvgPool2d((3, 3)), nn.Flatten(), nn.Linear(9, 2))

        def forward(self, x: Any) -> Any:
            a = self.first(x)
            b = self.second(self.pool(a))
            c = cat([b, self.up(self.third(b))], 1)
            return self.head(self.last(cat([a, self.wide(c)], 1)))

    return UNet()


def volumes(nn: Any, cat: Any) -> Any:
    return nn.Sequential(
        nn.Conv3d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool3d(2), nn.ConvTranspose3d(4, 2, 2, 2),
        nn.AvgPool3d((1, 2, 2)), nn.Flatten(2), nn.Conv1d(2, 3, 5, stride=2), nn.Tanh(),
        nn.AdaptiveMaxPool1d(4), nn.Flatten(), nn.Linear(12, 2),
    )  # fmt: skip


@pytest.mark.parametrize(("make", "shape"), [(u_net, (3, 1, 8, 12)), (volumes, (2, 1, 4, 6, 4))])
def test_ten_steps_of_training_are_pytorchs(make: Any, shape: Any) -> None:
    ours, theirs = make(nn, tc.cat).double(), make(torch.nn, torch.cat).double()
    ours.load_state_dict({k: tc.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    a = tc.optim.SGD(ours.parameters(), lr=0.1, momentum=0.9)
    b = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9)
    for step in range(10):
        x, y = numbers(step, *shape), numbers(step, shape[0], 2)
        a.zero_grad()
        b.zero_grad()
        p = F.mse_loss(ours(tc.tensor(x)), tc.tensor(y))
        q = torch.nn.functional.mse_loss(theirs(torch.tensor(x)), torch.tensor(y))
        np.testing.assert_allclose(p.item(), q.item(), rtol=1e-7)
        p.backward()
        q.backward()
        a.step()
        b.step()
    for u, v in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(u.detach().numpy(), v.detach().numpy(), rtol=1e-7, atol=1e-9)


# --- functions ------------------------------------------------------------------------------------

x3, x4, x5 = tc.zeros(1, 2, 5), tc.zeros(1, 2, 4, 5), tc.zeros(1, 2, 3, 4, 5)
ERRORS = [
    (lambda: F.conv1d(x3, tc.zeros(3, 1, 2)), r"conv1d\(.*the input has 2 channels"),
    (lambda: F.conv1d(x4, tc.zeros(3, 2, 2)), r"conv1d: needs an input of 3 .*\(1, 2, 4, 5\)"),
    (lambda: F.conv2d(x4, tc.zeros(3, 2, 2)), r"conv2d: .*a weight of 4.*\(3, 2, 2\)"),
    (lambda: F.conv2d(x4, tc.zeros(3, 2, 5, 5)), r"conv2d\(.*kernel of size 5.*has 4"),
    (lambda: F.conv2d(x4, tc.zeros(3, 2, 2, 2), stride=(1, 2, 3)), r"conv2d\(.*stride is \(1, 2"),
    (lambda: F.conv2d(x4, tc.zeros(3, 2, 2, 2), tc.zeros(2)), r"conv2d: the bias has shape \(2,\)"),
    (lambda: F.conv2d(x4, tc.zeros(3, 2, 2, 2).double()), "conv2d: .*one dtype.*float32, float64"),
    (lambda: F.conv3d(x5, tc.zeros(3, 2, 2, 2, 2), groups=0), r"conv3d\(.*groups is 0"),
    (lambda: F.conv_transpose2d(x4, tc.zeros(3, 2, 2, 2)), r"conv_transpose2d\(.*has 2 channels"),
    (lambda: F.conv_transpose2d(x4, tc.zeros(2, 2, 2, 2), output_padding=1), "output_padding is 1"),
    (lambda: F.conv_transpose1d(x3, tc.zeros(2, 2, 1), padding=9), "result of size -13"),
    (lambda: F.conv_transpose3d(x5, tc.zeros(2, 2, 2, 2, 2), groups=3), "2 input channels"),
    (lambda: F.max_pool1d(x3, 7), r"max_pool1d\(.*a window of 7 .*the input has 5"),
    (lambda: F.max_pool2d(tc.zeros(4, 5), 2), r"max_pool2d: needs an input of 4 .*\(4, 5\)"),
    (lambda: F.max_pool3d(x5, 2, padding=2), r"max_pool3d\(.*more than half"),
    (lambda: F.avg_pool1d(x3, 0), r"avg_pool1d\(.*kernel size is 0"),
    (lambda: F.avg_pool3d(x5, 2, divisor_override=0), "divisor_override is 0"),
    (lambda: F.adaptive_avg_pool2d(x4, (1, 2, 3)), r"adaptive_avg_pool2d: output_size is \(1, 2"),
    (lambda: F.adaptive_max_pool1d(x3, -1), "adaptive_max_pool1d: .*cannot be pooled"),
    (lambda: F.adaptive_avg_pool2d(tc.zeros(1, 1, 0, 3), 2), "adaptive_avg_pool2d: .*elements"),
    (lambda: F.adaptive_avg_pool2d(x4, (1.5, 2)), "output_size is"),
    (lambda: F.interpolate(x4, 2, mode="cubic"), "mode 'cubic' is none of nearest"),
    (lambda: F.interpolate(x4, 2, mode="linear"), "takes an input of 3 dim.*bilinear, bicubic"),
    (lambda: F.interpolate(x4, 2, align_corners=True), "'nearest' takes no align_corners"),
    (lambda: F.interpolate(x4, 2, mode="bilinear", antialias=True), "antialias=True"),
    (lambda: F.interpolate(x4), "give one of size=None and scale_factor=None"),
    (lambda: F.interpolate(x4, 2, 2.0), "give one of size=2 and scale_factor=2.0"),
    (lambda: F.interpolate(x4, 2, recompute_scale_factor=True), "recompute_scale_factor needs"),
    (lambda: F.interpolate(x4, scale_factor=(1, 2, 3)), "scale_factor is .*2 of them"),
    (lambda: F.interpolate(x4, scale_factor=0.1), r"cannot get the size \(0, 0\)"),
    (lambda: F.interpolate(tc.zeros(2, 3), 2), r"interpolate: needs an input .*\(2, 3\)"),
    (lambda: F.interpolate(x4.long(), 2), "interpolate: .*floating dtype, got int64"),
    (lambda: F.interpolate(x4.to(tc.uint8), 2, mode="area"), "interpolate: .*got uint8"),
    (lambda: F.conv1d(x3 > 0, tc.ones(1, 2, 1) > 0), "conv1d: bools"),
    (lambda: F.max_pool3d(x5 > 0, 2), "max_pool3d: bools"),
    (lambda: F.adaptive_avg_pool1d(x3.long(), 2), "adaptive_avg_pool1d: .*got int64"),
    (lambda: F.pad(x4, [-3, -3]), "cut off more than the size 5"),
    (lambda: F.pad(x4, [-3, -3], "circular"), "cut off more than the size 5"),
    (lambda: F.unfold(x4, 6), "unfold: a kernel of size 6"),
    (lambda: F.unfold(x5, 2), r"unfold: needs images .*\(1, 2, 3, 4, 5\)"),
    (lambda: F.fold(tc.zeros(1, 8, 11), (4, 5), 2), r"fold: .*C · 4, 12\).*\(1, 8, 11\)"),
    (lambda: F.pixel_shuffle(x4, 2), r"pixel_shuffle: 2 channels .*4"),
    (lambda: F.pixel_shuffle(x4, 0), "upscale_factor is a positive integer"),
    (lambda: F.pixel_unshuffle(x4, 2), "pixel_unshuffle: 4 by 5 pixels"),
    (lambda: F.pixel_shuffle(tc.zeros(4, 5), 2), "at least 3 dimensions"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), ERRORS)
def test_errors_name_the_function_and_what_it_was_given(call: Any, text: str) -> None:
    with pytest.raises((ShapeError, OptionError, DtypeError), match=text):
        call()


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_an_empty_batch(dims: int) -> None:
    shape = (0, 2, *(4, 5, 6)[:dims])
    w = tc.ones(2, 2, *(2,) * dims, requires_grad=True)
    x = tc.ones(*shape, requires_grad=True)
    outs = [
        getattr(F, f"conv{dims}d")(x, w),
        getattr(F, f"conv_transpose{dims}d")(x, w, stride=2),
        getattr(F, f"max_pool{dims}d")(x, 2),
        getattr(F, f"avg_pool{dims}d")(x, 2),
        getattr(F, f"adaptive_avg_pool{dims}d")(x, 3),
        getattr(F, f"adaptive_avg_pool{dims}d")(x, 1),
        F.interpolate(x, 3),
    ]
    wanted = [(3, 4, 5), (8, 10, 12), (2, 2, 3), (2, 2, 3), (3,) * 3, (1,) * 3, (3,) * 3]
    assert [out.shape for out in outs] == [(0, 2, *size[:dims]) for size in wanted]
    tc.autograd.backward([out.sum() for out in outs])
    assert x.grad.shape == shape
    assert (w.grad == 0).all()


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "area"])
def test_a_number_that_is_not_finite_stays_where_it_is(mode: str) -> None:
    x = np.zeros((1, 1, 6, 6))
    x[0, 0, 2, 3] = np.inf
    for size in ((4, 4), (9, 9), (12, 12)):
        ours = F.interpolate(tc.tensor(x), size, mode=mode).numpy()
        theirs = torch.nn.functional.interpolate(torch.tensor(x), size, mode=mode).numpy()
        np.testing.assert_array_equal(np.isfinite(ours), np.isfinite(theirs))


def test_half_precision_is_added_up_in_single() -> None:
    """2048 is where adding 1 in half precision stops to matter, and 65504 where it ends."""
    x = np.ones((1, 1, 8, 100, 100), "float16")
    x[..., 0, 0] = 2048
    for pool in (
        lambda F, x: F.adaptive_avg_pool2d(x[0], (1, 3)),
        lambda F, x: F.adaptive_avg_pool3d(x, 1),
        lambda F, x: F.avg_pool3d(x, (8, 100, 100)),
        lambda F, x: F.avg_pool3d(x, (4, 50, 100), padding=(2, 25, 0), count_include_pad=False),
    ):
        want = pool(torch.nn.functional, torch.tensor(x).double()).numpy()
        np.testing.assert_allclose(pool(F, tc.tensor(x)).numpy(), want, rtol=2e-3)
