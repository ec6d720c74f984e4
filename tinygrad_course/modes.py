"""Whether operations are recorded: a mode of the running thread or task."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ContextDecorator
from contextvars import ContextVar
from types import TracebackType
from typing import Any

_recording: ContextVar[bool] = ContextVar("recording", default=True)
is_grad_enabled: Callable[[], bool] = _recording.get


class _grad_mode(ContextDecorator):
    """A mode that may be entered again and again; it belongs to the running thread or task."""

    mode: bool

    def __init__(self, mode: bool | None = None) -> None:
        self.mode = self.mode if mode is None else mode
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(is_grad_enabled())
        _recording.set(self.mode)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _recording.set(self._before.pop())

    def _recreate_cm(self) -> _grad_mode:
        return _grad_mode(self.mode)


class _Bare(_grad_mode):
    """A mode that decorates a function without parentheses, too."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if args and callable(args[0]):
            return cls()(args[0])
        return super().__new__(cls)


class no_grad(_Bare):
    """Record nothing inside a `with` block or a decorated function, in this thread only.

    >>> import tinygrad_course as tc
    >>> x = tc.tensor([1.0], requires_grad=True)
    >>> with tc.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    mode = False


class enable_grad(_Bare):
    """Record again inside a `no_grad` block, in this thread only."""

    mode = True


class inference_mode(_Bare):
    """`no_grad`; `inference_mode(False)` records. Its tensors are ordinary constants here.

    >>> import tinygrad_course as tc
    >>> x = tc.tensor([1.0], requires_grad=True)
    >>> with tc.inference_mode():
    ...     (x * 2).requires_grad
    False
    """

    def __init__(self, mode: bool = True) -> None:
        super().__init__(not mode)


class set_grad_enabled(_grad_mode):
    """Record, or not, from here on; as a context or a decorator, only inside.

    >>> import tinygrad_course as tc
    >>> x = tc.tensor([1.0], requires_grad=True)
    >>> with tc.set_grad_enabled(False):
    ...     (x * 2).requires_grad
    False
    """

    def __init__(self, mode: bool) -> None:
        super().__init__(bool(mode))
        self._before.append(is_grad_enabled())
        _recording.set(self.mode)

    def __enter__(self) -> None:
        _recording.set(self.mode)

    def __call__(self, function: Any) -> Any:
        self.__exit__(None, None, None)
        return _grad_mode(self.mode)(function)
