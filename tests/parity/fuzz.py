"""Random programs of tensor operations, run with PyTorch and with the import changed.

    python -m tests.parity.fuzz --programs 100000 [--seed 0] [--jobs 1]

A program is a list of lines like `c = a.sum(1, keepdim=True)`: operations of all families over
values that are shared, viewed, broadcast, indexed and written in place, with `detach` and `no_grad`
between them. Values, dtypes, gradients for random cotangents and, for a share of the programs,
second derivatives must be PyTorch's. A program that fails is made shorter as long as it still
fails, and printed as Python that runs.

Numbers start as multiples of ¼, so that ties are exact in both libraries. An operation with a kink
or a jump is applied to numbers that rounding may have moved only where they are clear of it.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import multiprocessing
import random
import re
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

import tinygrad_course as tc

from . import fuzz_ops
from .fuzz_ops import Unfit

FAR = 1e-6  # how far from a kink a rounded number must be
LARGEST = 1e4
RTOL = 1e-8
LONGEST = 30
WRITING = re.compile(r"(\w+)(\[.*\] = |\.\w+_\(| [-+*]= )")


@dataclasses.dataclass
class Program:
    """Leaves, lines, and what is differentiated."""

    leaves: dict[str, np.ndarray[Any, Any]]
    lines: list[str]
    outputs: list[str]
    seed: int
    second: bool

    def __str__(self) -> str:
        leaves = [
            f"{n} = torch.tensor({a.tolist()}, dtype=torch.{a.dtype}"
            f"{', requires_grad=True' if a.dtype.kind == 'f' else ''}).reshape({a.shape})"
            if a.size == 0
            else f"{n} = torch.tensor({a.tolist()}, dtype=torch.{a.dtype}"
            f"{', requires_grad=True' if a.dtype.kind == 'f' else ''})"
            for n, a in self.leaves.items()
        ]
        floats = [n for n, a in self.leaves.items() if a.dtype.kind == "f"]
        tail = [
            f"outputs = [{', '.join(self.outputs)}]",
            f"weights = [torch.tensor(w) for w in {[w.tolist() for w in self.weights()]}]"
            if self.outputs and all(w.size for w in self.weights())
            else "weights = [torch.ones_like(o) for o in outputs]",
            f"grads = torch.autograd.grad(outputs, [{', '.join(floats)}], weights, "
            f"create_graph={self.second}, allow_unused=True)",
        ]
        head = ["import torch", "F = torch.nn.functional"]
        return "\n".join([*head, *leaves, *self.lines, *tail, "print(grads)"])

    def weights(self) -> list[np.ndarray[Any, Any]]:
        """A cotangent for each output, the same for both libraries."""
        return [weight(self.seed + i, shape) for i, shape in enumerate(self.output_shapes())]

    @functools.cached_property
    def _shapes(self) -> list[tuple[int, ...]]:
        env = run(self, torch)
        return [tuple(env[name].shape) for name in self.outputs]

    def output_shapes(self) -> list[tuple[int, ...]]:
        return self._shapes


def weight(seed: int, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    drawn = np.random.default_rng(seed % 2**32).integers(-4, 5, shape)
    return np.asarray(drawn / 2.0, dtype=np.float64)


@functools.lru_cache(maxsize=4096)
def compiled(line: str) -> Any:
    return compile(line, "<program>", "exec")


def start(program: Program, library: Any) -> dict[str, Any]:
    """The names that a program begins with."""
    env: dict[str, Any] = {"torch": library, "F": library.nn.functional}
    for name, array in program.leaves.items():
        env[name] = library.from_numpy(array.copy())
        if array.dtype.kind == "f":
            env[name].requires_grad_()
    return env


def run(program: Program, library: Any) -> dict[str, Any]:
    """All that the program computes, by name.

    PyTorch's values are copied before they are written into. Nothing else shares their memory, so
    nothing changes, but that PyTorch can differentiate what it would refuse: a value that was saved
    and then written into, which is no obstacle here.
    """
    env = start(program, library)
    for line in program.lines:
        writing = WRITING.match(line)
        if writing and library is torch:
            name = writing[1]
            env[name] = env[name].clone()
        exec(compiled(line), env)
    return env


# --- making one -----------------------------------------------------------------------------------


class Builder:
    """Grows a program line by line, computing it with PyTorch on the way.

    What the operations in `fuzz_ops` ask: names of values of a kind, whether numbers are clear of a
    kink, random sizes and dimensions.
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        leaves = {}
        for name in "abcd"[: self.rng.randint(1, 4)]:
            leaves[name] = self.leaf(seed + ord(name))
        if self.rng.random() < 0.5:
            leaves["k"] = np.asarray(
                np.random.default_rng(seed).integers(0, 3, self.shape()), dtype=np.int64
            )
        self.program = Program(leaves, [], [], seed, self.rng.random() < 0.25)
        self.env = start(self.program, torch)
        self.exact = dict.fromkeys(leaves, True)
        self.count = 0
        self.used: list[str] = []
        self.views: set[str] = set()

    def shape(self) -> tuple[int, ...]:
        sides = (1, 1, 2, 2, 3, 3, 4) if self.rng.random() < 0.93 else (0, 1, 2)
        return tuple(
            self.rng.choice(sides) for _ in range(self.rng.choice((0, 1, 1, 2, 2, 2, 3, 3)))
        )

    def leaf(self, seed: int) -> np.ndarray[Any, Any]:
        drawn = np.random.default_rng(seed).integers(-8, 9, self.shape())
        return np.asarray(drawn / 4.0)

    # what operations ask

    def pick(self, kind: str = "f", dims: Sequence[int] = (0, 1, 2, 3, 4)) -> str:
        """A name of a value: floats mostly recent ones, so that chains grow."""
        found = [
            n
            for n, v in self.env.items()
            if isinstance(v, torch.Tensor) and v.dim() in dims and dtype_kind(v) in kind
        ]
        if not found:
            raise Unfit
        recent = found[-4:] if self.rng.random() < 0.6 else found
        name = self.rng.choice(recent)
        self.used.append(name)
        return name

    def value(self, name: str) -> Any:
        return self.env[name]

    def names(self, kind: str = "f") -> list[str]:
        return [n for n, v in self.env.items()
                if isinstance(v, torch.Tensor) and dtype_kind(v) in kind]  # fmt: skip

    def same_shape(self, name: str, kind: str = "f") -> list[str]:
        return [n for n in self.names(kind) if self.env[n].shape == self.env[name].shape]

    def leading(self, name: str, kind: str) -> list[str]:
        """Names whose shape is the beginning of another's."""
        shape = self.env[name].shape
        return [n for n in self.names(kind)
                if 0 < self.env[n].dim() <= len(shape)
                and shape[: self.env[n].dim()] == self.env[n].shape]  # fmt: skip

    def fitting(self, name: str) -> list[str]:
        """Names of what a value can be multiplied with as a matrix."""
        n = self.env[name].shape[-1]
        return [m for m in self.names() if 0 < self.env[m].dim() < 4
                and self.env[m].shape[-2 if self.env[m].dim() > 1 else -1] == n]  # fmt: skip

    def filled(self, shape: tuple[int, ...]) -> str:
        """An expression of a shape, made of a value that is there."""
        y = self.pick("f")
        return f"{y}.sum().expand({shape})"

    def writable(self) -> str:
        """The name of a value that no other name shares memory with."""
        owners = Counter(self.env[n].untyped_storage().data_ptr() for n in self.names("fib"))
        found = [
            n
            for n in self.names()
            if n not in self.views
            and owners[self.env[n].untyped_storage().data_ptr()] == 1
            and not (self.env[n].is_leaf and self.env[n].requires_grad)
        ]
        if not found:
            raise Unfit
        name = self.rng.choice(found)
        self.used.append(name)
        return name

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    def clear(self, name: str, *kinks: float) -> None:
        """Refuse numbers that rounding may have put on either side of a kink."""
        if not self.exact[name]:
            v = self.env[name].detach()
            if any(bool(((v - k).abs() < FAR).any()) for k in kinks):
                raise Unfit

    def clear_of(self, x: str, y: str) -> None:
        """Refuse pairs that may be equal but for rounding."""
        if not (self.exact[x] and self.exact[y]):
            v, w = self.env[x].detach(), self.env[y].detach()
            if bool(((v - w).abs() < FAR).any()):
                raise Unfit

    def distinct(self, name: str) -> None:
        """Refuse numbers with ties that rounding may undo."""
        if not self.exact[name]:
            v = self.env[name].detach().flatten().sort().values
            if bool((v.diff() < FAR).any()):
                raise Unfit

    def within(self, name: str, low: float, high: float) -> None:
        v = self.env[name].detach()
        if bool(((v < low) | (v > high)).any()):
            raise Unfit

    def dim(self, name: str) -> int:
        n = max(self.env[name].dim(), 1)
        return self.rng.randint(-n, n - 1)

    def grow(self) -> None:
        """Try one more line."""
        operation = self.rng.choices(fuzz_ops.OPERATIONS, fuzz_ops.WEIGHTS)[0]
        self.used = []
        try:
            text = operation.write(self)
        except (Unfit, RuntimeError, IndexError):
            return
        name = f"v{self.count}"
        if operation.statement:
            line, target = text, operation.target(text)
        else:
            line, target = f"{name} = {text}", name
            # PyTorch says of a view made there that it requires grad
            if self.chance(0.04) and not operation.view:
                line = f"with torch.no_grad(): {line}"
        if self.keep(line, target, operation.exact) and operation.view:
            self.views.add(target)

    def keep(self, line: str, target: str, exact: bool) -> bool:
        """Add the line if PyTorch computes it and its numbers stay moderate."""
        before = self.env.get(target)
        if before is not None:
            self.env[target] = before.clone()  # so that a line that is not kept changes nothing
            self.env[target].detach_() if before.is_leaf else None
        try:
            exec(compiled(line), self.env)
            result = self.env[target]
            fit = isinstance(result, torch.Tensor) and result.numel() <= 96 and result.dim() <= 4
            fit = fit and moderate(result)
        except (RuntimeError, IndexError, TypeError, ValueError):
            fit = False
        if not fit:
            if before is None:
                self.env.pop(target, None)
            else:
                self.env[target] = before
            return False
        self.program.lines.append(line)
        self.count += 1
        self.exact[target] = (
            (exact or dtype_kind(result) in "bi")
            and all(self.exact[n] for n in self.used)
            and dyadic(result)
        )
        return True


