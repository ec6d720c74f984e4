"""A loader's state: what comes after it is, bit for bit, what would have come."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    Sampler,
    TensorDataset,
    Transformed,
    WeightedRandomSampler,
)
from tinygrad_course.errors import OptionError
from tinygrad_course.testing import strategies as ts


class Lazy(Sampler):
    """Draws an index at each step, from whatever source is the global one then."""

    def __iter__(self):
        return (int(tc.randint(0, 17, (1,))) for _ in range(17))

    def __len__(self):
        return 17


class Counting(Sampler):
    """Begins one further each time, and says where it is."""

    def __init__(self):
        self.start = 0

    def __iter__(self):
        self.start += 1
        return iter([(self.start + i) % 17 for i in range(17)])

    def __len__(self):
        return 17

    def state_dict(self):
        return {"start": self.start}

    def load_state_dict(self, state):
        self.start = state["start"]


def noisy(x):
    return x + tc.rand_like(x)


PAIRS = TensorDataset(np.arange(17, dtype=np.float32)[:, None], np.arange(17))
KINDS = {
    "plain": lambda: DataLoader(PAIRS, 3),
    "augmented": lambda: DataLoader(Transformed(PAIRS, noisy), 3),
    "shuffled": lambda: DataLoader(Transformed(PAIRS, noisy), 3, shuffle=True),
    "own generator": lambda: DataLoader(PAIRS, 4, shuffle=True, generator=tc.Generator(3)),
    "sampler": lambda: DataLoader(PAIRS, 3, sampler=ordered(tc.Generator(1))),
    "shared": lambda: shared(tc.Generator(4)),
    "weighted": lambda: DataLoader(PAIRS, 5, sampler=WeightedRandomSampler(range(17), 17)),
    "lazy": lambda: DataLoader(PAIRS, 2, sampler=Lazy()),
    "stateful": lambda: DataLoader(PAIRS, 2, sampler=Counting()),
    "batches": lambda: DataLoader(PAIRS, batch_sampler=BatchSampler(Lazy(), 3, True)),
    "singles": lambda: DataLoader(PAIRS, None, shuffle=True),
    "workers": lambda: DataLoader(Transformed(PAIRS, noisy), 3, shuffle=True, num_workers=2),
    "persistent workers": lambda: DataLoader(
        Transformed(PAIRS, noisy), 4, True, num_workers=1, persistent_workers=True
    ),
    "lazy, workers": lambda: DataLoader(PAIRS, 2, sampler=Lazy(), num_workers=2),
}  # fmt: skip


def ordered(generator):
    return RandomSampler(PAIRS, generator=generator)


def shared(generator):
    return DataLoader(PAIRS, 3, sampler=ordered(generator), generator=generator)


def plain(batches):
    return [[part.tolist() for part in batch] for batch in batches]


def history(make, stop=None, state=None, seed=5):
    """Two passes and what they gave; or until `stop` batches, with the state there."""
    tc.manual_seed(seed)
    loader = make()
    if state is not None:
        loader.load_state_dict(state["loader"])
        assert loader.state_dict() == state["loader"]
        tc.creation.default_generator.set_state(state["random"])
    seen = []
    while loader.state_dict()["epoch"] < 2:
        for batch in loader:
            seen.append([part.tolist() for part in batch])
            seen.append(tc.rand(1).item())
            if len(seen) == 2 * (stop or -1):
                random = tc.creation.default_generator.get_state()
                return seen, {"loader": loader.state_dict(), "random": random}
    return seen, None


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "workers" not in kind])
@ts.profile(8)
@given(data=st.data())
def test_a_run_cut_in_two_is_the_whole_run(kind, data):
    whole, _ = history(KINDS[kind])
    cut_in_two(kind, whole, data.draw(st.integers(1, len(whole) // 2 - 1)))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "workers" in kind])
def test_a_run_with_workers_cut_in_two(kind):
    whole, _ = history(KINDS[kind])
    batches = len(whole) // 2
    for stop in (1, batches // 2, batches // 2 + 1, batches - 1):
        cut_in_two(kind, whole, stop)


def cut_in_two(kind, whole, stop):
    first, state = history(KINDS[kind], stop)
    second, _ = history(KINDS[kind], state=json.loads(json.dumps(state)), seed=77)
    assert first + second == whole


def test_a_generator_that_others_draw_from_goes_on_too():
    """The order is drawn from the state at the beginning; then the state of now is set."""
    g = tc.Generator(4)
    loader = shared(g)
    batches = iter(loader)
    next(batches)
    tc.rand(3, generator=g)
    state, rest = loader.state_dict(), [y.tolist() for _, y in batches]
    next_pass = plain(loader)
    again = shared(tc.Generator(0))
    again.load_state_dict(state)
    assert [y.tolist() for _, y in again] == rest
    assert plain(again) == next_pass


def test_after_the_last_batch_a_pass_without_batches():
    loader = DataLoader(PAIRS, 17, shuffle=True)
    for _ in loader:
        state = loader.state_dict()
    assert (state["epoch"], state["batch"]) == (0, 1)
    loader.load_state_dict(state)
    assert list(loader) == []
    assert loader.state_dict()["epoch"] == 1
    assert len(list(loader)) == 1


def test_a_new_loop_is_a_new_pass_unless_a_state_was_loaded():
    tc.manual_seed(0)
    loader = DataLoader(PAIRS, 4, shuffle=True)
    first = next(iter(loader))[1].tolist()
    assert loader.state_dict()["batch"] == 1
    assert len(list(loader)) == 5
    assert loader.state_dict()["epoch"] == 2
    tc.manual_seed(0)
    assert next(iter(loader))[1].tolist() == first


def test_two_passes_at_once():
    loader = DataLoader(PAIRS, 4, shuffle=True)
    for a, b in zip(loader, loader, strict=True):
        assert a[1].tolist() != b[1].tolist()


def test_reading_without_shuffling_takes_nothing_from_the_global_generator():
    tc.manual_seed(1)
    expected = tc.rand(1).item()
    tc.manual_seed(1)
    moved = [plain(DataLoader(Transformed(PAIRS, noisy), 4)) for _ in range(2)]
    assert tc.rand(1).item() == expected
    assert moved[0] == moved[1]
    tc.manual_seed(2)
    assert plain(DataLoader(Transformed(PAIRS, noisy), 4)) != moved[0]


def test_each_epoch_and_batch_draws_anew():
    loader = DataLoader(Transformed(TensorDataset(tc.zeros(8, 1)), noisy), 4)
    drawn = [x.item() for _ in range(2) for (batch,) in loader for x in batch]
    assert len(set(drawn)) == 16


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"samples": 18}, "samples=18, this one has 17"),
        ({"batch_size": 4}, "batch_size=4"),
        ({"sampler": [{}]}, "sampler"),
        ({"generator": {}}, "generator"),
        ({"batch": 9, "seed": 1}, "9 batches were done, but the sampler gives only 6"),
    ],
)
def test_states_of_other_loaders(change, reason):
    loader = DataLoader(PAIRS, 3)
    with pytest.raises(OptionError, match=reason):
        loader.load_state_dict(loader.state_dict() | change) or list(loader)
    with pytest.raises(OptionError, match=r"no base, .*samples"):
        loader.load_state_dict({"epoch": 1})
