"""A progress bar for each epoch, or a printed line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .evaluation import Evaluation, Mean


class Bar:
    """The batches of an epoch behind a progress bar; without tqdm, a printed line at the end.

    Args:
        batches: what is gone through.
        name: what stands before the bar.
        progress: False shows nothing.
        done: how many batches of the epoch an earlier run did.
        total: how many the epoch has, if that is known.
    """

    def __init__(
        self, batches: Iterable[Any], name: str, progress: bool, done: int, total: int | None
    ) -> None:
        self.batches, self.name, self.progress = batches, name, progress
        self.text = self.last_word = ""
        self.bar = _tqdm(total, name, done) if progress else None

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()
        elif self.progress and kind is None and not self.last_word:
            print(f"{self.name}: {self.text}", flush=True)
        if self.progress and self.last_word:
            print(self.last_word, flush=True)

    def __iter__(self) -> Iterator[Any]:
        for batch in self.batches:
            yield batch
            if self.bar is not None:
                self.bar.update()

    def show(self, mean: Mean, held_out: Evaluation | None = None, last: bool = False) -> None:
        """Bring the numbers up to date."""
        parts = [f"loss {mean.loss:.3f}"]
        if mean.accuracy is not None:
            parts.append(f"accuracy {mean.accuracy:.1%}")
        if held_out is not None:
            measure = held_out.accuracy
            shown = f"loss {held_out.loss:.3f}" if measure is None else f"{measure:.1%}"
            parts.append(f"held-out {shown}")
        self.text = ", ".join(parts)
        if self.bar is not None:
            self.bar.set_postfix_str(self.text, refresh=last)


def _tqdm(total: int | None, name: str, done: int) -> Any:
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(total=total, initial=done, desc=name, unit="batch", dynamic_ncols=True)