def dtype_kind(v: Any) -> str:
    return "f" if v.is_floating_point() else ("b" if v.dtype == torch.bool else "i")


def moderate(v: Any) -> bool:
    return not v.is_floating_point() or bool((v.detach().abs() < LARGEST).all())


def dyadic(v: Any) -> bool:
    """Whether the numbers are multiples of 2⁻²⁰, so that sums and products of them are exact."""
    if not v.is_floating_point():
        return True
    scaled = v.detach() * 2.0**20
    return bool((scaled == scaled.round()).all())


def make(seed: int) -> Program:
    """The program of a seed."""
    builder = Builder(seed)
    length = builder.rng.randint(2, LONGEST)
    for _ in range(3 * length):
        builder.grow()
        if len(builder.program.lines) >= length:
            break
    tracked = [
        n
        for n, v in builder.env.items()
        if isinstance(v, torch.Tensor) and v.is_floating_point() and v.requires_grad
    ]
    builder.program.outputs = sorted(
        {tracked[-1], *builder.rng.sample(tracked, min(len(tracked), builder.rng.randint(0, 2)))}
    )
    return builder.program


# --- comparing ------------------------------------------------------------------------------------


class TorchRefuses(Exception):
    """PyTorch cannot run or differentiate this program."""


def derivatives(program: Program, library: Any, env: dict[str, Any]) -> list[Any]:
    """First derivatives by the leaves, then second derivatives if the program wants them."""
    leaves = [env[n] for n, a in program.leaves.items() if a.dtype.kind == "f"]
    outputs = [env[n] for n in program.outputs]
    weights = [library.from_numpy(weight(program.seed + i, tuple(o.shape)))
               for i, o in enumerate(outputs)]  # fmt: skip
    grads = library.autograd.grad(
        outputs, leaves, weights, create_graph=program.second, allow_unused=True
    )
    found = list(grads)
    tracked = {i: g for i, g in enumerate(grads) if g is not None and g.requires_grad}
    if program.second and tracked:
        weights = [library.from_numpy(weight(program.seed - 1 - i, tuple(g.shape)))
                   for i, g in tracked.items()]  # fmt: skip
        found += library.autograd.grad(list(tracked.values()), leaves, weights, allow_unused=True)
    elif program.second:
        found += [None] * len(leaves)
    return found


