"""Optimizer: parameter groups, their flat arrays, and the state that can be saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from tinygrad_course import devices, kernels
from tinygrad_course.errors import DtypeError, GradientError, OptionError, ShapeError
from tinygrad_course.modes import enable_grad
from tinygrad_course.tensor import Tensor

from .flat import BLOCK, Flat, blocks


class Optimizer:
    """What all optimisers share. One optimiser is one class, and its formula is `_update`.

    Args:
        params: Parameters, `(name, Parameter)` pairs, or groups: dicts with "params" and options
            that differ from the defaults.
        defaults: the options of groups that say nothing else.

    Raises:
        OptionError: no parameters, one that occurs twice, an option outside its range.
        GradientError: a parameter that is not a leaf, or none that requires grad.
    """

    _nonnegative: ClassVar[tuple[str, ...]] = ("lr", "weight_decay")
    _memories: ClassVar[tuple[str, ...]] = ()  # what PyTorch's state dict calls the state

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise DtypeError(
                "an optimiser takes a list of parameters or of groups, not a single Tensor; "
                "write [p]"
            )
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self._flats: list[list[Flat]] = []
        self._scratch: dict[Any, Any] = {}
        groups = list(params)
        if not groups:
            raise OptionError(
                "the optimiser got an empty list of parameters; a generator such as "
                "model.parameters() can be used up only once"
            )
        if not isinstance(groups[0], Mapping):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)
        if not any(p.requires_grad for group in self.param_groups for p in group["params"]):
            raise GradientError("none of the parameters requires grad: there is nothing to learn")

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Take on more parameters, with options of their own."""
        if "params" not in param_group:
            raise OptionError("a parameter group needs 'params'")
        params = param_group["params"]
        params = _checked([params] if isinstance(params, Tensor) else params)
        unknown = set(param_group) - {"params", *self.defaults, "initial_lr", "name"}
        if unknown:
            raise OptionError(
                f"{type(self).__name__} has no option {', '.join(sorted(map(repr, unknown)))}; "
                f"it has {', '.join(self.defaults)}"
            )
        taken = {id(p) for group in self.param_groups for p in group["params"]}
        if len({id(p) for p in params} - taken) < len(params):
            raise OptionError("a parameter occurs twice; it can be in one place of one group only")
        group = {**self.defaults, **param_group, "params": params}
        self._check(group)
        self.param_groups.append(group)
        self._flats.append(_layout(params))

    def _check(self, group: dict[str, Any]) -> None:
        for name in self._nonnegative:
            if name in group and not group[name] >= 0:
                raise OptionError(
                    f"{type(self).__name__}: {name} must not be negative, got {group[name]}"
                )

    # --- the step ---

    def _update(
        self, p: Any, g: Any, memory: list[Any], step: int, group: dict[str, Any], scratch: Any
    ) -> None:
        """Update the flat arrays in place: values `p`, from gradients `g`, which stay as they are.

        `memory` holds the arrays of `_used(group)`; `step` counts from 1; `scratch` are two arrays
        of the same size to work in.
        """
        raise NotImplementedError(f"{type(self).__name__} has no formula")

    def _used(self, group: dict[str, Any]) -> tuple[str, ...]:
        """The memories that these options need."""
        return self._memories

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        Args:
            closure: computes the loss again, with gradients, and returns it.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for i, group in enumerate(self.param_groups):
            if not all(flat.holds() for flat in self._flats[i]):
                self._lay_out_again(i)
            for flat in self._flats[i]:
                memory = [flat.memory(name) for name in self._used(group)]
                # many parameters are worth the time that it takes to load the compiler
                run = self._fused if _worth_compiling(flat) else self._blockwise
                for start, end, step, g in flat.runs(count=bool(memory)):
                    run(flat.data[start:end], g, [m[start:end] for m in memory], step, group)
        return loss

    def _blockwise(
        self, p: Any, g: Any, memory: list[Any], step: int, group: dict[str, Any]
    ) -> None:
        """The formula on one stretch, block by block, so that all of its passes find their numbers
        in the cache; a GPU takes the whole stretch at once."""
        if devices.is_cuda(p):
            self._update(p, g, memory, step, group, np.empty_like(p, shape=(2, p.size)))
            return
        scratch = self._scratch.get(p.dtype)
        if scratch is None:
            scratch = self._scratch[p.dtype] = np.empty((2, BLOCK), p.dtype)
        for s in blocks(p.size):
            work = scratch[:, : s.stop - s.start]
            self._update(p[s], g[s], [m[s] for m in memory], step, group, work)

    def _fused(self, p: Any, g: Any, memory: list[Any], step: int, group: dict[str, Any]) -> None:
        """The same by a compiled kernel in one pass, where a class has one."""
        self._blockwise(p, g, memory, step, group)

    def _lay_out_again(self, i: int) -> None:
        """New flat arrays after parameters changed their dtype, with the old memories."""
        old = {id(p): flat.part(k) for flat in self._flats[i] for k, p in enumerate(flat.params)}
        self._flats[i] = _layout(self.param_groups[i]["params"])
        for flat in self._flats[i]:
            for k, p in enumerate(flat.params):
                if old[id(p)]:
                    flat.set_part(k, old[id(p)])

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or make those that are there zero."""
        for group in self.param_groups:
            for node in [p._node for p in group["params"]]:
                if node is not None and getattr(node, "grad", None) is not None:
                    node.grad = None if set_to_none else Tensor(np.zeros_like(node.grad._data))

    # --- state ---

    @property
    def state(self) -> dict[Tensor, dict[str, Any]]:
        """What is remembered of each parameter, as copies."""
        return {
            p: part
            for flats in self._flats
            for flat in flats
            for k, p in enumerate(flat.params)
            if (part := flat.part(k))
        }

    def state_dict(self) -> dict[str, Any]:
        """Options and memories as plain data, in PyTorch's layout: parameters are numbered."""
        numbers = {id(p): i for i, p in enumerate(self._params())}
        return {
            "state": {numbers[id(p)]: part for p, part in self.state.items()},
            "param_groups": [
                {**group, "params": [numbers[id(p)] for p in group["params"]]}
                for group in self.param_groups
            ],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over options and memories, from `state_dict()` of this class here or in PyTorch.

        Raises:
            OptionError: other numbers of groups or parameters.
            ShapeError: a memory of another shape than its parameter; nothing is loaded.
        """
        groups, state = state_dict["param_groups"], dict(state_dict["state"])
        have = [len(group["params"]) for group in self.param_groups]
        given = [len(group["params"]) for group in groups]
        if have != given:
            raise OptionError(
                f"load_state_dict: the groups have {given} parameters, this optimiser's have {have}"
            )
        numbers = [n for group in groups for n in group["params"]]
        parts = {
            id(p): _part(state[n], p, self._memories)
            for n, p in zip(numbers, self._params(), strict=True)
            if n in state
        }
        options = [
            {**own, **{k: v for k, v in new.items() if k in {*own, "initial_lr"} - {"params"}}}
            for own, new in zip(self.param_groups, groups, strict=True)
        ]
        for group in options:
            self._check(group)
        self.param_groups[:] = options
        for flat in (flat for flats in self._flats for flat in flats):
            flat.forget()
            for k, p in enumerate(flat.params):
                if parts.get(id(p)):
                    flat.set_part(k, parts[id(p)])

    def _params(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def __repr__(self) -> str:
        lines = [
            f"  {len(group['params'])} parameters: "
            + ", ".join(f"{k}={v}" for k, v in group.items() if k != "params")
            for group in self.param_groups
        ]
        return "\n".join([f"{type(self).__name__}(", *lines, ")"])


def penalised(p: Any, g: Any, group: dict[str, Any], work: Any, other: Any) -> Any:
    """The gradient, turned round by `maximize`, plus weight_decay · p; where it changes, in `work`.

    `other` is overwritten.
    """
    if group["maximize"]:
        g = np.negative(g, out=work)
    if group["weight_decay"]:
        np.multiply(p, group["weight_decay"], out=other)
        g = np.add(g, other, out=work)
    return g


def signed(group: dict[str, Any]) -> tuple[float, float]:
    """What a kernel multiplies the gradient and the values with, to do as `penalised` does."""
    return -1.0 if group["maximize"] else 1.0, group["weight_decay"]


def _checked(params: Iterable[Any]) -> list[Tensor]:
    found = [p[1] if isinstance(p, tuple) and len(p) == 2 else p for p in params]
    if not found:
        raise OptionError("a parameter group is empty")
    for p in found:
        if not isinstance(p, Tensor):
            raise DtypeError(f"an optimiser updates Tensors, got {type(p).__name__}")
        if not p.is_leaf:
            raise GradientError(
                f"an optimiser updates leaves; a tensor of shape {p.shape} is the result of "
                f"{p._node.name if p._node else 'an operation'}; give what it was made from"
            )
        if p.dtype.kind != "f":
            raise DtypeError(f"an optimiser updates floating tensors, got {p.dtype}")
    return found


def _worth_compiling(flat: Flat) -> bool:
    if devices.is_cuda(flat.data):
        return flat.dtype.itemsize > 2 and kernels.lookup("cuda", "adam") is not None
    return flat.data.size > BLOCK and flat.dtype.itemsize > 2


def _layout(params: list[Tensor]) -> list[Flat]:
    """A flat array for each dtype on each device."""
    kinds: dict[Any, list[Tensor]] = {}
    for p in params:
        kinds.setdefault((p.dtype, p.device), []).append(p)
    return [Flat(same) for same in kinds.values()]


def _part(part: Mapping[str, Any], p: Tensor, names: tuple[str, ...]) -> dict[str, Any]:
    """A parameter's memories as arrays, checked; without a step count, any memory means one."""
    found = {k: part[k] for k in names if part.get(k) is not None}
    arrays = {k: v._data if isinstance(v, Tensor) else np.asarray(v) for k, v in found.items()}
    for name, array in arrays.items():
        if array.shape != p.shape:
            raise ShapeError(
                f"load_state_dict: {name} has shape {array.shape}, its parameter {p.shape}"
            )
    step = int(part.get("step", 1 if arrays else 0))
    return {"step": step, **arrays} if step else {}
