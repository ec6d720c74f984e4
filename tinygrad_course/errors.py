"""What goes wrong, said once: every error tells what was given, what was expected, what to try."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any


class ShapeError(ValueError):
    """Sizes that do not fit together, or a dimension that is not there."""


class DtypeError(TypeError):
    """A value of a type that the operation has no meaning for."""


class OptionError(ValueError):
    """An option with a value outside the ones that are listed."""


class GradientError(RuntimeError):
    """A derivative that cannot be had: no graph, a freed graph, a stale value."""


class DeviceError(RuntimeError):
    """A device that is not there, or values that live on different devices."""


class LinAlgError(ValueError):
    """A matrix that has no inverse, or no decomposition of the kind asked for."""


class FormatError(ValueError):
    """A file that is not what it claims to be."""


OPERATIONS = tuple(
    f"tinygrad_course.{room}" for room in ("ops.", "functions.", "nn.functional", "creation")
)


def named(message: str) -> str:
    """The message with the name of the function that was called, which may be several calls up."""
    name, frame = "", sys._getframe(1)
    while frame is not None and (at := frame.f_globals.get("__name__", "")).startswith(OPERATIONS):
        own = frame.f_code.co_name
        if at.split(".")[-1] != "shape" or not own.startswith("normal_"):
            name = name if own.startswith(("_", "<")) else own.rstrip("_")
        frame = frame.f_back  # type: ignore[assignment]
    return f"{name}: {message}" if name else message


# --- the engine's own messages --------------------------------------------------------------------


def explain(name: str, args: Sequence[Any], params: dict[str, Any], error: Exception) -> Exception:
    """The error again, completed with the operation and what it was given."""
    places = {str(a.device) for a in args if hasattr(a, "device")}
    if len(places) > 1:
        return mixed_devices(name, args)
    known = (ShapeError, DtypeError, OptionError, GradientError, IndexError, TypeError)
    kind: type[Exception] = next((k for k in known if isinstance(error, k)), ShapeError)
    given = ", ".join(_described(a) for a in args)
    static = "".join(f", {k}={_described(v)}" for k, v in params.items())
    return (DtypeError if kind is TypeError else kind)(f"{name}({given}{static}): {error}")


def _described(value: Any) -> str:
    value = getattr(value, "_data", value)
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{value.dtype}{list(value.shape)}"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def mixed_faces(name: str) -> DtypeError:
    """Scalars and Tensors in one operation."""
    return DtypeError(
        f"{name}() got a Scalar and a Tensor; they are two kinds of number and do not mix: "
        "use tc.tensor(s.data) to continue with Tensors, or t.item() with Scalars"
    )


def mixed_devices(name: str, args: Sequence[Any]) -> DeviceError:
    """Tensors on several devices in one operation."""
    where = [
        f"argument {i} ({_described(a)}) is on {a.device}"
        for i, a in enumerate(args, 1)
        if hasattr(a, "device")
    ]
    return DeviceError(
        f"{name}: all tensors must be on one device: {', '.join(where)}; move them there first: "
        "x.to('cuda') or x.cpu(), model.to('cuda') for all of its parameters"
    )


def freed_graph(node: Any) -> GradientError:
    """A second backward pass over a graph that was not retained."""
    return GradientError(
        f"the graph was freed by an earlier backward pass (reached {node!r}); pass "
        "retain_graph=True to the first backward() to go over it twice, or run the forward pass "
        "again"
    )


def stale_leaf(node: Any, leaf: Any) -> GradientError:
    """A leaf whose saved value is no longer its value."""
    return GradientError(
        f"{node.name} saved a leaf of shape {leaf.shape} for its backward pass, and the leaf was "
        "written into since; run the forward pass again after the write, or write after backward()"
    )


def wrong_gradient(source: str, got: Any, expected: Any) -> GradientError:
    """A rule or a hook whose result does not look like the gradient that it stands for."""
    return GradientError(
        f"{source} gave a gradient of shape {got.shape} and dtype {got.dtype}, expected shape "
        f"{expected.shape} and dtype {expected.dtype}"
    )


def not_tracked(what: str) -> GradientError:
    """Something that only a value with a gradient can do."""
    return GradientError(
        f"{what} needs a value that requires grad, and this one is a constant; make an input with "
        "requires_grad=True, and compute outside no_grad()"
    )


def write_through_view(method: str) -> GradientError:
    """A write that would not reach the tensor that the view came from."""
    return GradientError(
        f"{method}: this tensor is a view (a slice, reshape, transpose, detach ... of another), "
        "and the write would not reach the tensor that it came from; write base[index] = value on "
        "the base itself, or .clone() the view first"
    )


def write_while_recording(method: str) -> GradientError:
    """A write into a leaf that requires grad."""
    return GradientError(
        f"{method}: a leaf that requires grad is not written in place while operations are "
        "recorded; wrap the write in tc.no_grad()"
    )


def write_of_another_shape(method: str, got: Any, expected: Any) -> ShapeError:
    """An in-place result that is larger than the tensor."""
    return ShapeError(
        f"{method}: the result has shape {got}, the tensor {expected}; write the operation without "
        "the underscore"
    )


def write_of_another_kind(method: str, got: Any, expected: Any) -> DtypeError:
    """An in-place result that the tensor's dtype cannot hold."""
    return DtypeError(
        f"{method}: the result is {got}, the tensor {expected}; convert the tensor first, or write "
        "the operation without the underscore"
    )


def several_elements(shape: Any) -> GradientError:
    """backward() of something that is not a number."""
    return GradientError(
        f"backward() of a tensor of shape {shape} needs a gradient of that shape; reduce it first, "
        "for example with .sum() or .mean()"
    )
