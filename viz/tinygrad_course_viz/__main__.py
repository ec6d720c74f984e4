"""`python -m tinygrad_course_viz FILE.py:function -o graph.svg`: draw what a script computes."""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .drawing import COLLAPSE, draw_graph
from .overlays import MEASURES
from .stepping import draw_backward

ABOUT = """Draw the graph that a script computes. FILE.py:NAME names a function, which is called
without arguments and returns the outputs, or (outputs, params); or a variable that holds an output.
Without :NAME it is main. Without -o the picture is printed as text. --backward writes a page to
step through (.html)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 if it drew, 2 if it could not."""
    parser = argparse.ArgumentParser(prog="python -m tinygrad_course_viz", description=ABOUT)
    parser.add_argument("script", metavar="FILE.py[:NAME]")
    parser.add_argument("-o", "--output", metavar="PATH", help=".svg .png .pdf .html .dot or .txt")
    parser.add_argument("--budget", type=int, help="at most so many boxes (300)")
    parser.add_argument("--depth", type=int, help="modules as boxes, opened so far; 0: all closed")
    parser.add_argument("--overlay", metavar="MEASURE", help=f"a tint: {', '.join(MEASURES)}")
    parser.add_argument("--collapse", metavar="WHAT", help=f"{' or '.join(COLLAPSE)}; or a,b")
    parser.add_argument("--backward", action="store_true", help="the backward pass, step by step")
    given = parser.parse_args(arguments)
    options = {k: getattr(given, k) for k in ("budget", "depth", "overlay", "collapse")}
    options = {k: v for k, v in options.items() if v is not None}
    if given.backward and options:
        parser.error(f"--backward draws every node: --{next(iter(options))} is not for it")
    if "collapse" in options:
        options["collapse"] = options["collapse"].split(",")
    try:
        outputs = _found(given.script)
        drawing = draw_backward(*outputs) if given.backward else draw_graph(*outputs, **options)
        if given.output is None:
            print(drawing.text, end="")
        else:
            print(drawing.save(given.output))
    except (OSError, TypeError, ValueError, LookupError, RuntimeError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    return 0


def _found(script: str) -> tuple[Any, Any]:
    """The outputs that the script computes, and what names their parameters."""
    path, name = (script, "main") if Path(script).exists() else _split(script)
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    names = runpy.run_path(path, run_name="<drawn>")  # not "__main__": the script does not train
    if name not in names:
        known = ", ".join(sorted(n for n in names if not n.startswith("_")))
        raise LookupError(f"{path} has no {name!r}; it has: {known or 'nothing'}")
    found: Any = names[name]
    found = found() if callable(found) else found
    pair = isinstance(found, tuple) and len(found) == 2
    if pair and (isinstance(found[1], dict) or hasattr(found[1], "named_parameters")):
        return found
    return found, None


def _split(script: str) -> tuple[str, str]:
    path, colon, name = script.rpartition(":")
    return (path, name or "main") if colon and path else (script, "main")


if __name__ == "__main__":
    sys.exit(main())
