"""Attention and transformer layers against PyTorch in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_course as tc
from tests.nn.test_functional import follow as follow_function
from tests.nn.test_recurrent import agree
from tinygrad_course import nn
from tinygrad_course.errors import OptionError, ShapeError
from tinygrad_course.nn import functional as F

torch = pytest.importorskip("torch")
TF = torch.nn.functional
relaxed = settings(deadline=None, max_examples=15)
seeds = st.integers(0, 2**32 - 1)


def turned(m, value):
    """Arrays as the tensors of one library."""
    if not isinstance(value, np.ndarray):
        return value
    return tc.tensor(value) if m is nn else torch.tensor(value)


def follow(make, arrays, **options):
    """Same weights in; results and all gradients out. `options` may hold masks."""
    ours, theirs = make(nn).double(), make(torch.nn).double()
    names = [n for n, _ in theirs.named_parameters()]
    assert [n for n, _ in ours.named_parameters()] == names
    rng = np.random.default_rng(0)
    state = {n: rng.normal(size=tuple(p.shape)) * 0.5 for n, p in theirs.named_parameters()}
    theirs.load_state_dict({k: torch.tensor(v) for k, v in state.items()})
    ours.load_state_dict(theirs.state_dict())
    sides = []
    for m, module in ((nn, ours), (torch.nn, theirs)):
        x = [turned(m, a).requires_grad_() for a in arrays]
        given = x * 3 if len(x) == 1 and "Multihead" in type(module).__name__ else x
        out = module(*given, **{k: turned(m, v) for k, v in options.items()})
        out = [o for o in out if o is not None] if isinstance(out, tuple) else [out]
        rng = np.random.default_rng(1)
        sum((o * turned(m, rng.normal(size=tuple(o.shape)))).sum() for o in out).backward()
        sides.append((out, [t.grad for t in [*x, *module.parameters()]]))
    for left, right in zip(*sides, strict=True):
        for a, b in zip(left, right, strict=True):
            agree(a, b, 1e-8)


def masks(rng, length, keys, kind):
    """A mask in the sense of layers: True or −∞ where looking is forbidden, never everywhere."""
    forbidden = rng.random((length, keys)) < 0.4
    forbidden[:, 0] = False
    added = np.where(forbidden, -np.inf, rng.normal(size=(length, keys)))
    return forbidden if kind == "bool" else added


@relaxed
@given(seeds, st.sampled_from([(), (2,), (2, 3)]), st.integers(1, 4), st.integers(1, 4),
       st.sampled_from([None, "bool", "float", "causal"]),
       st.sampled_from([None, 0.7]))  # fmt: skip
def test_scaled_dot_product_attention(seed, lead, length, keys, mask, scale):
    rng = np.random.default_rng(seed)
    q, k, v = (rng.normal(size=(*lead, n, e)) for n, e in ((length, 3), (keys, 3), (keys, 2)))
    options = [{"scale": scale, "is_causal": mask == "causal"} for _ in range(2)]
    if mask in ("bool", "float"):
        m = masks(rng, length, keys, mask)
        m = ~m if mask == "bool" else m
        options = [{"scale": scale, "attn_mask": turned(lib, m)} for lib in (nn, torch.nn)]
    a, b = options
    follow_function(
        lambda *x: F.scaled_dot_product_attention(*x, **a),
        lambda *x: TF.scaled_dot_product_attention(*x, **b),
        q, k, v, second=False,
    )  # fmt: skip


def test_a_query_that_may_look_nowhere_gets_zeros():
    rng = np.random.default_rng(0)
    q, k, v = rng.normal(size=(3, 2, 2))
    mask = np.array([[True, False], [False, False]])
    x = [tc.tensor(a, requires_grad=True) for a in (q, k, v)]
    out = F.scaled_dot_product_attention(*x, attn_mask=tc.tensor(mask))
    np.testing.assert_allclose(out.detach().numpy(), [v[0], [0, 0]])
    out.sum().backward()
    assert all(np.isfinite(t.grad.numpy()).all() for t in x)


@relaxed
@given(
    seeds,
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, "bool", "float"]),
    st.booleans(),
    st.sampled_from(["self", "cross", "sizes"]),
    st.sampled_from([{}, {"need_weights": False}, {"average_attn_weights": False}]),
    st.sampled_from([{}, {"add_bias_kv": True}, {"add_zero_attn": True},
                     {"add_bias_kv": True, "add_zero_attn": True}]),
)  # fmt: skip
def test_multihead_attention(seed, batched, first, bias, mask, padded, inputs, options, more):
    rng = np.random.default_rng(seed)
    length, keys = 3, 3 if inputs == "self" else 4
    kdim, vdim = (5, 2) if inputs == "sizes" else (4, 4)

    def form(n, e):
        return ((2, n, e) if first else (n, 2, e)) if batched else (n, e)

    arrays = [rng.normal(size=form(length, 4))]
    if inputs != "self":
        arrays += [rng.normal(size=form(keys, kdim)), rng.normal(size=form(keys, vdim))]
    options = dict(options)
    if mask:
        options["attn_mask"] = masks(rng, length, keys, mask)
    if padded and mask != "float":
        padding = np.zeros((2, keys) if batched else keys, bool)
        padding[..., -1] = True
        options["key_padding_mask"] = padding
    follow(
        lambda m: m.MultiheadAttention(
            4, 2, bias=bias, batch_first=first, kdim=kdim, vdim=vdim, **more
        ),
        arrays, **options,
    )  # fmt: skip


layers = st.fixed_dictionaries({
    "norm_first": st.booleans(),
    "batch_first": st.booleans(),
    "bias": st.booleans(),
    "activation": st.sampled_from(["relu", "gelu"]),
})  # fmt: skip


@relaxed
@given(seeds, layers, st.booleans(), st.booleans())
def test_encoder(seed, options, masked, final):
    rng = np.random.default_rng(seed)
    extra = {"mask": masks(rng, 3, 3, "bool")} if masked else {}

    def make(m):
        layer = m.TransformerEncoderLayer(4, 2, 6, dropout=0.0, **options)
        how = {} if m is nn else {"enable_nested_tensor": False}
        return m.TransformerEncoder(layer, 2, m.LayerNorm(4) if final else None, **how)

    form = (2, 3, 4) if options["batch_first"] else (3, 2, 4)
    follow(make, [rng.normal(size=form)], **extra)


@relaxed
@given(seeds, layers, st.booleans(), st.booleans())
def test_decoder(seed, options, masked, final):
    rng = np.random.default_rng(seed)
    extra = {}
    if masked:
        extra = {"tgt_mask": masks(rng, 3, 3, "bool"), "memory_mask": masks(rng, 3, 5, "bool")}

    def make(m):
        layer = m.TransformerDecoderLayer(4, 2, 6, dropout=0.0, **options)
        return m.TransformerDecoder(layer, 2, m.LayerNorm(4) if final else None)

    first = options["batch_first"]
    arrays = [rng.normal(size=(2, n, 4) if first else (n, 2, 4)) for n in (3, 5)]
    follow(make, arrays, **extra)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@settings(deadline=None, max_examples=6)
@given(seeds, layers)
def test_transformer(seed, options):
    rng = np.random.default_rng(seed)
    first = options["batch_first"]
    arrays = [rng.normal(size=(2, n, 4) if first else (n, 2, 4)) for n in (3, 5)]
    mask = tc.nn.Transformer.generate_square_subsequent_mask(5, dtype=tc.float64).numpy()
    theirs = torch.nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
    np.testing.assert_array_equal(mask, theirs.numpy())
    follow(lambda m: m.Transformer(4, 2, 1, 2, 6, dropout=0.0, **options), arrays, tgt_mask=mask)


def test_causal_needs_no_mask():
    x = tc.randn(4, 2, 8)
    attention = nn.MultiheadAttention(8, 2)
    out, weights = attention(x, x, x, is_causal=True)
    mask = tc.tensor(~np.tri(4, dtype=bool))
    wanted, _ = attention(x, x, x, attn_mask=mask)
    np.testing.assert_allclose(out.detach().numpy(), wanted.detach().numpy(), rtol=1e-6)
    assert (np.triu(weights.detach().numpy(), 1) == 0).all()


def test_causal_attention_may_look_at_the_added_key():
    x = tc.randn(4, 1, 8)
    attention = nn.MultiheadAttention(8, 2, add_zero_attn=True)
    _, weights = attention(x, x, x, is_causal=True)
    assert (np.triu(weights[0, :, :4].detach().numpy(), 1) == 0).all()
    assert (weights[0, :, 4] > 0).all()


def test_layers_of_an_encoder_are_copies():
    net = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 6), 2)
    a, b = (layer.linear1.weight for layer in net.layers)
    assert (a == b).all()
    assert a is not b
    x = tc.ones(3, 1, 4)
    assert (net(x) != net(x)).any()
    net.eval()
    assert (net(x) == net(x)).all()


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda x: nn.MultiheadAttention(5, 2), OptionError, "2 heads"),
        (lambda x: nn.MultiheadAttention(5, 1)(x, x, x), ShapeError, "the last of 5, 5 and 5"),
        (lambda x: nn.MultiheadAttention(4, 1)(x, x, x, attn_mask=tc.zeros(2, 2)), ShapeError,
         "attn_mask needs shape"),
        (lambda x: nn.MultiheadAttention(4, 1)(x, x, x, tc.zeros(9, 9)), ShapeError,
         "key_padding_mask needs shape"),
        (lambda x: nn.TransformerEncoderLayer(4, 2, activation="sin"), OptionError, "'sin'"),
        (lambda x: F.scaled_dot_product_attention(x, x, x, tc.zeros(2, 2), is_causal=True),
         OptionError, "not both"),
    ],
)  # fmt: skip
def test_errors(make, kind, text):
    with pytest.raises(kind, match=text):
        make(tc.ones(3, 2, 4))
