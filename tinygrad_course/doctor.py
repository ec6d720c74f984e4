"""`python -m tinygrad_course`: what is installed, what computes, and what would bring the rest."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
from typing import Any, NamedTuple

from . import cuda, devices


class Finding(NamedTuple):
    """One line of the report; `cure` is the command for what is missing."""

    name: str
    found: str
    cure: str = ""


def report() -> list[Finding]:
    """Everything looked at, in order."""
    return [python(), numpy(), *numba(), *gpu(), *graphviz(), *extras()]


def main() -> int:
    """Print the report; 0 if all that is needed is there."""
    findings = report()
    width = max(len(f.name) for f in findings)
    for finding in findings:
        print(f"{finding.name:<{width}}  {finding.found}")
        if finding.cure:
            print(f"{'':<{width}}  -> {finding.cure}")
    return 0


def version(package: str) -> str | None:
    """The version of an installed package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def python() -> Finding:
    cores = os.cpu_count()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    where = f"{platform.system()} {platform.machine()}, {usable} of {cores} cores"
    return Finding("Python", f"{platform.python_version()} on {where}")


def numpy() -> Finding:
    import numpy as np

    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    threads = os.environ.get("OPENBLAS_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS") or "all"
    found = f"{np.__version__}, matrix products by {blas.get('name', 'no BLAS')}, {threads} threads"
    return Finding("NumPy", found)


def numba() -> list[Finding]:
    """Numba, its threads and their layer, and where compiled kernels are kept."""
    try:
        import numba as nb
    except ImportError as error:
        return [Finding("Numba", f"missing ({error})", "pip install numba")]
    return [
        Finding("Numba", nb.__version__),
        _threads(),
        Finding("kernel cache", _cache()),
    ]


def _threads() -> Finding:
    """How many threads kernels have, whose they are, and who multiplies matrices on them."""
    from .kernels import cpu_product, threads

    count = threads.get_num_threads()
    if count > 1 and not version("threadpoolctl"):
        cure = "pip install 'tinygrad_course[threads]'"
        return Finding("threads", f"1 of {count}, layer: none without threadpoolctl", cure)
    if threads.threads_for(1 << 60, 1) == 1:
        return Finding("threads", "1, layer: none")
    blas = "NumPy's OpenBLAS" if cpu_product.blas("f") else "NumPy"
    return Finding("threads", f"{count}, layer: a team of their own, products by {blas}")


def _cache() -> str:
    """The folder that Numba keeps compiled kernels in, and whether it can be written."""
    own = os.path.join(os.path.dirname(__file__), "kernels", "__pycache__")
    folder = os.environ.get("NUMBA_CACHE_DIR") or own
    there = os.path.isdir(folder)
    kept = [f for f in os.listdir(folder) if f.endswith(".nbi")] if there else []
    usable = os.access(folder if there else os.path.dirname(folder), os.W_OK)
    size = sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder)) if there else 0
    state = f"{len(kept)} kernels, {size / 1e6:.1f} MB" if usable else "cannot be written"
    return f"{folder}: {state}"


def gpu() -> list[Finding]:
    """The card, its driver, and the libraries that use it."""
    card, driver = _smi()
    found, why = devices.find_cupy()
    installed = next((f"{n} {v}" for n in CUPY if (v := version(n))), None)
    cure = "" if installed else f"pip install 'tinygrad_course[{_extra(driver)}]'"
    findings = [
        Finding("GPU", card or "none seen", "" if card else NO_CARD),
        Finding("driver", driver or "none", "" if driver else NO_DRIVER),
        Finding("CUDA", _cuda(found, why)),
        Finding("CuPy", installed or "not installed", cure if card else ""),
        Finding("numba.cuda", _numba_cuda()),
    ]
    return [*findings, Finding("device 'cuda'", "usable" if not why else f"not usable: {why}")]


CUPY = ("cupy-cuda13x", "cupy-cuda12x", "cupy")
NO_CARD = "nothing to do: everything works on the CPU"
NO_DRIVER = (
    "only for an NVIDIA card: https://www.nvidia.com/drivers (Debian: apt install nvidia-driver)"
)


def _smi() -> tuple[str, str]:
    """Cards and driver as `nvidia-smi` names them; empty where there are none."""
    if shutil.which("nvidia-smi") is None:
        return "", ""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        run = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return "", ""
    rows = [[part.strip() for part in line.split(",")] for line in run.stdout.splitlines() if line]
    cards = ", ".join(f"{name} ({memory})" for name, memory, _ in rows)
    return cards, rows[0][2] if rows else ""


def _extra(driver: str) -> str:
    """The extra that suits a driver: CUDA 13 needs 580 or later."""
    major = driver.partition(".")[0]
    return "cuda12" if major.isdigit() and int(major) < 580 else "cuda"


def _cuda(found: Any, why: str) -> str:
    if found is None or why:
        toolkit = shutil.which("nvcc")
        return f"toolkit at {toolkit}" if toolkit else "not in use"
    runtime = found.cuda.runtime
    driver, own = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    capability = ".".join(map(str, cuda.get_device_capability()))
    shown = [f"{v // 1000}.{v % 1000 // 10}" for v in (driver, own)]
    return f"{shown[0]} in the driver, {shown[1]} in CuPy, compute capability {capability}"


def _numba_cuda() -> str:
    own = version("numba-cuda")
    return f"numba-cuda {own}" if own else "Numba's built-in target"


def graphviz() -> list[Finding]:
    """What draws graphs."""
    dot, wheel = shutil.which("dot"), version("pygraphviz")
    cure = "" if dot or wheel else "pip install 'tinygrad_course[viz]'"
    found = ", ".join([*([dot] if dot else []), *([f"pygraphviz {wheel}"] if wheel else [])])
    return [Finding("Graphviz", found or "not installed", cure)]


EXTRAS = {
    "safetensors": "io", "matplotlib": "plots", "tqdm": "progress", "threadpoolctl": "threads",
    "scikit-learn": "sklearn", "hypothesis": "testing",
}  # fmt: skip


def extras() -> list[Finding]:
    """Packages that parts of the library can use."""
    return [
        Finding(
            name,
            found or "not installed",
            "" if found else f"pip install 'tinygrad_course[{extra}]'",
        )
        for name, extra in EXTRAS.items()
        for found in [version(name)]
    ]
