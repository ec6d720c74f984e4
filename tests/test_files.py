"""Files: whole or not at all; weights come back as they were."""

from __future__ import annotations

import os
import stat
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_course as tc
from tinygrad_course import files
from tinygrad_course.arrays import DTYPES
from tinygrad_course.errors import DtypeError, FormatError, OptionError

pytest.importorskip("safetensors", reason="weights need safetensors")


@given(
    array=st.sampled_from(DTYPES).flatmap(
        lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, min_side=0, max_dims=4, max_side=5))
    ),
    data=st.data(),
)
def test_any_layout_comes_back(tmp_path_factory, array, data):
    """safetensors 0.8.0 writes the memory of an array as it lies, strides ignored."""
    array = array.transpose(data.draw(st.permutations(range(array.ndim))))
    if array.ndim:
        array = array[:: data.draw(st.sampled_from([1, 2, -1]))]
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    files.save({"a": array, "t": tc.tensor(array)}, path)
    for back in files.load(path).values():
        assert back.dtype == array.dtype
        assert back.shape == array.shape
        assert back.numpy().tobytes() == array.tobytes()


def test_the_trap_itself(tmp_path):
    path = tmp_path / "w.safetensors"
    w = tc.arange(6).reshape(2, 3)
    files.save({"t": w.T, "f": np.asfortranarray(w.numpy()), "s": w.numpy()[:, ::2]}, path)
    back = files.load(path)
    assert back["t"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert back["f"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert back["s"].tolist() == [[0, 2], [3, 5]]


def test_either_order_metadata_and_parameters(tmp_path):
    path = tmp_path / "w.safetensors"
    files.save(path, {"w": tc.ones(2, requires_grad=True)}, metadata={"epoch": "3"})
    back = files.load(path)
    assert not back["w"].requires_grad
    back["w"][0] = 5.0  # the tensors own memory that can be written
    assert files.load_metadata(path) == {"epoch": "3"}
    files.save({}, path)
    assert files.load(path) == {}
    assert files.load_metadata(path) == {}


def test_what_cannot_be_saved(tmp_path):
    path = tmp_path / "w.safetensors"
    with pytest.raises(OptionError, match=r"state_dict\(\)"):
        files.save(tc.ones(2), path)
    with pytest.raises(OptionError, match="text, got 3"):
        files.save({3: tc.ones(2)}, path)
    with pytest.raises(OptionError, match="text, got 1"):
        files.save({"w": tc.ones(2)}, path, {"epoch": 1})
    with pytest.raises(DtypeError):
        files.save({"w": np.array([1j])}, path)
    assert not list(tmp_path.iterdir())


def test_damaged_files(tmp_path):
    path = tmp_path / "w.safetensors"
    files.save({"w": tc.arange(100)}, path)
    whole = path.read_bytes()
    for content in (b"", b"text", whole[:4], whole[:30], whole[:-1], whole + b"x", b"\xff" * 64):
        path.write_bytes(content)
        with pytest.raises(FormatError, match=r"w\.safetensors"):
            files.load(path)
    with pytest.raises(FileNotFoundError):
        files.load(tmp_path / "none")


@given(st.data())
def test_mutated_files(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "mutated.safetensors"
    files.save({"w": tc.arange(4), "b": tc.ones(2)}, path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        message = f"{path}: {files.load(path)}"
    except FormatError as error:
        message = str(error)
    assert message.startswith(str(path))


def test_numbers_that_tensors_cannot_hold(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "w.safetensors"
    save_file({"w": np.ones(2, np.uint16)}, path)
    with pytest.raises(FormatError, match=r"w\.safetensors: w is uint16"):
        files.load(path)


def test_half_written_files_are_cleared_away(tmp_path):
    others = [".run.0badcafe.part", ".run[1].b.0badcafe.part", "run[1]"]
    for name in (".run[1].0badcafe.part", *others):
        (tmp_path / name).touch()
    files.remove_parts(tmp_path / "run[1]")
    assert sorted(os.listdir(tmp_path)) == others


def test_without_safetensors(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ImportError, match="pip install"):
        files.save({"w": tc.ones(1)}, tmp_path / "w")


def test_a_crash_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "curve.svg"
    files.atomic_write(path, "old")

    def crash(*_):
        raise OSError("the disk is full")

    for owner, step in ((files.os, "fsync"), (files.Path, "replace")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, step, crash)
            with pytest.raises(OSError, match="disk is full"):
                files.atomic_write(path, "new" * 1000)
        assert path.read_text() == "old"
        assert os.listdir(tmp_path) == ["curve.svg"]


def test_new_files_follow_the_umask_and_links_are_written_through(tmp_path):
    before = os.umask(0o027)
    try:
        files.atomic_write(tmp_path / "a", b"1")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640
    (tmp_path / "link").symlink_to(tmp_path / "a")
    files.atomic_write(tmp_path / "link", "2")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "a").read_text() == "2"


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        files.atomic_write(tmp_path / "none" / "a", "x")


def test_output_folders(tmp_path):
    folder = files.output_folder(tmp_path / "a" / "b")
    assert list(folder.iterdir()) == []
    assert files.output_folder(folder) == folder
    (folder / "file").touch()
    with pytest.raises(OSError, match="file"):
        files.output_folder(folder / "file")
    with pytest.raises(OSError, match="file"):
        files.output_folder(folder / "file" / "c")
