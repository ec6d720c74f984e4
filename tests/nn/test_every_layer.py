"""Every layer against PyTorch's in float64: one table, one comparison.

For each: the same names and shapes of parameters and buffers; PyTorch's state dict loads here and
ours there, unchanged; results, all gradients and all buffers after a step agree, in training and in
evaluation; and the reprs are equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course import nn
from tinygrad_course.testing import strategies as ts

torch = pytest.importorskip("torch")

BOOLS = [True, False]
CHANNELS = 4


@dataclass(frozen=True)
class Layer:
    """How a layer is made and what it is given.

    Args:
        name: its class.
        args: what it is always made with.
        options: for each option the values to draw from; left out half of the time.
        shapes: of the inputs, one tuple of them to draw.
        inputs: what the numbers are: "normal", "positive", "unit", "labels", "signs".
        second: the same for the further inputs, which ask for no gradient.
        same: whether PyTorch's repr is ours.
    """

    name: str
    args: tuple[Any, ...] = ()
    options: Any = None
    shapes: tuple[Any, ...] = (((2, 3),), ((3,),), ((2, 3, 2),))
    inputs: tuple[str, ...] = ("normal",)
    same: bool = True

    def __repr__(self) -> str:
        return self.name


def signal(*lead: Any) -> tuple[Any, ...]:
    return tuple((s,) for s in lead)


FLAT = signal((2, CHANNELS), (CHANNELS,), (2, 3, CHANNELS))
LINES = signal((2, CHANNELS, 6), (CHANNELS, 6))
IMAGES = signal((2, CHANNELS, 6, 5), (CHANNELS, 6, 5))
VOLUMES = signal((2, CHANNELS, 4, 3, 5), (CHANNELS, 4, 3, 5))
PAIRS = (((2, 3), (2, 3)), ((3,), (3,)))
REDUCTION = {"reduction": ["none", "mean", "sum"]}

ACTIVATIONS = [
    Layer("ReLU", (), {"inplace": BOOLS}),
    Layer("ReLU6", (), {"inplace": BOOLS}),
    Layer("LeakyReLU", (), {"negative_slope": [0.3], "inplace": BOOLS}),
    Layer("RReLU", (0.25, 0.25), {"inplace": BOOLS}),
    Layer("PReLU", (), {"num_parameters": [3], "init": [0.1]}, signal((2, 3), (2, 3, 2))),
    Layer("ELU", (), {"alpha": [2.0]}), Layer("CELU", (), {"alpha": [2.0]}), Layer("SELU"),
    Layer("GELU", (), {"approximate": ["tanh"]}), Layer("SiLU"), Layer("Mish"),
    Layer("Softplus", (), {"beta": [2.0], "threshold": [1.5]}), Layer("Sigmoid"),
    Layer("LogSigmoid"), Layer("Tanh"), Layer("Hardswish"),
    Layer("Hardtanh", (), {"min_val": [-0.5], "max_val": [2.0]}),
    Layer("Softsign"), Layer("Tanhshrink"),
    Layer("Softshrink", (), {"lambd": [0.2]}), Layer("Hardshrink", (), {"lambd": [0.2]}),
    Layer("Threshold", (0.1, 3.0)), Layer("Softmax", (-1,)), Layer("Softmin", (-1,)),
    Layer("LogSoftmax", (-1,)), Layer("GLU", (), {"dim": [0]}, signal((2, 4), (4, 2))),
    Layer("Softmax2d", (), {}, signal((2, 3, 2, 2), (3, 2, 2))),
]  # fmt: skip

AFFINE = {"eps": [0.5], "affine": BOOLS, "bias": BOOLS}
TRACKED = {**AFFINE, "momentum": [0.3], "track_running_stats": BOOLS}
NORMS = [
    Layer("BatchNorm1d", (CHANNELS,), TRACKED | {"momentum": [0.3, None]},
          signal((3, CHANNELS), (2, CHANNELS, 3))),
    Layer("BatchNorm2d", (CHANNELS,), TRACKED, IMAGES[:1]),
    Layer("BatchNorm3d", (CHANNELS,), TRACKED, VOLUMES[:1]),
    Layer("InstanceNorm1d", (CHANNELS,), TRACKED, LINES),
    Layer("InstanceNorm2d", (CHANNELS,), TRACKED, IMAGES),
    Layer("InstanceNorm3d", (CHANNELS,), TRACKED, VOLUMES),
    Layer("GroupNorm", (2, CHANNELS), AFFINE, signal((2, CHANNELS), (2, CHANNELS, 3))),
    Layer("LayerNorm", ((3, CHANNELS),), {"eps": [0.5], "elementwise_affine": BOOLS, "bias": BOOLS},
          signal((3, CHANNELS), (2, 3, CHANNELS))),
    Layer("RMSNorm", (CHANNELS,), {"eps": [0.5], "elementwise_affine": BOOLS}, FLAT),
    Layer("LocalResponseNorm", (2,), {"alpha": [0.5], "beta": [0.5], "k": [2.0]}, LINES[:1]),
]  # fmt: skip

OTHERS = [
    Layer("Identity"),
    Layer("Linear", (CHANNELS, 3), {"bias": BOOLS}, FLAT),
    Layer("Bilinear", (3, 2, 4), {"bias": BOOLS}, (((5, 3), (5, 2)), ((3,), (2,))),
          ("normal", "normal")),
    Layer("Flatten", (), {"start_dim": [0], "end_dim": [1]}, signal((2, 3, 4), (2, 1, 3, 2))),
    Layer("Unflatten", (1, (2, 2)), {}, FLAT[:1]),
    Layer("Embedding", (5, 3), {"padding_idx": [0, -1]}, signal((2, 3), (), (0,)), ("labels",)),
    Layer("CosineSimilarity", (), {"dim": [0], "eps": [1e-2]}, PAIRS[:1], ("normal", "normal")),
    Layer("PairwiseDistance", (), {"p": [1.0, 3.0], "eps": [1e-3], "keepdim": BOOLS}, PAIRS,
          ("normal", "normal")),
    Layer("PixelShuffle", (2,), {}, IMAGES),
    Layer("PixelUnshuffle", (2,), {}, signal((2, 3, 4, 2))),
    Layer("Upsample", (), {"scale_factor": [2, 1.5]}, IMAGES[:1]),
    *[Layer(n, (0.0,), {}, s) for n, s in (
        ("Dropout", FLAT), ("Dropout1d", LINES), ("Dropout2d", IMAGES[:1]), ("Dropout3d", VOLUMES),
        ("AlphaDropout", FLAT), ("FeatureAlphaDropout", IMAGES[:1]),
    )],
]  # fmt: skip

WINDOW = {"stride": [1, 2], "padding": [1]}
CONV = {**WINDOW, "dilation": [2], "groups": [2], "bias": BOOLS}
WINDOWS = [
    *[Layer(f"Conv{d}d", (CHANNELS, 2, 2), {**CONV, "padding_mode": ["circular", "reflect"]}, s)
      for d, s in ((1, LINES), (2, IMAGES), (3, VOLUMES))],
    *[Layer(f"ConvTranspose{d}d", (CHANNELS, 2, 2), CONV, s)
      for d, s in ((1, LINES), (2, IMAGES), (3, VOLUMES))],
    *[Layer(f"MaxPool{d}d", (2,), {**WINDOW, "ceil_mode": BOOLS}, s)
      for d, s in ((1, LINES), (2, IMAGES), (3, VOLUMES))],
    *[Layer(f"AvgPool{d}d", (2,), {**WINDOW, "ceil_mode": BOOLS, "count_include_pad": BOOLS}, s)
      for d, s in ((1, LINES), (2, IMAGES), (3, VOLUMES))],
    *[Layer(f"AdaptiveAvgPool{d}d", (2,), {}, s)
      for d, s in ((1, LINES), (2, IMAGES), (3, VOLUMES))],
    *[Layer(f"AdaptiveMaxPool{d}d", (2,), {}, s) for d, s in ((1, LINES), (2, IMAGES))],
    Layer("Unfold", (2,), {"stride": [2], "padding": [1], "dilation": [2]}, IMAGES),
    Layer("Fold", ((4, 3), 2), {}, signal((2, 8, 6))),
    *[Layer(n, (1,), {}, IMAGES) for n in ("ZeroPad2d", "ReflectionPad2d", "ReplicationPad2d")],
]  # fmt: skip

NUMBERS, SHARES = ("normal", "constant"), ("normal", "unit")
LOSSES = [
    *[Layer(n, (), REDUCTION, PAIRS, NUMBERS) for n in ("MSELoss", "L1Loss")],
    Layer("HuberLoss", (), REDUCTION | {"delta": [0.5]}, PAIRS, NUMBERS),
    Layer("SmoothL1Loss", (), REDUCTION | {"beta": [0.5]}, PAIRS, NUMBERS),
    Layer("KLDivLoss", (), {"reduction": ["none", "sum", "batchmean"], "log_target": BOOLS},
          PAIRS, SHARES),
    Layer("PoissonNLLLoss", (), REDUCTION | {"full": BOOLS, "log_input": BOOLS}, PAIRS,
          ("positive", "positive")),
    Layer("GaussianNLLLoss", (), REDUCTION | {"full": BOOLS, "eps": [1e-3]},
          (((2, 3), (2, 3), (2, 3)), ((2, 3), (2, 3), (2, 1))), ("normal", "constant", "positive")),
    Layer("BCELoss", (), REDUCTION | {"weight": [(3,)]}, PAIRS, ("unit", "unit")),
    Layer("BCEWithLogitsLoss", (), REDUCTION | {"weight": [(3,)], "pos_weight": [(3,)]}, PAIRS,
          SHARES),
    Layer("MultiLabelSoftMarginLoss", (), REDUCTION | {"weight": [(3,)]}, PAIRS, SHARES),
    *[Layer(n, (), REDUCTION | {"weight": [(4,)], "ignore_index": [1], **more},
            (((3, 4), (3,)), ((2, 4, 3), (2, 3)), ((4,), ())), ("normal", "labels"))
      for n, more in (("CrossEntropyLoss", {"label_smoothing": [0.1]}), ("NLLLoss", {}))],
    Layer("MultiMarginLoss", (), REDUCTION | {"p": [2], "margin": [0.5], "weight": [(4,)]},
          (((3, 4), (3,)), ((4,), ())), ("normal", "labels")),
    Layer("MultiLabelMarginLoss", (), REDUCTION, (((2, 4), (2, 4)), ((4,), (4,))),
          ("normal", "lists")),
    Layer("SoftMarginLoss", (), REDUCTION, PAIRS, ("normal", "signs")),
    Layer("HingeEmbeddingLoss", (), REDUCTION | {"margin": [0.5]}, PAIRS, ("normal", "signs")),
    Layer("MarginRankingLoss", (), REDUCTION | {"margin": [0.5]}, (((3,), (3,), (3,)),),
          ("normal", "normal", "signs")),
    Layer("CosineEmbeddingLoss", (), REDUCTION | {"margin": [0.5]}, (((2, 3), (2, 3), (2,)),),
          ("normal", "normal", "signs")),
    Layer("TripletMarginLoss", (), REDUCTION | {"margin": [2.0], "p": [3.0], "swap": BOOLS},
          (((2, 3), (2, 3), (2, 3)),), ("normal", "normal", "normal")),
    Layer("TripletMarginWithDistanceLoss", (), REDUCTION | {"margin": [2.0], "swap": BOOLS},
          (((2, 3), (2, 3), (2, 3)),), ("normal", "normal", "normal")),
]  # fmt: skip

STATES = {"num_layers": [2], "bias": BOOLS, "batch_first": BOOLS, "bidirectional": BOOLS}
STEPS, STEP = signal((3, 2, 3), (3, 3)), signal((2, 3), (3,))
DEEP = {"activation": ["gelu"], "norm_first": BOOLS, "bias": BOOLS,
        "batch_first": BOOLS}  # fmt: skip
SEQUENCES = [
    Layer("RNN", (3, 2), {**STATES, "nonlinearity": ["relu"]}, STEPS),
    Layer("LSTM", (3, 2), STATES, STEPS),
    Layer("GRU", (3, 2), STATES, STEPS),
    Layer("RNNCell", (3, 2), {"bias": BOOLS, "nonlinearity": ["relu"]}, STEP),
    Layer("LSTMCell", (3, 2), {"bias": BOOLS}, STEP),
    Layer("GRUCell", (3, 2), {"bias": BOOLS}, STEP),
    Layer("MultiheadAttention", (4, 2),
          {"bias": BOOLS, "add_bias_kv": BOOLS, "add_zero_attn": BOOLS, "batch_first": BOOLS},
          (((2, 3, 4),) * 3, ((3, 4),) * 3), ("normal",) * 3, same=False),
    Layer("MultiheadAttention", (4, 2, 0.0, True, False, False, 5, 3), {},
          (((2, 3, 4), (6, 3, 5), (6, 3, 3)),), ("normal",) * 3, same=False),
    Layer("TransformerEncoderLayer", (4, 2, 6, 0.0), DEEP, signal((3, 2, 4)),
          same=False),
    Layer("TransformerDecoderLayer", (4, 2, 6, 0.0), DEEP, (((3, 2, 4), (3, 2, 4)),),
          ("normal",) * 2, same=False),
    Layer("Transformer", (4, 2, 1, 1, 6, 0.0), {"norm_first": BOOLS, "batch_first": BOOLS},
          (((3, 2, 4), (3, 2, 4)),), ("normal",) * 2, same=False),
]  # fmt: skip
LAYERS = [*ACTIVATIONS, *NORMS, *OTHERS, *WINDOWS, *LOSSES, *SEQUENCES]

# Containers, and those that PyTorch has not; they are tested in files of their own.
ELSEWHERE = {
    "Module", "ModuleDict", "ModuleList", "Parameter", "ParameterDict", "ParameterList",
    "Sequential", "StateError", "TransformerDecoder", "TransformerEncoder", "LearnedEncoding",
    "RotaryEncoding", "SinusoidalEncoding", "Hardsigmoid", "functional", "init", "utils",
}  # fmt: skip


def numbers(kind: str, shape: Any, rng: Any) -> Any:
    if kind == "labels":
        return rng.integers(0, 4, shape)
    if kind == "lists":  # labels from the front, then −1
        return np.where(
            np.arange(shape[-1]) < 2,
            rng.permuted(np.broadcast_to(np.arange(4), shape), axis=-1),
            -1,
        )
    if kind == "signs":
        return rng.choice([-1.0, 1.0], shape)
    if kind in ("positive", "unit"):
        return rng.uniform(0.1, 0.9, shape)
    return rng.normal(size=shape) * 2


def turned(module: Any, value: Any) -> Any:
    return tc.tensor(value) if module is nn else torch.tensor(value)


def made(module: Any, layer: Layer, options: Any) -> Any:
    """The layer; an option that is a shape is a tensor of positive numbers."""
    given = {
        k: turned(module, np.linspace(0.5, 2.0, int(np.prod(v))).reshape(v))
        if k.endswith("weight")
        else v
        for k, v in options.items()
    }
    return getattr(module, layer.name)(*layer.args, **given).double()


def run(module: Any, made: Any, layer: Layer, arrays: Any) -> tuple[list[Any], list[Any]]:
    """Results, and the gradients of inputs and parameters under a cotangent."""
    inputs = [turned(module, a) for a in arrays]
    for x, kind in zip(inputs, layer.inputs, strict=True):
        if kind == "normal" or (kind in ("positive", "unit") and x is inputs[0]):
            x.requires_grad_()
    for p in made.parameters():
        p.grad = None
    # in place they would write into leaves
    found = made(*[x.clone() if x.requires_grad else x for x in inputs])
    outs = [
        t
        for o in (found if isinstance(found, tuple) else (found,))
        for t in (o if isinstance(o, tuple) else (o,))
        if t is not None
    ]
    rng = np.random.default_rng(7)
    total = sum((o * turned(module, rng.normal(size=tuple(o.shape)))).sum() for o in outs)
    if total.requires_grad:
        total.backward()
    return outs, [x.grad for x in [*inputs, *made.parameters()]]


def agree(a: Any, b: Any, what: str) -> None:
    if a is None or b is None:
        assert a is b or not np.any((a if b is None else b).numpy()), what
        return
    a, b = a.detach().numpy(), b.detach().numpy()
    assert a.shape == b.shape, what
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9, err_msg=what)


@st.composite
def cases(draw: Any, layer: Layer) -> Any:
    options = {
        k: draw(st.sampled_from(v)) for k, v in (layer.options or {}).items() if draw(st.booleans())
    }
    if layer.name == "Upsample":
        options.setdefault("scale_factor", 2)
    return options, draw(st.sampled_from(layer.shapes)), draw(st.integers(0, 999))


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
@pytest.mark.filterwarnings("ignore::UserWarning:torch", "ignore:Using padding")
@ts.profile(6)
@given(data=st.data())
def test_layer(layer: Layer, data: Any) -> None:
    options, shapes, seed = data.draw(cases(layer))
    ours, theirs = made(nn, layer, options), made(torch.nn, layer, options)
    rng = np.random.default_rng(seed)
    for value in theirs.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.tensor(rng.uniform(0.2, 1.2, tuple(value.shape))))
    load(ours, theirs)
    if layer.same:
        assert repr(ours) == repr(theirs)
    for training in (True, False):
        ours.train(training), theirs.train(training)
        arrays = [numbers(k, s, rng) for k, s in zip(layer.inputs, shapes, strict=True)]
        (a, da), (b, db) = run(nn, ours, layer, arrays), run(torch.nn, theirs, layer, arrays)
        assert len(a) == len(b)
        for p, q in zip([*a, *da], [*b, *db], strict=True):
            agree(p, q, f"{layer.name}({options}), training={training}")
    for (name, p), q in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        agree(p, q, f"{layer.name}({options}): {name} after the step")


def load(ours: Any, theirs: Any) -> None:
    """PyTorch's state dict loads here, and what is here loads there, unchanged."""
    before = {k: v.clone() for k, v in theirs.state_dict().items()}
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    assert [n for n, _ in ours.named_buffers()] == [n for n, _ in theirs.named_buffers()]
    assert ours.load_state_dict(theirs.state_dict()) == ([], [])
    back = {k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()}
    theirs.load_state_dict(back)
    for name, value in theirs.state_dict().items():
        assert value.dtype == before[name].dtype
        assert torch.equal(value, before[name]), name


def test_every_layer_is_in_the_table() -> None:
    missing = set(nn.__all__) - {layer.name for layer in LAYERS} - ELSEWHERE
    assert not missing, f"add to the table: {', '.join(sorted(missing))}"


@pytest.mark.parametrize("name", ["TransformerEncoder", "TransformerDecoder"])
@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_stacks_load(name: str) -> None:
    kind = name + "Layer"
    ours, theirs = (
        getattr(m, name)(getattr(m, kind)(4, 2, 6), 2, m.LayerNorm(4)).double()
        for m in (nn, torch.nn)
    )
    load(ours, theirs)
