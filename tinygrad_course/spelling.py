"""NumPy's names of two options, which PyTorch understands as well: `axis` and `keepdims`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any

from .errors import OptionError

_NAMES = {"axis": "dim", "keepdims": "keepdim"}


def with_dim(options: dict[str, Any]) -> dict[str, Any]:
    """The options with `dim` for `axis`, and `keepdim` for `keepdims`.

    Raises:
        OptionError: both names of one option.
    """
    if "axis" not in options and "keepdims" not in options:
        return options
    renamed = {_NAMES.get(name, name): value for name, value in options.items()}
    if len(renamed) < len(options):
        raise OptionError(
            f"dim and axis are one option, and so are keepdim and keepdims: {options}"
        )
    return renamed


def understands_axis(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, that takes `axis=` as well, if it has a `dim`."""
    if not isinstance(function, FunctionType):
        return function
    code = function.__code__
    if "dim" not in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
        return function

    @functools.wraps(function)
    def called(*args: Any, **options: Any) -> Any:
        return function(*args, **(with_dim(options) if options else options))

    return called
