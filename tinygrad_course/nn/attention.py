"""Attention, and the transformer's layers (Vaswani et al. 2017)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_course import creation
from tinygrad_course.errors import OptionError, ShapeError
from tinygrad_course.functions.attention import attention_weights
from tinygrad_course.functions.noise import check_probability
from tinygrad_course.graph import wrap
from tinygrad_course.ops import shape
from tinygrad_course.tensor import Tensor, as_tensor

from . import functional as F
from . import init
from .container import ModuleList
from .dropout import Dropout
from .linear import Linear
from .module import Module, Parameter
from .norm import LayerNorm


def _added(mask: Any, dtype: Any) -> Any:
    """A mask as numbers to add to the scores: −∞ where a bool mask is True."""
    mask = as_tensor(mask)
    if mask.dtype.kind != "b":
        return mask
    return wrap(Tensor, np.where(mask._data, -np.inf, 0.0).astype(dtype), None)


class MultiheadAttention(Module):
    """concat(head₁, ..., headₕ) W_Oᵀ + b_O, headᵢ = softmax(qᵢ kᵢᵀ / √d) vᵢ.

    qᵢ, kᵢ, vᵢ are the i-th d = embed_dim / num_heads features of projections of query, key, value.

    Shapes: query (L, N, embed_dim), key (S, N, kdim), value (S, N, vdim), all (N, ...) with
    batch_first, or without N. Results: (L, N, embed_dim), and the weights (N, L, S), or
    (N, num_heads, L, S) if not averaged; None unless needed. Parameters: `in_proj_weight`
    (3 · embed_dim, embed_dim), or `q_proj_weight`, `k_proj_weight`, `v_proj_weight` where kdim or
    vdim differ; `in_proj_bias` (3 · embed_dim,); `out_proj`, a Linear.
    Initial values: Xavier uniform, biases 0; `out_proj.weight` as in Linear.

    Args:
        dropout: the probability that an attention weight is dropped in training.
        add_bias_kv: one more key and value, `bias_k` and `bias_v`, that are learnt.
        add_zero_attn: one more key and value, of zeros.
        kdim, vdim: the features of key and value, embed_dim unless given.

    Raises:
        OptionError: an embed_dim that does not divide into the heads.
        ShapeError: inputs or masks of other sizes.

    Source: Vaswani et al. 2017.

    >>> import tinygrad_course as tc
    >>> x = tc.ones(5, 2, 8)
    >>> out, weights = tc.nn.MultiheadAttention(8, num_heads=2)(x, x, x)
    >>> out.shape, weights.shape
    ((5, 2, 8), (2, 5, 5))
    """

    def __init__(
        self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True,
        add_bias_kv: bool = False, add_zero_attn: bool = False, kdim: int | None = None,
        vdim: int | None = None, batch_first: bool = False, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if embed_dim < 1 or num_heads < 1 or embed_dim % num_heads:
            raise OptionError(
                f"MultiheadAttention: embed_dim {embed_dim} does not divide into {num_heads} heads"
            )
        self.embed_dim, self.num_heads, self.batch_first = embed_dim, num_heads, batch_first
        self.head_dim = embed_dim // num_heads
        self.dropout = check_probability("MultiheadAttention", dropout)
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.add_zero_attn = add_zero_attn
        kind = {"device": device, "dtype": dtype}
        joined = self.kdim == self.vdim == embed_dim
        sizes: dict[str, Any] = {
            "q_proj_weight": None if joined else (embed_dim, embed_dim),
            "k_proj_weight": None if joined else (embed_dim, self.kdim),
            "v_proj_weight": None if joined else (embed_dim, self.vdim),
            "in_proj_weight": (3 * embed_dim, embed_dim) if joined else None,
            "in_proj_bias": (3 * embed_dim,) if bias else None,
            "bias_k": (1, 1, embed_dim) if add_bias_kv else None,
            "bias_v": (1, 1, embed_dim) if add_bias_kv else None,
        }
        for name, size in sizes.items():
            made = None if size is None else Parameter(creation.empty(size, **kind))
            self.register_parameter(name, made)
        self.out_proj = Linear(embed_dim, embed_dim, bias, **kind)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial values again."""
        for p in self._parameters.values():
            if p is not None and p.ndim > 1:
                (init.xavier_uniform_ if p.ndim == 2 else init.xavier_normal_)(p)
        for p in (self.in_proj_bias, self.out_proj.bias):
            if p is not None:
                init.zeros_(p)

    def _projected(self, query: Any, key: Any, value: Any) -> list[Any]:
        """Queries, keys and values, each (N, heads, length, head_dim)."""
        w, b = self.in_proj_weight, self.in_proj_bias
        if w is not None and query is key is value:
            parts = list(shape.chunk(F.linear(query, w, b), 3, -1))
        else:
            apart = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
            ws = apart if w is None else shape.chunk(w, 3)
            bs = (None,) * 3 if b is None else shape.chunk(b, 3)
            given = zip((query, key, value), ws, bs, strict=True)
            parts = [F.linear(x, weight, bias) for x, weight, bias in given]
        split = (self.num_heads, self.head_dim)
        return [shape.transpose(shape.unflatten(x, -1, split), 1, 2) for x in parts]

    def _extended(self, k: Any, v: Any) -> tuple[Any, Any, int]:
        """Keys and values, the learnt ones and zeros behind them, and how many these are."""
        more = [[], []] if self.bias_k is None else [[self.bias_k], [self.bias_v]]
        form = (k.shape[0], self.num_heads, 1, self.head_dim)
        for extra, like in zip(more, (k, v), strict=True):
            one = (1, self.num_heads, 1, self.head_dim)
            extra[:] = [shape.broadcast_to_(shape.reshape_(b, one), form) for b in extra]
            if self.add_zero_attn:
                extra.append(creation.zeros(form, dtype=like.dtype))
        if not more[0]:
            return k, v, 0
        return shape.cat([k, *more[0]], 2), shape.cat([v, *more[1]], 2), len(more[0])

    def _mask(self, attn_mask: Any, key_padding_mask: Any, form: Any, dtype: Any) -> Any:
        """Both masks as one to add to scores of shape `form`, (N, heads, L, S); or None."""
        n, heads, length, keys = form
        found = []
        if attn_mask is not None:
            if tuple(attn_mask.shape) not in ((length, keys), (n * heads, length, keys)):
                raise ShapeError(
                    f"MultiheadAttention: attn_mask needs shape {(length, keys)} or "
                    f"{(n * heads, length, keys)}, got {tuple(attn_mask.shape)}"
                )
            mask = _added(attn_mask, dtype)
            found.append(mask if mask.ndim == 2 else shape.reshape_(mask, form))
        if key_padding_mask is not None:
            if tuple(key_padding_mask.shape) != (n, keys):
                raise ShapeError(
                    f"MultiheadAttention: key_padding_mask needs shape {(n, keys)}, got "
                    f"{tuple(key_padding_mask.shape)}"
                )
            found.append(shape.reshape_(_added(key_padding_mask, dtype), (n, 1, 1, keys)))
        return sum(found[1:], found[0]) if found else None

    def forward(
        self, query: Any, key: Any, value: Any, key_padding_mask: Any = None,
        need_weights: bool = True, attn_mask: Any = None, average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:  # fmt: skip
        """Attend.

        Args:
            key_padding_mask: (N, S), True (or −∞) at keys that nobody may look at.
            attn_mask: (L, S) or (N · num_heads, L, S), True (or −∞) where a query may not look;
                numbers are added to the scores.
            is_causal: query i looks at keys up to i. Unlike in PyTorch it needs no attn_mask.
        """
        batched = query.ndim == 3
        if not batched and key_padding_mask is not None:
            key_padding_mask = as_tensor(key_padding_mask).unsqueeze(0)
        q, k, v = self._projected(*self._batches(query, key, value))
        form = (*q.shape[:3], k.shape[2])
        k, v, extra = self._extended(k, v)
        if is_causal and attn_mask is None and extra:
            attn_mask, is_causal = (
                as_tensor(~np.tri(form[2], form[3], dtype=bool, like=q._data)),
                False,
            )
        mask = self._mask(attn_mask, key_padding_mask, form, q.dtype)
        if extra and mask is not None:  # nobody is kept from looking at these
            mask = shape.pad(mask, widths=[(0, 0)] * (mask.ndim - 1) + [(0, extra)], value=0.0)
        causal = bool(is_causal and not extra)
        heads, weights = self._attended(q, k, v, mask, causal, need_weights)
        heads = shape.transpose(heads, 1, 2)  # (N, L, heads, head_dim)
        out = self.out_proj(shape.flatten(heads, 2))
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if not batched:
            return out.squeeze(0), None if weights is None else weights.squeeze(0)
        return out if self.batch_first else shape.transpose(out, 0, 1), weights

    def _attended(
        self, q: Any, k: Any, v: Any, mask: Any, causal: bool, need_weights: bool
    ) -> tuple[Any, Any]:
        """Each head's mean of values, and the weights if needed: faster without them."""
        if mask is None and not need_weights:
            dropped = self.dropout if self.training else 0.0
            return F.scaled_dot_product_attention(q, k, v, None, dropped, causal), None
        weights = attention_weights(q, k, mask, causal)
        weights = F.dropout(weights, self.dropout, self.training)
        return weights @ v, weights if need_weights else None

    def _batches(self, *inputs: Any) -> list[Any]:
        """The inputs as (N, length, features); the same one stays the same."""
        found: dict[int, Any] = {}
        for x, size in zip(inputs, (self.embed_dim, self.kdim, self.vdim), strict=True):
            if x.ndim not in (2, 3) or x.ndim != inputs[0].ndim or x.shape[-1] != size:
                raise ShapeError(
                    f"MultiheadAttention: query, key and value need 2 or 3 dimensions, all as "
                    f"many, the last of {self.embed_dim}, {self.kdim} and {self.vdim}; got "
                    + ", ".join(str(tuple(i.shape)) for i in inputs)
                )
            if id(x) not in found:
                first = x.ndim == 3 and self.batch_first
                lone = x.ndim == 2
                found[id(x)] = x if first else x.unsqueeze(0) if lone else shape.transpose(x, 0, 1)
        q, k, v = (found[id(x)] for x in inputs)
        if not q.shape[0] == k.shape[0] == v.shape[0] or k.shape[1] != v.shape[1]:
            raise ShapeError(
                "MultiheadAttention: query, key and value need one batch size, key and value one "
                "length; got " + ", ".join(str(tuple(i.shape)) for i in inputs)
            )
        return [q, k, v]


# --- the transformer ------------------------------------------------------------------------------

_ACTIVATIONS: dict[str, Callable[..., Any]] = {"relu": F.relu, "gelu": F.gelu}


class _Layer(Module):
    """What encoder and decoder layers share: self-attention and a network of two linear maps."""

    def _build(
        self, d_model: int, nhead: int, hidden: int, dropout: float, activation: Any, eps: float,
        batch_first: bool, norm_first: bool, bias: bool, kind: dict[str, Any], cross: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        if isinstance(activation, str) and activation not in _ACTIVATIONS:
            raise OptionError(
                f"{type(self).__name__}: activation is 'relu', 'gelu' or a function, not "
                f"{activation!r}"
            )
        options = {"dropout": dropout, "bias": bias, "batch_first": batch_first, **kind}
        self.self_attn = MultiheadAttention(d_model, nhead, **options)
        if cross:
            self.multihead_attn = MultiheadAttention(d_model, nhead, **options)
        self.linear1 = Linear(d_model, hidden, bias, **kind)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(hidden, d_model, bias, **kind)
        self.norm_first = norm_first
        parts = range(1, 4 if cross else 3)
        for i in parts:
            self.add_module(f"norm{i}", LayerNorm(d_model, eps, bias=bias, **kind))
        for i in parts:
            self.add_module(f"dropout{i}", Dropout(dropout))
        self.activation = _ACTIVATIONS[activation] if isinstance(activation, str) else activation

    def _block(self, x: Any, i: int, part: Callable[[Any], Any]) -> Any:
        """norm(x + part(x)), or x + part(norm(x)) with norm_first."""
        norm, dropout = getattr(self, f"norm{i}"), getattr(self, f"dropout{i}")
        if self.norm_first:
            return x + dropout(part(norm(x)))
        return norm(x + dropout(part(x)))

    def _network(self, x: Any) -> Any:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


class TransformerEncoderLayer(_Layer):
    """x ← norm(x + attention(x)), then x ← norm(x + W₂ f(W₁ x + b₁) + b₂).

    Shapes: src (L, N, d_model), with batch_first (N, L, d_model), or without N; result the same.
    Initial values: those of its parts.

    Args:
        dim_feedforward: the width between W₁ and W₂.
        activation: f: "relu", "gelu" or a function.
        norm_first: x ← x + attention(norm(x)), and so on (easier to train: Xiong et al. 2020).

    Raises:
        OptionError: a d_model that does not divide into the heads, another activation.

    Source: Vaswani et al. 2017.

    >>> import tinygrad_course as tc
    >>> tc.nn.TransformerEncoderLayer(8, nhead=2)(tc.zeros(5, 3, 8)).shape
    (5, 3, 8)
    """

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1,
        activation: Any = "relu", layer_norm_eps: float = 1e-5, batch_first: bool = False,
        norm_first: bool = False, bias: bool = True, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        kind = {"device": device, "dtype": dtype}
        self._build(d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps,
                    batch_first, norm_first, bias, kind, cross=False)  # fmt: skip

    def forward(
        self, src: Any, src_mask: Any = None, src_key_padding_mask: Any = None,
        is_causal: bool = False,
    ) -> Any:  # fmt: skip
        """Encode; masks as in `MultiheadAttention`."""

        def attend(x: Any) -> Any:
            return self.self_attn(x, x, x, src_key_padding_mask, False, src_mask,
                                  is_causal=is_causal)[0]  # fmt: skip

        return self._block(self._block(src, 1, attend), 2, self._network)


class TransformerDecoderLayer(_Layer):
    """An encoder layer with attention to the encoder's result between its two parts.

    Shapes: tgt (T, N, d_model), memory (S, N, d_model), with batch_first (N, ...), or without N;
    result as tgt. Arguments, initial values and errors: as `TransformerEncoderLayer`.

    Source: Vaswani et al. 2017.
    """

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1,
        activation: Any = "relu", layer_norm_eps: float = 1e-5, batch_first: bool = False,
        norm_first: bool = False, bias: bool = True, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        kind = {"device": device, "dtype": dtype}
        self._build(d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps,
                    batch_first, norm_first, bias, kind, cross=True)  # fmt: skip

    def forward(
        self, tgt: Any, memory: Any, tgt_mask: Any = None, memory_mask: Any = None,
        tgt_key_padding_mask: Any = None, memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False, memory_is_causal: bool = False,
    ) -> Any:  # fmt: skip
        """Decode; masks as in `MultiheadAttention`."""

        def attend(x: Any) -> Any:
            return self.self_attn(x, x, x, tgt_key_padding_mask, False, tgt_mask,
                                  is_causal=tgt_is_causal)[0]  # fmt: skip

        def look(x: Any) -> Any:
            return self.multihead_attn(x, memory, memory, memory_key_padding_mask, False,
                                       memory_mask, is_causal=memory_is_causal)[0]  # fmt: skip

        return self._block(self._block(self._block(tgt, 1, attend), 2, look), 3, self._network)


class _Stack(Module):
    """Copies of a layer in a row, each with weights of its own, and a norm at the end."""

    def _build(self, layer: Module, num_layers: int, norm: Module | None) -> None:
        super().__init__()
        self.layers = ModuleList([copy.deepcopy(layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.add_module("norm", norm)

    def _finish(self, x: Any) -> Any:
        return x if self.norm is None else self.norm(x)


class TransformerEncoder(_Stack):
    """num_layers copies of an encoder layer in a row, then `norm`, if there is one.

    The copies start with equal weights, as in PyTorch. enable_nested_tensor and mask_check choose
    between ways to the same result there; they are accepted and change nothing here.
    """

    def __init__(
        self, encoder_layer: TransformerEncoderLayer, num_layers: int, norm: Module | None = None,
        enable_nested_tensor: bool = True, mask_check: bool = True,
    ) -> None:  # fmt: skip
        self._build(encoder_layer, num_layers, norm)

    def forward(
        self, src: Any, mask: Any = None, src_key_padding_mask: Any = None,
        is_causal: bool | None = None,
    ) -> Any:  # fmt: skip
        """Encode; masks as in `MultiheadAttention`."""
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, bool(is_causal))
        return self._finish(src)


class TransformerDecoder(_Stack):
    """num_layers copies of a decoder layer in a row, then `norm`, if there is one."""

    def __init__(
        self, decoder_layer: TransformerDecoderLayer, num_layers: int, norm: Module | None = None
    ) -> None:
        self._build(decoder_layer, num_layers, norm)

    def forward(
        self, tgt: Any, memory: Any, tgt_mask: Any = None, memory_mask: Any = None,
        tgt_key_padding_mask: Any = None, memory_key_padding_mask: Any = None,
        tgt_is_causal: bool | None = None, memory_is_causal: bool = False,
    ) -> Any:  # fmt: skip
        """Decode; masks as in `MultiheadAttention`."""
        for layer in self.layers:
            tgt = layer(tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask,
                        memory_key_padding_mask, bool(tgt_is_causal), memory_is_causal)  # fmt: skip
        return self._finish(tgt)


class Transformer(Module):
    """decoder(tgt, encoder(src)): both stacks, each with a layer norm at its end.

    Shapes: src (S, N, d_model), tgt (T, N, d_model), with batch_first (N, ...), or without N;
    result as tgt. Arguments and errors: as `TransformerEncoderLayer`; custom_encoder and
    custom_decoder are modules to take instead.
    Initial values: Xavier uniform for every matrix, the others those of the parts.

    Source: Vaswani et al. 2017.

    >>> import tinygrad_course as tc
    >>> net = tc.nn.Transformer(8, nhead=2, num_encoder_layers=1, num_decoder_layers=1)
    >>> net(tc.zeros(5, 3, 8), tc.zeros(2, 3, 8)).shape
    (2, 3, 8)
    """

    def __init__(
        self, d_model: int = 512, nhead: int = 8, num_encoder_layers: int = 6,
        num_decoder_layers: int = 6, dim_feedforward: int = 2048, dropout: float = 0.1,
        activation: Any = "relu", custom_encoder: Any = None, custom_decoder: Any = None,
        layer_norm_eps: float = 1e-5, batch_first: bool = False, norm_first: bool = False,
        bias: bool = True, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        same = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first,
                norm_first, bias, device, dtype)  # fmt: skip
        norms = [LayerNorm(d_model, layer_norm_eps, True, bias, device, dtype) for _ in range(2)]
        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*same), num_encoder_layers, norms[0]
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*same), num_decoder_layers, norms[1]
        )
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first
        for p in self.parameters():
            if p.ndim > 1:
                init.xavier_uniform_(p)

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """The causal mask (sz, sz) as numbers to add: −∞ above the diagonal, else 0."""
        mask = np.triu(np.full((sz, sz), -np.inf), 1)
        return creation.tensor(mask, dtype or np.float32, device)

    def forward(
        self, src: Any, tgt: Any, src_mask: Any = None, tgt_mask: Any = None,
        memory_mask: Any = None, src_key_padding_mask: Any = None, tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None, src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None, memory_is_causal: bool = False,
    ) -> Any:  # fmt: skip
        """Encode and decode; masks as in `MultiheadAttention`."""
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        return self.decoder(
            tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask,
            tgt_is_causal, memory_is_causal,
        )  # fmt: skip
