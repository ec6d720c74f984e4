"""Without CuPy or a GPU: one clear error, a report of what is missing, and all else works."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tinygrad_course as tc
from tinygrad_course import devices, doctor
from tinygrad_course.errors import DeviceError


@pytest.fixture
def without(monkeypatch):
    """No CuPy, whatever is installed."""
    monkeypatch.setattr(devices, "_cupy", None)
    monkeypatch.setitem(sys.modules, "cupy", None)


@pytest.mark.parametrize(
    "asks",
    [
        lambda: tc.zeros(2, device="cuda"),
        lambda: tc.tensor([1.0]).cuda(),
        lambda: tc.tensor([1.0]).to("cuda:0"),
        lambda: tc.nn.Linear(2, 2).to("cuda"),
        lambda: tc.rand(2, device="cuda"),
        lambda: tc.Generator(device="cuda"),
        tc.cuda.synchronize,
        tc.cuda.get_device_name,
    ],
)
def test_the_error_has_the_line_that_installs_it(without, asks):
    with pytest.raises(DeviceError, match=r"pip install 'tinygrad_course\[cuda\]'"):
        asks()


def test_asking_is_no_error(without):
    assert not tc.cuda.is_available()
    assert tc.cuda.device_count() == 0
    tc.manual_seed(1)
    tc.cuda.manual_seed(1)
    assert tc.zeros(2, device="cpu").device == "cpu"
    with pytest.raises(DeviceError, match="'mps' is not supported"):
        tc.zeros(2, device="mps")


def test_a_driver_without_a_card(monkeypatch):
    """CuPy imports there, and says that it cannot compute."""
    monkeypatch.setattr(devices, "_cupy", None)
    cupy = type(sys)("cupy")
    cupy.is_available = lambda: False
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    with pytest.raises(DeviceError, match="finds no NVIDIA GPU; see what `nvidia-smi` says"):
        tc.zeros(2, device="cuda")


def test_the_doctor():
    run = subprocess.run(
        [sys.executable, "-m", "tinygrad_course"], capture_output=True, text=True, check=True
    )
    for name in ("Python", "NumPy", "Numba", "threads", "kernel cache", "GPU", "driver", "CUDA",
                 "CuPy", "Graphviz", "device 'cuda'"):  # fmt: skip
        assert name in run.stdout
    assert "layer: " in run.stdout


def test_the_doctor_names_the_command_that_brings_a_thing(without, monkeypatch):
    monkeypatch.setattr(doctor, "version", lambda package: None)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    cures = {f.name: f.cure for f in (*doctor.gpu(), *doctor.graphviz(), *doctor.extras())}
    assert cures["Graphviz"] == "pip install 'tinygrad_course[viz]'"
    assert cures["safetensors"] == "pip install 'tinygrad_course[io]'"
    assert "everything works on the CPU" in cures["GPU"]
    monkeypatch.setattr(doctor, "_smi", lambda: ("A card (8 GiB)", "550.54"))
    assert {f.name: f.cure for f in doctor.gpu()}["CuPy"] == "pip install 'tinygrad_course[cuda12]'"
