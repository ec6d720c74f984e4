"""Work spread over threads, from within compiled code.

Numba's own loop for threads (`prange`) compiles what it repeats four times over: on its own, as a
function of NumPy's kind, as one that starts threads, and as part of the function that it stands in.
Here it is compiled once, whether it is spread or not.
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

config: Any = _config  # untyped
cgutils: Any = _cgutils

Value = Any  # of LLVM

_COMPILED = attrgetter("library", "fndesc")  # a worker's machine code, and how it is called
_INT, _POINTER = ir.IntType(64), ir.IntType(8).as_pointer()
# What threads are given to run, as a pool of Numba's has it: see `_task`.
_TASK = ir.FunctionType(
    ir.VoidType(), [_POINTER.as_pointer(), _INT.as_pointer(), _INT.as_pointer(), _POINTER]
)
# A pool: the task, its four arguments, inner dimensions, arrays, threads.
_POOL = ir.FunctionType(ir.VoidType(), [_POINTER] * 5 + [_INT] * 3)


@worker
def portion(total: int, t: int, threads: int) -> tuple[int, int]:
    """Thread t's part of a range, as (start, stop)."""
    return total * t // threads, total * (t + 1) // threads


@intrinsic
def _spread(typing: Any, pool: Any, threads: Any, part: Any, args: Any) -> Any:
    """`part(t, *args)` for each t in range(threads): at the same time in the threads of a pool, or,
    if `pool` is 0, one after the other in this one.

    `pool` is the address of a function of Numba's (`threads`). `part` is a worker.
    """
    takes = part.get_call_type(typing, (types.intp, *map(types.unliteral, args)), {}).args

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Value:
        code, described = _COMPILED(part.dispatcher.overloads[takes])
        context.add_linking_libs([code])
        given = cgutils.unpack_tuple(builder, values[3])
        given = [context.cast(builder, *each) for each in zip(given, args, takes[1:], strict=True)]
        bundle = cgutils.alloca_once_value(builder, cgutils.pack_struct(builder, given))
        task = _task(context, builder.module, described, takes, bundle.type)
        _start(builder, task, values[0], values[1], bundle)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, part, args), emit


def _task(context: Any, module: Any, part: Any, takes: Any, bundle: Any) -> Value:
    """A function that runs `part` for the numbers from `start` on: `task(&start, &count, …, bundle
    of the other arguments)`, where `start` is a pointer to nothing."""
    task = ir.Function(module, _TASK, module.get_unique_name("task"))
    task.linkage = "internal"
    task.attributes.add("noinline")
    builder = ir.IRBuilder(task.append_basic_block())
    starts, counts, _, data = task.args
    start = builder.ptrtoint(builder.load(starts), _INT)
    args = cgutils.unpack_tuple(builder, builder.load(builder.bitcast(data, bundle)))
    function = context.declare_function(module, part)
    with cgutils.for_range(builder, builder.load(counts)) as loop:
        numbered = [builder.add(start, loop.index), *args]
        context.call_conv.call_function(builder, function, part.restype, takes, numbered)
    builder.ret_void()
    return task


def _start(builder: Any, task: Value, pool: Value, threads: Value, bundle: Value) -> None:
    """Call a task, or have a pool do it. A pool adds a step to the pointer for each number."""
    starts = cgutils.alloca_once_value(builder, ir.Constant(_POINTER, None))
    counts = cgutils.alloca_once_value(builder, threads)
    step = cgutils.alloca_once_value(builder, _INT(1))
    given = [starts, counts, step, builder.bitcast(bundle, _POINTER)]
    with builder.if_else(builder.icmp_signed("==", pool, _INT(0))) as (alone, together):
        with alone:
            builder.call(task, given)
        with together:
            spread = builder.inttoptr(pool, _POOL.as_pointer())
            plain = [builder.bitcast(pointer, _POINTER) for pointer in (task, *given)]
            builder.call(spread, [*plain, _INT(0), _INT(1), threads])


def _in_turn(pool: int, threads: int, part: Any, args: Any) -> None:
    for t in range(threads):
        part(t, *args)


spread: Any = _in_turn if config.DISABLE_JIT else _spread
