"""Recurrent layers: a state that goes from one step of a sequence to the next."""

from __future__ import annotations

import math
import warnings
from typing import Any, ClassVar

from tinygrad_course import creation
from tinygrad_course.errors import OptionError, ShapeError
from tinygrad_course.functions.noise import check_probability
from tinygrad_course.ops import elementwise as ops
from tinygrad_course.ops import shape

from . import functional as F
from . import init
from .linear import check_size
from .module import Module, Parameter
from .utils.rnn import PackedSequence

# --- one step: the input's part of the gates, the state, W_hh, b_hh → the new state ---------------


def _plain_step(gates: Any, state: tuple[Any, ...], w: Any, b: Any, squash: Any) -> tuple[Any, ...]:
    """h ← squash(W_ih x + b_ih + W_hh h + b_hh)."""
    return (squash(gates + F.linear(state[0], w, b)),)


def _lstm_step(gates: Any, state: tuple[Any, ...], w: Any, b: Any, squash: Any) -> tuple[Any, ...]:
    """c ← σ(f) c + σ(i) tanh(g); h ← σ(o) tanh(c)."""
    h, c = state
    i, f, g, o = shape.chunk(gates + F.linear(h, w, b), 4, -1)
    c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
    return ops.sigmoid(o) * ops.tanh(c), c


def _gru_step(gates: Any, state: tuple[Any, ...], w: Any, b: Any, squash: Any) -> tuple[Any, ...]:
    """n = tanh(nₓ + σ(r) nₕ); h ← n + σ(z) (h − n)."""
    (h,) = state
    rx, zx, nx = shape.chunk(gates, 3, -1)
    rh, zh, nh = shape.chunk(F.linear(h, w, b), 3, -1)
    n = ops.tanh(nx + ops.sigmoid(rx + rh) * nh)
    return (n + ops.sigmoid(zx + zh) * (h - n),)


_SQUASH = {"tanh": ops.tanh, "relu": ops.relu}


