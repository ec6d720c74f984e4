"""Arrays and their dtypes: from Python and NumPy, and to one dtype by PyTorch's rules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import devices
from .errors import DtypeError, ShapeError
from .graph import Value

DTYPES = ("float16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool")

_default_dtype = np.dtype("float32")


def get_default_dtype() -> np.dtype[Any]:
    """The dtype of a Tensor made from Python floats: float32 unless set otherwise."""
    return _default_dtype


def set_default_dtype(dtype: Any) -> None:
    """Make Python floats become Tensors of this floating dtype (float16, float32 or float64)."""
    global _default_dtype
    if np.dtype(dtype).kind != "f":
        raise DtypeError(f"the default dtype must be floating, not {np.dtype(dtype)}")
    _default_dtype = np.dtype(dtype)


def checked_dtype(dtype: Any) -> np.dtype[Any]:
    """A NumPy dtype that Tensors can have."""
    try:
        found: np.dtype[Any] = np.dtype(dtype)
    except TypeError as error:
        raise DtypeError(f"{dtype!r} is not a dtype; use one of {', '.join(DTYPES)}") from error
    if found.name not in DTYPES or not found.isnative:
        raise DtypeError(f"tensors cannot hold {found}; use one of {', '.join(DTYPES)}")
    return found


def as_array(data: Any, dtype: Any = None, copy: bool = False) -> Any:
    """Data as an array with one of the dtypes that Tensors can have, copied if asked or needed."""
    data = _unboxed(data)
    wanted = None if dtype is None else checked_dtype(dtype)
    if isinstance(data, (np.ndarray, np.generic)) or hasattr(data, "__array_interface__"):
        array = np.array(data, dtype=wanted, copy=True if copy else None)
    elif devices.is_cuda(data) or hasattr(data, "__cuda_array_interface__"):
        module = devices.cupy()
        array = (module.array if copy else module.asarray)(data, dtype=wanted)
    else:
        array = _from_python(data, wanted)
    checked_dtype(array.dtype)
    return array


def _from_python(data: Any, wanted: np.dtype[Any] | None) -> Any:
    data = _plain(data)
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ShapeError(f"the nested lists have different lengths: {error}") from error
    if array.dtype.kind not in "biuf":
        raise DtypeError(
            f"cannot make a tensor from {type(data).__name__} {str(data)[:60]!r}: "
            "numbers, bools, nested lists of them and NumPy arrays are understood"
        )
    if wanted is None and (array.size == 0 or array.dtype.kind == "f") and not _has_arrays(data):
        wanted = get_default_dtype()
    return array if wanted is None else array.astype(wanted, copy=False)


def _plain(data: Any) -> Any:
    """Nested sequences with the Tensors among them as arrays."""
    if isinstance(data, (list, tuple)):
        return [_plain(d) for d in data]
    return _unboxed(data)


def _unboxed(data: Any) -> Any:
    if not isinstance(data, Value):
        return data
    if isinstance(data._data, float):
        raise DtypeError("a Scalar does not become a Tensor; use its number: tc.tensor(s.data)")
    return data._data


def _has_arrays(data: Any) -> bool:
    if isinstance(data, list):
        return bool(data) and _has_arrays(data[0])
    return isinstance(data, (np.ndarray, np.generic))


# --- promotion ---

_constants: dict[tuple[Any, Any], Any] = {}


def constant(value: float, dtype: Any) -> Any:
    """A read-only 0-d array for a Python number: NumPy takes it twice as fast as the number.

    A number beyond the range of an integer dtype comes round at the other end, as in PyTorch.
    """
    key = (value or repr(value), dtype)  # 0.0 and -0.0 are equal, and different numbers
    found = _constants.get(key)
    if found is None:
        if len(_constants) > 4096:
            _constants.clear()
        found = np.asarray(value).astype(dtype)
        found.flags.writeable = False
        _constants[key] = found
    return found


def operand(value: float, x: Any) -> Any:
    """A number beside x: an array of its dtype, which NumPy takes fastest and CuPy refuses."""
    return constant(value, x.dtype) if isinstance(x, np.ndarray) else value


def one_like(array: Any) -> Any:
    """1, in the shape and dtype of an array of one element, where that lives."""
    if isinstance(array, np.ndarray):
        one = constant(1.0, array.dtype)
        return one if array.ndim == 0 else one.reshape(array.shape)
    return np.ones_like(array)


LITTLE = 1 << 12  # numbers that are written sooner than NumPy makes a view


def repeated(x: Any, *, shape: tuple[int, ...], source: tuple[int, ...]) -> Any:
    """The forward of `broadcast_to`, where nobody asks for a view: what is short is written out."""
    if math.prod(shape) > LITTLE:
        return np.broadcast_to(x, shape)
    out = np.empty(shape, x.dtype)
    out[...] = x
    return out


def promote(raw: list[Any], floating: bool = False) -> list[Any]:
    """Bring arrays and Python numbers to one dtype, by PyTorch's rule.

    bool < integer < floating; within a kind arrays with dimensions decide, then 0-d arrays, then
    Python numbers; only a higher kind changes the result.
    """
    for a in raw:
        if not isinstance(a, HOST):
            return _promote_others(raw, floating)
    return _promote(raw, floating, constant)


HOST = (np.ndarray, int, float)


def _promote(raw: list[Any], floating: bool, number: Any) -> list[Any]:
    if len(raw) == 1 and (raw[0].dtype.kind == "f" or not floating):
        return raw
    dtype = result_dtype(raw)
    if floating and dtype.kind != "f":
        dtype = _default_dtype
    return [
        number(a, dtype)
        if isinstance(a, (float, int))
        else (a if a.dtype == dtype else a.astype(dtype))
        for a in raw
    ]


def _promote_others(raw: list[Any], floating: bool) -> list[Any]:
    """`promote` where there are lists, NumPy's numbers or a GPU's arrays among the values."""
    raw = [a if isinstance(a, HOST) or devices.is_cuda(a) else as_array(a) for a in raw]
    if all(isinstance(a, HOST) for a in raw):
        return _promote(raw, floating, constant)
    # CuPy takes NumPy's numbers and refuses its arrays, 0-d ones too
    raw = [a[()] if isinstance(a, np.ndarray) and not a.ndim else a for a in raw]
    return _promote(raw, floating, lambda *v: constant(*v)[()])


def truth(x: Any) -> Any:
    """Truth values of an array or a number."""
    return x.astype(bool, copy=False) if hasattr(x, "astype") else np.asarray(x, dtype=bool)


KINDS = {"b": 0, "u": 1, "i": 1, "f": 2}


def result_dtype(raw: Sequence[Any]) -> np.dtype[Any]:
    """The dtype that PyTorch gives to an operation between these arrays and numbers."""
    best: list[np.dtype[Any] | None] = [None, None, None]  # dimensioned, 0-d, numbers
    for a in raw:
        number = isinstance(a, (float, int)) and not isinstance(a, np.generic)
        dtype = _number_dtype(a) if number else a.dtype
        rank = 2 if number else int(a.ndim == 0)
        best[rank] = dtype if best[rank] is None else _join(best[rank], dtype)
    result = None
    for dtype in best:
        if dtype is not None and (result is None or KINDS[dtype.kind] > KINDS[result.kind]):
            result = dtype
    assert result is not None
    return result


def _number_dtype(number: float) -> np.dtype[Any]:
    if isinstance(number, bool):
        return np.dtype(bool)
    return np.dtype("int64") if isinstance(number, int) else _default_dtype


def accumulated(ufunc: Any, x: Any, dim: int) -> Any:
    """Running results along a dimension; CuPy has running sums only: the others by doubling."""
    if isinstance(x, np.ndarray):
        return ufunc.accumulate(x, dim)
    s, step = np.moveaxis(x, dim, 0).copy(), 1
    while step < len(s):
        s[step:], step = ufunc(s[step:], s[:-step]), 2 * step
    return np.moveaxis(s, 0, dim)


def top(x: Any, dim: Any) -> Any:
    """The largest along dimensions, which stay with size 1; of no numbers −∞."""
    return x.max(axis=dim, keepdims=True) if x.size else x.sum(dim, keepdims=True) - np.inf


def _join(a: Any, b: Any) -> np.dtype[Any]:
    ka, kb = KINDS[a.kind], KINDS[b.kind]
    return np.promote_types(a, b) if ka == kb else (a if ka > kb else b)
