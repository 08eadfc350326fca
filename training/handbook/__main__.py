"""``python -m training.handbook --data FOLDER``: the comparison, printed as a table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from training.handbook.comparison import compare
from training.handbook.transactions import HandbookMissing


def main() -> int:
    """Run the comparison; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.handbook", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the handbook's transactions as Parquet")
    asked = parser.parse_args()
    try:
        found = compare(asked.data, _say)
    except HandbookMissing as error:
        _say(str(error))
        return 2
    for line in found.lines():
        print(line)
    return 0


def _say(line: str) -> None:
    """What goes on meanwhile is not part of the table."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
