"""Work spread over threads, from within compiled code.

Numba's own loop for threads (`prange`) compiles what it repeats four times over: on its own, as a
function of NumPy's kind, as one that starts threads, and as part of the function that it stands in.
Here it is compiled once, whether it is spread or not. The threads are those of a `cpu_team`.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from llvmlite import ir
from numba import config as _config
from numba import types
from numba.core import cgutils as _cgutils
from numba.extending import intrinsic

from .cpu_jit import worker
from .cpu_team import TASK
from .cpu_team import share as _share

config: Any = _config  # untyped
cgutils: Any = _cgutils

share: Any = _share  # a worker, which is typed as a function
Value = Any  # of LLVM

_COMPILED = attrgetter("library", "fndesc")  # a worker's machine code, and how it is called
_SHARES = (types.int64,) * 4  # what `share` takes
_INT, _POINTER = ir.IntType(64), ir.IntType(8).as_pointer()


@worker
def portion(total: int, t: int, threads: int) -> tuple[int, int]:
    """Thread t's part of a range, as (start, stop)."""
    return total * t // threads, total * (t + 1) // threads


@intrinsic
def _spread(typing: Any, team: Any, threads: Any, part: Any, args: Any) -> Any:
    """`part(t, *args)` for each t in range(threads): at the same time in the threads of a team, or,
    if `team` is 0, one after the other in this one.

    `team` is the address of a `cpu_team.Team`. `part` is a worker.
    """
    takes = part.get_call_type(typing, (types.intp, *map(types.unliteral, args)), {}).args
    share.compile(_SHARES)

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Value:
        described = _linked(context, part.dispatcher, takes)
        given = cgutils.unpack_tuple(builder, values[3])
        given = [context.cast(builder, *each) for each in zip(given, args, takes[1:], strict=True)]
        bundle = cgutils.alloca_once_value(builder, cgutils.pack_struct(builder, given))
        task = _task(context, builder.module, described, takes, bundle.type)
        data = builder.bitcast(bundle, _POINTER)
        with builder.if_else(builder.icmp_signed("==", values[0], _INT(0))) as (alone, together):
            with alone, cgutils.for_range(builder, values[1]) as loop:
                builder.call(task, [loop.index, data])
            with together:
                function = context.declare_function(
                    builder.module, _linked(context, share, _SHARES)
                )
                places = [builder.ptrtoint(place, _INT) for place in (task, data)]
                context.call_conv.call_function(
                    builder, function, types.none, _SHARES, [values[0], *places, values[1]]
                )
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, part, args), emit


def _linked(context: Any, dispatcher: Any, takes: Any) -> Any:
    """How a worker is called, whose code is made part of what is being compiled."""
    code, described = _COMPILED(dispatcher.overloads[takes])
    context.add_linking_libs([code])
    return described


def _task(context: Any, module: Any, part: Any, takes: Any, bundle: Any) -> Value:
    """A function `task(t, bundle of the other arguments)` that does part t."""
    task = ir.Function(module, TASK, module.get_unique_name("task"))
    task.linkage = "internal"
    task.attributes.add("noinline")
    builder = ir.IRBuilder(task.append_basic_block())
    number, data = task.args
    args = cgutils.unpack_tuple(builder, builder.load(builder.bitcast(data, bundle)))
    function = context.declare_function(module, part)
    context.call_conv.call_function(builder, function, part.restype, takes, [number, *args])
    builder.ret_void()
    return task


def _in_turn(team: int, threads: int, part: Any, args: Any) -> None:
    for t in range(threads):
        part(t, *args)


spread: Any = _in_turn if config.DISABLE_JIT else _spread
