"""Checkpoints: everything comes back, damage is found, a resumed run ends with the same bits."""

from __future__ import annotations

import itertools
import math
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_course as tc
from tests import kill_and_resume
from tests.damage import damaged
from tests.training.common import blobs, parts, run, weights
from tinygrad_course import files, nn, optim
from tinygrad_course.data import DataLoader, RandomShift, Transformed
from tinygrad_course.errors import DtypeError, FormatError, OptionError
from tinygrad_course.optim import lr_scheduler
from tinygrad_course.testing import strategies as ts
from tinygrad_course.training import (
    Callback,
    EarlyStopping,
    load_checkpoint,
    read_checkpoint,
    save_checkpoint,
)

pytest.importorskip("safetensors", reason="checkpoints need safetensors")


@pytest.fixture(autouse=True)
def _quick_disk(monkeypatch):
    """Nobody pulls the plug here: there is no need to wait for the disk."""
    monkeypatch.setattr(files.os, "fsync", lambda handle: None)


# --- what a file holds ----------------------------------------------------------------------------

plain = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**130), 2**130), st.floats(), st.text(max_size=5),
    st.builds(np.arange, st.integers(0, 4)), st.builds(np.float32, st.floats(width=32)),
)  # fmt: skip
keys = st.one_of(st.text(max_size=4), st.sampled_from(["$tensor", "$", "a.b"]), st.integers(0, 3))
trees = st.recursive(
    plain,
    lambda t: st.one_of(
        st.lists(t, max_size=3), st.tuples(t, t), st.dictionaries(keys, t, max_size=3)
    ),
    max_leaves=8,
)  # fmt: skip


def same(a, b):
    if isinstance(a, np.ndarray):
        b = b.numpy()
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    return (a == b or (a != a and b != b)) and not isinstance(b, tc.Tensor)


@ts.profile(60)
@given(trees)
def test_any_state_comes_back(tmp_path_factory, tree):
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    save_checkpoint(path, tree=tree, a={"b": np.ones(1)}, **{"a.b": np.zeros(2)})
    back = read_checkpoint(path)
    assert same(tree, back["tree"])
    assert same(np.ones(1), back["a"]["b"])
    assert same(np.zeros(2), back["a.b"])


def test_the_weights_lie_under_their_paths_in_any_layout(tmp_path):
    path, model = tmp_path / "run.safetensors", nn.Linear(3, 2)
    model.weight.data = tc.from_numpy(np.asfortranarray(model.weight.detach().numpy()))
    save_checkpoint(path, model=model, strided=np.arange(6).reshape(2, 3).T[::2])
    found = tc.load(path)
    assert (found["model.weight"] == model.weight).all()
    assert found["strided"].tolist() == [[0, 3], [2, 5]]


def test_parts_are_loaded_and_the_rest_is_handed_back(tmp_path):
    path = tmp_path / "run.safetensors"
    model, optimizer = parts()
    run(model, optimizer, 1)
    save_checkpoint(path, model=model, optimizer=optimizer, note="best", epoch=np.int64(3))
    wanted = tc.rand(3)
    other, its_optimizer = parts(seed=1)
    state = load_checkpoint(path, model=other, optimizer=its_optimizer)
    assert (state["note"], state["epoch"]) == ("best", 3)
    assert weights(other) == weights(model)
    assert its_optimizer.state[other[0].bias]["step"] == 4
    assert (tc.rand(3) == wanted).all()
    load_checkpoint(path, random=False)
    assert not (tc.rand(3) == wanted).all()


def test_what_cannot_be_kept(tmp_path):
    path = tmp_path / "run.safetensors"
    with pytest.raises(DtypeError, match=r"model\.loss is a builtin_function_or_method"):
        save_checkpoint(path, model={"loss": abs})
    with pytest.raises(DtypeError, match="number is a complex128"):
        save_checkpoint(path, number=np.complex128(1))
    with pytest.raises(OptionError, match="'random' is the name"):
        save_checkpoint(path, random=3)
    assert not list(tmp_path.iterdir())


# --- damage ---------------------------------------------------------------------------------------


def test_files_that_are_no_checkpoints(tmp_path):
    path = tmp_path / "run.safetensors"
    with pytest.raises(FileNotFoundError):
        load_checkpoint(path)
    tc.save({"w": tc.ones(2)}, path)
    with pytest.raises(FormatError, match=r"run\.safetensors: no checkpoint.*load\(\)"):
        load_checkpoint(path)
    save_checkpoint(path, epoch=1)
    with pytest.raises(OptionError, match="no model, optimizer in it; it has epoch, random"):
        load_checkpoint(path, model=nn.Tanh(), optimizer=None)


