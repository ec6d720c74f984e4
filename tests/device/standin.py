"""A stand-in for CuPy: NumPy's numbers under CuPy's rules, on a machine without a GPU.

It shows that code stays on the device: whatever would bring an array to the host without being
asked (`np.asarray`, a NumPy array among the operands) raises as in CuPy, and what CuPy does not
have (a function, a method, a keyword) is not there. Copies to the host are counted, and launches: a
launch is whatever makes numbers, not a view. What it cannot show is anything about a GPU: no kernel
of CuPy's runs here, and none of ours.

The rules are those of CuPy 14: `ndarray.__array_ufunc__` takes CuPy's arrays and Python's and
NumPy's numbers, no NumPy arrays; results are arrays, 0-d ones too; `__array_function__` knows what
`cupy_names.txt` lists, with these parameters.
"""

from __future__ import annotations

import collections
import contextlib
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

NAMES: dict[str, str] = {}
for line in Path(__file__).with_name("cupy_names.txt").read_text(encoding="utf-8").splitlines():
    if not line.startswith("#"):
        name, _, parameters = line.partition(":")
        NAMES[name] = parameters.strip()

METHODS = {
    "all": "axis out keepdims", "any": "axis out keepdims", "argmax": "axis out dtype keepdims",
    "argmin": "axis out dtype keepdims", "argsort": "axis kind",
    "astype": "dtype order casting subok copy",
    "clip": "min max out", "copy": "order", "cumprod": "axis dtype out",
    "cumsum": "axis dtype out", "diagonal": "offset axis1 axis2", "dot": "b out", "fill": "value",
    "flatten": "order", "max": "axis out keepdims", "mean": "axis dtype out keepdims",
    "min": "axis out keepdims", "nonzero": "", "prod": "axis dtype out keepdims",
    "ravel": "order", "repeat": "repeats axis", "reshape": "* order", "round": "decimals out",
    "searchsorted": "v side sorter", "squeeze": "axis", "std": "axis dtype out ddof keepdims",
    "sum": "axis dtype out keepdims", "swapaxes": "axis1 axis2", "take": "indices axis out",
    "trace": "offset axis1 axis2 dtype out", "transpose": "*",
    "var": "axis dtype out ddof keepdims", "view": "dtype",
}  # fmt: skip
REDUCIBLE = {"reduce": ("add", "multiply"), "accumulate": ("add", "multiply"),
             "at": ("add", "subtract", "maximum", "minimum", "bitwise_and", "bitwise_or",
                    "bitwise_xor")}  # fmt: skip
# NumPy's names for what CuPy lists under another
FROM_HOST = ("asarray", "array", "asanyarray", "ascontiguousarray")

copies = {"to host": 0, "to device": 0}
launches: collections.Counter[str] = collections.Counter()


@contextlib.contextmanager
def counted() -> Iterator[dict[str, int]]:
    """How many arrays are copied between host and device in the block."""
    before, found = dict(copies), dict.fromkeys(copies, 0)
    yield found
    found.update({k: copies[k] - before[k] for k in copies})


@contextlib.contextmanager
def launched() -> Iterator[collections.Counter[str]]:
    """What CuPy launches in the block, and how often."""
    before, found = launches.copy(), collections.Counter[str]()
    yield found
    found.update(launches - before)


def note(name: str, found: Any, *given: Any) -> None:
    """Count a launch, unless the result is a view of an argument or has no numbers in it."""
    shared = isinstance(found, np.ndarray) and any(
        np.may_share_memory(found, a) for a in given if isinstance(a, np.ndarray)
    )
    launches[name] += not shared and "empty" not in name


def refused(x: Any) -> TypeError:
    return TypeError(f"Unsupported type {type(x)}")


def bare(x: Any, host: bool = False) -> Any:
    """The NumPy array inside, also of those in lists; NumPy's own arrays are refused."""
    if isinstance(x, ndarray):
        return x._host
    if isinstance(x, np.ndarray) and not host:
        raise refused(x)
    if isinstance(x, (list, tuple)):
        return type(x)(bare(v, host) for v in x)
    return x


def place(index: Any) -> tuple[Any, ...]:
    """An index; CuPy copies NumPy's arrays in it to the device."""
    parts = index if isinstance(index, tuple) else (index,)
    copies["to device"] += sum(isinstance(p, np.ndarray) for p in parts)
    return tuple(bare(p, host=True) for p in parts)


