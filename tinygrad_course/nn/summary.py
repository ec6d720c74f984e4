"""A model layer by layer: what comes out, what is learnt, what it costs."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from tinygrad_course.autograd import no_grad
from tinygrad_course.creation import default_generator, zeros
from tinygrad_course.errors import OptionError
from tinygrad_course.tensor import Tensor, as_tensor

from .module import Module


class Layer(NamedTuple):
    """One row of a summary.

    `output` is the shape of what the layer gave last, several if it gives several Tensors, None if
    it was not used. `parameters` are those of the layer itself that no earlier row has.
    """

    name: str
    kind: str
    output: Any
    parameters: int
    multiply_adds: int
    activation_bytes: int


@dataclass(frozen=True)
class Summary:
    """What `Module.summary` found: a row for each layer, and the sums. Printed, it is a table.

    Attributes:
        layers: the rows, in the order in which the layers were made.
        trainable: how many of the parameters require grad.
        parameter_bytes: what all parameters take in memory.
        buffer_bytes: what all buffers take.
    """

    layers: list[Layer]
    trainable: int
    parameter_bytes: int
    buffer_bytes: int

    @property
    def parameters(self) -> int:
        """All parameters, shared ones once."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """The multiplications, each with an addition, in all matrix products and convolutions."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def activation_bytes(self) -> int:
        """What the outputs of all layers take in memory."""
        return sum(layer.activation_bytes for layer in self.layers)

    def __str__(self) -> str:
        head = ("layer", "class", "output", "parameters", "multiply-adds", "activation bytes")
        rows = [(x.name, x.kind, _shown(x.output), *map(_grouped, x[3:])) for x in self.layers]
        sums = (self.parameters, self.multiply_adds, self.activation_bytes)
        rows = [head, *rows, ("total", "", "", *map(_grouped, sums))]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [_line(row, widths) for row in rows]
        rule = "─" * max(map(len, lines))
        frozen = self.parameters - self.trainable
        notes = f"{_grouped(self.trainable)} trainable, {_grouped(frozen)} frozen; parameters " + (
            f"{_size(self.parameter_bytes)}, buffers {_size(self.buffer_bytes)}"
        )
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1], notes])

    __repr__ = __str__


