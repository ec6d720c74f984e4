"""The list of names that mypy checks is the public surface.

python -m tests.test_types    writes it
"""

from __future__ import annotations

from pathlib import Path

from tests.parity.test_surface import NAMES, OURS, PROPERTIES

TARGET = Path(__file__).with_name("typed_names.py")
HEADER = '''"""Every public name once, for mypy. Written by `python -m tests.test_types`."""

# ruff: noqa: B018
import tinygrad_course as tc
'''
MADE_AT_RUN_TIME = ("nn.modules", "nn.parameter", "optim.optimizer")


def text() -> str:
    """A module that names everything once."""
    named = {*NAMES, *OURS.split(), *(f"Tensor.{p}" for p in PROPERTIES.split())}
    names = [n for n in sorted(named) if not n.startswith(MADE_AT_RUN_TIME)]
    uses = [f"x.{n[7:]}" if n.startswith("Tensor.") else f"tc.{n}" for n in names]
    return "\n".join([HEADER, "x = tc.ones(2)", *uses, ""])


def test_mypy_reads_every_name() -> None:
    assert TARGET.read_text(encoding="utf-8") == text(), "run: python -m tests.test_types"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
    print(f"wrote {TARGET}")