def boxed(x: Any, base: Any = None) -> Any:
    """NumPy's results as the device's arrays."""
    if isinstance(x, (np.ndarray, np.generic)):
        return ndarray(np.asarray(x), base)
    if isinstance(x, tuple):
        made = [boxed(v) for v in x]
        return type(x)(*made) if hasattr(x, "_fields") else tuple(made)
    return [boxed(v) for v in x] if isinstance(x, list) else x


def check_parameters(name: str, listed: str, kwargs: Any) -> None:
    known = {p.strip().strip("=*") for p in listed.split(",")}
    if "**" not in listed and not kwargs.keys() <= known:
        raise TypeError(f"cupy.{name} has no parameter {sorted(kwargs.keys() - known)}")


class ndarray:
    """An array on the device."""

    __array_priority__ = 100
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, host: np.ndarray, base: Any = None) -> None:
        self._host = host
        shares = base is not None and np.may_share_memory(host, base._host)
        self.base = (base if base.base is None else base.base) if shares else None

    # --- what it is ---

    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    nbytes = property(lambda self: self._host.nbytes)
    itemsize = property(lambda self: self._host.itemsize)
    strides = property(lambda self: self._host.strides)
    device = types.SimpleNamespace(id=0)
    T = property(lambda self: ndarray(self._host.T, self))
    mT = property(lambda self: ndarray(self._host.swapaxes(-1, -2), self))

    @property
    def flags(self) -> Any:
        flags = self._host.flags
        return types.SimpleNamespace(
            c_contiguous=flags.c_contiguous, f_contiguous=flags.f_contiguous, owndata=flags.owndata
        )

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {"shape": self.shape, "typestr": self.dtype.str, "version": 3}

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    # --- to the host: only when asked ---

    def get(self) -> np.ndarray:
        copies["to host"] += 1
        return self._host.copy()

    def item(self) -> Any:
        return self.get().item()

    def tolist(self) -> Any:
        return self.get().tolist()

    def __bool__(self) -> bool:
        return bool(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __index__(self) -> int:
        return self.get().__index__()

    def __float__(self) -> float:
        return float(self.get())

    def __repr__(self) -> str:
        return repr(self.get())

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __reduce__(self) -> Any:
        return _array, (self.get(),)

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()

    # --- indexing ---

    def __getitem__(self, index: Any) -> Any:
        parts = place(index)
        if all(p is None or p is Ellipsis or isinstance(p, (int, slice, np.integer))
               for p in parts) and Ellipsis not in parts:  # fmt: skip
            parts = (*parts, Ellipsis)  # an array, where NumPy gives a number
        found = np.asarray(self._host[parts])
        note("getitem", found, self._host)
        return ndarray(found, self)

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, np.ndarray):
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        launches["setitem"] += 1
        self._host[place(index)] = bare(value)

    # --- NumPy's protocols ---

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        name = ufunc.__name__
        if NAMES.get(name) is None or (
            method != "__call__" and name not in REDUCIBLE.get(method, ())
        ):
            return NotImplemented
        out = kwargs.pop("out", (None,))[0]
        for x in (*inputs, *(() if out is None else (out,))):
            if isinstance(x, np.ndarray) and name not in COMPARISONS:
                raise refused(x)
            if not isinstance(x, (ndarray, np.ndarray, np.generic, int, float)) and method != "at":
                return NotImplemented
        if method == "reduce" and kwargs.keys() - {"axis", "dtype", "keepdims"}:
            raise TypeError(f"reduce() has no {sorted(kwargs)}")
        if any(isinstance(x, np.ndarray) and x.ndim for x in inputs):
            raise refused(inputs)
        given = [bare(x, host=True) for x in inputs]
        launches[name if method == "__call__" else f"{name}.{method}"] += 1
        if method == "at":
            getattr(ufunc, method)(*given)
            return None
        if out is not None:
            kwargs["out"] = bare(out)
        with np.errstate(all="ignore"):
            found = (ufunc if method == "__call__" else getattr(ufunc, method))(*given, **kwargs)
        return boxed(found) if out is None else out

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        path = ".".join([*func.__module__.split(".")[1:], func.__name__]).replace("_core.", "")
        if path not in NAMES or not all(issubclass(t, (ndarray, np.ndarray)) for t in types):
            return NotImplemented
        return called(path, func, args, kwargs)


COMPARISONS = {"greater", "greater_equal", "less", "less_equal", "equal", "not_equal"}