def compare(program: Program) -> str | None:
    """What differs between the libraries, in a line; None if nothing does."""
    try:
        theirs = run(program, torch)
        expected = derivatives(program, torch, theirs)
    except Exception as error:
        raise TorchRefuses from error
    try:
        ours = run(program, tc)
    except Exception as error:
        return f"forward raises {type(error).__name__}: {error}"
    single = any(isinstance(v, torch.Tensor) and v.dtype == torch.float32 for v in theirs.values())
    for name, b in theirs.items():
        if isinstance(b, torch.Tensor):
            problem = difference(ours[name], b, name, single)
            if problem:
                return problem
    try:
        found = derivatives(program, tc, ours)
    except Exception as error:
        return f"derivatives raise {type(error).__name__}: {error}"
    leaves = sum(a.dtype.kind == "f" for a in program.leaves.values())
    for i, (g, h) in enumerate(zip(found, expected, strict=True)):
        problem = difference_of_gradients(g, h, i % leaves, single)
        if problem:
            return ("first " if i < leaves else "second ") + problem
    return None


def difference(a: Any, b: Any, name: str, single: bool) -> str | None:
    x, y = array(a), array(b)
    if x.shape != y.shape:
        return f"{name} has shape {x.shape}, PyTorch's {y.shape}"
    if x.dtype != y.dtype:
        return f"{name} has dtype {x.dtype}, PyTorch's {y.dtype}"
    if a.requires_grad != b.requires_grad:
        return f"{name}.requires_grad is {a.requires_grad}, PyTorch's {b.requires_grad}"
    if not close(x, y, single):
        return f"{name} is {x.tolist()}, PyTorch's {y.tolist()}"
    return None


