"""Print the table of timings beside the peers.

python -m tests.benchmarks [--device cuda] [--only WORD] [--json FILE]

A case whose ratio is below its goal is marked "short".
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from . import engine, layers, memory, models, pools, start, window
from .harness import HEADER, Result, as_json, families, machine, run

FILES = (engine, layers, models, window, pools)


def main() -> None:
    """Run the cases and print a line for each as it is done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="run only cases whose name holds this word")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="where to compute")
    args = parser.parse_args()
    if args.device == "cuda":
        from . import cuda

        found = cuda.run(args.only)
        if args.json:
            args.json.write_text(json.dumps(as_json(found), indent=2), encoding="utf-8")
        return
    print(", ".join(f"{k} {v}" for k, v in machine().items()), "\n")
    print(HEADER)
    results: list[Result] = []
    for case in (case for file in FILES for case in file.cases()):
        if args.only in case.name:
            results.append(run(case))
            print(results[-1].row(), flush=True)
    for measure in (*start.MEASURES, *memory.MEASURES):
        if args.only in measure.name:
            results.append(measure.result())
            print(results[-1].row(), flush=True)
    print("", *families(results), sep="\n")
    if args.json:
        args.json.write_text(json.dumps(as_json(results), indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
