"""Before anything is imported: threads that wait for each other do so asleep.

Several test processes share the cores, and each has the thread pools of NumPy, Numba and PyTorch.
Pools that spin while they wait take the cores from the processes that work.
"""

from __future__ import annotations

import os
import random
import sys

import pytest
from hypothesis import settings

collect_ignore = ["typed_names.py", "typed.py"]  # for mypy to read, not to be run

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TINYGRAD_COURSE_COMPILE_AHEAD", "0")  # the cores have enough to do

# The suite draws the same examples each time, so that a failure is one of the change at hand;
# a long run, TINYGRAD_COURSE_EXAMPLES=10, draws new ones.
settings.register_profile("suite", derandomize="TINYGRAD_COURSE_EXAMPLES" not in os.environ)
settings.load_profile("suite")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Every source of random numbers begins alike; TINYGRAD_COURSE_SEED=1 begins elsewhere."""
    seed = int(os.environ.get("TINYGRAD_COURSE_SEED", "0"))
    random.seed(seed)
    for name, start in (
        ("numpy", lambda numpy: numpy.random.seed(seed)),
        ("tinygrad_course", lambda tc: tc.manual_seed(seed)),
        ("torch", lambda torch: torch.manual_seed(seed)),
    ):
        if name in sys.modules:
            start(sys.modules[name])
