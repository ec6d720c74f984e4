"""Data sets that need no file: what they hold, and that a seed decides what is drawn."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import tinygrad_course as tc
from tinygrad_course.data import ConcatDataset, DataLoader, Dataset, datasets
from tinygrad_course.data.datasets import CharText
from tinygrad_course.errors import FormatError, OptionError


@pytest.mark.parametrize(
    ("name", "shape", "counts"),
    [
        ("breast_cancer", (569, 30), [212, 357]),
        ("iris", (150, 4), [50, 50, 50]),
        ("wine", (178, 13), [59, 71, 48]),
    ],
)
def test_real_tables(name, shape, counts):
    table = getattr(datasets, name)()
    x, y = table.tensors
    assert (x.shape, x.dtype, y.dtype) == (shape, np.float32, np.int64)
    assert np.bincount(y.numpy()).tolist() == counts
    assert len(table.classes) == len(counts)
    assert len(table.features) == shape[1]
    assert all(type(word) is str for word in table.classes + table.features)


def test_diabetes_has_a_column_of_targets():
    x, y = datasets.diabetes().tensors
    assert (x.shape, y.shape, x.dtype, y.dtype) == ((442, 10), (442, 1), np.float32, np.float32)
    assert (y.min().item(), y.max().item()) == (25, 346)


MAKERS = {
    "moons": datasets.moons,
    "circles": datasets.circles,
    "blobs": datasets.blobs,
    "spirals": datasets.spirals,
}


@pytest.mark.parametrize("name", MAKERS)
def test_points_follow_their_seed(name):
    def points(seed, **how):
        return [t.tolist() for t in MAKERS[name](60, generator=tc.Generator(seed), **how).tensors]

    assert points(1) == points(1) != points(2)
    tc.manual_seed(3)
    first = MAKERS[name](60).tensors[0].tolist()
    assert MAKERS[name](60).tensors[0].tolist() != first
    tc.manual_seed(3)
    assert MAKERS[name](60).tensors[0].tolist() == first
    x, y = MAKERS[name](60).tensors
    assert (x.shape, x.dtype, y.dtype) == ((60, 2), np.float32, np.int64)
    assert len(set(np.bincount(y.numpy()).tolist())) == 1
    for wrong in ({"n": 1}, {"n": 2.5}):
        with pytest.raises(OptionError, match="n is a whole number"):
            MAKERS[name](**wrong)


def test_the_forms_are_what_they_are_called():
    x, y = (t.numpy() for t in datasets.circles(200, noise=0.0, factor=0.3).tensors)
    np.testing.assert_allclose(np.hypot(*x.T), np.where(y, 0.3, 1.0), rtol=1e-5)
    x, y = (t.numpy() for t in datasets.spirals(300, arms=3, turns=1.5, noise=0.0).tensors)
    radius, angle = np.hypot(*x.T), np.arctan2(x[:, 1], x[:, 0])
    turn = (angle - 2 * np.pi * (1.5 * radius + y / 3)) / (2 * np.pi)
    np.testing.assert_allclose(turn, np.round(turn), atol=1e-5)
    centers = [[0.0, 0.0, 9.0], [5.0, 5.0, 0.0]]
    x, y = datasets.blobs(40, centers, std=0.0).tensors
    np.testing.assert_allclose(x.numpy(), np.array(centers)[y.numpy()], rtol=1e-6)
    with pytest.raises(OptionError, match="arms"):
        datasets.spirals(arms=0)
    with pytest.raises(OptionError, match="factor"):
        datasets.circles(factor=1.0)
    with pytest.raises(OptionError, match="noise"):
        datasets.moons(noise=-0.1)


@pytest.mark.parametrize("make", [datasets.iris, datasets.moons])
def test_tables_without_scikit_learn(monkeypatch, make):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"tinygrad_course\[data\]"):
        make()


def test_datasets_one_after_the_other():
    class Letters(Dataset):
        def __init__(self, letters):
            self.letters = letters

        def __len__(self):
            return len(self.letters)

        def __getitem__(self, index):
            return self.letters[index]

    joined = Letters("ab") + Letters("") + Letters("cde")
    assert list(joined) == list("abcde")
    assert [joined[i] for i in (-1, -5, 2)] == ["e", "a", "c"]
    for index in (5, -6):
        with pytest.raises(IndexError, match=f"sample {index} of a dataset of 5"):
            joined[index]
    with pytest.raises(OptionError, match="at least one"):
        ConcatDataset([])


# --- text -----------------------------------------------------------------------------------------

TEXT = "the quick brown fox\njumps over the lazy dog ü"


def test_windows_of_a_text():
    text = CharText(TEXT, length=7, stride=3)
    assert text.decode(text.encode("lazy fox")) == "lazy fox"
    assert text.decode(text.ids) == TEXT
    starts = range(0, len(TEXT) - 7, 3)
    assert len(text) == len(starts)
    for i, start in enumerate(starts):
        x, y = text[i]
        assert (text.decode(x), text.decode(y)) == (TEXT[start : start + 7], TEXT[start + 1 :][:7])
    assert text[-1][0].tolist() == text[len(text) - 1][0].tolist()
    with pytest.raises(IndexError):
        text[len(text)]
    x, y = next(iter(DataLoader(text, 4)))
    assert (x.shape, y.shape, x.dtype) == ((4, 7), (4, 7), np.int64)
    assert x[2].tolist() == text[2][0].tolist()


def test_the_last_window_ends_with_the_text():
    assert len(CharText("abcd", 3)) == 1
    assert len(CharText("abcde", 3)) == 2
    assert len(CharText("abcde", 2, stride=5)) == 1


def test_parts_of_a_text_do_not_overlap_and_share_an_alphabet():
    text = CharText(TEXT, 5)
    first, rest = text.split(0.7)
    assert first.decode(first.ids) + rest.decode(rest.ids) == TEXT
    assert first.alphabet == rest.alphabet == text.alphabet
    with pytest.raises(OptionError, match="between 0 and 1"):
        text.split(1.0)


def test_text_from_a_file(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(TEXT.replace("\n", "\r\n").encode())
    text = CharText.from_file(path, 7)
    assert text.decode(text.ids) == TEXT
    path.write_bytes(TEXT.encode("latin-1"))
    assert CharText.from_file(path, 7, encoding="latin-1").decode(text.ids) == TEXT
    with pytest.raises(FormatError, match=rf"{path}: not utf-8 text: .* at byte 44"):
        CharText.from_file(path, 7)
    path.write_bytes(b"short")
    with pytest.raises(FormatError, match=f"{path}: 5 characters"):
        CharText.from_file(path, 7)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: CharText("abc", 3), "at least 4; this one has 3"),
        (lambda: CharText("abc", 0), "length"),
        (lambda: CharText("abc", 1, stride=1.5), "stride"),
        (lambda: CharText("abc", 1, alphabet="ab"), "'c' is not in the alphabet"),
        (lambda: CharText("ab", 1, alphabet="aba"), "twice"),
        (lambda: CharText("ab", 1).decode([2]), "from 0 to 1"),
    ],
)
def test_texts_that_make_no_sense(make, reason):
    with pytest.raises(OptionError, match=reason):
        make()