def test_a_flipped_bit_in_a_weight_is_found(tmp_path):
    path, model = tmp_path / "run.safetensors", nn.Linear(30, 30)
    save_checkpoint(path, model=model)
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)
    tc.load(path)  # to a reader of weights alone it is a number like any other
    before = weights(model)
    with pytest.raises(FormatError, match=r"run\.safetensors: damaged.*SHA-256"):
        load_checkpoint(path, model=model)
    assert weights(model) == before


def outcome(read, path):
    """What a file holds, or what is said about it."""
    try:
        return read(path)
    except FormatError as error:
        return str(error)


@pytest.mark.parametrize("kind", ["weights", "checkpoint"])
def test_damaged_files_are_refused_or_harmless(tmp_path, kind):
    """Without hanging, without taking memory; set TINYGRAD_COURSE_EXAMPLES for many more."""
    path, random = tmp_path / "run.safetensors", np.random.default_rng(0)
    model, optimizer = parts()
    save_checkpoint(path, model=model, optimizer=optimizer, epoch=1)
    read = tc.load if kind == "weights" else read_checkpoint
    whole, wanted, refused = path.read_bytes(), read(path), 0
    tracemalloc.start()
    for what, content in itertools.islice(damaged(whole, random), ts.examples(200)):
        path.write_bytes(content)
        begun = time.perf_counter()
        found = outcome(read, path)
        refused += isinstance(found, str)
        if isinstance(found, str):
            assert str(path) in found, what
        else:
            assert kind == "weights" or repr(found) == repr(wanted), what
        assert time.perf_counter() - begun < 5, what
        assert tracemalloc.get_traced_memory()[1] < 2e7, what
    tracemalloc.stop()
    assert refused > ts.examples(200) // 3


# --- resuming -------------------------------------------------------------------------------------


class Stop(Exception):
    """Ends a run as a crash would."""


class Crash(Callback):
    def __init__(self, after):
        self.left = after

    def on_batch_end(self, run):
        self.left -= 1
        if self.left == 0:
            raise Stop


class Plain:
    """Batches shuffled by the global generator, from something that has no state_dict."""

    def __init__(self):
        self.loader = DataLoader(
            Transformed(blobs(), lambda x: x + tc.rand(1) / 9), 16, shuffle=True
        )

    def __iter__(self):
        return iter(self.loader)


LOADERS = {
    "global generator": lambda: DataLoader(blobs(), 16, shuffle=True),
    "its own generator": lambda: DataLoader(blobs(), 16, shuffle=True, generator=tc.Generator(5)),
    "no state": Plain,
    "a list": lambda: list(DataLoader(blobs(), 16)),
}


def everything(folder, loader, crash=0, epochs=3, **how):
    """A run with all that has state; killed after some batches, then resumed."""
    for after in [crash, 0] if crash else [0]:
        model, optimizer = parts(lr=0.1)
        try:
            history = run(
                model, optimizer, epochs, train=LOADERS[loader](),
                validation=DataLoader(blobs(30, 1, 2.0), 7, shuffle=True),
                scheduler=[
                    lr_scheduler.MultiStepLR(optimizer, [1, 2], 0.5),
                    lr_scheduler.ReduceLROnPlateau(optimizer, patience=0),
                ],
                batch_scheduler=lr_scheduler.OneCycleLR(optimizer, 0.1, 4 * epochs),
                callbacks=[EarlyStopping("val_loss", 9), Crash(after)], clip_norm=1.0,
                metrics=["f1"], checkpoint=folder / "run.safetensors", checkpoint_every=1,
                resume=True, **how,
            )  # fmt: skip
        except Stop:
            continue
    rows = [row._replace(seconds=0) for row in history]
    return weights(model), rows, repr(optimizer.state_dict()), tc.rand(3).tolist()


@pytest.mark.parametrize("loader", LOADERS)
def test_a_crash_after_any_batch_changes_nothing(tmp_path, loader):
    (tmp_path / "whole").mkdir()
    wanted = everything(tmp_path / "whole", loader)
    for crash in (1, 3, 4, 5, 8, 12):  # four batches an epoch
        here = tmp_path / str(crash)
        here.mkdir()
        assert everything(here, loader, crash) == wanted, f"after batch {crash}"


def test_resuming_needs_the_random_state(tmp_path, monkeypatch):
    """The comparison above can fail: without the generator's state it does."""
    wanted = everything(tmp_path, "global generator")
    (tmp_path / "run.safetensors").unlink()
    from tinygrad_course.creation import Generator

    monkeypatch.setattr(Generator, "set_state", lambda *_: None)
    assert everything(tmp_path, "global generator", crash=6) != wanted