def difference_of_gradients(g: Any, h: Any, i: int, single: bool) -> str | None:
    if g is None and h is None:
        return None
    like = g if g is not None else h
    x = np.zeros(tuple(like.shape)) if g is None else array(g)
    y = np.zeros(tuple(like.shape)) if h is None else array(h)
    if x.shape != y.shape or x.dtype != y.dtype:
        return f"gradient {i} is {x.dtype}{x.shape}, PyTorch's {y.dtype}{y.shape}"
    if not close(x, y, single):
        return f"gradient {i} is {x.tolist()}, PyTorch's {y.tolist()}"
    return None


def array(v: Any) -> Any:
    """The numbers; PyTorch's tensors that stand for zeros have no memory (numpy() may crash)."""
    if isinstance(v, torch.Tensor) and v._is_zerotensor():
        return np.zeros(tuple(v.shape))
    return v.detach().numpy()


def close(x: Any, y: Any, single: bool = False) -> bool:
    if x.dtype.kind != "f":
        return bool((x == y).all())
    size = np.abs(y[np.isfinite(y)]).max(initial=1.0)
    rtol = 1e-4 if single else RTOL
    return bool(np.allclose(x, y, rtol=rtol, atol=rtol * size, equal_nan=True))


def sensitive(program: Program) -> bool:
    """Whether PyTorch's own results move by as much when the leaves move by a rounding error."""

    def all_numbers(scale: float) -> list[Any]:
        leaves = {n: a * scale if a.dtype.kind == "f" else a for n, a in program.leaves.items()}
        moved = dataclasses.replace(program, leaves=leaves)
        env = run(moved, torch)
        values = [v for v in env.values() if isinstance(v, torch.Tensor)]
        grads = [g for g in derivatives(moved, torch, env) if g is not None]
        return [array(v) for v in (*values, *grads)]

    try:
        here = all_numbers(1.0)
        return any(
            a.shape != b.shape or not close(a, b)
            for eps in (1e-14, -1e-14)
            for a, b in zip(all_numbers(1.0 + eps), here, strict=True)
        )
    except Exception:
        return True


def right(program: Program, order: int) -> bool:
    """Whether differences say that our derivatives of this order are right, and PyTorch's wrong.

    Its second derivative of logcumsumexp is lost where a cotangent is 0, for one.
    """
    places = [(n, at) for n, a in program.leaves.items() if a.dtype.kind == "f"
              for at in np.ndindex(a.shape)]  # fmt: skip
    slopes = []
    for name, at in places:
        ends = []
        for step in (1e-4, -1e-4):
            moved = program.leaves[name].copy()
            moved[at] += step
            ends.append(total(program, {**program.leaves, name: moved}, order))
        slopes.append((ends[0] - ends[1]) / 2e-4)
    ours, theirs = (flattened(program, library, order) for library in (tc, torch))
    bound = 1e-4 * (1 + np.abs(slopes).max(initial=0.0))
    off = ~(np.abs(theirs - slopes) <= bound)  # NaN is off, too: the norm of nothing, twice
    return bool((np.abs(ours - slopes) < bound).all() and off.any())


def total(program: Program, leaves: dict[str, Any], order: int) -> float:
    """What the derivatives of an order are derivatives of."""
    moved = dataclasses.replace(program, leaves=leaves)
    env = run(moved, torch)
    if order == 1:
        return sum(
            float((array(env[n]) * weight(program.seed + i, tuple(env[n].shape))).sum())
            for i, n in enumerate(program.outputs)
        )
    return sum(
        float((array(g) * weight(program.seed - 1 - i, tuple(g.shape))).sum())
        for i, g in enumerate(derivatives(moved, torch, env)[: len(leaves)])
        if g is not None and g.requires_grad
    )


