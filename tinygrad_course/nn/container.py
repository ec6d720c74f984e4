"""Modules that hold modules: in a row, in a list, in a dict."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from tinygrad_course.errors import DtypeError

from .module import Module, Parameter, indented


class _Numbered(Module):
    """Children named "0", "1", ...: what Sequential and ModuleList share."""

    def _all(self) -> list[Module]:
        return [m for m in self._modules.values() if m is not None]

    def _fill(self, modules: Iterable[Module]) -> None:
        for name in list(self._modules):
            delattr(self, name)
        for i, module in enumerate(modules):
            self.add_module(str(i), module)

    def _name(self, index: int) -> str:
        names, i = list(self._modules), operator.index(index)
        if not -len(names) <= i < len(names):
            raise IndexError(
                f"{type(self).__name__} has {len(names)} modules; there is no index {i}"
            )
        return names[i]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._all())

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, slice):
            return self._modules[self._name(index)]
        part = type(self)()
        for name in list(self._modules)[index]:
            part.add_module(
                name if isinstance(self, Sequential) else str(len(part)), self._modules[name]
            )
        return part

    def __setitem__(self, index: int, module: Module) -> None:
        self.add_module(self._name(index), module)

    def __delitem__(self, index: Any) -> None:
        gone = list(self._modules)[index] if isinstance(index, slice) else [self._name(index)]
        kept = {n: m for n, m in self._modules.items() if n not in gone}
        if all(name.isdigit() for name in self._modules):
            self._fill(m for m in kept.values() if m is not None)
        else:
            for name in gone:
                delattr(self, name)

    def append(self, module: Module) -> Self:
        """Put a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Put several modules at the end."""
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> None:
        """Put a module before an index."""
        modules = self._all()
        modules.insert(index, module)
        self._fill(modules)

    def pop(self, index: int = -1) -> Any:
        """Take a module out."""
        module = self[index]
        del self[index]
        return module


class Sequential(_Numbered):
    """x ↦ fₙ(... f₂(f₁(x))): modules in a row; an ordered mapping gives them names.

    >>> import tinygrad_course as tc
    >>> net = tc.nn.Sequential(tc.nn.Linear(4, 3), tc.nn.ReLU(), tc.nn.Linear(3, 2))
    >>> net(tc.zeros(5, 4)).shape
    (5, 2)
    >>> list(net.state_dict())
    ['0.weight', '0.bias', '2.weight', '2.bias']
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        named = len(args) == 1 and isinstance(args[0], Mapping)
        for name, module in args[0].items() if named else enumerate(args):
            self.add_module(str(name), module)

    def forward(self, input: Any) -> Any:
        for module in self._modules.values():
            input = module(input)  # type: ignore[misc]
        return input


class ModuleList(_Numbered):
    """A list whose modules belong to the model; it has no forward."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)

    def __iadd__(self, modules: Iterable[Module]) -> Self:
        return self.extend(modules)

    def __repr__(self) -> str:
        """Equal modules in a row are told once: (0-2): 3 x ReLU()."""
        runs: list[list[Any]] = []
        for i, text in enumerate(map(repr, self)):
            if runs and runs[-1][2] == text:
                runs[-1][1] = i
            else:
                runs.append([i, i, text])
        lines = [
            f"({a}): {indented(text)}" if a == b else f"({a}-{b}): {b - a + 1} x {indented(text)}"
            for a, b, text in runs
        ]
        return "ModuleList(\n  " + "\n  ".join(lines) + "\n)" if lines else "ModuleList()"


class ModuleDict(Module):
    """A dict whose modules belong to the model; it has no forward."""

    def __init__(self, modules: Mapping[str, Module] | Iterable[Any] = ()) -> None:
        super().__init__()
        self.update(modules)

    def update(self, modules: Mapping[str, Module] | Iterable[Any]) -> None:
        """Put in all of a mapping, or of a sequence of pairs."""
        for name, module in dict(modules).items():
            self[name] = module

    def __getitem__(self, name: str) -> Any:
        return self._modules[name]

    def __setitem__(self, name: str, module: Module) -> None:
        if not isinstance(name, str):
            raise DtypeError(f"ModuleDict: keys are strings, got {name!r}")
        self.add_module(name, module)

    def __delitem__(self, name: str) -> None:
        delattr(self, name)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, name: object) -> bool:
        return name in self._modules

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._modules.keys()

    def values(self) -> Iterable[Any]:
        """The modules."""
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Names and modules."""
        return self._modules.items()

    def pop(self, name: str) -> Any:
        """Take a module out."""
        module = self[name]
        del self[name]
        return module

    def clear(self) -> None:
        """Take all out."""
        for name in list(self._modules):
            del self[name]


class ParameterList(Module):
    """A list whose parameters belong to the model; it has no forward.

    >>> import tinygrad_course as tc
    >>> found = tc.nn.ParameterList([tc.ones(2), tc.nn.Parameter(tc.ones(3))])
    >>> [(name, p.shape) for name, p in found.named_parameters()]
    [('0', (2,)), ('1', (3,))]
    """

    def __init__(self, values: Iterable[Any] = ()) -> None:
        super().__init__()
        self.extend(values)

    def append(self, value: Any) -> Self:
        """Put a parameter, or a Tensor as one, at the end."""
        self.register_parameter(str(len(self)), _parameter(value))
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Put several at the end."""
        for value in values:
            self.append(value)
        return self

    __iadd__ = extend

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._parameters.values())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return list(self)[operator.index(index)]

    def __setitem__(self, index: int, value: Any) -> None:
        self.register_parameter(list(self._parameters)[index], _parameter(value))

    def extra_repr(self) -> str:
        return ", ".join(f"({n}): {tuple(p.shape)}" for n, p in self.named_parameters())


class ParameterDict(Module):
    """A dict whose parameters belong to the model; it has no forward."""

    def __init__(self, parameters: Mapping[str, Any] | Iterable[Any] = ()) -> None:
        super().__init__()
        self.update(parameters)

    def update(self, parameters: Mapping[str, Any] | Iterable[Any]) -> None:
        """Put in all of a mapping, or of a sequence of pairs."""
        for name, value in dict(parameters).items():
            self[name] = value

    def __getitem__(self, name: str) -> Any:
        return self._parameters[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.register_parameter(name, _parameter(value))

    def __delitem__(self, name: str) -> None:
        delattr(self, name)

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __contains__(self, name: object) -> bool:
        return name in self._parameters

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._parameters.keys()

    def values(self) -> Iterable[Any]:
        """The parameters."""
        return self._parameters.values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Names and parameters."""
        return self._parameters.items()

    def extra_repr(self) -> str:
        return ", ".join(f"({n}): {tuple(p.shape)}" for n, p in self.named_parameters())


def _parameter(value: Any) -> Parameter:
    return value if isinstance(value, Parameter) else Parameter(value)
