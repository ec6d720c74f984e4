"""Data: datasets, splits and loaders, under the names that `torch.utils.data` gives them."""

from . import datasets
from .augment import (
    CenterCrop,
    ColorJitter,
    GaussianNoise,
    RandomAffine,
    RandomCrop,
    RandomHorizontalFlip,
    RandomRotation,
    RandomShift,
    RandomVerticalFlip,
)
from .cifar import read_cifar
from .collate import default_collate, default_convert
from .dataset import (
    ConcatDataset,
    Dataset,
    Subset,
    TensorDataset,
    random_split,
    train_test_split,
    train_val_test_split,
)
from .idx import read_idx
from .image import read_image
from .loader import DataLoader
from .samplers import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from .transforms import Compose, Normalize, Transformed, standardise
from .workers import get_worker_info

__all__ = [
    "BatchSampler",
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "GaussianNoise",
    "Normalize",
    "RandomAffine",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomRotation",
    "RandomSampler",
    "RandomShift",
    "RandomVerticalFlip",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "Transformed",
    "WeightedRandomSampler",
    "datasets",
    "default_collate",
    "default_convert",
    "get_worker_info",
    "random_split",
    "read_cifar",
    "read_idx",
    "read_image",
    "standardise",
    "train_test_split",
    "train_val_test_split",
]
