"""What `gradcheck` looks at besides the numbers, and what it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_course as tc
import tinygrad_course.nn.functional as F
from tinygrad_course import nn
from tinygrad_course.errors import GradientError
from tinygrad_course.testing import GradientMismatch, gradcheck
from tinygrad_course.testing.differences import Differences


def leaf(*values: Any, dtype: Any = tc.float64) -> Any:
    return tc.tensor(list(values), dtype=dtype, requires_grad=True)


def custom(forward: Any, backward: Any) -> Any:
    """A function of one argument with a rule of its own: backward(g, x, out)."""

    class Custom(tc.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            out = forward(x)
            ctx.save_for_backward(x, out)
            return out

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return backward(g, *ctx.saved_tensors)

    return Custom.apply


@pytest.mark.parametrize("dtype", [tc.float64, tc.float32, tc.float16])
@pytest.mark.parametrize(
    "fn",
    [
        lambda x: x.exp(),
        lambda x: (x * x).sum(),
        lambda x: x.softmax(0),
        lambda x: x.sigmoid() / (1 + x * x),
        lambda x: (x, x * 2, x.argmax(0)),
    ],
)
def test_right_functions_pass_in_every_precision(fn: Any, dtype: Any) -> None:
    assert gradcheck(fn, leaf(0.5, -1.25, 2.0, dtype=dtype), order=2)


def test_differences_in_float32_where_float64_is_not_taken() -> None:
    assert gradcheck(lambda x: (x.float() * x.float()).sum(), leaf(0.5, 3.0, dtype=tc.float32))
    weight = tc.tensor([2.0, 3.0])
    assert gradcheck(lambda x: (x.to(tc.float32) * weight).tanh(), leaf(0.5, 0.25))


def test_scalars() -> None:
    report = gradcheck(
        lambda x, y: (x * y).tanh() + y**3, [tc.Scalar(0.5), tc.Scalar(-2.0)], order=2
    )
    assert report.compared == 2
    assert report.second is not None
    assert report.second.compared == 3


def test_modules_are_checked_with_their_parameters_and_left_as_they_were() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    before = {name: p.tolist() for name, p in model.named_parameters()}
    x = tc.tensor([[0.5, -1.0, 2.0], [1.0, 0.25, -0.5]], requires_grad=True)
    report = gradcheck(model, x, order=2)
    assert report.compared == 6 + 12 + 4 + 8 + 2
    assert {name: p.tolist() for name, p in model.named_parameters()} == before
    assert all(p.grad is None and p.dtype == tc.float32 for p in model.parameters())


def test_large_inputs_are_sampled_and_projected() -> None:
    x = tc.tensor(np.random.default_rng(0).normal(size=(50, 40)), requires_grad=True)
    report = gradcheck(lambda x: (x @ x.T).tanh(), x)
    assert report.compared == 64 + 4

    def backward(g: Any, x: Any, out: Any) -> Any:
        wrong = np.ones(x.shape)
        wrong[17, 23] = 1.5
        return g * 2 * x * tc.from_numpy(wrong)

    with pytest.raises(GradientMismatch, match=r"input 0\[17, 23\]"):
        gradcheck(custom(lambda x: x * x, backward), x)


def test_large_inputs_with_kinks() -> None:
    x = np.maximum(np.random.default_rng(0).normal(size=(30, 20)), 0)  # half of them are 0
    w = tc.tensor(np.random.default_rng(1).normal(size=(20, 3)))
    assert gradcheck(lambda x: x.relu() @ w, tc.tensor(x, requires_grad=True), max_judged=0.7)


@pytest.mark.parametrize(
    ("fn", "x"),
    [
        (lambda x: x.relu(), [0.0, 0.0, 1.0]),
        (lambda x: abs(x), [0.0, -0.0, 2.0]),
        (lambda x: x.amax(), [3.0, 3.0]),
        (lambda x: x.amax(), [3.0, 3.0, 3.0, 1.0]),
        (lambda x: x.max(0)[0], [3.0, 3.0, 3.0, 3.0]),
        (lambda x: x.amin(), [-1.0, -1.0, -1.0]),
        (lambda x: tc.maximum(x, x * x), [1.0, 2.0]),
        (lambda x: x.clamp(0.0, 1.0), [0.0, 1.0, 0.5]),
        (lambda x: x.sqrt(), [0.0, 4.0]),
        (lambda x: x.sign(), [0.0, 4.0]),
        (lambda x: (x * 1e-3).relu(), [1e-7, -1e-7, 0.0]),
        (lambda x: x.median(), [2.0, 2.0, 2.0, 5.0, -1.0]),
        (lambda x: x.median() * 3 + x.sum(), [2.0, 2.0, 2.0, 5.0, -1.0]),
    ],
)
def test_no_false_alarm_at_kinks_and_ties(fn: Any, x: Any) -> None:
    assert gradcheck(fn, leaf(*x), max_judged=1.0)


def test_a_tie_that_no_single_number_shows_must_still_add_up() -> None:
    def backward(g: Any, x: Any, out: Any, share: float) -> Any:
        return g * (x == out).double() * share

    def median(share: float) -> Any:
        return custom(lambda x: x.median(), lambda g, x, out: backward(g, x, out, share))

    x = leaf(2.0, 2.0, 2.0, 5.0, -1.0)
    report = gradcheck(median(1 / 3), x, max_judged=1.0)
    assert report.judged == 3
    for share in (1.0, 0.5, -1 / 3):
        with pytest.raises(GradientMismatch, match="is wrong at input 0"):
            gradcheck(median(share), x, max_judged=1.0)


def test_rounding_inside_a_function_is_no_mismatch() -> None:
    assert gradcheck(lambda x: x.softmax(0), leaf(5.5, -8.5), order=2)
    assert gradcheck(lambda x: x.softmax(0), leaf(7.5, -7.25), order=2)
    assert gradcheck(lambda x: (x + 1e6) - 1e6, leaf(0.5, 1.0))
    for size in (3.0, 6.0, 8.0, 8.75, 12.0):  # saturated: the slope is a difference from 1
        assert gradcheck(lambda x, y: (x * y).tanh(), [leaf(2.0), leaf(size)], order=2)


NORMALISED = [[[-1.25], [2.9375]], [[-1.4375], [2.625]]]
FAR = [[-5.28125], [-2.4025614261627197], [-8.149227142333984]]
NEAR = [[-7.021160125732422], [-0.01830582693219185], [3.859375]]
ROUNDED = {
    "softmax": (lambda x: x.softmax(1), [[[-8.875, 6.625, -8.9375]]], "float32"),
    "softmax, all but 1": (lambda x: x.softmax(0), [[9.0, -9.0]], "float32"),
    "cross_entropy": (
        lambda x: F.cross_entropy(x, tc.tensor([1])), [[[-4.375, 8.8125]]], "float32"
    ),
    "cross_entropy, all but 0": (
        lambda x: F.cross_entropy(x, tc.tensor([1])), [[[-9.0, 9.0]]], "float32"
    ),
    "tanh, all but 1": (tc.tanh, [[8.0, -8.5]], "float32"),
    "group_norm": (
        lambda x: F.group_norm(x, 2), [[[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]],
        "float32",
    ),
    "batch_norm, one number to a channel and row": (
        lambda x, w, b: F.batch_norm(x, None, None, w, b, True),
        [NORMALISED, [2.25, 8.5625], [4.375, 2.0625]], "float64",
    ),
    "batch_norm, the same in float32": (
        lambda x, w, b: F.batch_norm(x, None, None, w, b, True),
        [NORMALISED, [2.25, 8.5625], [4.375, 2.0625]], "float32",
    ),
    "cdist by a product of matrices": (
        lambda x, y: tc.cdist(x, y, compute_mode="use_mm_for_euclid_dist"),
        [[[2.522097110748291], [3.7145633697509766]], [FAR, NEAR]], "float32",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ROUNDED)
def test_rounding_inside_a_rule_is_no_mismatch(name: str) -> None:
    """Numbers of size 1 cancel in the rule; the gradient is as good as its precision allows."""
    fn, numbers, dtype = ROUNDED[name]
    for seed in range(5):
        inputs = [tc.tensor(x, dtype=dtype, requires_grad=True) for x in numbers]
        assert gradcheck(fn, inputs, order=2, seed=seed)


def only_in_single(factor: Any) -> Any:
    """x² with a rule that is wrong by a factor, which may depend on g and x, but in float32."""

    def backward(g: Any, x: Any, out: Any) -> Any:
        right = g * 2 * x
        return right * factor(g, x) if x.dtype == np.float32 else right

    return custom(lambda x: x * x, backward)


@pytest.mark.parametrize(
    ("factor", "says"),
    [
        (lambda g, x: 1.01, "is wrong at input 0"),
        (lambda g, x: 1 + 0.01 * (x > 5).float(), "is wrong at input 0"),
        (lambda g, x: 1 + 0.01 * (g > 0).float(), "is not linear"),
        (lambda g, x: 1 + 0.01 * x.is_contiguous(), "depends on the layout"),
    ],
)
def test_what_is_wrong_only_in_float32_is_not_taken_for_rounding(factor: Any, says: str) -> None:
    x = [1.0, -2.0, 6.0]
    assert gradcheck(only_in_single(factor), leaf(*x))
    with pytest.raises(GradientMismatch, match=says):
        gradcheck(only_in_single(factor), leaf(*x, dtype=tc.float32))


def test_rules_that_work_in_one_precision_are_judged_in_it() -> None:
    def backward(g: Any, x: Any, out: Any) -> Any:
        if x.dtype != np.float32:
            raise TypeError("float32 only")
        return g * 2 * x

    square = custom(lambda x: x * x, backward)
    assert gradcheck(square, leaf(1.0, -2.0, dtype=tc.float32))


def test_mostly_judged_is_a_failure() -> None:
    assert gradcheck(tc.relu, leaf(0.0, 1.0)).judged == 1
    with pytest.raises(GradientMismatch, match="2 of 3 coordinates lie at kinks"):
        gradcheck(tc.relu, leaf(0.0, 0.0, 1.0))


def test_the_report_can_be_pasted() -> None:
    wrong = custom(lambda x: x * x, lambda g, x, out: g * x)
    with pytest.raises(GradientMismatch) as caught:
        gradcheck(wrong, leaf(1.5), name="half")
    text = str(caught.value)
    assert "the gradient of half is wrong at input 0[0] = 1.5" in text
    assert "analytic (backward rule)" in text
    assert "relative error |a - n| / (|a| + |n|) = 0.333   (the course: below 1e-07)" in text
    assert "guess: factor 1/2: one of two contributions is missing" in text
    names: dict[str, Any] = {"fn": wrong}
    snippet = text.split("to reproduce:\n")[1]
    with pytest.raises(GradientMismatch, match=r"input 0\[0\] = 1.5"):
        exec("\n".join(line[4:] for line in snippet.splitlines()), names)


def test_gradients_on_the_way() -> None:
    def written(x: Any) -> Any:
        out = x * 2
        x.detach().numpy()[0] += 1
        return out

    noise = np.random.default_rng(0)
    with pytest.raises(GradientMismatch, match="wrote into input 0"):
        gradcheck(written, leaf(1.0, 2.0))
    with pytest.raises(GradientMismatch, match="differs between two runs"):
        gradcheck(lambda x: x * float(noise.random()), leaf(1.0, 2.0))
    with pytest.raises(GradientMismatch, match="not linear in the gradient that arrives"):
        gradcheck(custom(lambda x: x * 2, lambda g, x, out: g * g), leaf(1.0, 2.0))
    with pytest.raises(GradientMismatch, match="no gradient arrives"):
        gradcheck(lambda x: x.detach() * 2 + x * 0, leaf(1.0, 2.0))


def test_a_rule_that_reads_memory_as_if_it_were_contiguous() -> None:
    def backward(g: Any, x: Any, out: Any) -> Any:
        raw = np.lib.stride_tricks.as_strided(x.detach().numpy(), x.shape, (8,))
        return g * 2 * tc.from_numpy(raw.copy())

    with pytest.raises(GradientMismatch, match="depends on the layout"):
        gradcheck(custom(lambda x: x * x, backward), leaf(1.0, 2.0, 3.0))


def test_second_order_is_looked_at() -> None:
    def backward(g: Any, x: Any, out: Any) -> Any:
        return g * 3 * (x * x).detach()  # right, but a constant for the second derivative

    cube = custom(lambda x: x * x * x, backward)
    assert gradcheck(cube, leaf(1.0, 2.0))
    with pytest.raises(GradientMismatch, match="second order"):
        gradcheck(cube, leaf(1.0, 2.0), order=2)


def test_errors() -> None:
    with pytest.raises(GradientError, match="nothing to differentiate"):
        gradcheck(tc.relu, tc.tensor([1.0]))
    with pytest.raises(GradientError, match="order is 1 or 2"):
        gradcheck(tc.relu, leaf(1.0), order=3)
    with pytest.raises(GradientError, match="not a number"):
        gradcheck(tc.log, leaf(-1.0))
    with pytest.raises(GradientError, match="must return floating"):
        gradcheck(lambda x: x.argmax(0), leaf(1.0))


@pytest.mark.parametrize("dtype", [tc.float64, tc.float32, tc.float16])
@pytest.mark.parametrize("scale", [0.5, 1.0, 4.0])
def test_steps_are_exact_in_the_precision_of_the_function(dtype: Any, scale: float) -> None:
    """The slopes of the identity are 1 to the last bit: what is divided by is what was added."""
    numbers = np.array([0.0, 1.0, -2.0, 0.1, 300.0, 1e-3], dtype).astype(np.float64)
    differences = Differences(lambda arrays, _: [np.asarray(arrays[0])], [numbers], dtype)
    slopes = differences.along_axes(np.arange(numbers.size), scale)
    assert (slopes.left == np.eye(numbers.size)).all()
    assert (slopes.right == np.eye(numbers.size)).all()
    for i in range(numbers.size):
        direction, step, _ = differences._axis(i, scale)
        assert np.log2(step) == np.round(np.log2(step))
        up = differences._moved(direction, step)
        assert (up.astype(dtype) == up).all()


def test_a_float32_gradient_is_judged_by_differences_in_float64() -> None:
    """An error of a ten-thousandth is seen though the function is run in float32."""
    nearly = custom(lambda x: x * x, lambda g, x, out: g * 2.02 * x)
    with pytest.raises(GradientMismatch, match=r"a factor 1\.01 everywhere"):
        gradcheck(nearly, leaf(0.5, 1.5, dtype=tc.float32))


def test_the_cotangent_is_not_written_into() -> None:
    x = leaf(1.0, 2.0)
    report = gradcheck(custom(lambda x: x * 3, lambda g, x, out: g.mul_(3.0)), x)
    assert report.compared == 2
    assert x.tolist() == [1.0, 2.0]
    assert x.grad is None


def test_gradients_of_parameters_that_are_wrong_are_named() -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(tc.tensor([2.0, 3.0], dtype=tc.float64))

        def forward(self, x: Any) -> Any:
            return x * self.weight + 0.5 * (self.weight * self.weight).detach()

    with pytest.raises(GradientMismatch, match=r"parameter 'weight'\[\d\]"):
        gradcheck(Scale(), leaf(1.0, -1.0))
