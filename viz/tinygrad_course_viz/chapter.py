"""What a chapter of a course needs besides its subject: options, and a folder for its pictures."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from tinygrad_course.files import atomic_write, output_folder

from .drawing import Drawing
from .lessons import png
from .stepping import BackwardDrawing


class Chapter:
    """A chapter's options and its folder: `Chapter("01_neuron")`.

    Run as a script it reads the command line (`--quick`, `--out FOLDER`, `--device cuda`) and
    refuses what it does not know; in a notebook, which has no command line, it reads the
    environment variables `TINYGRAD_COURSE_QUICK`, `TINYGRAD_COURSE_OUT` and
    `TINYGRAD_COURSE_DEVICE`.

    Args:
        name: the chapter's name: pictures go to `FOLDER/name`.
        about: what the chapter shows, for `--help`.
        folders: further options that name a folder, and what it is for.

    Attributes:
        quick: whether a short rehearsal was asked for.
        device: where the chapter's models learn.
        out: the folder for pictures; it is there and can be written to.
        given: the folders that were named, None for those that were not.
    """

    def __init__(self, name: str, about: str = "", **folders: str) -> None:
        parser = argparse.ArgumentParser(description=about or name)
        parser.add_argument(
            "--quick", action="store_true", help="a rehearsal: less data, less time"
        )
        parser.add_argument("--out", type=Path, metavar="FOLDER", help="for pictures (outputs)")
        parser.add_argument("--device", help="where models learn: cpu or cuda (cpu)")
        for option, purpose in folders.items():
            parser.add_argument(f"--{option}", type=Path, metavar="FOLDER", help=purpose)
        options = parser.parse_args([] if in_notebook() else None)
        self.given: dict[str, Path | None] = {key: getattr(options, key) for key in folders}
        self.name = name
        self.quick = options.quick or os.environ.get("TINYGRAD_COURSE_QUICK", "") not in ("", "0")
        self.device = options.device or os.environ.get("TINYGRAD_COURSE_DEVICE", "cpu")
        folder = options.out or Path(os.environ.get("TINYGRAD_COURSE_OUT", "outputs"))
        self.out = output_folder(folder / name)

    def save(self, picture: Any, name: str) -> Path:
        """Write a matplotlib Figure, a Drawing or a BackwardDrawing, and say so.

        A notebook shows pictures; a page is only written.
        """
        path = self.out / name
        if isinstance(picture, (Drawing, BackwardDrawing)):
            picture.save(path)
        else:
            atomic_write(path, png(picture))
        if in_notebook() and path.suffix in (".svg", ".png"):
            show(path)
        print(f"wrote {path}")
        return path


def in_notebook() -> bool:
    """Whether the code runs in a Jupyter kernel."""
    return "ipykernel" in sys.modules and hasattr(sys.modules["__main__"], "get_ipython")


def show(path: Path) -> None:
    """Show a picture file under the running cell."""
    from IPython import display

    kind = display.SVG if path.suffix == ".svg" else display.Image
    display.display(kind(filename=str(path)))  # type: ignore[no-untyped-call]
