"""Tables of numbers: real ones that scikit-learn carries, and points in the plane from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_course.creation import Generator, default_generator
from tinygrad_course.data.dataset import TensorDataset
from tinygrad_course.errors import OptionError

# --- real ones ------------------------------------------------------------------------------------


def breast_cancer() -> TensorDataset:
    """569 tumours, 30 measurements each; 0: malignant, 1: benign (W. Street et al., 1993).

    Returns:
        Inputs (569, 30), float32 and of very different scales (`standardise` them), int64 labels;
        the names are in `.features` and `.classes`.

    Raises:
        ImportError: scikit-learn is not installed.

    >>> breast_cancer().classes
    ['malignant', 'benign']
    """
    return _real("load_breast_cancer")


def iris() -> TensorDataset:
    """150 irises of three species, 4 lengths in centimetres (R. A. Fisher, 1936).

    Returns and raises as `breast_cancer`: inputs (150, 4), labels 0 to 2.

    >>> iris()[0]
    (tensor([5.1, 3.5, 1.4, 0.2]), tensor(0))
    """
    return _real("load_iris")


def wine() -> TensorDataset:
    """178 wines from three vineyards, 13 chemical measurements (M. Forina et al., 1991).

    Returns and raises as `breast_cancer`: inputs (178, 13), labels 0 to 2.
    """
    return _real("load_wine")


def diabetes() -> TensorDataset:
    """442 patients, 10 measurements, and their illness a year later (B. Efron et al., 2004).

    Returns:
        Inputs (442, 10), float32, centred and scaled by scikit-learn; targets (442, 1), float32,
        25 to 346: a column, as a layer with one output gives it.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    found = _sklearn("load_diabetes")()
    pairs = TensorDataset(found.data.astype(np.float32), found.target[:, None].astype(np.float32))
    pairs.features = list(found.feature_names)
    return pairs


def _real(name: str) -> TensorDataset:
    found = _sklearn(name)()
    pairs = TensorDataset(found.data.astype(np.float32), found.target.astype(np.int64))
    pairs.features = [str(f) for f in found.feature_names]
    pairs.classes = [str(c) for c in found.target_names]
    return pairs


def _sklearn(name: str) -> Any:
    try:
        import sklearn.datasets
    except ImportError as error:
        raise ImportError(
            "this data set comes with scikit-learn; install it: pip install 'tinygrad_course[data]'"
        ) from error
    return getattr(sklearn.datasets, name)


# --- points in the plane --------------------------------------------------------------------------


def moons(n: int = 500, noise: float = 0.1, generator: Generator | None = None) -> TensorDataset:
    """Two half circles, each with its end in the other: no line separates them.

    Args:
        n: how many points, half of them in each class.
        noise: the standard deviation of what is added to each coordinate.
        generator: the source of the noise and the order; the global one (`tc.manual_seed`) if left
            out.

    Returns:
        Inputs (n, 2), float32, and int64 labels 0 and 1, in random order.

    Raises:
        ImportError: scikit-learn is not installed.
        OptionError: fewer than 2 points, or noise below 0.

    >>> import tinygrad_course as tc
    >>> points, labels = moons(100, generator=tc.Generator(0)).tensors
    >>> points.shape, int(labels.sum())
    ((100, 2), 50)
    """
    return _made("make_moons", n, noise, generator)


def circles(
    n: int = 500, noise: float = 0.05, factor: float = 0.5, generator: Generator | None = None
) -> TensorDataset:
    """A circle inside another. `factor` is the ratio of their radii; else as `moons`."""
    if not 0 <= factor < 1:
        raise OptionError(f"factor is at least 0 and less than 1, got {factor}")
    return _made("make_circles", n, noise, generator, factor=factor)


def blobs(
    n: int = 500,
    centers: int | Sequence[Sequence[float]] = 3,
    std: float = 1.0,
    features: int = 2,
    generator: Generator | None = None,
) -> TensorDataset:
    """Clouds of points, one for each class, normally distributed around their centres.

    Args:
        n: how many points in all.
        centers: how many clouds, their centres drawn between −10 and 10; or the centres.
        std: the standard deviation of each cloud.
        features: the number of coordinates, unless `centers` tells it.
        generator: as for `moons`.

    Raises:
        ImportError: scikit-learn is not installed.
        OptionError: fewer than 2 points, or std below 0.
    """
    how: dict[str, Any] = {"centers": centers, "n_features": features, "cluster_std": std}
    return _made("make_blobs", n, std, generator, **how)


def _made(
    name: str, n: int, noise: float, generator: Generator | None, **how: Any
) -> TensorDataset:
    _check(n, noise)
    if name != "make_blobs":
        how["noise"] = noise
    seed = int((generator or default_generator).numpy.integers(2**32))
    points, labels = _sklearn(name)(n, random_state=seed, **how)
    return TensorDataset(points.astype(np.float32), labels.astype(np.int64))


def spirals(
    n: int = 500,
    arms: int = 2,
    turns: float = 1.0,
    noise: float = 0.05,
    generator: Generator | None = None,
) -> TensorDataset:
    """Spirals around each other, one for each class: radius t, angle 2π (turns · t + arm / arms).

    Args:
        n: how many points in all.
        arms: how many classes.
        turns: how often an arm goes around; the more, the harder.
        noise: the standard deviation of what is added to each coordinate. The outer radius is 1.
        generator: as for `moons`.

    Raises:
        OptionError: fewer than 2 points or 1 arm, or noise below 0.

    >>> import tinygrad_course as tc
    >>> points, labels = spirals(90, arms=3, noise=0.0, generator=tc.Generator(0)).tensors
    >>> sorted(set(labels.tolist())), round(float((points**2).sum(1).max()), 3)
    ([0, 1, 2], 1.0)
    """
    _check(n, noise)
    if arms < 1:
        raise OptionError(f"arms is at least 1, got {arms}")
    random = (generator or default_generator).numpy
    labels = random.permutation(n) % arms
    radius = np.sqrt(np.linspace(0.02, 1, n))[random.permutation(n)]  # points evenly spread
    radius[np.argmax(radius)] = 1.0
    angle = 2 * np.pi * (turns * radius + labels / arms)
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    points += noise * random.standard_normal(points.shape)
    return TensorDataset(points.astype(np.float32), labels.astype(np.int64))


def _check(n: int, noise: float) -> None:
    if not isinstance(n, (int, np.integer)) or n < 2:
        raise OptionError(f"n is a whole number of at least 2, got {n!r}")
    if not noise >= 0:
        raise OptionError(f"noise is not negative, got {noise}")
