"""Write `tinygrad_course/methods.pyi`: what `methods.py` binds, for editors and type checkers.

python -m tests.stub
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import tinygrad_course
from tinygrad_course import methods
from tinygrad_course.primitive import Primitive

TARGET = Path(tinygrad_course.__file__).with_name("methods.pyi")

HEADER = '''"""Written by `python -m tests.stub`: what methods.py binds."""

from collections.abc import Sequence
from typing import Any, Self

from .generator import Generator
from .ops.reduce import Dim, Found
from .scalar import Scalar
from .tensor import Tensor

TENSOR_FUNCTIONS: dict[str, Any]
'''
OPERATORS = ["add", "sub", "mul", "truediv", "pow"]
TENSOR_OPERATORS = [*OPERATORS, "floordiv", "mod", "and", "or", "xor"]
UNARY = {"Scalar": ("neg", "pos", "abs"), "Tensor": ("neg", "pos", "abs", "invert")}
TESTS = ["eq", "ne", "lt", "le", "gt", "ge"]


def main() -> None:
    """Write the stub."""
    TARGET.write_text(text(), encoding="utf-8")
    print(f"wrote {TARGET}")


def text() -> str:
    """The stub as it should be."""
    scalar = [_stub(n, f, "Scalar") for n, f in methods.SCALAR_FUNCTIONS.items()]
    tensor = [_stub(n, f, "Tensor") for n, f in methods.TENSOR_FUNCTIONS.items()]
    tensor += [
        _stub(n + "_", methods.TENSOR_FUNCTIONS[n], "Tensor").replace("-> Tensor", "-> Self")
        for n in (*methods.WRITING, *methods.WRITING_PARTS)
    ]
    return "\n".join(
        [
            HEADER,
            "class ScalarMethods:",
            *_operators("Scalar", [*OPERATORS, "floordiv", "mod"], "bool"),
            *scalar,
            "",
            "class TensorMethods:",
            *_operators("Tensor", TENSOR_OPERATORS, "Tensor"),
            *(f"    def __i{n}__(self, other: Any) -> Tensor: ..." for n in TENSOR_OPERATORS),
            *(f"    def __{r}matmul__(self, other: Any) -> Tensor: ..." for r in ("", "r")),
            *tensor,
            "",
        ]
    )


def _operators(face: str, names: list[str], truth: str) -> list[str]:
    lines = [
        f"    def __{r}{n}__(self, other: Any) -> {face}: ..." for n in names for r in ("", "r")
    ]
    ignore = "  # type: ignore[override]"
    for n in TESTS:
        mark = ignore if n in ("eq", "ne") and truth != "bool" else ""
        lines.append(f"    def __{n}__(self, other: Any) -> {truth}: ...{mark}")
    return lines + [f"    def __{n}__(self) -> {face}: ..." for n in UNARY[face]]


def _stub(name: str, function: Any, face: str) -> str:
    returned = function.__annotations__.get("return", "Any")
    known = {"Any": face, "Found": "Found", "bool": "bool"}
    result = known.get(returned, "tuple[Tensor, ...]")
    if isinstance(function, Primitive):
        others = "" if _arity(function) == 1 else ", other: Any"
        if name == "round":
            others = ", *, decimals: int = 0"
        if not function.differentiable and face == "Scalar":
            result = "bool" if function.name != "floor_divide" else face
        return f"    def {name}(self{others}) -> {result}: ..."
    if name in ("max", "min", "median", "unique"):
        result = "Any"
    params = list(inspect.signature(function).parameters.values())[1:]
    shown = re.sub(r": '([^']*)'", r": \1", str(inspect.Signature(params)))[1:-1]
    shown = shown.replace("'", '"')
    return f"    def {name}(self{', ' if shown else ''}{shown}) -> {result}: ..."


def _arity(row: Primitive) -> int:
    if row.rules:
        return len(row.rules)
    return 1 if row.name.startswith("is") or row.name.endswith("_not") else 2


if __name__ == "__main__":
    main()
