"""Writes `cupy_names.txt`: what an installed CuPy has, a name and its parameters a line.

    python -m tests.device.list_names

The stand-in refuses whatever is not on this list, on machines without CuPy, too.
"""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path
from typing import Any

TARGET = Path(__file__).with_name("cupy_names.txt")
ROOMS = ("", "linalg.", "lib.stride_tricks.")


def described(name: str, value: Any, ufunc: type) -> str | None:
    """A line of the list: "name: x, y=, *, z=", or "name ufunc"."""
    if name.startswith("_") or inspect.ismodule(value) or inspect.isclass(value):
        return None
    if isinstance(value, ufunc):
        return "ufunc"
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return None
    marks = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    return ", ".join(
        marks.get(p.kind, "") + p.name + ("" if p.default is p.empty else "=") for p in parameters
    )


def text() -> str:
    """The list."""
    import cupy

    lines = [f"# CuPy {cupy.__version__}"]
    for room in ROOMS:
        module: Any = cupy
        for part in room.split(".")[:-1]:
            module = getattr(module, part)
        for name in sorted(dir(module)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                line = described(name, getattr(module, name), cupy.ufunc)
            if line is not None:
                lines.append(f"{room}{name}: {line}".rstrip())
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