class _Recurrent(Module):
    """What cells and sequences share: sizes, gates, parameters and their initial values."""

    _gates: ClassVar[int] = 1
    _states: ClassVar[int] = 1
    _step: ClassVar[Any] = staticmethod(_plain_step)
    nonlinearity: str

    def _sizes(self, input_size: int, hidden_size: int, bias: bool) -> None:
        super().__init__()
        self.input_size = check_size("input_size", input_size)
        self.hidden_size = check_size("hidden_size", hidden_size)
        if hidden_size == 0:
            raise OptionError(f"{type(self).__name__}: hidden_size must be positive")
        self.bias = bias

    def _nonlinearity(self, name: str) -> None:
        if name not in _SQUASH:
            raise OptionError(
                f"{type(self).__name__}: nonlinearity is 'tanh' or 'relu', not {name!r}"
            )
        self.nonlinearity = name

    def _add(self, suffix: str, inputs: int, device: Any, dtype: Any) -> None:
        rows, kind = self._gates * self.hidden_size, {"device": device, "dtype": dtype}
        sizes = {"weight_ih": (rows, inputs), "weight_hh": (rows, self.hidden_size)}
        sizes |= {"bias_ih": (rows,), "bias_hh": (rows,)}  # type: ignore[dict-item]
        for name, size in sizes.items():
            wanted = self.bias or not name.startswith("bias")
            made = Parameter(creation.empty(size, **kind)) if wanted else None
            if wanted or not suffix:
                self.register_parameter(name + suffix, made)

    def reset_parameters(self) -> None:
        """Draw the initial values again."""
        bound = 1 / math.sqrt(self.hidden_size)
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def _held(self, suffix: str) -> tuple[Any, Any, Any, Any]:
        """W_ih, W_hh, b_ih, b_hh."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        found = [self._parameters.get(name + suffix) for name in names]
        return found[0], found[1], found[2], found[3]

    def _check_input(self, input: Any, ndims: tuple[int, ...]) -> None:
        if input.ndim not in ndims or input.shape[-1] != self.input_size:
            raise ShapeError(
                f"{type(self).__name__}: the input needs {ndims[0]} or {ndims[1]} dimensions, the "
                f"last of size {self.input_size}, got {input.shape}"
            )

    def _given(self, hx: Any, size: tuple[int, ...], like: Any) -> tuple[Any, ...]:
        """The initial states as a tuple, zeros unless given; their shapes are checked."""
        if hx is None:
            return (creation.zeros(size, dtype=like.dtype),) * self._states
        states = tuple(hx) if self._states == 2 else (hx,)
        for state in states:
            if tuple(state.shape) != size:
                raise ShapeError(
                    f"{type(self).__name__}: a state needs shape {size}, got {tuple(state.shape)}"
                )
        return states


# --- cells ----------------------------------------------------------------------------------------


class _Cell(_Recurrent):
    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        self._sizes(input_size, hidden_size, bias)
        self._add("", input_size, device, dtype)
        self.reset_parameters()

    def forward(self, input: Any, hx: Any = None) -> Any:
        self._check_input(input, (1, 2))
        state = self._given(hx, (*input.shape[:-1], self.hidden_size), input)
        w_ih, w_hh, b_ih, b_hh = self._held("")
        squash = _SQUASH[getattr(self, "nonlinearity", "tanh")]
        state = self._step(F.linear(input, w_ih, b_ih), state, w_hh, b_hh, squash)
        return state if self._states == 2 else state[0]

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")
        relu = self.__dict__.get("nonlinearity", "tanh") != "tanh"
        return text + (f", nonlinearity={self.nonlinearity}" if relu else "")


class RNNCell(_Cell):
    """h ← tanh(W_ih x + b_ih + W_hh h + b_hh): one step of a plain recurrent network.

    Shapes: x (N, input_size) or (input_size,), h (N, hidden_size) or (hidden_size,), zeros unless
    given; result as h; `weight_ih` (hidden_size, input_size), `weight_hh` (hidden_size,
    hidden_size), `bias_ih`, `bias_hh` (hidden_size,).
    Initial values: U(−r, r) with r = 1/√hidden_size, all.

    Args:
        nonlinearity: "tanh" or "relu".

    Raises:
        ShapeError: an input or a state of other sizes.
        OptionError: another nonlinearity.

    Source: Elman 1990.
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh",
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self._nonlinearity(nonlinearity)


class LSTMCell(_Cell):
    """c ← σ(f) c + σ(i) tanh(g) and h ← σ(o) tanh(c): one step of long short-term memory.

    i, f, g, o are the quarters of W_ih x + b_ih + W_hh h + b_hh. Shapes: as `RNNCell`, with
    4 · hidden_size rows in weights and biases; takes and gives a pair (h, c).
    Initial values and errors: as `RNNCell`.

    Source: Hochreiter and Schmidhuber 1997; Gers et al. 2000.
    """

    _gates, _states, _step = 4, 2, staticmethod(_lstm_step)


class GRUCell(_Cell):
    """h ← (1 − z) n + z h with n = tanh(nₓ + r nₕ): one step of a gated recurrent unit.

    r, z (through σ) and n are the thirds of W_ih x + b_ih (nₓ) and W_hh h + b_hh (nₕ). Shapes: as
    `RNNCell`, with 3 · hidden_size rows. Initial values and errors: as `RNNCell`.

    Source: Cho et al. 2014.
    """

    _gates, _step = 3, staticmethod(_gru_step)


# --- sequences ------------------------------------------------------------------------------------


