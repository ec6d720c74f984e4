"""Tensor: making, reading, converting, and writing in place."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import tinygrad_course as tc
from tinygrad_course.errors import DeviceError, DtypeError, GradientError, ShapeError

# --- making ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, "float32"), ([1.0, 2], "float32"), (3, "int64"), ([[1, 2]], "int64"),
        (True, "bool"), ([True, False], "bool"), ([], "float32"), (np.float64(1), "float64"),
        (np.arange(3, dtype=np.uint8), "uint8"), (np.ones(2, np.float16), "float16"),
    ],
)  # fmt: skip
def test_the_dtype_follows_the_data(data, dtype):
    assert tc.tensor(data).dtype == dtype
    assert tc.tensor(tc.tensor(data)).dtype == dtype


def test_the_default_dtype_can_be_set():
    tc.set_default_dtype(tc.float64)
    try:
        assert tc.tensor(1.0).dtype == tc.zeros(2).dtype == "float64"
    finally:
        tc.set_default_dtype(tc.float32)
    with pytest.raises(DtypeError, match="int64"):
        tc.set_default_dtype(tc.int64)


def test_tensor_copies_and_from_numpy_shares():
    a = np.zeros(2)
    copied, shared = tc.tensor(a), tc.from_numpy(a)
    a[0] = 1
    assert copied.tolist() == [0, 0]
    assert shared.tolist() == [1, 0]
    assert np.shares_memory(shared.numpy(), a)


@pytest.mark.parametrize("data", ["text", None, {}, [[1, 2], [3]], 1j, [object()], np.array(["a"])])
def test_what_cannot_be_a_tensor_says_so(data):
    with pytest.raises((DtypeError, ShapeError)):
        tc.tensor(data)


def test_bad_options_are_named():
    with pytest.raises(DtypeError, match="complex64"):
        tc.tensor(1.0, dtype="complex64")
    with pytest.raises(DtypeError, match="'nonsense' is not a dtype"):
        tc.tensor(1.0, dtype="nonsense")
    with pytest.raises(DtypeError, match="int64"):
        tc.tensor([1, 2], requires_grad=True)
    with pytest.raises(DeviceError, match="'tpu'"):
        tc.tensor(1.0, device="tpu")
    with pytest.raises(DtypeError, match=r"s\.data"):
        tc.tensor(tc.Scalar(1.0))


def test_repr_shows_what_matters():
    x = tc.tensor([1.0, 2.0], requires_grad=True)
    assert repr(x) == "tensor([1., 2.], requires_grad=True)"
    assert repr(x * 2) == "tensor([2., 4.], op=mul)"
    assert repr(tc.tensor([1.0], dtype="float64")) == "tensor([1.], dtype=float64)"
    assert repr(tc.zeros(2, 0)) == "tensor([], size=(2, 0))"
    assert len(repr(tc.zeros(1000, 1000))) < 1000


# --- reading --------------------------------------------------------------------------------------


def test_python_and_numpy_can_read_it():
    x = tc.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert x.tolist() == [[1, 2], [3, 4]]
    assert [row.tolist() for row in x] == [[1, 2], [3, 4]]
    assert (len(x), x.ndim, x.size(), x.size(-1), x.numel(), x.nbytes) == (2, 2, (2, 2), 2, 4, 16)
    assert np.asarray(x).sum() == 10
    assert np.from_dlpack(x).tolist() == x.tolist()
    assert (float(tc.tensor(2.5)), int(tc.tensor(2)), bool(tc.tensor(0.0))) == (2.5, 2, False)
    assert [10, 20, 30][tc.tensor(1)] == 20
    assert 4.0 in x
    assert x.T.tolist() == x.mT.tolist() == [[1, 3], [2, 4]]
    y = tc.tensor([1.0], requires_grad=True)
    with pytest.raises(GradientError, match="detach"):
        np.asarray(y)
    with pytest.raises(ShapeError, match=r"\.all\(\)"):
        bool(x)
    with pytest.raises(ShapeError, match=r"\(2, 2\)"):
        x.item()
    with pytest.raises(AttributeError):
        x.no_such_attribute  # noqa: B018
    with pytest.raises(AttributeError):
        x.requires_gard = True


def test_numpy_operands_on_either_side():
    x = tc.tensor([1.0, 2.0], requires_grad=True)
    a = np.array([3.0, 4.0], dtype=np.float32)
    for y in (a * x, x * a, a @ x * 1, np.float32(2) * x):
        assert isinstance(y, tc.Tensor)
        assert y.requires_grad
    assert (a - x).tolist() == [2, 2]
    assert (a @ x).item() == 11


def test_conversion():
    x = tc.tensor([1.7, -2.3], requires_grad=True)
    assert x.to("float64").dtype == x.double().dtype == "float64"
    assert x.to("cpu") is x.float() is x.to(x)
    assert x.int().tolist() == [1, -2]
    assert (x.half().dtype, x.long().dtype, x.bool().dtype) == ("float16", "int64", "bool")
    x.double().sum().backward()
    assert x.grad.dtype == "float32"
    with pytest.raises(DeviceError, match="cuda"):
        x.cuda()


def test_mixed_precision_gradients_have_the_leaf_s_dtype():
    x = tc.tensor([1.0, 2.0], requires_grad=True)
    y = tc.tensor(np.array([[3.0, 4.0]]), requires_grad=True)
    (x * y + x / y).sum().backward()
    assert (x.grad.dtype, y.grad.dtype) == ("float32", "float64")
    assert (x.grad.shape, y.grad.shape) == ((2,), (1, 2))


# --- writing --------------------------------------------------------------------------------------


def test_iadd_on_a_value_in_a_graph():
    x = tc.tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    square = y
    y += 1
    y *= x
    y.sum().backward()  # x³ + x
    assert x.grad.tolist() == [4.0, 13.0]
    assert square.tolist() == [1.0, 4.0]


def test_iadd_on_a_parameter_outside_recording_writes():
    w = tc.tensor([1.0, 2.0], requires_grad=True)
    same, memory = w, w._data
    with tc.no_grad():
        w -= 0.5
        w *= 2
    assert w is same
    assert w._data is memory
    assert w.tolist() == [1.0, 3.0]
    assert w.requires_grad


def test_setitem_in_a_graph_gives_right_gradients():
    x = tc.tensor([1.0, 2.0, 3.0], requires_grad=True)
    v = tc.tensor(5.0, requires_grad=True)
    out = x * 2
    early = (out * out).sum()  # saved before the write: not affected by it
    out[1] = v * v
    out[2:] = 7.0
    ((out * out).sum() + early).backward()
    assert out.tolist() == [2.0, 25.0, 7.0]
    assert x.grad.tolist() == [2 * 2 * 2 + 8, 16.0, 24.0]
    assert v.grad.item() == 2 * 25 * 10


def test_setitem_collects_outputs_as_a_decoder_does():
    x = tc.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    out = tc.zeros(3, 2)
    for t in range(3):
        out[t] = x.sum(0) * (t + 1)
    out.sum().backward()
    assert x.grad.tolist() == [[6.0, 6.0], [6.0, 6.0]]


@pytest.mark.parametrize(
    "index", [0, -1, slice(None, None, 2), (..., 1), ([0, 2], [1, 0]), None, "mask"]
)
def test_setitem_writes_what_numpy_writes(index):
    a = np.arange(6.0).reshape(3, 2)
    index = a > 2 if isinstance(index, str) else index
    x = tc.tensor(a)
    x[index] = -1
    a[index] = -1
    assert np.array_equal(x.numpy(), a)


def test_setitem_says_what_does_not_fit():
    x = tc.zeros(2, 3)
    with pytest.raises(ShapeError, match=r"\(2,\).*\(2, 3\)"):
        x[0] = tc.ones(2)
    with pytest.raises(ShapeError, match="out of bounds"):
        x[5] = 1.0
    with pytest.raises(DtypeError, match="float"):
        x[tc.tensor([0.5])] = 1.0
    assert x.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_in_place_methods_give_the_tensor_a_new_value():
    x = tc.tensor([-1.0, 2.0], requires_grad=True)
    y = x * 3
    before = y
    assert y.relu_() is y
    y.add_(1).mul_(2)
    y.sum().backward()
    assert before is y
    assert y.tolist() == [2.0, 14.0]
    assert x.grad.tolist() == [0.0, 6.0]
    assert tc.zeros(2).fill_(3).tolist() == [3, 3]
    assert tc.ones(2).zero_().tolist() == [0, 0]
    assert tc.ones(2).copy_([5, 6]).tolist() == [5, 6]
    assert tc.tensor([1, 5]).clamp_(2, 3).tolist() == [2, 3]


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[0], lambda x: x[:, :1], lambda x: x.reshape(4), lambda x: x.view(4),
        lambda x: x.T, lambda x: x.transpose(0, 1), lambda x: x.unsqueeze(0), lambda x: x.flatten(),
        lambda x: x.expand(3, 2, 2), lambda x: x.squeeze(), lambda x: x.chunk(2)[0],
    ],
)  # fmt: skip
@pytest.mark.parametrize("requires_grad", [False, True])
def test_a_write_through_a_view_raises_and_says_what_to_write(view, requires_grad):
    x = tc.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=requires_grad)
    base = x * 1 if requires_grad else x
    with pytest.raises(GradientError, match=r"base\[index\] = value"):
        view(base).add_(1)
    with pytest.raises(GradientError, match="view"):
        view(base)[...] = 0
    view(base).clone().add_(1)
    with tc.no_grad():
        (view(base) + 1).add_(1)
    assert base.tolist() == [[1, 2], [3, 4]]


def test_a_write_through_detach_of_a_result_raises():
    x = tc.tensor([1.0], requires_grad=True)
    y = x * 2
    with pytest.raises(GradientError, match="clone"):
        y.detach().fill_(0)
    alone = (x * 2).detach()  # of what nobody holds
    assert alone.fill_(0).tolist() == [0]


def test_a_leaf_is_not_written_while_operations_are_recorded():
    x = tc.tensor([1.0, 2.0], requires_grad=True)
    for write in (lambda: x.add_(1), lambda: x.fill_(0), lambda: x.__setitem__(0, 1.0)):
        with pytest.raises(GradientError, match="no_grad"):
            write()
    with tc.no_grad():
        x.add_(1)
        x[0] = 9.0
    assert x.tolist() == [9.0, 3.0]
    assert x.is_leaf
    assert x.requires_grad


def test_data_reaches_the_leaf():
    x = tc.tensor([1.0, 2.0], requires_grad=True)
    x.data.mul_(10)
    x.data[0] = 7.0
    assert x.tolist() == [7.0, 20.0]
    x.data -= tc.tensor([1.0, 1.0])
    assert x.tolist() == [6.0, 19.0]
    assert x.requires_grad
    c = tc.tensor([1.0])
    c.data.fill_(4.0)
    assert c.item() == 4.0
    x.detach().fill_(0.0)
    assert x.tolist() == [0.0, 0.0]


def test_in_place_results_must_keep_shape_and_kind():
    x = tc.ones(2)
    with pytest.raises(ShapeError, match=r"\(3, 2\).*\(2,\)"):
        x.add_(tc.ones(3, 2))
    with pytest.raises(DtypeError, match="float32"):
        tc.tensor([1, 2]).mul_(0.5)
    assert tc.ones(2).mul_(tc.ones(2, dtype="float64")).dtype == "float32"


# --- gradients ------------------------------------------------------------------------------------


def test_grad_can_be_read_and_set():
    x = tc.tensor([1.0, 2.0], requires_grad=True)
    assert x.grad is None
    (x * x).sum().backward()
    x.grad.mul_(0.5)
    assert x.grad.tolist() == [1.0, 2.0]
    x.grad = tc.tensor([9.0, 9.0])
    assert x.grad.tolist() == [9.0, 9.0]
    x.zero_grad()
    assert x.grad is None
    for wrong in ([1.0, 2.0], tc.ones(3), tc.ones(2, dtype="float64")):
        with pytest.raises(GradientError, match="like its own"):
            x.grad = wrong
    with pytest.raises(GradientError, match="does not require grad"):
        tc.ones(2).grad = tc.ones(2)


def test_backward_needs_a_number_or_a_gradient():
    x = tc.tensor([[1.0, 2.0]], requires_grad=True)
    with pytest.raises(GradientError, match=r"shape \(1, 2\) needs a gradient"):
        (x * x).backward()
    with pytest.raises(ShapeError, match=r"\(2,\).*\(1, 2\)"):
        (x * x).backward(tc.ones(2))
    (x * x).backward(tc.tensor([[1.0, 10.0]]))
    assert x.grad.tolist() == [[2.0, 40.0]]
    y = tc.tensor([[3.0]], requires_grad=True)
    (y * y).backward()
    assert y.grad.tolist() == [[6.0]]


def test_requires_grad_can_be_switched_on_leaves():
    x = tc.ones(2).requires_grad_()
    assert x.requires_grad
    with pytest.raises(GradientError, match="detach"):
        (x * 2).requires_grad_(False)
    assert not x.requires_grad_(False).requires_grad
    y = (tc.ones(2).requires_grad_() * 2).detach_()
    assert y.is_leaf
    assert not y.requires_grad


# --- errors ---------------------------------------------------------------------------------------


def test_errors_name_the_operation_and_what_it_was_given():
    x, y = tc.ones(2, 3), tc.ones(4)
    with pytest.raises(ShapeError, match=r"add\(float32\[2, 3\], float32\[4\]\)"):
        x + y
    with pytest.raises(ShapeError, match=r"matmul.*\(2, 3\).*3.*\(4,\).*4"):
        x @ y
    with pytest.raises(ShapeError, match="dim 2"):
        x.sum(2)
    with pytest.raises(ShapeError, match="reshape"):
        x.reshape(4, 2)
    with pytest.raises(DtypeError, match="Scalar and a Tensor"):
        x + tc.Scalar(1.0)
    with pytest.raises(DtypeError, match="Scalar and a Tensor"):
        tc.Scalar(1.0) * x
    with pytest.raises(TypeError):
        x + "text"
    with pytest.raises(TypeError, match="unexpected keyword"):
        x.sum(dims=1)


def test_copies_are_independent_leaves():
    x = tc.tensor([1.0], requires_grad=True)
    for y in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert y.requires_grad
        assert y.is_leaf
        with tc.no_grad():
            y.fill_(5.0)
        assert x.item() == 1.0
    with pytest.raises(GradientError, match="leaf"):
        copy.deepcopy(x * 2)


OVER = [lambda t: t.zero_(), lambda t: t.fill_(2.0), lambda t: t.copy_(tc.ones(1))]


@pytest.mark.parametrize("write", OVER)
def test_a_value_written_over_still_belongs_to_its_graph(write):
    """As in PyTorch: backward goes on, and what was there before gets the gradient 0."""
    x = tc.ones(2, 3, requires_grad=True)
    y = x * 2
    assert write(y) is y
    assert y.requires_grad
    y.sum().backward()
    assert x.grad.tolist() == [[0.0] * 3] * 2
    source = tc.ones(3, requires_grad=True)
    plain = tc.zeros(2, 3).copy_(source)
    plain.sum().backward()
    assert source.grad.tolist() == [2.0, 2.0, 2.0]
    with pytest.raises(ShapeError, match="index_put"):
        tc.zeros(2, 3).copy_(tc.ones(4))


def test_to_copies_only_if_asked_or_needed():
    x = tc.ones(2)
    assert x.to(tc.float32, non_blocking=True) is x
    assert x.to(copy=True) is not x
    assert x.to(other=tc.ones(1, dtype=tc.float64)).dtype == tc.float64
    assert tc.ones(2, requires_grad=True).numpy(force=True).tolist() == [1.0, 1.0]


def test_requires_grad_is_assigned_and_device_has_parts():
    x = tc.ones(2)
    x.requires_grad = True
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
    x.requires_grad = False
    assert x.grad is None
    assert not (x * 2).requires_grad
    assert (x.device.type, x.device.index, x.device == "cpu") == ("cpu", None, True)
    assert tc.device("cuda", 1).index == 1
    with pytest.raises(ValueError, match=r"'gpu' names no device.*cuda:0"):
        tc.device("gpu")
    with pytest.raises(RuntimeError, match="cuda:1"):
        x.cuda(1)
