"""A function under test: its differentiated values, its results as numbers, its gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_course.autograd import grad
from tinygrad_course.creation import from_numpy
from tinygrad_course.errors import GradientError
from tinygrad_course.graph import Value
from tinygrad_course.modes import enable_grad, is_grad_enabled, no_grad
from tinygrad_course.scalar import Scalar
from tinygrad_course.tensor import Tensor

Array = np.ndarray[Any, Any]


class Slot:
    """One value that is differentiated: an input (its place is an int) or a parameter (a name).

    Args:
        place: where the value goes.
        value: a Tensor or a Scalar.
    """

    def __init__(self, place: int | str, value: Any) -> None:
        self.place = place
        self.value = value
        self.is_scalar = isinstance(value, Scalar)
        self.array: Array = np.asarray(value.data if self.is_scalar else value.detach().numpy())
        self.name = f"input {place}" if isinstance(place, int) else f"parameter {place!r}"

    @property
    def variable(self) -> str:
        """The name of this value in a snippet."""
        return f"x{self.place}" if isinstance(self.place, int) else f"module.{self.place}"


class Problem:
    """A function or module with the values that it is differentiated with respect to.

    Args:
        fn: a callable on Tensors or Scalars; a module's parameters are differentiated too.
        inputs: its arguments; Values that require grad are differentiated, the rest is constant.

    Raises:
        GradientError: nothing to differentiate.
    """

    def __init__(self, fn: Callable[..., Any], inputs: Sequence[Any]) -> None:
        self.fn = fn
        self.inputs = list(inputs)
        self.slots = [Slot(i, x) for i, x in enumerate(inputs) if _tracked(x)]
        named = getattr(fn, "named_parameters", None)
        if named is not None:
            self.slots += [Slot(name, p) for name, p in named() if _tracked(p)]
        if not self.slots:
            raise GradientError(
                "gradcheck: nothing to differentiate; make an input with requires_grad=True"
            )
        self.arrays = [s.array.copy() for s in self.slots]
        self.dtype = min((a.dtype for a in self.arrays), key=lambda d: d.itemsize)

    # --- values ---

    def values(self, arrays: Sequence[Array], dtype: Any) -> list[Array]:
        """The floating results of the function at these numbers, converted to a dtype."""
        arrays = [np.asarray(a, dtype=dtype) for a in arrays]
        args = [_converted(x, dtype) for x in self.inputs]
        with self._placed(arrays), no_grad():
            for slot, array in zip(self.slots, arrays, strict=True):
                if isinstance(slot.place, int):
                    args[slot.place] = Scalar(float(array), False) if slot.is_scalar else (
                        from_numpy(array)
                    )  # fmt: skip
            return [_numbers(o) for o in outputs(self.fn(*args))]

    @contextmanager
    def _placed(self, arrays: Sequence[Array]) -> Iterator[None]:
        """The parameters hold these numbers inside the block."""
        pairs = [
            (s, a) for s, a in zip(self.slots, arrays, strict=True) if not isinstance(s.place, int)
        ]
        for slot, array in pairs:
            slot.value.data = array
        try:
            yield
        finally:
            for slot, _ in pairs:
                slot.value.data = slot.array

    # --- gradients ---

    def leaves(self, layout: Callable[[Array], Array] | None = None) -> list[Any]:
        """Fresh leaves that share memory with the inputs, or hold them in another layout."""
        return [_leaf(s, layout) for s in self.slots]

    def run(self, leaves: Sequence[Any], dtype: Any = None) -> list[Any]:
        """The floating results of the function, recorded from these leaves on.

        Args:
            leaves: one for each slot.
            dtype: of the constant arguments, if not their own.
        """
        args = [_constant(x) if dtype is None else _converted(x, dtype) for x in self.inputs]
        for slot, leaf in zip(self.slots, leaves, strict=True):
            if isinstance(slot.place, int):
                args[slot.place] = leaf
        return outputs(self.fn(*args))

    def gradient(
        self, arrays: Sequence[Array], cotangents: Sequence[Array], dtype: Any
    ) -> list[Array]:
        """The gradient at these numbers, weighted by the cotangents, everything in a dtype."""
        arrays = [np.asarray(a, dtype) for a in arrays]
        with self._placed(arrays):
            pairs = zip(self.slots, arrays, strict=True)
            leaves = [_leaf(slot, np.copy, a) for slot, a in pairs]
            grads = self.pull(self.run(leaves, dtype), leaves, cotangents)
        found = zip(grads, arrays, strict=True)
        return [np.zeros(a.shape) if g is None else _numbers(g) for g, a in found]

    def pull(
        self, results: Sequence[Any], leaves: Sequence[Any], cotangents: Sequence[Array]
    ) -> list[Any]:
        """The gradient of every leaf, weighted by the cotangents; None where there is none."""
        pairs = [(r, _like(r, c)) for r, c in zip(results, cotangents, strict=True) if _tracked(r)]
        if not pairs:
            return [None] * len(leaves)
        roots, weights = zip(*pairs, strict=True)
        return list(grad(roots, leaves, weights, retain_graph=True, allow_unused=True))


class GradientOf:
    """The gradient of a function as a function: of its inputs, and of the cotangents.

    Args:
        problem: the function.
        count: how many of the trailing arguments are cotangents.
    """

    def __init__(self, problem: Problem, count: int) -> None:
        self.problem = problem
        self.count = count
        self.__name__ = f"gradient of {name_of(problem.fn)}"
        if hasattr(problem.fn, "named_parameters"):
            self.named_parameters = problem.fn.named_parameters

    def __call__(self, *args: Any) -> tuple[Any, ...]:
        recording = is_grad_enabled()
        given = list(args[: len(args) - self.count])
        with enable_grad():
            leaves = []
            for slot in self.problem.slots:
                leaf = slot.value
                if isinstance(slot.place, int):
                    leaf = given[slot.place] = _recorded(given[slot.place])
                leaves.append(leaf)
            results = outputs(self.problem.fn(*given))
            weights = args[len(args) - self.count :]
            pairs = [(r, w) for r, w in zip(results, weights, strict=True) if _tracked(r)]
            roots, gs = zip(*pairs, strict=True) if pairs else ((), ())
            if not pairs:
                return tuple(_zero(leaf) for leaf in leaves)
            grads = grad(roots, leaves, gs, create_graph=recording, allow_unused=True)
        return tuple(_zero(leaf) if g is None else g for leaf, g in zip(leaves, grads, strict=True))


def outputs(result: Any) -> list[Any]:
    """The floating Tensors and the Scalars among a function's results.

    Raises:
        GradientError: there are none.
    """
    results = result if isinstance(result, (tuple, list)) else [result]
    found = [
        r for r in results if isinstance(r, Scalar) or (isinstance(r, Tensor) and _floating(r))
    ]
    if not found:
        raise GradientError(
            f"gradcheck: the function must return floating Tensors or Scalars, got {result!r}"
        )
    return found


def name_of(fn: Any) -> str:
    """What a function is called in a report."""
    name = getattr(fn, "__qualname__", None) or getattr(fn, "__name__", None)
    if name == "apply" or (name or "").endswith(".apply"):
        name = getattr(getattr(fn, "__self__", None), "__name__", name)
    return (name or type(fn).__name__).replace("<locals>.", "").split(".<lambda>")[-1] or "<lambda>"


def _tracked(x: Any) -> bool:
    return isinstance(x, Value) and x.requires_grad


def _floating(x: Tensor) -> bool:
    return x.dtype.kind == "f"


def _converted(x: Any, dtype: Any) -> Any:
    """A constant argument in the precision of the differences."""
    if not isinstance(x, Tensor):
        return x
    return x.detach().to(dtype) if _floating(x) else x.detach()


def _numbers(x: Any) -> Array:
    if isinstance(x, float):
        return np.asarray(x)
    return np.asarray(x.data if isinstance(x, Scalar) else x.detach().numpy())


def _like(result: Any, cotangent: Array) -> Any:
    if isinstance(result, Scalar):
        return float(cotangent)
    return from_numpy(cotangent.astype(result.dtype))


def _leaf(slot: Slot, layout: Callable[[Array], Array] | None, array: Array | None = None) -> Any:
    if not isinstance(slot.place, int):
        return slot.value
    array = slot.array if array is None else array
    if slot.is_scalar:
        return Scalar(float(array))
    if layout is None:
        return slot.value.detach().requires_grad_()
    return from_numpy(layout(array)).requires_grad_()


def _constant(x: Any) -> Any:
    return x.detach() if isinstance(x, Tensor) else x


def _recorded(x: Any) -> Any:
    if x.requires_grad:
        return x
    return Scalar(x.data) if isinstance(x, Scalar) else x.detach().requires_grad_()


def _zero(leaf: Any) -> Any:
    if isinstance(leaf, Scalar):
        return Scalar(0.0, False)
    return from_numpy(np.zeros(leaf.shape, leaf.dtype))