class _Sequence(_Recurrent):
    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
        proj_size: int = 0, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        self._sizes(input_size, hidden_size, bias)
        if proj_size:
            raise OptionError(
                f"{type(self).__name__}: proj_size={proj_size} is not supported; put a Linear "
                "behind the layer"
            )
        if num_layers < 1:
            raise OptionError(f"{type(self).__name__}: num_layers must be positive")
        self.num_layers, self.batch_first = num_layers, batch_first
        self.dropout = float(check_probability(type(self).__name__, dropout))
        self.bidirectional = bidirectional
        if dropout and num_layers == 1:
            warnings.warn(
                f"{type(self).__name__}: dropout is between layers, and there is one layer: "
                "dropout changes nothing",
                stacklevel=3,
            )
        self._suffixes = ("", "_reverse") if bidirectional else ("",)
        for layer in range(num_layers):
            inputs = hidden_size * len(self._suffixes) if layer else input_size
            for suffix in self._suffixes:
                self._add(f"_l{layer}{suffix}", inputs, device, dtype)
        self.reset_parameters()

    def _direction(
        self, x: Any, state: Any, suffix: str, squash: Any, sizes: list[int] | None
    ) -> tuple[Any, Any]:
        """All steps of one layer in one direction: outputs shaped as x, and the last states.

        x is (L, N, features), or packed: (Σ sizes, features), sizes[t] sequences at step t.
        """
        w_ih, w_hh, b_ih, b_hh = self._held(suffix)
        gates = F.linear(x, w_ih, b_ih)  # the input's part of all steps at once
        steps = gates if sizes is None else shape.split(gates, sizes)
        back, outputs = suffix.endswith("reverse"), []
        order = range(x.shape[0] if sizes is None else len(sizes))
        start = state
        ended: list[Any] = []
        if back and sizes is not None:  # only the longest sequences have a last step
            state = tuple(s[: sizes[-1]] for s in state)
        for t in reversed(order) if back else order:
            if sizes is not None:
                state = _resized(state, start, sizes[t], ended)
            state = self._step(steps[t], state, w_hh, b_hh, squash)
            outputs.append(state[0])
        outputs = outputs[::-1] if back else outputs
        if sizes is None:
            return shape.stack(outputs), state
        parts = [state, *reversed(ended)]  # the longest sequences ended last
        return shape.cat(outputs), tuple(shape.cat(list(s)) for s in zip(*parts, strict=True))

    def _run(
        self, x: Any, states: tuple[Any, ...], sizes: list[int] | None = None
    ) -> tuple[Any, list[Any]]:
        """All layers: outputs (..., D · hidden_size), and the last states, layer by layer."""
        squash = _SQUASH[getattr(self, "nonlinearity", "tanh")]
        last: list[Any] = []
        for layer in range(self.num_layers):
            if layer:
                x = F.dropout(x, self.dropout, self.training)
            outputs = []
            for suffix in self._suffixes:
                start = tuple(s[len(last)] for s in states)
                out, end = self._direction(x, start, f"_l{layer}{suffix}", squash, sizes)
                outputs.append(out)
                last.append(end)
            x = outputs[0] if len(outputs) == 1 else shape.cat(outputs, -1)
        return x, [shape.stack([end[k] for end in last]) for k in range(self._states)]

    def _packed(self, packed: PackedSequence, hx: Any) -> Any:
        """As `forward`, for sequences of different lengths packed together."""
        data, sizes, order, back = packed
        self._check_input(data, (2, 2))
        counts = [int(n) for n in sizes.tolist()]
        form = (self.num_layers * len(self._suffixes), counts[0], self.hidden_size)
        states = self._given(hx, form, data)
        if hx is not None and order is not None:
            states = tuple(s[:, order] for s in states)
        out, last = self._run(data, states, counts)
        last = last if back is None else [s[:, back] for s in last]
        return PackedSequence(out, sizes, order, back), self._result(last)

    def _result(self, last: list[Any]) -> Any:
        return tuple(last) if self._states == 2 else last[0]

    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(input, PackedSequence):
            return self._packed(input, hx)
        self._check_input(input, (2, 3))
        batched, along = input.ndim == 3, 0 if self.batch_first else 1
        x = input if batched else input.unsqueeze(1)
        x = shape.transpose(x, 0, 1) if batched and self.batch_first else x  # (L, N, input_size)
        if x.shape[0] == 0:
            raise ShapeError(f"{type(self).__name__}: a sequence needs a step, got {input.shape}")
        stacked = self.num_layers * len(self._suffixes)
        size = (stacked, x.shape[1], self.hidden_size) if batched else (stacked, self.hidden_size)
        states = self._given(hx, size, input)
        out, last = self._run(x, states if batched else tuple(s.unsqueeze(1) for s in states))
        if not batched:
            out, last = out.squeeze(1), [s.squeeze(1) for s in last]
        elif along == 0:
            out = shape.transpose(out, 0, 1)
        return out, self._result(last)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        usual = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0,
                 "bidirectional": False}  # fmt: skip
        for name, value in usual.items():
            if getattr(self, name) != value:
                text += f", {name}={getattr(self, name)}"
        return text


