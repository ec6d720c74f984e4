"""Data: datasets, splits and loaders, under the names that `torch.utils.data` gives them."""

from . import datasets
from .dataset import (
    Dataset,
    Subset,
    TensorDataset,
    random_split,
    train_test_split,
    train_val_test_split,
)
from .idx import read_idx
from .loader import DataLoader, default_collate
from .transforms import RandomShift, Transformed, standardise

__all__ = [
    "DataLoader",
    "Dataset",
    "RandomShift",
    "Subset",
    "TensorDataset",
    "Transformed",
    "datasets",
    "default_collate",
    "random_split",
    "read_idx",
    "standardise",
    "train_test_split",
    "train_val_test_split",
]
