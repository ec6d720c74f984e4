"""Hooks that see a module's gradients: its inputs and results pass through gates in the graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad_course.autograd import Function
from tinygrad_course.tensor import Tensor


class _Gate(Function):
    """The values as they are; in backward their gradients are shown to `see`, which may answer."""

    @staticmethod
    def forward(ctx: Any, see: Callable[[tuple[Any, ...]], Any], *values: Any) -> Any:
        ctx.see = see
        return values

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        new = ctx.see(grads)
        return None, *(grads if new is None else new)


def _tracked(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad


def _through(values: tuple[Any, ...], see: Callable[[tuple[Any, ...]], Any]) -> tuple[Any, ...]:
    return _Gate.apply(see, *values) if any(map(_tracked, values)) else values


class BackwardHook:
    """What `Module.register_full_backward_hook` hangs on a module; `remove()` takes it away."""

    def __init__(self, module: Any, hook: Callable[..., Any], prepend: bool) -> None:
        self.hook = hook
        before = module.register_forward_pre_hook(self.before)
        self.handles = [before, module.register_forward_hook(self.after, prepend=prepend)]

    def before(self, module: Any, args: tuple[Any, ...]) -> Any:
        """Let the arguments pass through a gate; it calls the hook with both gradients."""
        grads_out: list[Any] = []

        def see(grads: tuple[Any, ...]) -> Any:
            new = self.hook(module, grads, tuple(grads_out))
            return new if new is None or isinstance(new, tuple) else (new,)

        self.grads_out = grads_out
        self.call = None if any(map(_tracked, args)) else see
        self.inputs = len(args)
        return _through(args, see)

    def after(self, module: Any, args: tuple[Any, ...], out: Any) -> Any:
        """Let the results pass through a gate; without gradients of arguments it calls the hook."""
        grads_out, call, inputs = self.grads_out, self.call, self.inputs

        def see(grads: tuple[Any, ...]) -> None:
            grads_out[:] = grads
            if call is not None:
                call((None,) * inputs)

        if isinstance(out, tuple):
            return _through(out, see)
        return _through((out,), see)[0]

    def remove(self) -> None:
        """Take the hook away."""
        for handle in self.handles:
            handle.remove()