def _resized(state: Any, start: Any, size: int, ended: list[Any]) -> Any:
    """States of `size` sequences: some have ended (and are kept in `ended`), or some begin."""
    now = state[0].shape[0]
    if size < now:
        ended.append(tuple(s[size:] for s in state))
        return tuple(s[:size] for s in state)
    if size > now:
        return tuple(shape.cat([s, first[now:size]]) for s, first in zip(state, start, strict=True))
    return state


class RNN(_Sequence):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_{t−1} + b_hh), over a sequence, in layers.

    Shapes: x (L, N, input_size), with batch_first (N, L, input_size), or (L, input_size), or a
    `PackedSequence`, which is also the result's form then; h₀
    (D · num_layers, N, hidden_size), D = 2 if bidirectional else 1, zeros unless given. Results:
    the last layer's h of all steps (L, N, D · hidden_size), and all layers' last h, shaped as h₀.
    Parameters as in `RNNCell`, named `weight_ih_l0`, ..., with `_reverse` for the other direction.
    Initial values: U(−r, r) with r = 1/√hidden_size, all.

    Args:
        nonlinearity: "tanh" or "relu".
        dropout: the probability of dropout between layers.
        bidirectional: a second network reads from the end; its output is joined on.

    Raises:
        ShapeError: an input or a state of other sizes.
        OptionError: another nonlinearity, no layers, a proj_size.

    Source: Elman 1990; Schuster and Paliwal 1997.

    >>> import tinygrad_course as tc
    >>> out, last = tc.nn.RNN(3, 4, num_layers=2)(tc.zeros(5, 2, 3))
    >>> out.shape, last.shape
    ((5, 2, 4), (2, 2, 4))
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh",
        bias: bool = True, batch_first: bool = False, dropout: float = 0.0,
        bidirectional: bool = False, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            device=device, dtype=dtype,
        )  # fmt: skip
        self._nonlinearity(nonlinearity)


class LSTM(_Sequence):
    """Long short-term memory over a sequence, in layers: the steps of `LSTMCell`.

    Shapes, parameters and errors: as `RNN`, but the states are pairs (h, c).

    Source: Hochreiter and Schmidhuber 1997.

    >>> import tinygrad_course as tc
    >>> out, (h, c) = tc.nn.LSTM(3, 4, bidirectional=True)(tc.zeros(5, 2, 3))
    >>> out.shape, h.shape, c.shape
    ((5, 2, 8), (2, 2, 4), (2, 2, 4))
    """

    _gates, _states, _step = 4, 2, staticmethod(_lstm_step)


class GRU(_Sequence):
    """Gated recurrent units over a sequence, in layers: the steps of `GRUCell`.

    Shapes, parameters and errors: as `RNN`. Source: Cho et al. 2014.
    """

    _gates, _step = 3, staticmethod(_gru_step)
