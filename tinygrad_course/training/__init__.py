"""Training: fit and evaluate, metrics, callbacks, checkpoints, penalties."""

from __future__ import annotations

from . import metrics
from .callbacks import Callback, EarlyStopping, TensorBoard
from .checkpoint import load_checkpoint, read_checkpoint, save_checkpoint
from .evaluation import Evaluation, evaluate
from .history import Epoch, History
from .loop import fit
from .penalties import l1_penalty, l2_penalty
from .run import Run

__all__ = [
    "Callback",
    "EarlyStopping",
    "Epoch",
    "Evaluation",
    "History",
    "Run",
    "TensorBoard",
    "evaluate",
    "fit",
    "l1_penalty",
    "l2_penalty",
    "load_checkpoint",
    "metrics",
    "read_checkpoint",
    "save_checkpoint",
]
