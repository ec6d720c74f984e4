"""The addresses under which PyTorch keeps its data loaders and checkpoints."""

from __future__ import annotations

from . import checkpoint, data

__all__ = ["checkpoint", "data"]
