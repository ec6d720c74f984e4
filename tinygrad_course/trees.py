"""Trees: Tensors and Scalars in tuples, lists and dicts, taken out and put back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .graph import Value


def leaves(tree: Any) -> list[Any]:
    """What a tree of tuples, lists and dicts holds, from left to right."""
    if isinstance(tree, (tuple, list)):
        return [leaf for branch in tree for leaf in leaves(branch)]
    if isinstance(tree, dict):
        return [leaf for branch in tree.values() for leaf in leaves(branch)]
    return [tree]


def values(tree: Any) -> list[Any]:
    """The Tensors and Scalars of a tree."""
    return [leaf for leaf in leaves(tree) if isinstance(leaf, Value)]


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """The tree with `function(leaf)` in each leaf's place, called from left to right."""
    if isinstance(tree, (tuple, list)):
        branches = [mapped(function, branch) for branch in tree]
        named = hasattr(tree, "_fields")  # a named tuple takes its fields one by one
        return type(tree)(*branches) if named else type(tree)(branches)
    if isinstance(tree, dict):
        return {key: mapped(function, branch) for key, branch in tree.items()}
    return function(tree)


def refilled(tree: Any, new: list[Any]) -> Any:
    """The tree with new leaves."""
    rest = iter(new)
    return mapped(lambda _: next(rest), tree)


def form(tree: Any) -> Any:
    """What two trees have in common that can stand for each other: all but the leaves."""
    return mapped(lambda _: None, tree)
