"""Every row of the test table on the stand-in: the CPU's numbers, without the host."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.parity.rows import BY_NAME, names
from tinygrad_course import devices, kernels
from tinygrad_course.testing import strategies as ts

from . import standin
from .common import check


@pytest.fixture(autouse=True, scope="module")
def fake():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "_cupy", standin.module())
        patch.setitem(kernels.NAMES, "cuda", {})
        kernels.lookup.cache_clear()
        yield
    kernels.lookup.cache_clear()


@pytest.mark.parametrize("name", names())
@ts.profile(2)
@given(data=st.data())
def test_values(name: str, data: Any) -> None:
    check(BY_NAME[name], data.draw(BY_NAME[name].cases("mixed")), False)


@pytest.mark.parametrize("name", names(lambda r: r.order))
@ts.profile(2)
@given(data=st.data())
def test_gradients(name: str, data: Any) -> None:
    check(BY_NAME[name], data.draw(BY_NAME[name].cases("smooth")), True)
