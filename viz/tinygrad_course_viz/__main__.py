"""`python -m tinygrad_course_viz FILE.py:function -o graph.svg`: draw what a script computes."""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .drawing import Drawing, draw_graph
from .render import RenderError

ABOUT = """Draw the graph that a script computes. FILE.py:NAME names a function, which is called
without arguments and returns the outputs, or (outputs, params); or a variable that holds an output.
Without :NAME it is main. Without -o the graph is printed as text."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 if it drew, 2 if it could not."""
    parser = argparse.ArgumentParser(prog="python -m tinygrad_course_viz", description=ABOUT)
    parser.add_argument("script", metavar="FILE.py[:NAME]")
    parser.add_argument("-o", "--output", metavar="PATH", help=".svg .png .pdf .html .dot or .txt")
    parser.add_argument("--budget", type=int, default=300, help="at most so many boxes (300)")
    given = parser.parse_args(arguments)
    try:
        drawing = _drawn(given.script, given.budget)
        if given.output is None:
            print(drawing.text, end="")
        else:
            print(drawing.save(given.output))
    except (OSError, TypeError, ValueError, LookupError, RenderError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    return 0


def _drawn(script: str, budget: int) -> Drawing:
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
        return draw_graph(found[0], found[1], budget=budget)
    return draw_graph(found, budget=budget)


def _split(script: str) -> tuple[str, str]:
    path, colon, name = script.rpartition(":")
    return (path, name or "main") if colon and path else (script, "main")


if __name__ == "__main__":
    sys.exit(main())
