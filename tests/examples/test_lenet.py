"""The demo as a learner runs it: a command, its files, its last line, its errors."""

from __future__ import annotations

import gzip
import importlib
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinygrad_course.data import datasets
from tinygrad_course.files import load

for name in ("matplotlib", "safetensors", "sklearn", "pygraphviz"):
    pytest.importorskip(name, reason="the demo needs the extra 'demo'")

ROOT = Path(__file__).parents[2]
FILES = ["confusion.png", "curves.png", "filters.png", "graph.svg", "lenet.safetensors"]


def demo(*arguments):
    path = os.pathsep.join([str(ROOT), str(ROOT / "viz")])
    return subprocess.run(
        [sys.executable, ROOT / "examples" / "lenet.py", *map(str, arguments)],
        capture_output=True, text=True, timeout=300, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip


def accuracy(run):
    found = re.fullmatch(
        r"held-out accuracy: ([\d.]+) % \((\d+) of (\d+) digits\)", run.stdout.splitlines()[-1]
    )
    assert found, run.stdout + run.stderr
    assert f"{100 * int(found[2]) / int(found[3]):.1f}" == found[1]
    return float(found[1])


def test_a_rehearsal_writes_everything_and_a_seed_repeats_it(tmp_path):
    first = demo("--quick", "--out", tmp_path / "a", "--seed", 3)
    second = demo("--quick", "--out", tmp_path / "b", "--seed", 3)
    assert first.returncode == 0, first.stderr
    assert sorted(os.listdir(tmp_path / "a")) == FILES
    for name in FILES:
        assert f"wrote {tmp_path / 'a' / name}" in first.stdout
    assert accuracy(first) == accuracy(second) > 50
    assert "accuracy" in first.stderr  # the progress bar
    svg = (tmp_path / "a" / "graph.svg").read_text(encoding="utf-8")
    assert "conv1.weight" in svg
    assert "cross_entropy" in svg
    png = b"\x89PNG"
    assert all((tmp_path / "a" / n).read_bytes()[:4] == png for n in FILES[:3])
    weights = [load(tmp_path / run / "lenet.safetensors") for run in "ab"]
    assert list(weights[0]["conv1.weight"].shape) == [6, 1, 5, 5]
    for key, value in weights[0].items():
        np.testing.assert_array_equal(value.numpy(), weights[1][key].numpy())


@pytest.fixture(scope="module")
def mnist(tmp_path_factory):
    """scikit-learn's digits dressed as MNIST's four files."""
    folder = tmp_path_factory.mktemp("mnist")
    images, labels = datasets.digits(28, margin=4).tensors
    images = (255 * images.numpy()[:, 0]).round().astype(np.uint8)
    labels = labels.numpy().astype(np.uint8)
    for part, rows in (("train", slice(0, 600)), ("t10k", slice(600, 800))):
        sizes = struct.pack(">4sIII", b"\0\0\x08\3", len(images[rows]), 28, 28)
        packed = gzip.compress(sizes + images[rows].tobytes())
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(packed)
        sizes = struct.pack(">4sI", b"\0\0\x08\1", len(labels[rows]))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(sizes + labels[rows].tobytes())
    return folder


def test_mnist_files(mnist, tmp_path):
    run = demo("--data", mnist, "--quick", "--out", tmp_path)
    assert run.returncode == 0, run.stderr
    assert "400 digits, 200 held out" in run.stdout
    assert accuracy(run) > 50


@pytest.fixture
def refused(monkeypatch, capsys):
    """The one line that the demo says about bad input, after nothing was written."""
    monkeypatch.syspath_prepend(ROOT / "examples")
    main = importlib.import_module("lenet").main

    def said(*arguments):
        with pytest.raises(SystemExit) as end:
            main([*map(str, arguments)])
        shown = capsys.readouterr()
        assert end.value.code == 2
        assert re.fullmatch(r"error: .+\n", shown.err)
        assert "wrote" not in shown.out
        return shown.err

    return said


def test_an_error_is_one_line_and_status_2(tmp_path):
    run = demo("--data", tmp_path / "none", "--out", tmp_path / "out")
    assert run.returncode == 2
    assert re.fullmatch(r"error: .*there is no such folder.*\n", run.stderr)
    assert run.stdout == ""
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--epochs", "0"], "'0' is not a whole number of at least 1"),
        (["--epochs", "2.5"], "'2.5' is not a whole number"),
        (["--batch-size", "-3"], "'-3' is not a whole number of at least 1"),
        (["--lr", "nan"], "'nan' is not a number above 0"),
        (["--seed", "x"], "'x' is not a whole number"),
        (["--device", "cuda"], "'cuda'"),
        (["--optimizer", "adam"], "unrecognized arguments"),
        (["--data", "no/such/folder"], "there is no such folder"),
    ],
)
def test_bad_options_get_one_line(refused, tmp_path, arguments, said):
    assert said in refused(*arguments, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_cannot_be_written(refused, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert str(tmp_path / "file") in refused("--quick", "--out", tmp_path / "file")
    assert "error" in refused("--quick", "--out", tmp_path / "file" / "deeper")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_truncated_mnist_file(refused, mnist, tmp_path):
    for path in mnist.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    broken = tmp_path / "train-images-idx3-ubyte.gz"
    broken.write_bytes(broken.read_bytes()[:5000])
    said = refused("--data", tmp_path, "--out", tmp_path / "out")
    assert "train-images-idx3-ubyte.gz" in said
    assert "cut off" in said
    assert not (tmp_path / "out").exists()


def test_a_learning_rate_that_explodes(tmp_path):
    run = demo("--quick", "--lr", "1e300", "--out", tmp_path)
    assert run.returncode == 2
    assert "smaller learning rate" in run.stderr.splitlines()[-1]
    assert "Traceback" not in run.stderr
    assert os.listdir(tmp_path) == ["graph.svg"]
