"""Right functions raise no alarm at kinks and ties; `false_alarms` is the same with many more."""

from __future__ import annotations

import pytest

from tests.testing.false_alarms import KINKED, PRECISIONS, alarms
from tinygrad_course.testing import strategies as ts


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("name", KINKED)
def test_no_false_alarm(name: str, dtype: str) -> None:
    fn, args = KINKED[name]
    examples = ts.examples(8)
    count, said = alarms(fn, args(dtype), examples)
    assert not said
    assert count >= min(examples, 8)
