"""What `python -m tests.benchmarks --device cuda` times runs: on the stand-in, once, and small."""

from __future__ import annotations

import pytest

import tinygrad_course as tc
from tests.benchmarks import cuda, models, window

pytestmark = pytest.mark.usefixtures("fake")


@pytest.mark.parametrize("which", ["forward", "input", "weight"])
def test_convolutions(which):
    cuda.convolution(tc, window.Conv("small", 2, 3, 8, 4, 3), which)()


@pytest.mark.parametrize("which", ["forward", "input"])
def test_pools(which, monkeypatch):
    monkeypatch.setitem(window.POOLS, "small", ((2, 3, 8, 8), "max_pool2d", (2, 2)))
    cuda.pool(tc, "small", which)()


def test_steps_and_transfers():
    cuda.step(tc, models.mlp, (4, 784), models.adam)()
    cuda.step(tc, models.lenet, (2, 1, 28, 28), models.sgd)()
    assert cuda.upload(tc, 1)().device == "cuda:0"
    assert cuda.download(tc, 1)().device == "cpu"


def test_every_case_has_a_name_of_its_own():
    names = [case.name for case in cuda.cases()]
    assert len(set(names)) == len(names) > 40
