"""Before anything is imported: threads that wait for each other do so asleep.

Several test processes share the cores, and each has the thread pools of NumPy, Numba and PyTorch.
Pools that spin while they wait take the cores from the processes that work.
"""

from __future__ import annotations

import os

from hypothesis import settings

collect_ignore = ["typed_names.py", "typed.py"]  # for mypy to read, not to be run

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# The suite draws the same examples each time, so that a failure is one of the change at hand;
# a long run, TINYGRAD_COURSE_EXAMPLES=10, draws new ones.
settings.register_profile("suite", derandomize="TINYGRAD_COURSE_EXAMPLES" not in os.environ)
settings.load_profile("suite")
