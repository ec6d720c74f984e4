"""Before anything is imported: threads that wait for each other do so asleep.

Several test processes share the cores, and each has the thread pools of NumPy, Numba and PyTorch.
Pools that spin while they wait take the cores from the processes that work.
"""

from __future__ import annotations

import os

collect_ignore = ["typed_names.py", "typed.py"]  # for mypy to read, not to be run

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
