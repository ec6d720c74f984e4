"""The loader: a dataset in batches, in an order that a seed decides."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_course.creation import Generator, default_generator
from tinygrad_course.errors import OptionError

from .fetch import Fetcher, Job, Stream
from .samplers import BatchSampler, RandomSampler, SequentialSampler
from .workers import Plan, Pool, context_for


@dataclass
class _Pass:
    """One way through the dataset: which, by which seed, how many batches were handed out."""

    epoch: int
    seed: int
    batch: int
    sampler: list[Any]  # the states of the sampler's own sources when the pass began


class DataLoader:
    """Go through a dataset in batches.

    Each pass draws one number from the generator, and everything random in that pass follows from
    it: the order, and the stream of random numbers that each batch has for its transforms. So the
    same seed gives the same batches again. `state_dict` tells where the loader is, in the middle of
    a pass too, and a loader that loads it goes on from there, bit for bit.

    Args:
        dataset: anything with a length and samples.
        batch_size: samples in a batch, the last one may be smaller; None gives single samples.
        shuffle: whether each pass takes the samples in a new random order. Without it, and without
            a generator, a loader takes nothing from the global generator.
        sampler: gives the indices instead, one at a time.
        batch_sampler: gives the indices instead, a list for each batch.
        num_workers: processes that read batches ahead. With 0, a batch is read when it is asked
            for, in the thread that asks. The batches are the same for any number.
        collate_fn: makes a batch from a list of samples; `default_collate` unless given.
        pin_memory: False; there is no memory to pin.
        drop_last: leave out a last batch that is not full.
        timeout: seconds to wait for a batch from a worker; 0 means any time.
        worker_init_fn: called in each worker with its number before it reads anything.
        multiprocessing_context: how workers start: "fork" (on Linux, unless given), "spawn" or
            "forkserver", or a multiprocessing context.
        generator: the source of the passes' seeds; the global one (`tc.manual_seed`) if left out.
        prefetch_factor: batches that each worker reads ahead, 2 unless given.
        persistent_workers: keep the workers, and what their dataset holds in memory, for the next
            pass.

    Raises:
        OptionError: a batch size below 1, or options that exclude each other or have no meaning.
        RuntimeError: a worker died, or a batch took longer than `timeout`. An error that a dataset
            raises in a worker is raised here as it is, with the traceback from there as its cause,
            and notes that name the sample and the worker.

    >>> import tinygrad_course as tc
    >>> loader = DataLoader([(i, i % 2) for i in range(5)], batch_size=2)
    >>> len(loader)
    3
    >>> next(iter(loader))
    (tensor([0, 1]), tensor([0, 1]))
    """

    def __init__(
        self, dataset: Any, batch_size: int | None = 1, shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None, batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0, collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False, drop_last: bool = False, timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None, multiprocessing_context: Any = None,
        generator: Generator | None = None, *,
        prefetch_factor: int | None = None, persistent_workers: bool = False,
    ) -> None:  # fmt: skip
        if pin_memory:
            raise OptionError("pin_memory=True is not supported: batches live in plain memory")
        self.num_workers = num_workers
        self.persistent_workers = persistent_workers
        self._plan = _plan(
            num_workers, prefetch_factor, timeout, worker_init_fn, multiprocessing_context,
            persistent_workers,
        )  # fmt: skip
        self._idle: Pool | None = None  # workers that wait for the next pass
        _check_order(batch_size, shuffle, sampler, batch_sampler, drop_last)
        if sampler is None:
            sampler = RandomSampler(dataset) if shuffle else SequentialSampler(dataset)
        if batch_sampler is not None:
            batch_size = None
        elif batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.dataset = dataset
        self.batch_size = batch_size
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.drop_last = drop_last
        self.collate_fn = collate_fn
        self.generator = generator
        self._epoch = 0  # the number of the next pass
        self._now: _Pass | None = None
        self._resumed = False
        self._base: int | None = None  # what seeds the passes of a loader that draws nothing

    def __len__(self) -> int:
        return len(self._order)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        now = self._begin()
        fetch = Fetcher(self.dataset, self.collate_fn, self.batch_sampler is not None)
        with self._reader(fetch, now) as batches:
            for batch in batches:
                now.batch += 1
                yield batch
        if self._now is now:
            self._now = None

    @contextlib.contextmanager
    def _reader(self, fetch: Fetcher, now: _Pass) -> Iterator[Iterator[Any]]:
        if self._plan is None:
            yield map(fetch, self._jobs(now))
            return
        pool, self._idle = self._idle or Pool(fetch, self._plan, now.seed), None
        healthy = False
        try:
            yield pool.run(self._jobs(now))
            healthy = True
        except GeneratorExit:  # a break: nothing is wrong
            healthy = True
            raise
        finally:
            if healthy and self.persistent_workers and self._idle is None:
                self._idle = pool
            else:
                pool.close()

    # --- the order --------------------------------------------------------------------------------

    @property
    def _order(self) -> Iterable[Any]:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def _begin(self) -> _Pass:
        """A new pass; or the one that was loaded, where it was left."""
        if self._now is None or not self._resumed:
            seed = self._new_seed()
            self._now = _Pass(self._epoch, seed, 0, [_state(s) for s in self._sources()])
            self._epoch += 1
        self._resumed = False
        return self._now

    def _new_seed(self) -> int:
        plain = self.batch_sampler is None or isinstance(self.batch_sampler, BatchSampler)
        if self.generator is not None or not (plain and type(self.sampler) is SequentialSampler):
            return int((self.generator or default_generator).numpy.integers(2**63))
        if self._base is None:
            source: Any = default_generator.numpy.bit_generator
            self._base = _mixed(source.seed_seq.entropy)
        return _mixed((self._base, self._epoch))

    def _jobs(self, now: _Pass) -> Iterator[Job]:
        """The batches of a pass that have not been handed out yet."""
        drawing, skipped = Stream(now.seed, 0), now.batch
        with drawing:
            order = self._order_again(now) if skipped else iter(self._order)
        for number in itertools.count(skipped):
            with drawing:  # a sampler may draw at each step
                try:
                    indices = next(order)
                except StopIteration:
                    return
            yield Job(now.seed, number, indices)

    def _order_again(self, now: _Pass) -> Iterator[Any]:
        """The order of a pass that was begun elsewhere, without the batches handed out there."""
        kept = self.generator and self.generator.get_state()
        _load(self._sources(), now.sampler)
        order = iter(self._order)
        for number in range(now.batch):
            try:
                next(order)
            except StopIteration:
                raise OptionError(
                    f"the state says that {now.batch} batches were done, but the sampler gives "
                    f"only {number}; build the loader as it was when the state was saved"
                ) from None
        if kept:
            self.generator.set_state(kept)  # type: ignore[union-attr]
        return order

    def _sources(self) -> list[Any]:
        """What the samplers draw from, other than the loader's stream."""
        samplers = [self.batch_sampler, self.sampler, getattr(self.batch_sampler, "sampler", None)]
        found: list[Any] = []
        for sampler in samplers:
            own = sampler if hasattr(sampler, "state_dict") else getattr(sampler, "generator", None)
            if own is not None and not any(own is other for other in found):
                found.append(own)
        return found

    # --- going on later ---------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Where the loader is, as plain data that JSON can hold.

        Inside the loop it counts the batch that was just handed out as done. A loader that loads
        the state gives the batches after that one; after the last one, a pass without batches, so
        that what a training loop does at the end of an epoch is still done.

        The state of the global generator is not part of it: save that beside it.
        """
        now = self._now
        return {
            "epoch": self._epoch if now is None else now.epoch,
            "batch": 0 if now is None else now.batch,
            "seed": None if now is None else now.seed,
            "sampler": [_state(s) for s in self._sources()] if now is None else now.sampler,
            "generator": None if self.generator is None else self.generator.get_state(),
            "base": self._base,
            "samples": len(self.dataset),
            "batch_size": self.batch_size,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where another loader was, built alike over the same dataset.

        Raises:
            OptionError: the state of a loader over another dataset or with other batches.
        """
        self._check(state)
        under_way = state["seed"] is not None
        self._epoch = state["epoch"] + under_way
        self._base = state["base"]
        self._resumed = under_way
        self._now = None
        if under_way:
            self._now = _Pass(state["epoch"], state["seed"], state["batch"], list(state["sampler"]))
        _load(self._sources(), state["sampler"])
        if self.generator is not None:
            self.generator.set_state(state["generator"])

    def _check(self, state: Mapping[str, Any]) -> None:
        here = self.state_dict()
        missing = here.keys() - state.keys()
        if missing:
            raise OptionError(f"not the state of a loader: it has no {', '.join(sorted(missing))}")
        for name, kind in _MUST_AGREE.items():
            if kind(state[name]) != kind(here[name]):
                raise OptionError(
                    f"the state is that of a loader with {name}={state[name]!r}, this one has "
                    f"{here[name]!r}; build the loader as it was when the state was saved"
                )


