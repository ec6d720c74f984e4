"""Ctrl-C while training: the batch at hand is finished first, so that the model stays whole."""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any


class Interrupts:
    """Inside a `with` block the first Ctrl-C only sets `pressed`; a second one interrupts at once.

    Only where Python's own handler is in place, and in the main thread, which alone may set one;
    elsewhere Ctrl-C does what it does there.
    """

    pressed = False

    def __enter__(self) -> Interrupts:
        self.ours = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if self.ours:
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self.ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _note(self, *_: Any) -> None:
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True
        print(
            "\nstopping after this batch; Ctrl-C again stops at once", file=sys.stderr, flush=True
        )
