"""Wrong shapes, dtypes, options: the error names the function, the given and the allowed."""

import re
import warnings

import pytest

import tinygrad_course as tc
from tinygrad_course import nn
from tinygrad_course.errors import DtypeError, OptionError, ShapeError
from tinygrad_course.nn import functional as F

f = tc.ones


def i(*size):
    return tc.ones(*size, dtype=tc.int64)


def d(*size):
    return tc.ones(*size, dtype=tc.float64)


CASES = [
    ("gelu", lambda: F.gelu(f(2), "erf")),
    ("softmax", lambda: F.softmax(f(2, 2), 5)),
    ("log_softmax", lambda: F.log_softmax(f(2, 2), 5)),
    ("softmax", lambda: F.softmax(i(2), 0)),
    ("glu", lambda: F.glu(f(3))),
    ("glu", lambda: F.glu(f(4), 3)),
    ("prelu", lambda: F.prelu(f(2, 3), f(2))),
    ("celu", lambda: F.celu(f(2), 0)),
    ("hardtanh", lambda: F.hardtanh(f(2), 1, 0)),
    ("softshrink", lambda: F.softshrink(f(2), -1)),
    ("linear", lambda: F.linear(f(2, 3), f(4, 5))),
    ("linear", lambda: F.linear(f(2, 3), d(4, 3))),
    ("bilinear", lambda: F.bilinear(f(2, 3), f(3, 3), f(1, 3, 3))),
    ("embedding", lambda: F.embedding(f(2), f(2, 2))),
    ("embedding", lambda: F.embedding(i(2) * 5, f(2, 2))),
    ("one_hot", lambda: F.one_hot(i(2), 1)),
    ("mse_loss", lambda: F.mse_loss(f(2, 3), f(4))),
    ("mse_loss", lambda: F.mse_loss(f(2), f(2), reduction="avg")),
    ("l1_loss", lambda: F.l1_loss(f(2, 3), f(4))),
    ("smooth_l1_loss", lambda: F.smooth_l1_loss(f(2), f(2), beta=-1)),
    ("huber_loss", lambda: F.huber_loss(f(2), f(2), delta=0)),
    ("huber_loss", lambda: F.huber_loss(f(2), f(2), weight=f(3))),
    ("kl_div", lambda: F.kl_div(f(2), f(2), "avg")),
    ("kl_div", lambda: F.kl_div(f(2, 3), f(4), "sum")),
    ("binary_cross_entropy", lambda: F.binary_cross_entropy(f(2) * 2, f(2))),
    ("binary_cross_entropy", lambda: F.binary_cross_entropy(f(2), f(3))),
    (
        "binary_cross_entropy_with_logits",
        lambda: F.binary_cross_entropy_with_logits(f(2), f(2), f(3)),
    ),
    (
        "binary_cross_entropy_with_logits",
        lambda: F.binary_cross_entropy_with_logits(f(2, 3), f(2, 3), pos_weight=f(2)),
    ),
    ("nll_loss", lambda: F.nll_loss(f(2, 3), i(3))),
    ("cross_entropy", lambda: F.cross_entropy(f(), i())),
    ("cross_entropy", lambda: F.cross_entropy(f(2, 3), i(2) * 7)),
    ("margin_ranking_loss", lambda: F.margin_ranking_loss(f(2), f(2, 2), f(2))),
    ("margin_ranking_loss", lambda: F.margin_ranking_loss(f(2), f(3), f(2))),
    ("hinge_embedding_loss", lambda: F.hinge_embedding_loss(f(2), f(3))),
    ("cosine_embedding_loss", lambda: F.cosine_embedding_loss(f(2, 3), f(2, 3), f(3))),
    ("multi_margin_loss", lambda: F.multi_margin_loss(f(2, 3), i(2), p=3)),
    ("multi_margin_loss", lambda: F.multi_margin_loss(f(2, 3), i(2) * 4)),
    ("multi_margin_loss", lambda: F.multi_margin_loss(f(2, 3), i(2), weight=f(2))),
    ("multilabel_margin_loss", lambda: F.multilabel_margin_loss(f(2, 3), i(2, 3) * 4)),
    ("multilabel_margin_loss", lambda: F.multilabel_margin_loss(f(2, 3), f(2, 3))),
    ("multilabel_soft_margin_loss", lambda: F.multilabel_soft_margin_loss(f(2, 3), f(2))),
    ("triplet_margin_loss", lambda: F.triplet_margin_loss(f(2, 3), f(2, 3), f(3))),
    ("triplet_margin_loss", lambda: F.triplet_margin_loss(f(2, 3), f(2, 3), f(2, 3), margin=0)),
    ("poisson_nll_loss", lambda: F.poisson_nll_loss(f(2), f(3))),
    ("gaussian_nll_loss", lambda: F.gaussian_nll_loss(f(2, 3), f(2, 3), f(4))),
    ("gaussian_nll_loss", lambda: F.gaussian_nll_loss(f(2, 3), f(2, 3), -f(2, 3))),
    ("batch_norm", lambda: F.batch_norm(f(2), None, None, training=True)),
    ("batch_norm", lambda: F.batch_norm(i(2, 3), None, None, training=True)),
    ("batch_norm", lambda: F.batch_norm(f(2, 3), None, None, d(3), training=True)),
    ("instance_norm", lambda: F.instance_norm(f(2, 3))),
    ("group_norm", lambda: F.group_norm(f(2, 3), 2)),
    ("layer_norm", lambda: F.layer_norm(f(2, 3), (4,))),
    ("layer_norm", lambda: F.layer_norm(f(2, 3), (3,), f(2))),
    ("layer_norm", lambda: F.layer_norm(i(2, 3), (3,))),
    ("rms_norm", lambda: F.rms_norm(f(2, 3), (2,))),
    ("rms_norm", lambda: F.rms_norm(i(2, 3), (3,))),
    ("local_response_norm", lambda: F.local_response_norm(f(2, 3), 2)),
    ("local_response_norm", lambda: F.local_response_norm(f(2, 3, 4), 0)),
    ("normalize", lambda: F.normalize(i(2, 2))),
    ("normalize", lambda: F.normalize(f(2), dim=1)),
    ("cosine_similarity", lambda: F.cosine_similarity(f(2, 3), f(2, 4))),
    ("cosine_similarity", lambda: F.cosine_similarity(f(2), f(2), dim=3)),
    ("pairwise_distance", lambda: F.pairwise_distance(f(2, 3), f(2, 4))),
    (
        "scaled_dot_product_attention",
        lambda: F.scaled_dot_product_attention(f(2, 3), f(2, 4), f(2, 4)),
    ),
    (
        "scaled_dot_product_attention",
        lambda: F.scaled_dot_product_attention(f(2, 3), f(2, 3), f(2, 3), attn_mask=f(5, 5)),
    ),
    (
        "scaled_dot_product_attention",
        lambda: F.scaled_dot_product_attention(f(3, 2, 3), f(2, 2, 3), f(2, 2, 3), enable_gqa=True),
    ),
    (
        "scaled_dot_product_attention",
        lambda: F.scaled_dot_product_attention(f(2, 3), f(2, 3), f(2, 3), dropout_p=2.0),
    ),
    ("Embedding", lambda: nn.Embedding(3, 2, padding_idx=5)),
    ("RNN", lambda: nn.RNN(3, 2)(f(2, 2))),
    ("RNN", lambda: nn.RNN(3, 2, nonlinearity="elu")),
    ("LSTM", lambda: nn.LSTM(3, 2)(f(4, 1, 3), (f(1, 1, 3), f(1, 1, 2)))),
    ("LSTM", lambda: nn.LSTM(3, 2)(f(4, 1, 3), f(1, 1, 2))),
    ("GRUCell", lambda: nn.GRUCell(3, 2)(f(4, 3), f(3, 2))),
    ("MultiheadAttention", lambda: nn.MultiheadAttention(4, 2)(f(2, 2, 4), f(3, 1, 4), f(3, 1, 4))),
    ("MultiheadAttention", lambda: nn.MultiheadAttention(4, 2)(f(2, 2, 4), f(3, 2, 4), f(4, 2, 4))),
    ("TransformerEncoderLayer", lambda: nn.TransformerEncoderLayer(4, 2, activation="x")),
    ("BatchNorm3d", lambda: nn.BatchNorm3d(3)(f(2, 3, 4))),
    ("GroupNorm", lambda: nn.GroupNorm(3, 4)),
]


