"""Sequences of different lengths in one batch: padded, or packed so that nothing is wasted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_course.errors import OptionError, ShapeError
from tinygrad_course.graph import wrap
from tinygrad_course.ops import elementwise as ops
from tinygrad_course.ops import shape
from tinygrad_course.tensor import Tensor, as_tensor


class PackedSequence(NamedTuple):
    """Sequences step by step, the longest first: what `pack_padded_sequence` makes.

    data: all steps, (Σ lengths, ...): first those of step 0, then those of step 1, and so on.
    batch_sizes: how many sequences have a step t.
    sorted_indices: the sequences in the order in which they are packed; None: as they came.
    unsorted_indices: the way back.
    """

    data: Any
    batch_sizes: Any
    sorted_indices: Any = None
    unsorted_indices: Any = None


def _numbers(lengths: Any) -> Any:
    return np.asarray(as_tensor(lengths)._data, dtype=np.int64)


def _constant(values: Any) -> Tensor:
    out: Tensor = wrap(Tensor, np.asarray(values), None)
    return out


def pad_sequence(
    sequences: Sequence[Any], batch_first: bool = False, padding_value: float = 0.0,
    padding_side: str = "right",
) -> Any:  # fmt: skip
    """Sequences (Lᵢ, ...) side by side as (L, N, ...), the shorter ones filled up.

    Args:
        batch_first: give (N, L, ...).
        padding_value: what they are filled up with.
        padding_side: "right" or "left".

    Raises:
        ShapeError: no sequences, or sequences that differ in more than their lengths.
        OptionError: another side.

    >>> import tinygrad_course as tc
    >>> a, b = tc.tensor([1, 2, 3]), tc.tensor([4])
    >>> tc.nn.utils.rnn.pad_sequence([a, b], batch_first=True).tolist()
    [[1, 2, 3], [4, 0, 0]]
    """
    if padding_side not in ("left", "right"):
        raise OptionError(f"pad_sequence: padding_side is 'left' or 'right', not {padding_side!r}")
    given = list(sequences)
    if not given or any(s.ndim == 0 or s.shape[1:] != given[0].shape[1:] for s in given):
        raise ShapeError(
            "pad_sequence: needs sequences (L, ...) that differ in L only, got "
            f"{[tuple(s.shape) for s in given]}"
        )
    longest, side = max(s.shape[0] for s in given), padding_side == "left"
    filled = []
    for s in given:
        widths = [(0, 0)] * s.ndim
        widths[0] = (longest - s.shape[0], 0) if side else (0, longest - s.shape[0])
        filled.append(shape.pad(s, widths=widths, value=padding_value))
    return shape.stack(filled, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """The sequences that `pad_sequence` put side by side."""
    rows = padded_sequences if batch_first else shape.transpose(padded_sequences, 0, 1)
    return [rows[i, : int(n)] for i, n in enumerate(_numbers(lengths))]


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Padded sequences (L, N, ...) without their padding, as recurrent layers take them.

    Args:
        lengths: one for each sequence.
        batch_first: the input is (N, L, ...).
        enforce_sorted: the longest comes first, and so on; otherwise they are sorted here, and
            the layer puts its results back in order.

    Raises:
        ShapeError: not a length for each sequence.
        OptionError: a length below 1 or above L; lengths out of order.

    >>> import tinygrad_course as tc
    >>> x = tc.tensor([[1, 2, 3], [4, 0, 0]])
    >>> packed = tc.nn.utils.rnn.pack_padded_sequence(x, [3, 1], batch_first=True)
    >>> packed.data.tolist(), packed.batch_sizes.tolist()
    ([1, 4, 2, 3], [2, 1, 1])
    """
    name = "pack_padded_sequence"
    if input.ndim < 2:
        raise ShapeError(f"{name}: the input is (L, N, ...), got {input.shape}")
    rows = input if batch_first else shape.transpose(input, 0, 1)  # (N, L, ...)
    sizes = _numbers(lengths)
    if sizes.shape != rows.shape[:1]:
        raise ShapeError(
            f"{name}: {rows.shape[0]} sequences need as many lengths, got {sizes.shape}"
        )
    if not sizes.size or sizes.min() < 1 or sizes.max() > rows.shape[1]:
        raise OptionError(
            f"{name}: lengths must be between 1 and {rows.shape[1]}, got {sizes.tolist()}"
        )
    order = back = None
    if not enforce_sorted:
        order = np.argsort(-sizes, kind="stable")
        back, sizes = np.argsort(order), sizes[order]
        rows = rows[order]
    elif (np.diff(sizes) > 0).any():
        raise OptionError(
            f"{name}: lengths must fall from one to the next, got {sizes.tolist()}; or pass "
            "enforce_sorted=False"
        )
    there = np.arange(int(sizes[0]))[:, None] < sizes  # (L, N)
    step, sequence = np.nonzero(there)
    indices = [None if i is None else _constant(i) for i in (order, back)]
    return PackedSequence(rows[sequence, step], _constant(there.sum(1)), *indices)


def pack_sequence(sequences: Sequence[Any], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences (Lᵢ, ...) packed; see `pack_padded_sequence`."""
    lengths = [s.shape[0] for s in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, False, enforce_sorted)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Any, Any]:  # fmt: skip
    """Packed sequences as (L, N, ...) again, in the order in which they came, and their lengths.

    Args:
        batch_first: give (N, L, ...).
        padding_value: what stands where a sequence has ended.
        total_length: L, if not the longest's length.

    Raises:
        OptionError: a total_length below the longest's.
    """
    data, sizes, _, back = sequence
    counts = _numbers(sizes)
    longest, n = len(counts), int(counts[0])
    if total_length is not None and total_length < longest:
        raise OptionError(
            f"pad_packed_sequence: total_length {total_length} is less than the longest sequence's "
            f"{longest}"
        )
    there = np.arange(n) < counts[:, None]  # (L, N)
    more = np.zeros(((total_length or longest) - longest, n), bool)
    there = np.concatenate([there, more])
    lengths, columns = there.sum(0), np.arange(n)
    if back is not None:
        columns = _numbers(back)
        there, lengths = there[:, columns], lengths[columns]
    starts = np.concatenate([np.cumsum(counts) - counts, np.zeros(len(more), np.int64)])
    place = np.where(there, starts[:, None] + columns, 0)
    if batch_first:
        there, place = there.T, place.T
    seen = there.reshape(*there.shape, *(1,) * (data.ndim - 1))
    filler = np.asarray(padding_value).astype(data.dtype)
    return ops.where(seen, data[place], filler), _constant(lengths)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Any]:
    """The sequences that were packed."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
