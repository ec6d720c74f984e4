"""Python's operators, and the fast way through them.

`primitive.apply` says what applying a row means, for any row and any arguments. The methods here
say it again for the commonest case (two values of one face and kind, or a value and a number), with
every call that can be saved written out; whatever they do not cover they leave to `apply`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from . import errors
from .arrays import KINDS, constant
from .graph import Node, Value, tick, wrap
from .modes import is_grad_enabled
from .ops import elementwise as ops
from .ops import linalg
from .primitive import Primitive, apply
from .scalar_walk import ScalarNode, float_row, walk_scalars

NUMBERS = (float, int)
NOTHING = (None, None, None)
WANTS = ((True, False), (False, True), (True, True))  # which of two arguments want a gradient
TESTS = ("eq", "ne", "lt", "le", "gt", "ge")

Method = Callable[..., Any]


# --- Scalars --------------------------------------------------------------------------------------


def bind_scalar_operators(face: Any) -> None:
    """Give the Scalar class its operators, and the fast form of its one-argument methods."""
    rows = {
        "add": ops.add, "sub": ops.sub, "mul": ops.mul, "truediv": ops.div, "pow": ops.pow,
        "floordiv": ops.floor_divide, "mod": ops.remainder,
    }  # fmt: skip
    for name, prim in rows.items():
        method = _scalar_binary(prim, face)
        setattr(face, f"__{name}__", _square_first(method) if name == "pow" else method)
        commutes = name in ("add", "mul")
        setattr(face, f"__r{name}__", method if commutes else _scalar_reflected(method, face))
    for name in TESTS:
        setattr(face, f"__{name}__", _scalar_test(getattr(operator, name), face))
    for name, row in vars(ops).items():
        if isinstance(row, Primitive) and row.rules and len(row.rules) == 1 and row.name == name:
            setattr(face, name, _scalar_unary(row, face))
    face.__neg__, face.__abs__, face.__pos__ = face.neg, face.abs, lambda self: self
    face._walk_filling_in = partial(walk_scalars, face)


def _scalar_binary(prim: Primitive, face: Any) -> Method:
    forward, new = prim.scalar, object.__new__
    assert forward is not None
    row = float_row(prim)
    left_only, right_only, both = [prim.keeps[wants] for wants in WANTS]
    reads = any(both)

    def method(self: Any, other: Any) -> Any:
        if type(other) is face:
            y, right = other._data, other._node
        elif isinstance(other, NUMBERS):
            y, right = float(other), None
        else:
            return apply(prim, (self, other), {}) if isinstance(other, Value) else NotImplemented
        x, left = self._data, self._node
        result = new(face)
        result._data = out = forward(x, y)
        if (left is None and right is None) or not is_grad_enabled():
            result._node = None
            return result
        result._node = node = new(ScalarNode)
        node.row = row
        node.left = left
        node.right = right
        if reads:
            o, a, b = left_only if right is None else right_only if left is None else both
            node.out = out if o else None
            node.x = x if a else None
            node.y = y if b else None
        else:
            node.out = node.x = node.y = None
        node.extra = None
        node.seq = tick()
        node.grad = 0.0
        return result

    return method


def _scalar_reflected(method: Method, face: Any) -> Method:
    def reflected(self: Any, other: Any) -> Any:
        known = isinstance(other, NUMBERS)
        return method(wrap(face, float(other), None), self) if known else NotImplemented

    return reflected


def _scalar_unary(prim: Primitive, face: Any) -> Method:
    forward, new = prim.scalar, object.__new__
    assert forward is not None
    row = float_row(prim)
    keep_out, keep_x = prim.keeps[True,]

    def method(self: Any) -> Any:
        x, parent = self._data, self._node
        result = new(face)
        result._data = out = forward(x)
        if parent is None or not is_grad_enabled():
            result._node = None
            return result
        result._node = node = new(ScalarNode)
        node.row = row
        node.left = parent
        node.right = None
        node.out = out if keep_out else None
        node.x = x if keep_x else None
        node.y = None
        node.extra = None
        node.seq = tick()
        node.grad = 0.0
        return result

    method.__name__, method.__doc__ = prim.name, prim.__doc__
    return method


def _scalar_test(test: Method, face: Any) -> Method:
    def method(self: Any, other: Any) -> Any:
        known = isinstance(other, (face, *NUMBERS))
        return test(self._data, float(other)) if known else NotImplemented

    return method


# --- Tensors --------------------------------------------------------------------------------------

SIGNS = {"add": "+", "sub": "-", "mul": "*", "truediv": "/", "pow": "**", "floordiv": "//",
         "mod": "%", "and": "&", "or": "|", "xor": "^"}  # fmt: skip
OPERANDS = (Value, *NUMBERS, np.ndarray, np.generic)


def bind_tensor_operators(face: Any) -> None:
    """Give the Tensor class its operators; `x += y` is `x = x + y` (`_in_place` says when not)."""
    rows = {"add": ops.add, "sub": ops.sub, "mul": ops.mul, "truediv": ops.div, "pow": ops.pow}
    for name, prim in rows.items():
        method = _tensor_binary(prim, face)
        commutes = name in ("add", "mul")
        setattr(face, f"__{name}__", _square_first(method) if name == "pow" else method)
        setattr(face, f"__r{name}__", method if commutes else _reflected(prim, OPERANDS))
        setattr(face, f"__i{name}__", _assigning(getattr(face, f"__{name}__"), name))
    for name, prim in {
        "floordiv": ops.floor_divide, "mod": ops.remainder, "and": ops.bitwise_and,
        "or": ops.bitwise_or, "xor": ops.bitwise_xor,
    }.items():  # fmt: skip
        setattr(face, f"__{name}__", _plain(prim))
        setattr(face, f"__r{name}__", _reflected(prim, OPERANDS))
        setattr(face, f"__i{name}__", _assigning(_plain(prim), name))
    for name in TESTS:
        setattr(face, f"__{name}__", _plain(getattr(ops, name)))
    face.__matmul__, face.__rmatmul__ = _matmul, _rmatmul
    face.__neg__, face.__abs__, face.__pos__ = face.neg, face.abs, lambda self: self
    face.__invert__ = face.bitwise_not


def _tensor_binary(prim: Primitive, face: Any) -> Method:
    forward, new = prim.forward, object.__new__
    left_only, right_only, both = [prim.keeps[wants] for wants in WANTS]
    reads, any_kind = any(both), prim in (ops.add, ops.mul)  # the others refuse some dtypes

    def method(self: Any, other: Any) -> Any:
        left, kind = self._node, self._kind
        if type(other) is face and kind is other._kind and (any_kind or kind.dtype.kind == "f"):
            y, right = other._data, other._node
        elif kind.takes_numbers and isinstance(other, NUMBERS):
            y, right = constant(other, kind.dtype), None
        else:
            return prim(self, other) if isinstance(other, OPERANDS) else NotImplemented
        x = self._data
        result = new(face)
        result._data = out = forward(x, y)
        result._kind = kind
        if (left is None and right is None) or not is_grad_enabled():
            result._node = None
            return result
        result._node = node = new(Node)
        node.prim = prim
        node.parents = (left, right)
        if reads:
            o, a, b = left_only if right is None else right_only if left is None else both
            node.saved = (out if o else None, x if a else None, y if b else None)
        else:
            node.saved = NOTHING
        node.kind = kind
        node.extra = None
        node.seq = tick()
        return result

    return method


def _plain(prim: Primitive) -> Method:
    def method(self: Any, other: Any) -> Any:
        return apply(prim, (self, other), {}) if isinstance(other, OPERANDS) else NotImplemented

    return method


def _assigning(method: Method, name: str) -> Method:
    def assign(self: Any, other: Any) -> Any:
        result = method(self, other)
        if result is NotImplemented:
            return result
        return self._in_place(_fitting(result, self, f"x {SIGNS[name]}= y"))

    return assign


def _fitting(result: Any, target: Any, name: str) -> Any:
    """The result of `x += y` in the dtype of x; an integer x takes no fractions."""
    if result._kind is target._kind or result.dtype == target.dtype:
        return result
    if KINDS[result.dtype.kind] > KINDS[target.dtype.kind]:
        raise errors.write_of_another_kind(name, result.dtype, target.dtype)
    return result.to(target.dtype)


def _matmul(self: Any, other: Any) -> Any:
    known = isinstance(other, OPERANDS)
    return linalg.matmul(self, self._constant(other)) if known else NotImplemented


def _rmatmul(self: Any, other: Any) -> Any:
    known = isinstance(other, OPERANDS)
    return linalg.matmul(self._constant(other), self) if known else NotImplemented


# --- both -----------------------------------------------------------------------------------------


def _reflected(prim: Primitive, operands: Any) -> Method:
    def method(self: Any, other: Any) -> Any:
        return apply(prim, (other, self), {}) if isinstance(other, operands) else NotImplemented

    return method


def _square_first(power: Method) -> Method:
    """x ** 2 is a multiplication, and by far the commonest power."""

    def method(self: Any, other: Any) -> Any:
        if isinstance(other, NUMBERS) and other == 2:
            return self.square()
        return power(self, other)

    return method
