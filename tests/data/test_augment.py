"""Augmentation: what each change does, that PyTorch's sampling agrees, and whose chance it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course import data
from tinygrad_course.data import augment
from tinygrad_course.data import transforms as tf
from tinygrad_course.errors import DtypeError, OptionError, ShapeError
from tinygrad_course.testing import strategies as ts

IMAGES = np.random.default_rng(0).random((6, 3, 9, 11), dtype=np.float32)


def same(a, b, tolerance=0.0):
    np.testing.assert_allclose(np.asarray(a.numpy()), b, rtol=tolerance, atol=tolerance)


ALL = {
    "flip": lambda g=None: data.RandomHorizontalFlip(generator=g),
    "vertical flip": lambda g=None: data.RandomVerticalFlip(generator=g),
    "crop": lambda g=None: data.RandomCrop(7, generator=g),
    "shift": lambda g=None: data.RandomShift(2, g),
    "rotation": lambda g=None: data.RandomRotation(30, generator=g),
    "affine": lambda g=None: data.RandomAffine(
        20, (0.2, 0.1), (0.8, 1.2), 5, "bilinear", generator=g
    ),
    "colour": lambda g=None: data.ColorJitter(0.3, 0.3, 0.3, generator=g),
    "noise": lambda g=None: data.GaussianNoise(0.2, generator=g),
}


@pytest.mark.parametrize("name", ALL)
def test_each_image_has_its_own_chance_and_the_seed_decides(name):
    batch = tc.tensor(np.repeat(IMAGES[:1], 40, 0))
    out = ALL[name](tc.Generator(1))(batch)
    assert out.dtype == np.float32
    assert len({image.numpy().tobytes() for image in out}) > 1
    same(ALL[name](tc.Generator(1))(batch), out.numpy())
    assert (ALL[name](tc.Generator(2))(batch).numpy() != out.numpy()).any()
    tc.manual_seed(1)
    first = ALL[name]()(batch[0])
    assert first.ndim == 3
    tc.manual_seed(1)
    same(ALL[name]()(batch[:1])[0], first.numpy())
    with pytest.raises(ShapeError, match=r"\(C, H, W\) or \(N, C, H, W\)"):
        ALL[name]()(tc.ones(3, 3))


@pytest.mark.parametrize("name", ALL)
def test_workers_do_not_change_what_chance_does(name):
    pairs = data.Transformed(data.TensorDataset(IMAGES, np.arange(6)), ALL[name]())
    single = data.Transformed(list(zip(IMAGES, range(6), strict=True)), ALL[name]())

    def epochs(dataset, workers):
        tc.manual_seed(3)
        loader = data.DataLoader(dataset, 2, shuffle=True, num_workers=workers)
        return [x.numpy() for _ in range(2) for x, _ in loader]

    for dataset in (pairs, single):
        expected = epochs(dataset, 0)
        np.testing.assert_array_equal(epochs(dataset, 2), expected)
        assert (expected[0] != expected[3]).any()
    own = data.Transformed(data.TensorDataset(IMAGES, np.arange(6)), ALL[name](tc.Generator(0)))
    with pytest.raises(OptionError, match="do the same in each worker"):
        epochs(own, 1)


def test_flips():
    x = tc.tensor(IMAGES)
    same(data.RandomHorizontalFlip(1.0)(x), IMAGES[..., ::-1])
    same(data.RandomVerticalFlip(1.0)(x), IMAGES[:, :, ::-1])
    same(data.RandomHorizontalFlip(0.0)(x), IMAGES)
    flipped = data.RandomHorizontalFlip(0.25, tc.Generator(0))(tc.tensor(IMAGES[:1].repeat(999, 0)))
    assert 200 < (flipped.numpy()[:, 0, 0, 0] != IMAGES[0, 0, 0, 0]).sum() < 300
    with pytest.raises(OptionError, match="probability"):
        data.RandomHorizontalFlip(1.5)


def test_crops_are_parts_and_every_part_comes():
    where = tc.zeros(400, 1, 5, 6)
    where[:] = tc.arange(30.0).reshape(5, 6)
    parts = data.RandomCrop((3, 4), generator=tc.Generator(0))(where).numpy()
    corners = set(parts[:, 0, 0, 0].astype(int).tolist())
    assert corners == {6 * i + j for i in range(3) for j in range(3)}
    offset = np.arange(3)[:, None] * 6 + np.arange(4)
    np.testing.assert_array_equal(parts[:, 0], parts[:, 0, :1, :1] + offset)
    same(data.RandomCrop((5, 6))(where[:1]), where[:1].numpy())
    same(data.CenterCrop(3)(where[:1]), where[:1, :, 1:4, 2:5].numpy())
    padded = data.RandomCrop((7, 9), (1, 0, 2, 2), fill=-1)(where[:1]).numpy()[0, 0]
    expected = np.pad(np.arange(30.0).reshape(5, 6), ((0, 2), (1, 2)), constant_values=-1)
    np.testing.assert_array_equal(padded, expected)
    edge = data.RandomCrop(9, pad_if_needed=True, padding_mode="edge")(where[:3])
    assert edge.shape == (3, 1, 9, 9)
    for kind, size in ((data.RandomCrop, 6), (data.CenterCrop, (3, 7))):
        with pytest.raises(ShapeError, match="of images of 5 × 6"):
            kind(size)(where)


def test_random_shift_moves_each_image_by_its_own_way():
    images = tc.zeros(200, 2, 9, 9)
    images[:, :, 4, 4] = 1.0
    moved = data.RandomShift(2, tc.Generator(0))(images).numpy()
    assert (moved.sum((2, 3)) == 1).all()
    where = {tuple(p) for p in np.argwhere(moved)[::2, 2:]}
    assert where == {(i, j) for i in range(2, 7) for j in range(2, 7)}
    same(data.RandomShift(0)(images), images.numpy())


@ts.profile(40)
@given(
    angle=st.floats(-180, 180), move=st.tuples(*[st.integers(-4, 4)] * 2),
    scale=st.floats(0.5, 2), mode=st.sampled_from(["nearest", "bilinear"]),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
)  # fmt: skip
def test_warp_is_pytorchs_grid_sample(angle, move, scale, mode, shape):
    torch = pytest.importorskip("torch")
    c, h, w = shape
    image = np.random.default_rng(0).random((1, c, h, w))
    turn = np.deg2rad(angle)
    forward = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    back = np.linalg.inv(forward)
    out = augment.warp(image, back[None], np.array([move], float), mode, 0.0)
    # In PyTorch's grid the image goes from −1 to 1 in both directions.
    size = np.diag([w / 2, h / 2])
    theta = np.linalg.inv(size) @ np.c_[back @ size, -back @ move]
    grid = torch.nn.functional.affine_grid(
        torch.tensor(theta[None]), [1, c, h, w], align_corners=False
    )
    if mode == "nearest":  # a place halfway between two pixels may go either way
        x = (grid.numpy()[0] + 1) * [w / 2, h / 2] - 0.5
        clear = (np.abs(x - np.floor(x) - 0.5) > 1e-6).all(-1)
    else:
        clear = np.ones((h, w), bool)
    expected = torch.nn.functional.grid_sample(
        torch.tensor(image), grid, mode, "zeros", align_corners=False
    ).numpy()
    np.testing.assert_allclose(out[0][:, clear], expected[0][:, clear], rtol=1e-9, atol=1e-9)


def test_directions():
    x = tc.tensor(IMAGES[:, :, :9, :9])
    right, left = (-90, -90), (90, 90)
    same(data.RandomRotation(left)(x), np.rot90(x.numpy(), 1, (2, 3)))
    same(data.RandomRotation(right)(x), np.rot90(x.numpy(), -1, (2, 3)))
    same(data.RandomAffine((90, 90))(x), np.rot90(x.numpy(), -1, (2, 3)))
    bigger = data.RandomAffine(0, scale=(3, 3))(x).numpy()
    np.testing.assert_array_equal(bigger, x.numpy()[:, :, 3:6, 3:6].repeat(3, 2).repeat(3, 3))
    moved = data.RandomAffine(0, translate=(0.5, 0), fill=0.5, generator=tc.Generator(0))(x).numpy()
    for before, after in zip(x.numpy(), moved, strict=True):
        shifts = [s for s in range(-5, 6) if (np.roll(before, s, 2) == after)[:, :, 4].all()]
        assert shifts, "moved along the width alone"
    sheared = data.RandomAffine(0, shear=(45, 45))(x).numpy()
    np.testing.assert_array_equal(sheared[:, :, 4], x.numpy()[:, :, 4])
    np.testing.assert_array_equal(sheared[:, :, 5, :8], x.numpy()[:, :, 5, 1:])
    down = data.RandomAffine(0, shear=(0, 0, 45, 45))(x).numpy()
    np.testing.assert_array_equal(down[:, :, :8, 5], x.numpy()[:, :, 1:, 5])
    same(data.RandomAffine(0)(x), x.numpy())
    counts = tc.tensor(np.arange(18).reshape(2, 1, 3, 3))
    assert data.RandomRotation(left)(counts).dtype == np.int64
    with pytest.raises(DtypeError, match="floating-point"):
        data.RandomRotation(10, "bilinear")(counts)


def test_light():
    x = tc.tensor(IMAGES)
    same(data.ColorJitter()(x), IMAGES)
    same(data.ColorJitter(brightness=(0.5, 0.5))(x), IMAGES / 2, 1e-6)
    same(data.ColorJitter(brightness=(3, 3))(x), np.minimum(3 * IMAGES, 1), 1e-6)
    grey = (IMAGES * np.array([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdims=True)
    same(data.ColorJitter(saturation=(0, 0))(x), grey.repeat(3, 1), 1e-6)
    flat = grey.mean((1, 2, 3), keepdims=True)
    same(data.ColorJitter(contrast=(0, 0))(x), np.broadcast_to(flat, x.shape), 1e-6)
    half = (IMAGES + flat) / 2
    same(data.ColorJitter(contrast=(0.5, 0.5))(x), half, 1e-6)
    one = data.ColorJitter(0.2, 0.2)(x[:, :1])
    assert one.shape == (6, 1, 9, 11)
    with pytest.raises(ShapeError, match="three channels, got 1"):
        data.ColorJitter(saturation=0.5)(x[:, :1])
    for transform in (data.ColorJitter(0.1), data.GaussianNoise()):
        for wrong in (x - 0.5, tc.ones(1, 3, 2, 2, dtype=tc.int64)):
            with pytest.raises(OptionError, match="let Normalize come after"):
                transform(wrong)
    noisy = data.GaussianNoise(0.05, tc.Generator(0))(tc.full((1, 3, 99, 99), 0.5)).numpy()
    assert abs(noisy.std() - 0.05) < 0.002
    assert noisy.max() <= 1


def test_normalize_and_compose():
    x = tc.tensor(IMAGES)
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.6, 0.7]
    expected = (IMAGES - np.array(mean)[:, None, None]) / np.array(std)[:, None, None]
    same(tf.Normalize(mean, std)(x), expected, 1e-5)
    same(tf.Normalize(mean, std)(x[0]), expected[0], 1e-5)
    both = tf.Compose([data.CenterCrop(5), tf.Normalize(0.5, 2.0)])
    same(both(x), (IMAGES[:, :, 2:7, 3:8] - 0.5) / 2, 1e-6)
    assert both(x).dtype == np.float32
    with pytest.raises(ShapeError, match="3 means"):
        tf.Normalize(mean, std)(x[:, :1])
    with pytest.raises(OptionError, match="std is above 0"):
        tf.Normalize(mean, [1.0, 0.0, 1.0])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: data.RandomCrop(0), "size"),
        (lambda: data.RandomCrop((1, 2, 3)), "size"),
        (lambda: data.RandomCrop(3, padding=-1), "padding"),
        (lambda: data.RandomCrop(3, padding_mode="wrap"), "padding_mode"),
        (lambda: data.RandomShift(-1), "pixels"),
        (lambda: data.RandomRotation(-5), "degrees"),
        (lambda: data.RandomRotation((5, 1)), "degrees"),
        (lambda: data.RandomRotation(5, "bicubic"), "interpolation"),
        (lambda: data.RandomAffine(0, translate=(1.5, 0)), "translate"),
        (lambda: data.RandomAffine(0, scale=(0, 1)), "scale"),
        (lambda: data.RandomAffine(0, shear=(1, 2, 3)), "shear"),
        (lambda: data.ColorJitter(brightness=-0.1), "brightness"),
        (lambda: data.ColorJitter(contrast=(-1, 1)), "contrast"),
        (lambda: data.GaussianNoise(-1), "sigma"),
    ],
)
def test_options_that_make_no_sense(make, reason):
    with pytest.raises(OptionError, match=reason):
        make()
    with pytest.raises(NotImplementedError, match="apply"):
        augment.Transform()(tc.ones(1, 2, 2))
