"""The data sets of the course: from a library, from a formula, from files in a folder.

Only the functions with `download=True` use a network, and only then.
"""

from tinygrad_course.data.vehicles import Vehicles

from .images import ImageFolder, cifar10, digits, fashion_mnist, mnist, resized
from .tables import blobs, breast_cancer, circles, diabetes, iris, moons, spirals, wine
from .text import CharText

__all__ = [
    "CharText",
    "ImageFolder",
    "Vehicles",
    "blobs",
    "breast_cancer",
    "cifar10",
    "circles",
    "diabetes",
    "digits",
    "fashion_mnist",
    "iris",
    "mnist",
    "moons",
    "resized",
    "spirals",
    "wine",
]
