"""Locks that the system drops when their owner dies, whatever it died of."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tinygrad_course.errors import OptionError
from tinygrad_course.files import StrPath


class Locks:
    """Locks on bytes of a file beside the journal; the system drops those of a dead process.

    Byte 0 is held while the journal is written, byte 1 while a trial is chosen, and byte 2 + pid by
    each process at work.
    """

    def __init__(self, path: Path) -> None:
        try:
            import fcntl
        except ImportError as error:
            raise OptionError(
                "storage= needs file locks that this system does not have (fcntl: Linux, macOS)"
            ) from error
        self._lockf, self._flags = fcntl.lockf, (fcntl.LOCK_EX, fcntl.LOCK_NB, fcntl.LOCK_UN)
        self.path = path
        # open as long as the process is
        self._file = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o666)
        self._pid = os.getpid()
        self._host = os.uname().nodename
        self.working: set[str] = set()  # those at work in this process
        self._lock(2 + self._pid)

    def _lock(self, byte: int) -> None:
        self._lockf(self._file, self._flags[0], 1, byte)

    def _unlock(self, byte: int) -> None:
        self._lockf(self._file, self._flags[2], 1, byte)

    def owner(self, worker: str) -> list[Any]:
        """The name of a worker in this process, for all processes."""
        return [self._host, self._pid, worker]

    def is_alive(self, owner: list[Any]) -> bool:
        """Whether a worker is at work; of another computer's nobody knows, so they count."""
        host, pid, worker = owner
        if host != self._host:
            return True
        if pid == self._pid:
            return worker in self.working
        try:
            self._lockf(self._file, self._flags[0] | self._flags[1], 1, 2 + pid)
        except OSError:
            return True
        self._unlock(2 + pid)
        return False

    @contextlib.contextmanager
    def claim(self) -> Iterator[None]:
        """One process at a time."""
        self._lock(1)
        try:
            yield
        finally:
            self._unlock(1)

    def acquire(self) -> bool:
        """For Optuna, before it writes: a line that a killed process left unfinished goes."""
        self._lock(0)
        with open(self.path, "r+b") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read() != b"\n":
                    file.seek(0)
                    file.truncate(file.read().rfind(b"\n") + 1)
        return True

    def release(self) -> None:
        """For Optuna, after it has written."""
        self._unlock(0)


_opened: dict[Path, Locks] = {}


def locks_of(storage: StrPath) -> Locks:
    """The locks of a journal, once for each process: closing the file twice would drop them."""
    path = Path(os.path.realpath(storage))
    found = _opened.get(path)
    if found is None or found._pid != os.getpid():
        found = _opened[path] = Locks(path)
    return found