def called(path: str, func: Any, args: Any, kwargs: Any) -> Any:
    """A function of CuPy's: NumPy's of that name on what is inside, as far as CuPy has it."""
    if path in FROM_HOST:
        return _array(*args, **kwargs)
    check_parameters(path, NAMES[path], kwargs)
    given, options = bare(list(args)), {k: bare(v) for k, v in kwargs.items()}
    if path == "where" and not hasattr(args[0], "astype"):
        raise refused(args[0])
    with np.errstate(all="ignore"):
        found = func(*given, **options)
    note(path, found, *given)
    first = next((a for a in args if isinstance(a, ndarray)), None)
    return boxed(found, first)


def _array(obj: Any, *args: Any, **kwargs: Any) -> ndarray:
    """From the host to the device, or a copy on the device."""
    if not isinstance(obj, ndarray):
        copies["to device"] += 1
    kwargs.pop("blocking", None)
    return ndarray(np.array(bare(obj, host=True), *args, **kwargs))


def _asarray(obj: Any, *args: Any, **kwargs: Any) -> ndarray:
    same = isinstance(obj, ndarray) and not args and not kwargs
    return obj if same else _array(obj, *args, **kwargs)


def _method(name: str, listed: str) -> Any:
    def method(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        if not kwargs.keys() <= set(listed.split()):
            raise TypeError(f"cupy.ndarray.{name} has no parameter {sorted(kwargs)}")
        if "*" not in listed and len(args) > len(listed.split()):
            raise TypeError(f"cupy.ndarray.{name} takes {listed}")
        if kwargs.get("kind") not in (None, "stable"):
            raise ValueError("kind can only be None or 'stable'")
        given, options = bare(list(args)), {k: bare(v) for k, v in kwargs.items()}
        with np.errstate(all="ignore"):
            found = getattr(self._host, name)(*given, **options)
        note(name, found, self._host)
        return boxed(found, self)

    return method


def _operator(name: str) -> Any:
    def method(self: ndarray, *others: Any) -> Any:
        for other in others:
            if isinstance(other, np.ndarray):
                raise refused(other)
            if not isinstance(other, (ndarray, np.generic, int, float)):
                return NotImplemented
        with np.errstate(all="ignore"):
            found = getattr(self._host, name)(*[bare(v) for v in others])
        launches[name.strip("_")] += 1
        if name.startswith("__i") and name != "__invert__":
            return self
        return found if found is NotImplemented else boxed(found)

    return method


for _name, _listed in METHODS.items():
    setattr(ndarray, _name, _method(_name, _listed))
BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor")
for _name in (*BINARY, "lshift", "rshift"):
    for _form in (f"__{_name}__", f"__r{_name}__", f"__i{_name}__"):
        setattr(ndarray, _form, _operator(_form))
for _name in ["neg", "pos", "abs", "invert", "eq", "ne", "lt", "le", "gt", "ge"]:
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))


class Device:
    """The only device; a context that changes nothing."""

    compute_capability = "90"

    def __init__(self, index: int = 0) -> None:
        self.id = index

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *error: Any) -> None:
        pass

    def synchronize(self) -> None:
        pass

    def use(self) -> None:
        pass


class Module(types.ModuleType):
    """CuPy's namespace, or one of its rooms."""

    def __init__(self, room: str = "") -> None:
        super().__init__("cupy." + room if room else "cupy")
        self._room = room

    def __getattr__(self, name: str) -> Any:
        path = f"{self._room}.{name}" if self._room else name
        if path not in NAMES:
            raise AttributeError(f"cupy has no {path}")
        func: Any = np
        for part in path.split("."):
            func = getattr(func, part)
        if NAMES[path] == "ufunc":
            return func

        def function(*args: Any, **kwargs: Any) -> Any:
            return called(path, func, args, kwargs)

        return function


def module() -> Any:
    """The stand-in, to be put in CuPy's place."""
    cupy = Module()
    cupy.ndarray = ndarray
    cupy.array, cupy.asarray, cupy.is_available = _array, _asarray, lambda: True
    cupy.linalg = Module("linalg")
    cupy.lib = types.SimpleNamespace(stride_tricks=Module("lib.stride_tricks"))
    runtime = types.SimpleNamespace(getDevice=lambda: 0, getDeviceCount=lambda: 1)
    cupy.cuda = types.SimpleNamespace(Device=Device, runtime=runtime)
    return cupy
