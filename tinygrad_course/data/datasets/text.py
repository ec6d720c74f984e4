"""Text, one character at a time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_course.data.dataset import Dataset
from tinygrad_course.errors import FormatError, OptionError
from tinygrad_course.tensor import Tensor, as_tensor


class CharText(Dataset):
    """Windows of a text: the characters at i … i + length − 1, and those that follow each of them.

    Args:
        text: the text.
        length: characters in a window.
        stride: how far apart windows begin.
        alphabet: the characters, each with the number of its place; those of the text, sorted,
            unless given.

    Attributes:
        alphabet: the characters, as one string.
        ids: the whole text, an int64 Tensor.

    Raises:
        OptionError: a text shorter than a window and the character after it, or characters that the
            alphabet does not have.

    >>> text = CharText("hello world", length=4)
    >>> x, y = text[0]
    >>> text.decode(x), text.decode(y), len(text)
    ('hell', 'ello', 7)
    """

    def __init__(
        self, text: str, length: int = 64, stride: int = 1, alphabet: str | None = None
    ) -> None:
        for name, value in (("length", length), ("stride", stride)):
            if not isinstance(value, (int, np.integer)) or value < 1:
                raise OptionError(f"{name} is a whole number of at least 1, got {value!r}")
        if len(text) <= length:
            raise OptionError(
                f"windows of {length} characters and the one after need a text of at least "
                f"{length + 1}; this one has {len(text)}"
            )
        self.alphabet = "".join(sorted(set(text))) if alphabet is None else alphabet
        self._place = {character: i for i, character in enumerate(self.alphabet)}
        if len(self._place) < len(self.alphabet):
            raise OptionError("a character stands twice in the alphabet")
        self.length = length
        self.stride = stride
        self.ids = self.encode(text)

    @classmethod
    def from_file(
        cls, path: str | os.PathLike[str], length: int = 64, stride: int = 1,
        alphabet: str | None = None, encoding: str = "utf-8",
    ) -> CharText:  # fmt: skip
        """The text of a file.

        Raises:
            FormatError: the file is not text in this encoding, or too short.
            FileNotFoundError: there is no such file.
        """
        try:
            text = Path(path).read_bytes().decode(encoding)
        except UnicodeDecodeError as error:
            raise FormatError(
                f"{path}: not {encoding} text: {error.reason} at byte {error.start}; pass the "
                "encoding that it was written in"
            ) from error
        if len(text) <= length:
            raise FormatError(f"{path}: {len(text)} characters; a window needs {length + 1}")
        return cls(text.replace("\r\n", "\n"), length, stride, alphabet)

    def __len__(self) -> int:
        return (len(self.ids) - self.length - 1) // self.stride + 1

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        n = len(self)
        if not -n <= index < n:
            raise IndexError(f"window {index} of {n}")
        x, y = self.take_batch(np.array([index % n]))
        return x[0], y[0]

    def take_batch(self, indices: np.ndarray[Any, Any]) -> tuple[Tensor, Tensor]:
        """Several windows (N, length) and what follows, of the same shape."""
        windows = np.lib.stride_tricks.sliding_window_view(self.ids.numpy(), self.length + 1)
        chosen = windows[indices * self.stride]  # (N, length + 1)
        return as_tensor(chosen[:, :-1].copy()), as_tensor(chosen[:, 1:].copy())

    def encode(self, text: str) -> Tensor:
        """The numbers of the characters."""
        try:
            return as_tensor(np.array([self._place[c] for c in text], dtype=np.int64))
        except KeyError as error:
            raise OptionError(
                f"the character {error.args[0]!r} is not in the alphabet {self.alphabet!r}"
            ) from None

    def decode(self, ids: Any) -> str:
        """The characters of numbers: a Tensor, an array or a list."""
        numbers = np.asarray(as_tensor(ids).numpy()).ravel()
        if numbers.size and not (numbers.min() >= 0 and numbers.max() < len(self.alphabet)):
            raise OptionError(f"characters have numbers from 0 to {len(self.alphabet) - 1}")
        return "".join(self.alphabet[i] for i in numbers)

    def split(self, fraction: float = 0.9) -> tuple[CharText, CharText]:
        """The first part of the text and the rest, with one alphabet.

        A random split would put windows that overlap into both parts.
        """
        if not 0 < fraction < 1:
            raise OptionError(f"fraction is between 0 and 1, got {fraction}")
        text = self.decode(self.ids)
        at = round(len(text) * fraction)
        first, rest = text[:at], text[at:]
        return (
            CharText(first, self.length, self.stride, self.alphabet),
            CharText(rest, self.length, self.stride, self.alphabet),
        )
