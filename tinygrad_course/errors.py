"""What goes wrong, said once: every error tells what was given, what was expected, what to try."""

from __future__ import annotations


class ShapeError(ValueError):
    """Sizes that do not fit together, or a dimension that is not there."""


class DtypeError(TypeError):
    """A value of a type that the operation has no meaning for."""


class OptionError(ValueError):
    """An option with a value outside the ones that are listed."""


class GradientError(RuntimeError):
    """A derivative that cannot be had: no graph, a freed graph, a stale value."""


class DeviceError(RuntimeError):
    """A device that is not there, or values that live on different devices."""


class FormatError(ValueError):
    """A file that is not what it claims to be."""
