"""Parameter and Module: tensors that are learnt, in a tree with names.

A parameter is an ordinary attribute of its module; the module also keeps its name in a registry,
and the tree of registries is what `parameters`, `state_dict`, `to` and `train` walk.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from tinygrad_course import devices
from tinygrad_course.arrays import as_array, checked_dtype
from tinygrad_course.errors import DtypeError, OptionError
from tinygrad_course.graph import Handle
from tinygrad_course.tensor import Tensor

from .backward_hooks import BackwardHook

if TYPE_CHECKING:
    from .summary import Summary


class Parameter(Tensor):
    """A Tensor that a module learns: assigned to an attribute, it becomes part of the module.

    Args:
        data: what `Tensor` takes; the numbers are copied.
        requires_grad: False for a frozen parameter.

    >>> import tinygrad_course as tc
    >>> tc.nn.Parameter([1.0, 2.0])
    Parameter containing:
    tensor([1., 2.], requires_grad=True)
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        memo[id(self)] = copy = Parameter(self._data, self.requires_grad)
        return copy

    def __reduce__(self) -> Any:
        return Parameter, (self._data, self.requires_grad)


class StateError(RuntimeError):
    """A state dict that does not fit the module."""


class Keys(NamedTuple):
    """What `load_state_dict` did not find in the one or in the other."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Hook(NamedTuple):
    """A function that is called around forward, and how."""

    call: Callable[..., Any]
    with_kwargs: bool


def _hang(hooks: list[Hook], hook: Callable[..., Any], prepend: bool, with_kwargs: bool) -> Handle:
    entry = Hook(hook, with_kwargs)
    hooks.insert(0 if prepend else len(hooks), entry)
    return Handle(hooks, entry)


class Module:
    """A part of a model: parameters, buffers and further modules under names, and a forward.

    Derive from it, call `super().__init__()` first, assign parameters and modules to attributes
    and write `forward`. Calling the module calls `forward`; an error inside is completed with the
    path of the module that it came from.

    Raises:
        AttributeError: a name that is not there (the error lists similar ones), or a class whose
            `__init__` did not call `super().__init__()`.

    >>> import tinygrad_course as tc
    >>> class Scale(tc.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = tc.nn.Parameter(2.0)
    ...
    ...     def forward(self, x):
    ...         return self.factor * x
    >>> Scale()(tc.tensor([1.0, 3.0])).tolist()
    [2.0, 6.0]
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _transient: set[str]  # buffers that the state dict leaves out
    _forward_hooks: list[Hook]
    _forward_pre_hooks: list[Hook]

    def __init__(self) -> None:
        self.__dict__.update(
            training=True, _parameters={}, _buffers={}, _modules={}, _transient=set(),
            _forward_hooks=[], _forward_pre_hooks=[],
        )  # fmt: skip

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every module defines its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward method; define one")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if self._forward_hooks or self._forward_pre_hooks:
                return self._hooked(args, kwargs)
            return self.forward(*args, **kwargs)
        except Exception as error:
            _locate(error, self)
            raise

    def _hooked(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`forward` between the hooks."""
        for hook in list(self._forward_pre_hooks):
            new = hook.call(self, args, kwargs) if hook.with_kwargs else hook.call(self, args)
            if new is not None and hook.with_kwargs:
                args, kwargs = new
            elif new is not None:
                args = new if isinstance(new, tuple) else (new,)
        out = self.forward(*args, **kwargs)
        for hook in list(self._forward_hooks):
            given = (args, kwargs, out) if hook.with_kwargs else (args, out)
            new = hook.call(self, *given)
            out = out if new is None else new
        return out

    # --- names ---

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, (Parameter, Module)):
            if isinstance(value, Parameter):
                self.register_parameter(name, value)
            else:
                self.add_module(name, value)
            return
        held = self.__dict__
        if name in held.get("_parameters", ()):
            _check_kind(self, name, value, Parameter)
            self._parameters[name] = value
        elif name in held.get("_modules", ()):
            _check_kind(self, name, value, Module)
            self._modules[name] = value
        elif name in held.get("_buffers", ()):
            _check_kind(self, name, value, Tensor)
            self._buffers[name] = value
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        self._forget(name)

    def __getattr__(self, name: str) -> Any:
        kind = type(self).__name__
        if "_parameters" not in self.__dict__:
            raise AttributeError(
                f"{kind}.__init__ did not call super().__init__(); call it first, before anything "
                "is assigned"
            )
        known = [n for n in {*self.__dict__, *dir(type(self))} if not n.startswith("_")]
        close = difflib.get_close_matches(name, known)
        hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
        raise AttributeError(f"{kind!r} has no attribute {name!r}{hint}", name=name, obj=self)

    def _forget(self, name: str) -> None:
        for registry in (self._parameters, self._buffers, self._modules):
            registry.pop(name, None)
        self._transient.discard(name)

    def _register(self, registry: str, name: str, value: Any, kind: type) -> None:
        if "_parameters" not in self.__dict__:
            raise AttributeError(
                f"{type(self).__name__}: call super().__init__() before assigning {name!r}"
            )
        if not isinstance(name, str) or not name or "." in name:
            raise OptionError(f"a name is a non-empty string without dots, got {name!r}")
        held = getattr(self, registry)
        if name not in held and hasattr(type(self), name):
            raise OptionError(f"{name!r} is a name that {type(self).__name__} uses itself")
        _check_kind(self, name, value, kind)
        if name not in held:
            self._forget(name)
        held[name] = value
        object.__setattr__(self, name, value)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Make `param` a parameter of this name; None stands for one that is left out."""
        if isinstance(param, Parameter) and not param.is_leaf:
            raise OptionError(f"parameter {name!r} must be a leaf, not the result of an operation")
        self._register("_parameters", name, param, Parameter)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Make `tensor` part of the state that is not learnt; persistent: state_dict has it."""
        self._register("_buffers", name, tensor, Tensor)
        (self._transient.discard if persistent else self._transient.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Make `module` a child of this name."""
        self._register("_modules", name, module, Module)

    register_module = add_module

    # --- the tree ---

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it with their paths, parents first, each once."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, child in self._modules.items():
            if child is not None:
                path = f"{prefix}.{name}" if prefix else name
                yield from child.named_modules(memo, path, remove_duplicate)

    def get_submodule(self, target: str) -> Module:
        """The module at a path such as "features.0"; "" is this module.

        Raises:
            AttributeError: there is none; the message says where the path ends.
        """
        module: Any = self
        for name in target.split(".") if target else ():
            module = getattr(module, name)
            if not isinstance(module, Module):
                raise AttributeError(f"{name!r} in {target!r} is not a module")
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path such as "features.0.weight"; raises as `get_submodule`."""
        return self._at(target, "_parameters", "a parameter")

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a path such as "features.1.running_mean"; raises as `get_submodule`."""
        return self._at(target, "_buffers", "a buffer")

    def _at(self, target: str, registry: str, what: str) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if getattr(module, registry).get(name) is None:
            getattr(module, name)  # says what is close to a name that is not there
            raise AttributeError(f"{target!r} is not {what}")
        return getattr(module, registry)[name]

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below, with their names, each once."""
        seen: set[Module] = set()
        for name, child in self._modules.items():
            if child is not None and child not in seen:
                seen.add(child)
                yield name, child

    def children(self) -> Iterator[Module]:
        """The modules directly below, each once."""
        return (child for _, child in self.named_children())

    def _named(
        self, registry: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        places = (
            self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
            if recurse
            else [(prefix, self)]
        )
        for path, module in places:
            for name, value in getattr(module, registry).items():
                if value is None or (remove_duplicate and id(value) in seen):
                    continue
                seen.add(id(value))
                yield f"{path}.{name}" if path else name, value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with their paths; a shared one once, under its first name."""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, each once."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers with their paths, each once."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, each once."""
        return (b for _, b in self.named_buffers(recurse=recurse))

    # --- all at once ---

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on every module, children before parents; returns this module."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Put this module and all below into training mode (dropout drops), or out of it."""
        if not isinstance(mode, bool):
            raise OptionError(f"train() takes True or False, got {mode!r}")
        for module in self.modules():
            module.__dict__["training"] = mode
        return self

    def eval(self) -> Self:
        """Out of training mode: `train(False)`."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Let gradients flow to all parameters, or freeze them."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or make those that are there zero."""
        for p in self.parameters():
            clear_grad(p, set_to_none)

    def to(self, *args: Any, dtype: Any = None, device: Any = None) -> Self:
        """Convert parameters and buffers, in place: to a floating dtype, a device, like a Tensor.

        Integer buffers keep their dtype, as in PyTorch.
        """
        for a in args:
            if isinstance(a, Tensor):
                dtype, device = a.dtype, a.device
            elif devices.is_device(a):
                device = a
            else:
                dtype = a
        device = None if device is None else devices.check(device)
        dtype = None if dtype is None else checked_dtype(dtype)
        if dtype is not None and dtype.kind != "f":
            raise DtypeError(f"a module can only be converted to a floating dtype, not {dtype}")
        for p in self.parameters():
            convert(p, dtype, device)
        for b in self.buffers():
            convert(b, dtype if b.dtype.kind == "f" else None, device)
        return self

    def float(self) -> Self:
        """Convert floating parameters and buffers to float32."""
        return self.to(np.float32)

    def double(self) -> Self:
        """Convert floating parameters and buffers to float64."""
        return self.to(np.float64)

    def half(self) -> Self:
        """Convert floating parameters and buffers to float16."""
        return self.to(np.float16)

    def cpu(self) -> Self:
        """Move parameters and buffers to the computer's main memory."""
        return self.to("cpu")

    def cuda(self, device: int | None = None) -> Self:
        """Move parameters and buffers to the GPU, or to the one with this number."""
        return self.to("cuda" if device is None else devices.device("cuda", device))

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False,
        always_call: bool = False,
    ) -> Handle:  # fmt: skip
        """Call `hook(module, args, out)` after forward; a result other than None replaces out.

        Args:
            prepend: before the hooks that are there already.
            with_kwargs: call `hook(module, args, kwargs, out)`.

        Raises:
            OptionError: always_call, which is not supported.
        """
        if always_call:
            raise OptionError(
                "register_forward_hook: always_call is not supported; use try/finally"
            )
        return _hang(self._forward_hooks, hook, prepend, with_kwargs)

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> Handle:
        """Call `hook(module, args)` before forward; a result other than None replaces the args.

        Args:
            prepend: before the hooks that are there already.
            with_kwargs: call `hook(module, args, kwargs)`, whose result is a pair of both.
        """
        return _hang(self._forward_pre_hooks, hook, prepend, with_kwargs)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> BackwardHook:
        """Call `hook(module, grad_input, grad_output)` when backward has passed this module.

        Both are tuples, with None for what has no gradient. A result other than None replaces the
        gradients of the positional arguments.
        """
        return BackwardHook(self, hook, prepend)

    def summary(self, *inputs: Any, **kwargs: Any) -> Summary:
        """What each layer gives, learns and costs for an example input; print it for a table.

        A copy of the model that shares its parameters runs once, in eval mode and recording
        nothing, so that nothing changes in the model, its buffers and the random state. Hooks run.

        Args:
            inputs: what `forward` takes; a tuple of ints is a shape, and zeros are taken.
            kwargs: `forward`'s keyword arguments.

        Returns:
            A row for each layer: name, class, shape of the output, parameters, multiply-adds (the
            products in matrix products and convolutions, as recorded, wherever forward computes
            them) and the bytes of its output, 0 if it shares memory with what came before.

        >>> import tinygrad_course as tc
        >>> model = tc.nn.Sequential(tc.nn.Linear(3, 4), tc.nn.ReLU(), tc.nn.Linear(4, 2))
        >>> found = model.summary((1, 3))
        >>> found.parameters, found.multiply_adds, found.activation_bytes
        (26, 20, 40)
        """
        from .summary import summarise

        return summarise(self, inputs, kwargs)

    # --- state ---

    def _state(self) -> Iterator[tuple[str, Tensor]]:
        """Every parameter and persistent buffer, under all of its paths."""
        for path, module in self.named_modules(remove_duplicate=False):
            held = {**module._parameters, **module._buffers}
            for name, value in held.items():
                if value is not None and name not in module._transient:
                    yield f"{path}.{name}" if path else name, value

    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> dict[str, Tensor]:
        """Parameters and persistent buffers by path, with PyTorch's keys and layouts.

        The values share memory with the module, outside the graph unless `keep_vars`.
        """
        return {prefix + path: v if keep_vars else v.detach() for path, v in self._state()}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> Keys:
        """Copy values into the parameters and buffers; all are checked before any is written.

        Args:
            state_dict: Tensors, NumPy arrays or anything with `__array__`, such as a PyTorch
                state dict.
            strict: the keys must be exactly those of this module.

        Raises:
            StateError: missing, unexpected and wrong-shaped entries, all in one message.
        """
        own = dict(self._state())
        missing = [k for k in own if k not in state_dict]
        unexpected = [k for k in state_dict if k not in own]
        values = {k: _array(state_dict[k]) for k in own if k in state_dict}
        wrong = [
            f"{k}: shape {v.shape} instead of {own[k].shape}"
            for k, v in values.items()
            if v.shape != own[k].shape
        ]
        listed = {"missing": missing, "unexpected": unexpected} if strict else {}
        problems = [f"{what}: {', '.join(keys)}" for what, keys in listed.items() if keys] + wrong
        if problems:
            lines = "\n  ".join(problems)
            name = type(self).__name__
            raise StateError(
                f"load_state_dict: this does not fit {name}, nothing loaded\n  {lines}"
            )
        for k, v in values.items():
            write(own[k], v)
        return Keys(missing, unexpected)

    # --- repr ---

    def extra_repr(self) -> str:
        """What stands between the parentheses of a module's repr, before its children."""
        return ""

    def __repr__(self) -> str:
        extra, name = self.extra_repr(), type(self).__name__
        children = [f"({n}): {indented(repr(c))}" for n, c in self._modules.items()]
        if not children:
            return f"{name}({extra})"
        lines = ([extra] if extra else []) + children
        return f"{name}(\n  " + "\n  ".join(lines) + "\n)"


def indented(text: str) -> str:
    """A repr that stands inside another."""
    return text.replace("\n", "\n  ")


def _check_kind(module: Module, name: str, value: Any, kind: type) -> None:
    if value is not None and not isinstance(value, kind):
        what = "buffer" if kind is Tensor else kind.__name__.lower()
        raise DtypeError(
            f"{type(module).__name__}.{name} is a {what}: it takes a "
            f"{kind.__name__} or None, not {type(value).__name__}; delete it first to use the name "
            "for something else"
        )


# --- errors with an address -----------------------------------------------------------------------


def _locate(error: Exception, caller: Module) -> None:
    """Complete an error from inside a forward with the path of the module that raised it.

    Each module on the way up rewrites the line, so that it ends up with the path from the top.
    """
    found: Any = getattr(error, "_raised_in", None)
    if found is None:
        found = (caller, error.args, list(getattr(error, "__notes__", ())))
        error._raised_in = found  # type: ignore[attr-defined]
    module, args, notes = found
    path = next((path for path, m in caller.named_modules() if m is module), None)
    if path is None:
        return
    where = f"{type(caller).__name__}.{path}" if path else type(caller).__name__
    line = f"in {where}" + ("" if module._modules else f" ({module!r})")
    said_by_args = type(error).__str__ is Exception.__str__
    if said_by_args and len(args) == 1 and isinstance(args[0], str):
        error.args = (f"{args[0]}\n  {line}",)
    else:
        error.__notes__ = [*notes, line]


# --- writing into what modules hold ---------------------------------------------------------------


def write(tensor: Tensor, value: Any) -> None:
    """Copy numbers into the memory of a leaf or constant, so that all who share it see them."""
    value = devices.place(value, tensor.device) if devices.is_array(value) else value
    np.copyto(tensor._data, value, casting="unsafe")
    if tensor._node is not None:
        tensor._node.touch()


def convert(tensor: Tensor, dtype: np.dtype[Any] | None, device: str | None = None) -> None:
    """Change dtype or device of a leaf or constant and of its gradient; the object stays."""
    new = tensor.detach().to(dtype=dtype, device=device)
    if new._data is tensor._data:
        return
    grad = tensor.grad
    tensor.grad = None
    tensor.data = new._data
    tensor.grad = None if grad is None else grad.detach().to(new)


def clear_grad(tensor: Tensor, set_to_none: bool) -> None:
    """Forget a gradient, or make it zero if there is one."""
    if tensor.grad is not None:
        tensor.grad = None if set_to_none else Tensor(np.zeros_like(tensor.grad._data))


def clear_grads(tensors: Iterable[Tensor], set_to_none: bool) -> None:
    """`clear_grad` for many."""
    for tensor in tensors:
        clear_grad(tensor, set_to_none)


def _array(value: Any) -> Any:
    """Numbers from a Tensor, an array, or anything with `__array__` (PyTorch's need a detach)."""
    if isinstance(value, Tensor):
        return value._data
    return as_array(np.asarray(value.detach() if hasattr(value, "detach") else value))
