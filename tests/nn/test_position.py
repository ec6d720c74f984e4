"""Positional encodings: the table, the rotation, and what they leave alone."""

import numpy as np
import pytest

import tinygrad_course as tc
from tinygrad_course import nn
from tinygrad_course.errors import OptionError, ShapeError


def test_the_table_of_waves():
    layer = nn.SinusoidalEncoding(6, max_len=20).double()
    table = layer(tc.zeros(20, 6, dtype=tc.float64)).numpy()
    for t in (0, 3, 19):
        for i in range(3):
            angle = t / 10000 ** (2 * i / 6)
            np.testing.assert_allclose(
                table[t, 2 * i : 2 * i + 2], [np.sin(angle), np.cos(angle)], atol=1e-6
            )
    assert not list(layer.parameters())
    assert not layer.state_dict()


@pytest.mark.parametrize("make", [nn.SinusoidalEncoding, nn.LearnedEncoding])
def test_every_example_gets_the_same_rows(make):
    x = tc.randn(5, 3, 4)
    layer = make(4, max_len=8)
    places = (layer(x) - x).detach().numpy()
    np.testing.assert_allclose(places, places[:, :1].repeat(3, 1), atol=1e-6)
    first = make(4, max_len=8, batch_first=True)
    first.load_state_dict(layer.state_dict())
    np.testing.assert_allclose(
        first(x.transpose(0, 1)).transpose(0, 1).detach().numpy(),
        layer(x).detach().numpy(),
        atol=1e-6,
    )
    with pytest.raises(ShapeError, match="made for 8 places, the input has 9"):
        layer(tc.zeros(9, 1, 4))
    with pytest.raises(ShapeError, match="the last of 4"):
        layer(tc.zeros(5, 3, 5))


def test_learned_places_learn():
    layer = nn.LearnedEncoding(2, max_len=4)
    layer(tc.zeros(3, 5, 2)).sum().backward()
    assert layer.weight.grad.tolist() == [[5.0, 5.0]] * 3 + [[0.0, 0.0]]


def test_rotation_keeps_lengths_and_shows_distances_only():
    layer, (q, k) = nn.RotaryEncoding(6), tc.randn(2, 6, dtype=tc.float64)
    x = tc.stack([q] * 9)
    turned, keys = layer(x), layer(tc.stack([k] * 9))
    np.testing.assert_allclose(turned.norm(dim=-1).numpy(), x.norm(dim=-1).numpy(), rtol=1e-12)
    scores = (turned @ keys.mT).numpy()
    for gap in (0, 2, -3):
        np.testing.assert_allclose(np.ptp(np.diagonal(scores, gap)), 0, atol=1e-12)
    later = layer(x[:2], start=4)
    np.testing.assert_allclose(later.numpy(), turned[4:6].numpy(), atol=1e-12)
    with pytest.raises(OptionError, match="5 is odd"):
        nn.RotaryEncoding(5)
    with pytest.raises(ShapeError, match=r"\(..., L, 6\)"):
        layer(tc.zeros(3, 4))
