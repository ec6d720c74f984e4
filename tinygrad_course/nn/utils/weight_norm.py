"""Weight normalisation: a weight's length learnt apart from its direction."""

from __future__ import annotations

from typing import Any, TypeVar

from tinygrad_course.errors import OptionError
from tinygrad_course.nn.module import Module, Parameter
from tinygrad_course.ops import reduce

M = TypeVar("M", bound=Module)


class _WeightNorm:
    """A hook that makes the weight anew from g and v before each forward."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name, self.dim = name, dim

    def length(self, v: Any) -> Any:
        """‖v‖ over all dimensions but `dim`."""
        if self.dim is None:
            return reduce.vector_norm(v)
        others = tuple(d for d in range(v.ndim) if d != self.dim % v.ndim)
        return reduce.vector_norm(v, 2, others, True) if others else abs(v)

    def weight(self, module: Module) -> Any:
        """g v / ‖v‖."""
        g, v = getattr(module, self.name + "_g"), getattr(module, self.name + "_v")
        return v * (g / self.length(v))

    def __call__(self, module: Module, args: Any) -> None:
        setattr(module, self.name, self.weight(module))


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """w = g v / ‖v‖: a parameter gives way to `name_g`, its lengths, and `name_v`, its directions.

    w itself is computed before each forward. Returns the module.

    Args:
        dim: the dimension that has a length of its own for each index; None for one in all.

    Raises:
        OptionError: no parameter of that name, or one that is normalised already.

    Source: Salimans and Kingma 2016.

    >>> import tinygrad_course as tc
    >>> layer = tc.nn.utils.weight_norm(tc.nn.Linear(3, 2))
    >>> [(n, p.shape) for n, p in layer.named_parameters()]
    [('bias', (2,)), ('weight_g', (2, 1)), ('weight_v', (2, 3))]
    """
    weight = module._parameters.get(name)
    if weight is None:
        raise OptionError(
            f"weight_norm: {type(module).__name__} has no parameter {name!r} to normalise; it has "
            f"{', '.join(n for n, _ in module.named_parameters(recurse=False))}"
        )
    hook = _WeightNorm(name, None if dim == -1 else dim)
    delattr(module, name)
    module.register_parameter(name + "_g", Parameter(hook.length(weight.detach())))
    module.register_parameter(name + "_v", Parameter(weight.detach()))
    setattr(module, name, hook.weight(module))
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Undo `weight_norm`: the parameter is back, with the value it has now.

    Raises:
        OptionError: the parameter is not normalised.
    """
    for entry in module._forward_pre_hooks:
        hook = entry.call
        if isinstance(hook, _WeightNorm) and hook.name == name:
            weight = hook.weight(module).detach()
            for gone in (name, name + "_g", name + "_v"):
                delattr(module, gone)
            module.register_parameter(name, Parameter(weight))
            module._forward_pre_hooks.remove(entry)
            return module
    raise OptionError(f"remove_weight_norm: {name!r} of {type(module).__name__} is not normalised")