def flattened(program: Program, library: Any, order: int) -> Any:
    """All derivatives of an order in a row, 0 where there is none."""
    leaves = [a for a in program.leaves.values() if a.dtype.kind == "f"]
    found = derivatives(program, library, run(program, library))
    found = found[: len(leaves)] if order == 1 else found[len(leaves) :]
    filled = [np.zeros(a.shape) if g is None else array(g)
              for g, a in zip(found, leaves, strict=True)]  # fmt: skip
    return np.concatenate([g.ravel() for g in filled])


# --- making a failing one shorter -----------------------------------------------------------------


def shrink(program: Program) -> Program:
    """The program without every line and output that the failure does not need."""
    kind = kind_of_problem(compare(program))
    shorter = True
    while shorter:
        shorter = False
        for candidate in reductions(program):
            try:
                if kind_of_problem(compare(candidate)) == kind:
                    program, shorter = candidate, True
                    break
            except Exception:  # PyTorch cannot run it, or a name is missing
                continue
    return program


def kind_of_problem(problem: str | None) -> str | None:
    """What must stay the same while a program is made shorter."""
    if problem is None:
        return None
    words = problem.split(":")[0].split()
    return " ".join(words) if "raise" in words[1] else words[0][:1]


def reductions(program: Program) -> Iterator[Program]:
    for i in reversed(range(len(program.lines))):
        yield dataclasses.replace(program, lines=program.lines[:i] + program.lines[i + 1 :])
    if len(program.outputs) > 1:
        for i in range(len(program.outputs)):
            outputs = program.outputs[:i] + program.outputs[i + 1 :]
            yield dataclasses.replace(program, outputs=outputs)
    for name in program.leaves:
        if len(program.leaves) > 1:
            rest = {n: a for n, a in program.leaves.items() if n != name}
            yield dataclasses.replace(program, leaves=rest)
    for name in program.outputs:
        for line in program.lines:  # differentiate something earlier
            earlier = line.split(" = ")[0]
            if earlier.isidentifier() and earlier != name and earlier not in program.outputs:
                outputs = [earlier if n == name else n for n in program.outputs]
                if program.lines.index(line) < len(program.lines) - 1:
                    yield dataclasses.replace(program, outputs=outputs, lines=program.lines[:-1])
    if program.second:
        yield dataclasses.replace(program, second=False)


# --- many -----------------------------------------------------------------------------------------


def check(seed: int) -> tuple[str, Any]:
    """A verdict and the number of lines; for "different" the problem, and the program shrunk."""
    program = make(seed)
    try:
        problem = compare(program)
    except TorchRefuses:
        return "refused", 0
    if problem is None:
        return "same", len(program.lines)
    if "raise" not in problem and sensitive(program):
        return "sensitive", 0
    program = shrink(program)  # differences judge a short program better
    order = {"first": 1, "second": 2}.get(problem.split()[0])
    if order and right(program, order):
        return "torch is off", 0
    return "different", (problem, program)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the programs; the number of mismatches."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--most", type=int, default=10, help="mismatches after which to stop")
    args = parser.parse_args(argv)
    alone_and_quiet()
    counts: Counter[str] = Counter()
    operations, began = 0, time.perf_counter()
    seeds = range(args.seed * 1_000_000_007, args.seed * 1_000_000_007 + args.programs)
    for done, (verdict, found) in enumerate(results(seeds, args.jobs), 1):
        counts[verdict] += 1
        if verdict == "same":
            operations += found
        elif verdict == "different":
            problem, program = found
            print(f"\n# mismatch: {problem[:300]}\n{program}\n", flush=True)
            if counts["different"] >= args.most:
                break
        if done % 5000 == 0:
            seconds = time.perf_counter() - began
            print(f"{done} programs, {seconds:.0f} s, {dict(counts)}", flush=True)
    seconds = time.perf_counter() - began
    print(
        f"{sum(counts.values())} programs, {operations} operations compared, {seconds:.0f} s: "
        f"{counts['different']} mismatches ({counts['same']} agree, {counts['refused']} that "
        f"PyTorch refuses to differentiate, {counts['sensitive']} too sensitive to compare, "
        f"{counts['torch is off']} where PyTorch's second derivative is wrong by differences)"
    )
    return counts["different"]


def alone_and_quiet() -> None:
    """One thread, and no warnings of PyTorch's about odd programs."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)


def results(seeds: range, jobs: int) -> Iterator[Any]:
    if jobs == 1:
        yield from map(check, seeds)
    else:
        with multiprocessing.get_context("spawn").Pool(jobs, alone_and_quiet) as pool:
            yield from pool.imap(check, seeds, chunksize=50)


if __name__ == "__main__":
    raise SystemExit(min(main(), 1))