def summarise(model: Module, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Summary:
    """Run a copy of the model in eval mode and look at what each layer does.

    The copy shares the parameters, which no forward writes into, and nothing else.
    """
    shared: dict[int, Any] = {id(p): p for p in model.parameters()}
    try:
        trial = copy.deepcopy(model, shared).eval()
    except TypeError as error:
        raise OptionError(
            f"summary() runs a copy of the model, so that it changes nothing, and this one cannot "
            f"be copied: {error}"
        ) from error
    tracer = Tracer(trial)
    before = default_generator.get_state()
    try:
        with no_grad(), _watched(tracer):
            trial(*[_input(x, trial) for x in inputs], **kwargs)
    finally:
        default_generator.set_state(before)
    parameters, buffers = list(trial.parameters()), list(trial.buffers())
    return Summary(
        tracer.layers(),
        sum(p.numel() for p in parameters if p.requires_grad),
        sum(p._data.nbytes for p in parameters),
        sum(b._data.nbytes for b in buffers),
    )


def _input(value: Any, model: Module) -> Any:
    """An example input; for a shape, zeros of the model's dtype, where the model is."""
    if isinstance(value, tuple) and value and all(isinstance(n, int) for n in value):
        like = next(model.parameters(), None)
        return zeros(value) if like is None else zeros(value, dtype=like.dtype, device=like.device)
    return value if isinstance(value, (Tensor, list, tuple, dict)) else as_tensor(value)


# --- looking on -----------------------------------------------------------------------------------


class Tracer:
    """Notes, while a model runs, what each of its modules gives and costs."""

    def __init__(self, model: Module) -> None:
        self.names = {id(module): name for name, module in model.named_modules()}
        self.modules = list(model.modules())
        self.outputs: dict[int, Any] = {}
        self.products = dict.fromkeys(self.names, 0)
        self.bytes = dict.fromkeys(self.names, 0)
        self.running: list[int] = []
        self.seen: dict[int, Any] = {}  # memory that is counted already, by its owner's id
        for module in self.modules:
            module.__dict__["forward"] = self._watching(module, module.forward)

    def _watching(self, module: Module, forward: Any) -> Any:
        """The module's forward, with a note of when it runs and what comes out."""
        key, leaf = id(module), not any(True for _ in module.children())

        def watched(*args: Any, **kwargs: Any) -> Any:
            for x in _tensors((args, tuple(kwargs.values()))):
                self._is_new(x)
            self.running.append(key)
            try:
                out = forward(*args, **kwargs)
            finally:
                self.running.pop()
            found = _tensors(out)
            self.outputs[key] = [tuple(x.shape) for x in found]
            if leaf or module._parameters:
                self.bytes[key] += sum(x._data.nbytes for x in found if self._is_new(x))
            return out

        return watched

    def _is_new(self, x: Tensor) -> bool:
        """Whether this memory was not seen before: the output of Flatten is its input's."""
        owner = x._data
        while getattr(owner, "base", None) is not None:
            owner = owner.base
        new = id(owner) not in self.seen
        self.seen[id(owner)] = owner
        return new

    def count(self, products: int) -> None:
        """Products that the module at hand computed."""
        self.products[self.running[-1]] += products

    def layers(self) -> list[Layer]:
        """A row for each module without children, and for others that have or do something."""
        rows, known = [], set()
        for module in self.modules:
            key, own = id(module), []
            for p in module._parameters.values():
                if p is not None and id(p) not in known:
                    known.add(id(p))
                    own.append(p.numel())
            if module._modules and not (module._parameters or self.products[key]):
                continue
            output = self.outputs.get(key)
            shape = output[0] if output is not None and len(output) == 1 else output
            name = self.names[key] or "(the model)"
            row = (name, type(module).__name__, shape, sum(own))
            rows.append(Layer(*row, self.products[key], self.bytes[key]))
        return rows


def _tensors(value: Any) -> list[Tensor]:
    """The Tensors in a result, from left to right."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = tuple(value.values())
    return [x for part in value for x in _tensors(part)] if isinstance(value, (tuple, list)) else []


@contextmanager
def _watched(tracer: Tracer) -> Iterator[None]:
    """Inside, every row that is computed on Tensors is looked at."""
    plain = Tensor.__dict__["_compute"]

    def compute(prim: Any, raw: list[Any], params: dict[str, Any]) -> Any:
        out = plain.__func__(prim, raw, params)
        if tracer.running:
            tracer.count(multiply_adds(prim.name, raw, out))
        return out

    Tensor._compute = staticmethod(compute)  # type: ignore[method-assign]
    try:
        yield
    finally:
        Tensor._compute = plain  # type: ignore[method-assign]


def multiply_adds(row: str, args: list[Any], out: Any) -> int:
    """What a row of the table costs: the products in it, each of which is added to a sum.

    Only matrix products and convolutions are counted, as is the custom; what elementwise rows,
    pooling and norms do is small beside them. Padding counts like any other number.
    """
    if row in ("matmul", "linear"):
        return int(math.prod(out.shape) * args[0].shape[-1])
    if re.fullmatch(r"conv\dd", row):  # each output is a sum over one filter
        return int(math.prod(out.shape) * math.prod(args[1].shape[1:]))
    if re.fullmatch(r"conv\dd_input", row):  # transposed: each input is spread by one filter
        return int(math.prod(args[0].shape) * math.prod(args[1].shape[1:]))
    return 0


# --- the table ------------------------------------------------------------------------------------


def _shown(output: Any) -> str:
    if output is None:
        return "not used"
    return ", ".join(map(str, output)) if isinstance(output, list) else str(output)


def _grouped(number: int) -> str:
    return f"{number:,}"


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} GiB"


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    left = [cell.ljust(width) for cell, width in zip(cells[:3], widths[:3], strict=True)]
    right = [cell.rjust(width) for cell, width in zip(cells[3:], widths[3:], strict=True)]
    return "  ".join([*left, *right])