_MUST_AGREE: dict[str, Callable[[Any], Any]] = {
    "samples": int,
    "batch_size": lambda size: size,
    "sampler": len,
    "generator": lambda state: state is None,
}


def _state(source: Any) -> Any:
    return source.state_dict() if hasattr(source, "state_dict") else source.get_state()


def _load(sources: list[Any], states: list[Any]) -> None:
    for source, state in zip(sources, states, strict=True):
        if hasattr(source, "load_state_dict"):
            source.load_state_dict(state)
        else:
            source.set_state(state)


def _mixed(seed: Any) -> int:
    """One well-mixed number from a seed or several."""
    return int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])


def _check_order(
    batch_size: Any, shuffle: Any, sampler: Any, batch_sampler: Any, drop_last: bool
) -> None:
    """Options that say twice, or in two ways, in which order the samples come."""
    if sampler is not None and shuffle:
        raise OptionError("a sampler decides the order; leave shuffle out")
    if batch_sampler is not None and (
        batch_size != 1 or shuffle or sampler is not None or drop_last
    ):
        raise OptionError(
            "a batch_sampler decides the batches; leave batch_size, shuffle, sampler and drop_last "
            "out"
        )
    if batch_size is None and drop_last:
        raise OptionError("batch_size=None gives single samples; drop_last has no meaning there")


def _plan(
    workers: Any, prefetch: Any, timeout: float, init: Any, context: Any, persistent: bool
) -> Plan | None:
    """How workers are to run; None if there are none."""
    for name, value, least in (("num_workers", workers, 0), ("prefetch_factor", prefetch, 1)):
        if value is not None and (not isinstance(value, (int, np.integer)) or value < least):
            raise OptionError(f"{name} is a whole number of at least {least}, got {value!r}")
    if not timeout >= 0:
        raise OptionError(f"timeout is a number of seconds, not negative, got {timeout!r}")
    if workers:
        return Plan(int(workers), prefetch or 2, timeout, init, context_for(context))
    given = {
        "prefetch_factor": prefetch,
        "multiprocessing_context": context,
        "persistent_workers": persistent or None,
    }
    for name, value in given.items():
        if value is not None:
            raise OptionError(f"{name} is for workers, and there are none: pass num_workers too")
    return None
