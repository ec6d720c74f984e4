"""A moment of a training run in one file, from which it goes on bit for bit.

The file is safetensors: every tensor of the state under its path (`model.fc1.weight`), so that any
reader of that format can take the weights. The file's metadata hold the rest of the state as JSON,
and a SHA-256 sum over all of it, because a flipped bit inside a tensor looks like any other number.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tinygrad_course.creation import default_generator
from tinygrad_course.errors import DtypeError, FormatError, OptionError
from tinygrad_course.files import StrPath, host_array, read_file, save
from tinygrad_course.tensor import Tensor, as_tensor

FORMAT = "tinygrad_course checkpoint 1"
MARK = "$"  # what the keys of encoded values start with

Arrays = dict[str, Any]


def save_checkpoint(path: StrPath, **parts: Any) -> None:
    """Write parts of a run into one file, whole or not at all, with the random state.

    Args:
        path: the file; an old one is replaced.
        parts: by name, anything with a `state_dict()` (models, optimisers, schedules, loaders,
            callbacks), or numbers, text, tensors, arrays, and lists, tuples and dicts of them.

    Raises:
        DtypeError: a value of another type.
        OptionError: a part named "random".
        ImportError: safetensors is not installed.
        OSError: the file cannot be written; an old one is untouched.

    >>> import tempfile, tinygrad_course as tc
    >>> path = f"{tempfile.mkdtemp()}/run.safetensors"
    >>> model = tc.nn.Linear(2, 1)
    >>> save_checkpoint(path, model=model, epoch=3)
    >>> load_checkpoint(path, model=model)["epoch"]
    3
    """
    if "random" in parts:
        raise OptionError("'random' is the name of the random state, which is always saved")
    states = {name: part.state_dict() if _has_state(part) else part for name, part in parts.items()}
    arrays: Arrays = {}
    tree = {name: _encoded(state, name, arrays) for name, state in states.items()}
    tree["random"] = _encoded(default_generator.get_state(), "random", arrays)
    text = json.dumps(tree, allow_nan=False)
    save(arrays, path, {"format": FORMAT, "state": text, "sha256": _checksum(text, arrays)})


def load_checkpoint(path: StrPath, *, random: bool = True, **parts: Any) -> dict[str, Any]:
    """Give models, optimisers, schedules and the random generator the state they had.

    The whole file is read and its sum compared before anything is changed.

    Args:
        path: what `save_checkpoint` wrote.
        random: also set the state of the random generator that `tc.manual_seed` seeds.
        parts: by the names they were saved under, what to load with `load_state_dict`.

    Returns:
        The whole state by name.

    Raises:
        FormatError: the file is no checkpoint, is damaged or cut off.
        OptionError: the file has no such part.
        FileNotFoundError: there is no such file.
        ImportError: safetensors is not installed.
    """
    state = read_checkpoint(path)
    missing = [name for name in parts if name not in state]
    if missing:
        raise OptionError(f"{path}: no {', '.join(missing)} in it; it has {', '.join(state)}")
    for name, part in parts.items():
        part.load_state_dict(state[name])
    if random:
        default_generator.set_state(state["random"])
    return state


def read_checkpoint(path: StrPath) -> dict[str, Any]:
    """The whole state in a checkpoint, checked; nothing is changed. Raises as `load_checkpoint`."""
    arrays, metadata = read_file(path)
    if metadata.get("format") != FORMAT:
        raise FormatError(
            f"{path}: no checkpoint of this version: it should say {FORMAT!r}, it says "
            f"{metadata.get('format')!r}; weights alone are loaded with load()"
        )
    text = metadata.get("state", "")
    if metadata.get("sha256") != _checksum(text, arrays):
        raise FormatError(
            f"{path}: damaged: its contents do not have the SHA-256 sum that was written with them"
        )
    try:
        tree = json.loads(text)
        return {name: _decoded(value, arrays) for name, value in tree.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise FormatError(
            f"{path}: a checkpoint with a state that makes no sense: {error}"
        ) from error


def _has_state(part: Any) -> bool:
    return hasattr(part, "state_dict") and hasattr(part, "load_state_dict")


def _checksum(text: str, arrays: Mapping[str, Any]) -> str:
    found = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        a = arrays[name]
        found.update(repr((name, a.dtype.str, a.shape)).encode())
        found.update(np.ascontiguousarray(a).reshape(-1).view(np.uint8).data)
    return found.hexdigest()


# --- state as JSON, tensors apart -----------------------------------------------------------------


def _encoded(value: Any, path: str, arrays: Arrays) -> Any:
    """The value as JSON can hold it; its tensors go to `arrays`, under their paths."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (Tensor, np.ndarray)):
        name = next(n for n in _names(path) if n not in arrays)
        arrays[name] = host_array(value)
        return {f"{MARK}tensor": name}
    if isinstance(value, (int, float, np.generic)):
        return _number(value, path)
    if isinstance(value, (list, tuple)):
        items = [_encoded(v, f"{path}.{i}", arrays) for i, v in enumerate(value)]
        return items if isinstance(value, list) else {f"{MARK}tuple": items}
    if isinstance(value, Mapping):
        pairs = [(k, _encoded(v, f"{path}.{k}", arrays)) for k, v in value.items()]
        if all(isinstance(k, str) and not k.startswith(MARK) for k, _ in pairs):
            return dict(pairs)
        return {f"{MARK}items": [[_encoded(k, path, arrays), v] for k, v in pairs]}
    raise DtypeError(
        f"a checkpoint holds numbers, text, tensors, and lists, tuples and dicts of them; {path} "
        f"is a {type(value).__name__}"
    )


def _number(value: Any, path: str) -> Any:
    number = value.item() if isinstance(value, np.generic) else value
    if isinstance(number, float) and not math.isfinite(number):
        return {f"{MARK}float": repr(number)}
    if isinstance(number, (bool, int, float)):
        return number
    raise DtypeError(f"a checkpoint holds real numbers; {path} is a {type(value).__name__}")


def _names(path: str) -> Iterator[str]:
    yield path
    number = 2
    while True:
        yield f"{path}#{number}"
        number += 1


def _decoded(value: Any, arrays: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_decoded(v, arrays) for v in value]
    if not isinstance(value, dict):
        return value
    kind = next(iter(value), "")
    if not kind.startswith(MARK):
        return {k: _decoded(v, arrays) for k, v in value.items()}
    if kind == f"{MARK}tensor":
        return as_tensor(arrays[value[kind]])
    if kind == f"{MARK}float":
        return float(value[kind])
    items = _decoded(value[kind], arrays)
    return tuple(items) if kind == f"{MARK}tuple" else dict(items)
