"""The course: list its chapters, or run one, several or all.

python -m examples                    the list
python -m examples 04 --quick         one chapter, as a rehearsal
python -m examples all --out FOLDER   every chapter, pictures in FOLDER
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).parent


def chapters():
    """The chapters' files, in order."""
    return sorted(FOLDER.glob("[0-9][0-9]_*.py"))


def title(path):
    """The first heading: `# # 01 · One neuron`."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# # "):
            return line.removeprefix("# # ")
    raise ValueError(f"{path.name} has no title: a line that starts with '# # '")


def chosen(names):
    """The files that the names mean: `all`, a number, or a file's name with or without `.py`."""
    found = []
    for name in names:
        fits = [p for p in chapters() if name in ("all", p.stem[:2], p.stem, p.name)]
        if not fits:
            known = ", ".join(p.stem for p in chapters())
            raise SystemExit(f"error: there is no chapter {name!r}; there are: {known}")
        found += [p for p in fits if p not in found]
    return found


def run(path, options):
    """One chapter in a process of its own; whether it went well, its last line, and the seconds."""
    command = [sys.executable, str(path), *(["--quick"] if options.quick else [])]
    command += ["--out", str(options.out), "--device", options.device]
    start = time.perf_counter()
    done = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    last = ""
    for line in done.stdout:
        print(f"    {line}", end="", flush=True)
        last = line.strip() or last
    return done.wait() == 0, last, time.perf_counter() - start


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m examples", description=__doc__.split("\n")[0])
    parser.add_argument(
        "chapters", nargs="*", metavar="CHAPTER", help="01, 04_shallow_network, all"
    )
    parser.add_argument("--quick", action="store_true", help="rehearsals: less data, less time")
    parser.add_argument(
        "--out", type=Path, default=Path("outputs"), help="for pictures (%(default)s)"
    )
    parser.add_argument("--device", default="cpu", help="where models learn (%(default)s)")
    options = parser.parse_args(arguments)
    if not options.chapters:
        print("\n".join(f"{title(p)}" for p in chapters()))
        print("\nrun one with `python -m examples 01`, every one with `python -m examples all`")
        return 0
    results = []
    for path in chosen(options.chapters):
        print(title(path), flush=True)
        results.append((path, *run(path, options)))
    width = max(len(p.stem) for p, *_ in results)
    print()
    for path, good, last, seconds in results:
        print(f"{path.stem:{width}}  {seconds:5.1f} s  {last if good else 'FAILED'}")
    return 0 if all(good for _, good, *_ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