def test_an_interrupted_run_goes_on(tmp_path):
    from tests.training.test_options import Press

    path = tmp_path / "run.safetensors"
    model, optimizer = parts()
    run(model, optimizer)
    wanted = weights(model)
    model, optimizer = parts()
    history = run(model, optimizer, callbacks=[Press(6)], checkpoint=path)
    assert history.stopped == "interrupted"
    model, optimizer = parts()
    history = run(model, optimizer, callbacks=[Press()], checkpoint=path, resume=True)
    assert weights(model) == wanted
    assert (len(history), history.stopped) == (4, "")


def test_a_run_that_ended_is_not_trained_again_unless_there_are_more_epochs(tmp_path):
    path = tmp_path / "run.safetensors"

    def go(epochs):
        model, optimizer = parts()
        stop = EarlyStopping("loss", 99)
        history = run(model, optimizer, epochs, callbacks=[stop], checkpoint=path, resume=True)
        return weights(model), len(history)

    assert go(2) == go(2)
    longer = go(4)
    path.unlink()
    assert longer == go(4)


def test_a_run_that_stopped_early_stays_stopped(tmp_path):
    path = tmp_path / "run.safetensors"

    def go():
        model, optimizer = parts(lr=3.0)
        stop = EarlyStopping("val_loss", 1)
        history = run(
            model, optimizer, 30, noise=2.0, callbacks=[stop], checkpoint=path, resume=True
        )
        return weights(model), len(history), history.stopped, stop.best_epoch

    first = go()
    assert first[1] < 30
    assert first[2] == "callback"
    assert go() == first


def test_a_resumed_run_says_so(tmp_path, capsys):
    from tinygrad_course.training import fit

    for epochs in (1, 2, 2):
        model, optimizer = parts()
        how = {"epochs": epochs, "checkpoint": tmp_path / "run.safetensors", "resume": True}
        fit(model, nn.CrossEntropyLoss(), optimizer, DataLoader(blobs(), 16), **how)
    lines = capsys.readouterr().out.splitlines()
    going_on, ended = (line for line in lines if "run.safetensors" in line)
    assert going_on.endswith("run.safetensors is where it goes on: epoch 2/2, after 0 batches")
    assert ended.endswith("run.safetensors holds a run that has ended")


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    model, optimizer = parts()
    run(model, optimizer, 1, checkpoint=path, callbacks=[EarlyStopping()])
    model, optimizer = parts()
    how = {"checkpoint": path, "resume": True}
    with pytest.raises(OptionError, match=r"only in the file: callback0; only in this run: sched"):
        run(model, optimizer, 1, scheduler=lr_scheduler.StepLR(optimizer, 2), **how)
    with pytest.raises(OptionError, match="model with a state_dict"):
        run(lambda x: x, optimizer, **how)
    with pytest.raises(RuntimeError, match=r"load_state_dict.*does not fit"):
        run(nn.Linear(2, 3), optimizer, 1, callbacks=[EarlyStopping()], **how)


def test_augmented_images_resume_too(tmp_path):
    images = np.random.default_rng(0).random((20, 1, 6, 6)).astype(np.float32)
    from tinygrad_course.data import TensorDataset

    shifted = Transformed(TensorDataset(images, np.arange(20) % 2), RandomShift(1))

    def go(path, crash):
        for after in [crash, 0]:
            tc.manual_seed(0)
            model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
            optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
            try:
                run(
                    model,
                    optimizer,
                    2,
                    train=DataLoader(shifted, 4, shuffle=True),
                    checkpoint=path,
                    validation=None,
                    checkpoint_every=2,
                    callbacks=[Crash(after)],
                    resume=True,
                )
            except Stop:
                continue
        return weights(model)

    assert go(tmp_path / "a", 0) == go(tmp_path / "b", 3) == go(tmp_path / "c", 9)


def test_killed_runs_end_as_if_nothing_had_happened(tmp_path):
    """The long form: python -m tests.kill_and_resume --kills 50."""
    counts = kill_and_resume.rounds(ts.examples(3), tmp_path)
    assert counts["writing a checkpoint"] + counts["in a batch"] == ts.examples(3)


def test_infinities_are_strict_json(tmp_path):
    path = tmp_path / "run.safetensors"
    save_checkpoint(path, best=math.inf, worst=-math.inf, none=math.nan)
    from tinygrad_course.files import load_metadata

    assert "Infinity" not in load_metadata(path)["state"]
    back = read_checkpoint(path)
    assert (back["best"], back["worst"]) == (math.inf, -math.inf)