@pytest.mark.parametrize(("name", "call"), CASES, ids=[f"{n}{k}" for k, (n, _) in enumerate(CASES)])
def test_the_error_says_where_and_what(name, call):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises((ShapeError, DtypeError, OptionError)) as caught:
            call()
    text = str(caught.value)
    assert text.startswith(name), text
    said = text.removeprefix(name).split("\n")[0]
    assert re.search(r"\d|float|int|'|\(\)", said), f"it does not say what was given: {text}"
    assert len(said.split()) >= 4, f"it does not say what is allowed: {text}"


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: nn.Linear(2, 3)(f(2, 3)), ShapeError, r"linear: .* 3 features.*takes 2"),
        (lambda: nn.Flatten(3)(f(2, 3)), ShapeError, "flatten: dim 3 is out of range"),
        (lambda: nn.Unflatten(1, (2, 2))(f(2, 3)), ShapeError, r"unflatten: dimension 1 has 3"),
        (
            lambda: nn.BatchNorm2d(-3),
            OptionError,
            "num_features must be a non-negative int, got -3",
        ),
        (lambda: nn.RNN(3, 2)(i(4, 1, 3)), DtypeError, "int64, float32"),
        (lambda: nn.Softmax2d()(f(2, 2)), ShapeError, r"Softmax2d: .* got \(2, 2\)"),
        (lambda: nn.MultiMarginLoss(p=3), OptionError, "MultiMarginLoss: p is 1 or 2, got 3"),
        (lambda: nn.TripletMarginLoss(margin=-1), OptionError, "TripletMarginLoss: .* got -1"),
        (lambda: nn.InstanceNorm1d(3, affine=True)(f(2, 4, 5)), ShapeError, "made for 3 channels"),
        (lambda: nn.utils.clip_grad_norm_([f(2)], 1.0, "x"), OptionError, "norm_type .* 'x'"),
        (lambda: nn.Embedding(3, 2, sparse=True), OptionError, "sparse is not supported"),
        (lambda: nn.Embedding(3, 2, scale_grad_by_freq=True), OptionError, "scale_grad_by_freq"),
        (lambda: nn.GRU(3, 2, proj_size=1), OptionError, "proj_size=1 is not supported"),
        (lambda: nn.Bilinear(0, 2, 3), OptionError, "in1_features must be positive, got 0"),
    ],
)
def test_layers_say_it_too(call, kind, text):
    with pytest.raises(kind, match=text):
        call()


def test_a_guessed_dimension_and_loose_channels_warn():
    with pytest.warns(UserWarning, match="softmax: dim is not given; taking 1"):
        assert F.softmax(f(2, 4)).tolist() == [[0.25] * 4] * 2
    with pytest.warns(UserWarning, match="made for 3 channels, got 4"):
        nn.InstanceNorm1d(3)(f(2, 4, 5))
