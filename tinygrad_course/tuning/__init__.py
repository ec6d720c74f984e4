"""Search for hyperparameters: random, on a grid, from coarse to fine, in several processes.

Optuna draws, keeps the study and decides what to prune. What is added here: a seed decides the
draws however many processes take part, ranges narrow from round to round, and a trial whose process
was killed is tried again.
"""

from __future__ import annotations

from .result import Row, Search
from .search import tune
from .shared import Trial
from .space import Choice, Float, Int

__all__ = ["Choice", "Float", "Int", "Row", "Search", "Trial", "tune"]
