"""Metrics: the same numbers as scikit-learn's, and errors where it warns or guesses."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course.errors import DtypeError, OptionError, ShapeError
from tinygrad_course.testing import strategies as ts
from tinygrad_course.training import metrics

names = st.sampled_from([[0, 1], [0, 1, 2, 3], [7], [-1, 1], [1, 5, 9], ["cat", "dog", "eel"]])


@st.composite
def labelled(draw):
    """Targets and predictions of the same few classes, some of which may not occur."""
    label = st.sampled_from(draw(names))
    pairs = draw(st.lists(st.tuples(label, label), min_size=1, max_size=12))
    return np.array([y for y, _ in pairs]), np.array([p for _, p in pairs])


@ts.profile(60)
@given(labelled(), st.sampled_from(["macro", "micro", "weighted", None]))
def test_averages_are_scikit_learns(labels, average):
    theirs = pytest.importorskip("sklearn.metrics")
    y, p = labels
    assert metrics.accuracy(y, p) == pytest.approx(theirs.accuracy_score(y, p))
    for ours, name in ((metrics.precision, "precision_score"), (metrics.recall, "recall_score"),
                       (metrics.f1, "f1_score")):  # fmt: skip
        wanted = getattr(theirs, name)(y, p, average=average, zero_division=0)
        np.testing.assert_allclose(ours(y, p, average), wanted, rtol=1e-12)


@ts.profile(60)
@given(labelled(), st.integers(-1, 9))
def test_the_positive_class_is_scikit_learns(labels, positive):
    theirs = pytest.importorskip("sklearn.metrics")
    y, p = labels
    if y.dtype.kind == "U":
        return
    try:
        wanted = theirs.f1_score(y, p, pos_label=positive, zero_division=0)
    except ValueError:
        with pytest.raises(OptionError, match="choose 'macro'"):
            metrics.f1(y, p, pos_label=positive)
        return
    assert metrics.f1(y, p, pos_label=positive) == pytest.approx(wanted)


@ts.profile(60)
@given(labelled(), st.data())
def test_confusion_is_scikit_learns(labels, data):
    theirs = pytest.importorskip("sklearn.metrics")
    y, p = labels
    found = metrics.confusion_matrix(y, p)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a single class
        np.testing.assert_array_equal(found, theirs.confusion_matrix(y, p))
        some = data.draw(st.permutations(sorted(set(y.tolist()))).map(lambda v: v[:2]))
        wanted = theirs.confusion_matrix(y, p, labels=some)
    np.testing.assert_array_equal(metrics.confusion_matrix(y, p, some), wanted)


def test_tensors_and_lists_are_taken():
    assert metrics.precision(tc.tensor([0, 1, 1]), [1, 1, 1]) == pytest.approx(2 / 3)
    assert metrics.recall(tc.tensor([True, False]), np.array([True, True])) == 1


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: metrics.accuracy([0, 1], [0]), ShapeError, r"\(2,\) and \(1,\)"),
        (lambda: metrics.accuracy([], []), ShapeError, "at least one"),
        (lambda: metrics.accuracy([0], [[0.2, 0.8]]), ShapeError, "argmax"),
        (lambda: metrics.f1([0.0, 1.0], [0.1, 0.9]), DtypeError, "float64"),
        (lambda: metrics.f1([0, 1], [0, 1], "mean"), OptionError, "'mean'"),
        (lambda: metrics.f1([0, 1, 2], [0, 1, 1]), OptionError, r"\[0, 1, 2\]"),
    ],
)
def test_errors(call, kind, text):
    with pytest.raises(kind, match=text):
        call()
