"""The operations that random programs are made of: each writes itself as a line of Python."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import torch


class Unfit(Exception):
    """The operation does not fit what there is."""


@dataclasses.dataclass(frozen=True)
class Operation:
    """`write(builder)` gives the text of an expression, or of a statement.

    Args:
        exact: exact numbers stay exact, so that ties among the results are no accident.
        statement: the text is a whole line that writes into its first name.
        view: the result may share memory with an argument.
    """

    write: Callable[[Any], str]
    weight: float
    exact: bool
    statement: bool
    view: bool

    def target(self, text: str) -> str:
        return text.split("[")[0].split(".")[0].split(" ")[0]


OPERATIONS: list[Operation] = []
WEIGHTS: list[float] = []


def op(
    weight: float = 1.0, exact: bool = False, statement: bool = False, view: bool = False
) -> Any:
    def decorated(write: Callable[[Any], str]) -> Callable[[Any], str]:
        OPERATIONS.append(Operation(write, weight, exact, statement, view))
        WEIGHTS.append(weight)
        return write

    return decorated


def called(b: Any, name: str, x: str, *rest: str) -> str:
    """As a method or as a function."""
    if b.chance(0.5):
        return f"{x}.{name}({', '.join(rest)})"
    return f"torch.{name}({', '.join((x, *rest))})"


# --- numbers one by one ---------------------------------------------------------------------------

DOMAINS = {
    **dict.fromkeys(("tanh", "sigmoid", "sin", "cos", "atan", "asinh", "erf", "erfc"), (-50, 50)),
    **dict.fromkeys(("exp", "exp2", "expm1", "sinh", "cosh"), (-6, 6)),
    **dict.fromkeys(("log", "log2", "log10", "sqrt", "rsqrt", "reciprocal"), (0.1, 1e4)),
    **dict.fromkeys(("asin", "acos", "atanh"), (-0.9, 0.9)),
    "log1p": (-0.9, 1e4),
    "acosh": (1.1, 1e4),
    "sinc": (-9, 9),
    "tan": (-1.3, 1.3),
}


@op(8)
def smooth(b: Any) -> str:
    x, name = b.pick(), b.rng.choice(list(DOMAINS))
    b.within(x, *DOMAINS[name])
    if name == "sinc" and bool((b.value(x).detach().abs() < 0.05).any()):
        raise Unfit  # PyTorch's second derivative at 0 is 0, and ours the true one
    return called(b, name, x)


@op(2, exact=True)
def exact_unary(b: Any) -> str:
    x = b.pick("fi")
    return b.rng.choice(
        (called(b, "neg", x), called(b, "square", x), f"-{x}", called(b, "clone", x))
    )


@op(4, exact=True)
def kinked(b: Any) -> str:
    x = b.pick()
    b.clear(x, 0.0)
    name = b.rng.choice(("abs", "relu", "sign"))
    return f"F.relu({x})" if name == "relu" and b.chance(0.3) else called(b, name, x)


@op(2, exact=True)
def rounded(b: Any) -> str:
    x = b.pick()
    b.within(x, -8, 8)
    b.clear(x, *(i / 2 for i in range(-17, 18)))
    return called(b, b.rng.choice(("floor", "ceil", "round", "trunc")), x)


@op(3)
def activation(b: Any) -> str:
    x = b.pick()
    b.within(x, -20, 20)
    name = b.rng.choice(ACTIVATIONS)
    b.clear(x, -3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0, 6.0, 20.0)
    return f"F.{name}({x})"


# Without hardsigmoid and hardswish: PyTorch's have a sixth in single precision, 2e-7 off.
ACTIVATIONS = [
    "celu", "elu", "gelu", "hardshrink", "hardtanh", "leaky_relu", "logsigmoid", "mish", "relu6",
    "selu", "silu", "softplus", "softshrink", "softsign", "tanhshrink",
]  # fmt: skip


@op(4, exact=True)
def clamped(b: Any) -> str:
    x = b.pick("fi")
    low, high = sorted((b.rng.choice((-1.0, -0.5, 0.0)), b.rng.choice((0.25, 1.0, 2.0))))
    b.clear(x, low, high)
    return b.rng.choice(
        (f"{x}.clamp({low}, {high})", f"torch.clamp({x}, min={low})", f"{x}.clamp(max={high})",
         f"torch.clamp_min({x}, {low})", f"{x}.clip({low}, {high})")
    )  # fmt: skip


# --- two by two -----------------------------------------------------------------------------------


@op(14, exact=True)
def arithmetic(b: Any) -> str:
    x, y = b.pick("fib" if b.chance(0.2) else "f"), b.pick("fi" if b.chance(0.2) else "f")
    if b.chance(0.2):
        return called(b, b.rng.choice(("add", "sub", "mul")), x, y)
    return f"{x} {b.rng.choice('+-*')} {y}"


@op(5, exact=True)
def with_a_number(b: Any) -> str:
    x, c = b.pick("fi"), b.rng.choice(("2", "0.5", "-1.25", "3", "1"))
    return f"{x} {b.rng.choice('+-*')} {c}" if b.chance(0.5) else f"{c} {b.rng.choice('+-*')} {x}"


@op(4)
def quotient(b: Any) -> str:
    x, y = b.pick("fi"), b.pick()
    v = b.value(y).detach().abs()
    if bool((v < 0.1).any()):
        return f"{x} / 4" if b.chance(0.3) else f"{x} / ({y} * {y} + 0.5)"
    return b.rng.choice((f"{x} / {y}", f"3 / {y}", called(b, "div", x, y)))


@op(3)
def power(b: Any) -> str:
    x = b.pick()
    if b.chance(0.5):
        return f"{x} ** {b.rng.choice((2, 3, 1, 0))}"
    b.within(x, 0.1, 50)
    if b.chance(0.5):
        return f"{x} ** {b.rng.choice((0.5, -1, 1.5, -2))}"
    y = b.pick()
    b.within(y, -3, 3)
    if b.program.second and bool((b.value(y) == 0).any()):
        raise Unfit  # the mixed second derivative is 1 / x there, and PyTorch's 0
    return b.rng.choice((f"{x} ** {y}", f"2.0 ** {y}", called(b, "pow", x, y)))


@op(3)
def smooth_pairs(b: Any) -> str:
    name = b.rng.choice(("logaddexp", "hypot", "atan2", "lerp", "xlogy"))
    x, y = b.pick(), b.pick()
    b.within(x, -20, 20)
    if name == "logaddexp":
        b.within(y, -20, 20)
    else:
        b.within(y, 0.1, 50)
    return f"torch.lerp({x}, {y}, 0.25)" if name == "lerp" else called(b, name, x, y)


@op(5, exact=True)
def larger(b: Any) -> str:
    x, y = b.pick(), b.pick()
    b.clear_of(x, y)
    return called(b, b.rng.choice(("maximum", "minimum", "fmax", "fmin", "max", "min")), x, y)


@op(2, exact=True)
def remainders(b: Any) -> str:
    x, name = b.pick(), b.rng.choice(("remainder", "fmod", "floor_divide"))
    b.within(x, -8, 8)
    b.clear(x, *(i / 2 for i in range(-17, 18)))
    if name == "floor_divide":
        x = f"{x}.detach()"  # PyTorch does not differentiate it
    return called(b, name, x, b.rng.choice(("2", "-1.5", "0.5")))


@op(5, exact=True)
def compared(b: Any) -> str:
    x, y = b.pick("fi"), b.rng.choice((b.pick("fi"), "0", "0.25"))
    if y in ("0", "0.25"):
        b.clear(x, float(y))
    else:
        b.clear_of(x, y)
    sign = b.rng.choice(("==", "!=", "<", "<=", ">", ">="))
    name = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}[sign]
    return f"{x} {sign} {y}" if b.chance(0.7) else called(b, name, x, y)


@op(2, exact=True)
def logical(b: Any) -> str:
    x, y = b.pick("b"), b.pick("b")
    return b.rng.choice(
        (f"{x} & {y}", f"{x} | {y}", f"{x} ^ {y}", f"~{x}", called(b, "logical_and", x, y),
         called(b, "logical_not", x))
    )  # fmt: skip


@op(4, exact=True)
def chosen(b: Any) -> str:
    c = b.pick("b")
    x, y = b.pick(), b.rng.choice((b.pick(), "0.5"))
    return f"torch.where({c}, {x}, {y})" if b.chance(0.6) else f"{x}.where({c}, {y})"


@op(2, exact=True)
def cast(b: Any) -> str:
    x = b.pick("fib")
    if b.value(x).is_floating_point():
        return f"{x}.double()" if b.chance(0.5) else f"{x}.to(torch.float64)"
    return f"{x}.double()" if b.chance(0.7) else f"{x}.to(torch.int64)"


# --- reductions -----------------------------------------------------------------------------------


def reduced(b: Any, name: str, x: str, several: bool = True) -> str:
    if b.chance(0.3):
        return called(b, name, x)
    keep = b.rng.choice(("", ", keepdim=True"))
    n = b.value(x).dim()
    if several and n > 1 and b.chance(0.3):
        dims = tuple(b.rng.sample(range(-n, 0), 2))
        return called(b, name, x, f"dim={dims}{keep}")
    return called(b, name, x, f"{b.dim(x)}{keep}")


@op(8, exact=True)
def sums(b: Any) -> str:
    return reduced(b, b.rng.choice(("sum", "sum", "mean", "nansum")), b.pick("f"))


@op(1, exact=True)
def counts(b: Any) -> str:
    return reduced(b, b.rng.choice(("sum", "any", "all")), b.pick("ib"), several=False)


@op(3)
def spread(b: Any) -> str:
    x, name = b.pick(), b.rng.choice(("var", "std", "logsumexp"))
    v = b.value(x).detach()
    if name == "logsumexp":
        b.within(x, -50, 50)
        return called(b, name, x, f"{b.dim(x)}")
    unbiased = b.rng.choice(("", ", correction=0", ", keepdim=True", ", unbiased=False"))
    d = b.dim(x)
    if v.dim() == 0 or v.shape[d] < 2 or (name == "std" and bool((v.std(d) < 0.05).any())):
        raise Unfit
    return called(b, name, x, f"dim={d}{unbiased}")


@op(3, exact=True)
def extremes(b: Any) -> str:
    x = b.pick()
    b.distinct(x)
    name = b.rng.choice(("amax", "amin", "max", "min"))
    if name in ("amax", "amin"):
        return reduced(b, name, x)
    if b.chance(0.3):
        return called(b, name, x)
    part = b.rng.choice(("[0]", ".values", ".indices", "[1]"))
    if part in (".indices", "[1]"):
        strictly(b, x)
    return f"{called(b, name, x, str(b.dim(x)))}{part}"


def strictly(b: Any, x: str) -> None:
    """Refuse ties: which of equal numbers an index names is not defined."""
    v = b.value(x).detach().flatten().sort().values
    if bool((v.diff() < 1e-6).any()):
        raise Unfit


@op(1, exact=True)
def positions(b: Any) -> str:
    x = b.pick()
    strictly(b, x)
    return called(b, b.rng.choice(("argmax", "argmin", "argsort")), x, str(b.dim(x)))


@op(2)
def products(b: Any) -> str:
    x = b.pick()
    b.within(x, -3, 3)
    return reduced(b, "prod", x, several=False)


@op(3)
def norms(b: Any) -> str:
    x = b.pick()
    if bool((b.value(x).detach().abs() < 0.05).any()):
        raise Unfit
    p = b.rng.choice((1, 2, 3, "float('inf')"))
    if p == "float('inf')":
        b.distinct(x)
    return f"{x}.norm({p}, {b.dim(x)})" if b.chance(0.5) else f"torch.norm({x}, {p}, {b.dim(x)})"


@op(3, exact=True)
def running(b: Any) -> str:
    x = b.pick()
    name = b.rng.choice(("cumsum", "cumprod", "logcumsumexp", "cummax", "cummin"))
    b.within(x, -4, 4)
    if name == "logcumsumexp" and b.program.second:
        raise Unfit  # PyTorch's second derivative forgets places where a cotangent is 0
    if name in ("cummax", "cummin"):
        strictly(b, x)
        return f"{called(b, name, x, str(b.dim(x)))}.values"
    return called(b, name, x, str(b.dim(x)))


@op(3)
def shares(b: Any) -> str:
    x = b.pick()
    b.within(x, -30, 30)
    name, d = b.rng.choice(("softmax", "log_softmax")), b.dim(x)
    return b.rng.choice((called(b, name, x, str(d)), f"F.{name}({x}, dim={d})"))


@op(2, exact=True)
def ordered(b: Any) -> str:
    x = b.pick()
    strictly(b, x)
    d = b.dim(x)
    size = b.value(x).shape[d] if b.value(x).dim() else 1
    part = b.rng.choice((".values", "[0]", ".indices"))
    return b.rng.choice(
        (f"{x}.sort({d}, descending={b.chance(0.5)}){part}",
         f"{x}.topk({b.rng.randint(min(size, 1), max(size, 0))}, {d}){part}",
         f"{x}.median({d}){part}", f"torch.unique({x}.detach())")
    )  # fmt: skip


# --- shapes ---------------------------------------------------------------------------------------


def factors(b: Any, n: int) -> tuple[int, ...]:
    """A shape of n elements."""
    if n == 0:
        return b.rng.choice(((0,), (0, 2), (3, 0), (2, 0, 1)))
    sizes = []
    while n > 1 and len(sizes) < 3:
        d = b.rng.choice([k for k in range(1, n + 1) if n % k == 0])
        sizes.append(d)
        n //= d
    return (*sizes, n) if n > 1 or not sizes else tuple(sizes)


@op(5, exact=True, view=True)
def reshaped(b: Any) -> str:
    x = b.pick("fib")
    shape = list(factors(b, b.value(x).numel()))
    if b.chance(0.4) and b.value(x).numel():
        shape[b.rng.randrange(len(shape))] = -1
    name = "view" if b.value(x).is_contiguous() and b.chance(0.4) else "reshape"
    return f"{x}.{name}({', '.join(map(str, shape))})"


@op(7, exact=True, view=True)
def turned(b: Any) -> str:
    x = b.pick("f")
    n = b.value(x).dim()
    order = list(range(n))
    b.rng.shuffle(order)
    d, e = b.dim(x), b.dim(x)
    texts = [
        called(b, "transpose", x, str(d), str(e)), f"{x}.permute({tuple(order)})",
        called(b, "movedim", x, str(d), str(e)), called(b, "flatten", x),
        called(b, "unsqueeze", x, str(b.rng.randint(-n - 1, n))), called(b, "squeeze", x),
        called(b, "squeeze", x, str(d)), f"{x}.mT", called(b, "swapaxes", x, str(d), str(e)),
    ]  # fmt: skip
    if n == 2:
        texts += [f"{x}.T", f"{x}.t()"]
    return b.rng.choice(texts)


@op(4, exact=True)
def moved(b: Any) -> str:
    x = b.pick("f")
    n, d = b.value(x).dim(), b.dim(x)
    shift = b.rng.randint(-3, 3)
    texts = [
        called(b, "flip", x, f"({d},)") if n else called(b, "clone", x),
        called(b, "roll", x, str(shift), str(d)) if n else called(b, "roll", x, str(shift)),
        called(b, "tril", x, str(shift)) if n > 1 else called(b, "diag", x),
        called(b, "triu", x) if n > 1 else called(b, "diag_embed", x),
        called(b, "rot90", x, str(shift), "(0, 1)") if n > 1 else called(b, "clone", x),
    ]
    return b.rng.choice(texts)


@op(1, exact=True, view=True)
def differences(b: Any) -> str:
    x = b.pick("f")
    return called(b, "diff", x, f"dim={b.dim(x)}")


@op(4, exact=True, view=True)
def spread_out(b: Any) -> str:
    x = b.pick("f")
    shape = [n if n != 1 or b.chance(0.4) else b.rng.randint(1, 3) for n in b.value(x).shape]
    lead = [b.rng.randint(1, 2)] if b.chance(0.3) and len(shape) < 3 else []
    kept = [-1 if b.chance(0.2) else n for n in shape]
    times = ", ".join(str(b.rng.randint(1, 2)) for _ in (*lead, *shape))
    texts = [f"{x}.expand({[*lead, *kept]})", f"torch.broadcast_to({x}, {(*lead, *shape)})"]
    if times:
        texts += [f"{x}.repeat({times})", f"torch.tile({x}, ({times},))"]
        texts.append(called(b, "repeat_interleave", x, "2", f"dim={b.dim(x)}"))
    return b.rng.choice(texts)


@op(4, exact=True)
def joined(b: Any) -> str:
    x = b.pick("f")
    others = [n for n in b.same_shape(x) if b.chance(0.5)][:2]
    b.used += others
    listed = ", ".join((x, *others))
    n = b.value(x).dim()
    if b.chance(0.5) and n:
        return f"torch.cat([{listed}], dim={b.dim(x)})"
    return f"torch.stack([{listed}], dim={b.rng.randint(-n - 1, n)})"


@op(4, exact=True, view=True)
def parted(b: Any) -> str:
    x = b.pick("f", (1, 2, 3, 4))
    d = b.dim(x)
    size = b.value(x).shape[d]
    if not size:
        raise Unfit
    start = b.rng.randrange(size)
    return b.rng.choice(
        (called(b, "narrow", x, str(d), str(start), str(b.rng.randint(0, size - start))),
         called(b, "select", x, str(d), str(start)),
         f"{called(b, 'chunk', x, str(b.rng.randint(1, 3)), str(d))}[-1]",
         f"{called(b, 'split', x, str(b.rng.randint(1, size)), str(d))}[0]",
         f"{called(b, 'unbind', x, str(d))}[{start}]",
         called(b, "diagonal", x) if b.value(x).dim() > 1 else f"{x}.unfold(0, 1, 1)")
    )  # fmt: skip


# --- indexing -------------------------------------------------------------------------------------


def part(b: Any, n: int) -> str:
    """An index for one dimension of size n."""
    if n == 0 or b.chance(0.25):
        return ":"
    if b.chance(0.35):
        return str(b.rng.randint(-n, n - 1))
    if b.chance(0.3):
        return str([b.rng.randint(-n, n - 1) for _ in range(b.rng.choice((1, 2, 2, 3)))])
    low, high = b.rng.randint(-n, n), b.rng.randint(-n, n + 1)
    step = b.rng.choice(("", "", ":2", ":3"))
    return b.rng.choice((f"{low}:{step}", f":{high}{step}", f"{low}:{high}{step}", f"::{2}"))


def index(b: Any, x: str, lists: bool = True) -> str:
    shape = b.value(x).shape
    parts = [part(b, n) for n in shape[: b.rng.randint(0, len(shape))]]
    if not lists:
        parts = [":" if p.startswith("[") else p for p in parts]
    listed = [i for i, p in enumerate(parts) if p.startswith("[")]
    for i in listed[1:]:  # lists of one length
        length = parts[listed[0]].count(",") + 1
        n = shape[i]
        parts[i] = str([b.rng.randint(-n, n - 1) for _ in range(length)])
    if b.chance(0.2):
        parts.insert(b.rng.randint(0, len(parts)), "None")
    if b.chance(0.2) and "..." not in parts:
        parts = [
            *parts[:1],
            "...",
            *(part(b, shape[-1]) for _ in range(int(len(parts) < len(shape)))),
        ]
        parts = [p if lists or not p.startswith("[") else ":" for p in parts]
    return ", ".join(parts) if parts else "..."


@op(10, exact=True, view=True)
def indexed(b: Any) -> str:
    x = b.pick("f")
    return f"{x}[{index(b, x)}]"


@op(3, exact=True)
def masked(b: Any) -> str:
    x = b.pick("f", (1, 2, 3))
    masks = b.same_shape(x, "b") or b.leading(x, "b")
    if not masks:
        raise Unfit
    m = b.rng.choice(masks)
    b.used.append(m)
    texts = [f"{x}[{m}]", called(b, "masked_fill", x, m, "0.5")]
    if b.value(m).shape == b.value(x).shape:
        texts += [called(b, "masked_select", x, m), f"{x}[{m} == False]"]
    return b.rng.choice(texts)


def integers(b: Any, n: int, shape: tuple[int, ...]) -> str:
    if n == 0:
        raise Unfit
    count = math.prod(shape)
    return f"torch.tensor({[b.rng.randrange(n) for _ in range(count)]}).reshape({shape})"


@op(5, exact=True)
def gathered(b: Any) -> str:
    x = b.pick("f", (1, 2, 3))
    d = b.dim(x)
    shape = list(b.value(x).shape)
    n, k = shape[d], b.rng.randint(1, 3)
    if 0 in shape:
        raise Unfit
    other = list(shape)
    other[d] = k
    return b.rng.choice(
        (called(b, "gather", x, str(d), integers(b, n, tuple(other))),
         called(b, "index_select", x, str(d), integers(b, n, (k,))),
         f"torch.take_along_dim({x}, {integers(b, n, tuple(other))}, {d})",
         called(b, "take", x, integers(b, math.prod(shape), (k,))),
         f"{x}[{integers(b, shape[0], (k,))}]")
    )  # fmt: skip


@op(4, exact=True)
def written(b: Any) -> str:
    x = b.pick("f", (1, 2, 3))
    d = b.dim(x)
    shape = list(b.value(x).shape)
    if 0 in shape:
        raise Unfit
    k = b.rng.randint(1, shape[d])
    source = list(shape)
    source[d] = k
    value = f"({b.filled(tuple(source))})"
    whole = integers(b, shape[d], tuple(source))
    some = str(b.rng.sample(range(shape[d]), k))
    return b.rng.choice(
        (called(b, "index_add", x, str(d), f"torch.tensor({some})", value),
         called(b, "index_fill", x, str(d), f"torch.tensor({some})", "0.75"),
         called(b, "index_copy", x, str(d), f"torch.tensor({some})", value),
         called(b, "scatter_add", x, str(d), whole, value),
         called(b, "scatter", x, str(d), whole, "0.25"))
    )  # fmt: skip


# --- products -------------------------------------------------------------------------------------


@op(7, exact=True)
def matrix_product(b: Any) -> str:
    x = b.pick("f", (1, 2, 3))
    others = [m for m in b.fitting(x) if b.value(m).dtype == b.value(x).dtype]
    if not others:
        return f"{x} @ {x}.mT" if b.value(x).dim() > 1 else f"{x} @ {x}"
    y = b.rng.choice(others)
    b.used.append(y)
    return f"{x} @ {y}" if b.chance(0.5) else called(b, "matmul", x, y)


@op(4, exact=True)
def other_products(b: Any) -> str:
    x = b.pick("f", (1, 2, 3))
    n = b.value(x).dim()
    if b.value(x).dtype != torch.float64:
        raise Unfit
    same = b.rng.choice([m for m in b.same_shape(x) if b.value(m).dtype == torch.float64])
    b.used.append(same)
    if n == 1:
        y = b.pick("f", (1,))
        if b.value(y).dtype != torch.float64:
            raise Unfit
        return b.rng.choice(
            (called(b, "dot", x, same), called(b, "outer", x, y), called(b, "inner", x, same),
             f"torch.einsum('i,j->ij', {x}, {y})", f"torch.tensordot({x}, {y}, dims=0)")
        )  # fmt: skip
    if n == 2:
        return b.rng.choice(
            (f"torch.mm({x}, {same}.t())", f"torch.einsum('ij,kj->ik', {x}, {same})",
             f"torch.einsum('ij->j', {x})", f"torch.addmm({x}[:, :1], {x}, {same}.t())",
             f"torch.tensordot({x}, {same}, dims=2)", f"F.linear({x}, {same})",
             f"torch.mv({x}, {same}[0])", f"torch.trace({x})", f"torch.kron({x}, {same})")
        )  # fmt: skip
    return b.rng.choice(
        (f"torch.bmm({x}, {same}.mT)", f"torch.einsum('bij,bkj->bik', {x}, {same})",
         f"torch.einsum('bij,bij->b', {x}, {same})", f"torch.einsum('...ij->...', {x})",
         f"torch.baddbmm({x}[:, :, :1], {x}, {same}.mT)")
    )  # fmt: skip


# --- graph ----------------------------------------------------------------------------------------


@op(1.5, exact=True, view=True)
def cut(b: Any) -> str:
    return f"{b.pick()}.detach()"


@op(4, exact=True, statement=True)
def assigned(b: Any) -> str:
    x = b.writable()
    if b.chance(0.2):
        masks = b.same_shape(x, "b")
        if masks:
            m = b.rng.choice(masks)
            b.used.append(m)
            return f"{x}[{m}] = 0.5"
    at = index(b, x)
    shape = tuple(eval(f"v[{at}]", {"v": b.value(x)}).shape)
    fitting = [n for n in b.names("f") if n != x and broadcasts(b.value(n).shape, shape)]
    if repeated(at) or (not fitting and b.chance(0.5)):
        return f"{x}[{at}] = {b.rng.choice((0.0, 1.5))}"
    value = b.rng.choice(fitting) if fitting and b.chance(0.8) else b.filled(shape)
    if value in fitting:
        b.used.append(value)
    return f"{x}[{at}] = {value}"


def repeated(at: str) -> bool:
    """Whether an index may name a place twice: which of two values stays there is not defined."""
    return "[" in at


def broadcasts(shape: Any, to: tuple[int, ...]) -> bool:
    try:
        return tuple(torch.broadcast_shapes(tuple(shape), to)) == to
    except RuntimeError:
        return False


@op(5, exact=True, statement=True)
def in_place(b: Any) -> str:
    x = b.writable()
    shape = tuple(b.value(x).shape)
    fitting = [n for n in b.names("f") if n != x and broadcasts(b.value(n).shape, shape)]
    if fitting and b.chance(0.6):
        y = b.rng.choice(fitting)
        b.used.append(y)
        return f"{x}.{b.rng.choice(('add_', 'sub_', 'mul_', 'copy_'))}({y})"
    if b.chance(0.3):
        y = b.rng.choice(fitting) if fitting else "2"
        b.used += [y] if fitting else []
        return f"{x} {b.rng.choice('+-*')}= {y}"
    masks = b.same_shape(x, "b")
    if masks and b.chance(0.5):
        m = b.rng.choice(masks)
        b.used.append(m)
        return f"{x}.masked_fill_({m}, -0.5)"
    b.clear(x, 0.0, -1.0, 1.0)
    return f"{x}.{b.rng.choice(('zero_()', 'fill_(0.5)', 'clamp_(-1, 1)', 'relu_()', 'neg_()'))}"
