"""DOT text to pictures: by the system's Graphviz, else by the one inside pygraphviz."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

FORMATS = ("svg", "png", "pdf")
SECONDS = 60.0


class RenderError(RuntimeError):
    """A picture that cannot be drawn: no Graphviz, or a Graphviz that failed."""


def render(dot: str, form: str = "svg", seconds: float = SECONDS) -> bytes:
    """The picture as bytes of SVG, PNG or PDF.

    Raises:
        RenderError: neither Graphviz nor pygraphviz is installed, or it failed or took too long.
    """
    program = shutil.which("dot")
    if program is not None:
        return _by_program("dot", [program, f"-T{form}"], dot, seconds)
    if importlib.util.find_spec("pygraphviz") is None:
        raise RenderError(
            f"drawing {form} needs Graphviz, and none was found: either "
            "pip install 'tinygrad_course[viz]' (it brings its own), or install the system's "
            "package (apt install graphviz, brew install graphviz, winget install graphviz); "
            ".dot and .txt need neither"
        )
    return _by_program("pygraphviz", [sys.executable, "-c", _DRAW, form], dot, seconds)


def svg(dot: str) -> str:
    """The picture as an `<svg>` element."""
    return svgs([dot])[0]


def svgs(dots: Sequence[str]) -> list[str]:
    """Several pictures as `<svg>` elements, by one process.

    Raises:
        RenderError: as `render`.
    """
    if not dots:
        return []
    drawn = render("\n".join(dots), "svg").decode()
    found = re.findall(r"<svg.*?</svg>", drawn, re.DOTALL)
    if len(found) != len(dots):
        raise RenderError(f"Graphviz drew {len(found)} of {len(dots)} pictures")
    return found


# In a process of its own: the library cannot be stopped, and talks to the terminal.
_DRAW = """
import sys, warnings, pygraphviz
warnings.simplefilter("ignore")
for text in sys.stdin.buffer.read().decode().split("\\ndigraph "):
    text = text if text.startswith("digraph ") else "digraph " + text
    graph = pygraphviz.AGraph(string=text)
    sys.stdout.buffer.write(graph.draw(format=sys.argv[1], prog="dot"))
"""


def _by_program(name: str, command: list[str], dot: str, seconds: float) -> bytes:
    try:
        done = subprocess.run(
            command,
            input=dot.encode(),
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RenderError(
            f"{name} took longer than {seconds:g} s; draw less with a smaller budget, or save "
            "a .dot or .txt file"
        ) from None
    except OSError as error:
        raise RenderError(f"{name} could not be run: {error}") from error
    if done.returncode or not done.stdout:
        said = done.stderr.decode(errors="replace").strip()[-500:]
        raise RenderError(f"{name} failed with status {done.returncode}: {said}")
    return done.stdout


def write(path: Path, content: bytes) -> None:
    """Write the whole file or nothing: to a temporary name beside it, then renamed.

    Raises:
        OSError: the folder is not there or cannot be written to.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise type(error)(
            error.errno, f"cannot save the drawing: {error.strerror}", str(path)
        ) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
