"""``python -m training.handbook --data FOLDER``: the comparison, printed as a table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from training.handbook.comparison import compare
from training.handbook.transactions import HandbookMissing, read_transactions


class Teller:
    """Tells what goes on meanwhile, which is not part of the table; each thing once."""

    def __init__(self) -> None:
        self._told = ""

    def __call__(self, line: str) -> None:
        """Tell one line."""
        if line != self._told:
            print(line, file=sys.stderr, flush=True)
        self._told = line


def main() -> int:
    """Run the comparison; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.handbook", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the handbook's transactions as Parquet")
    asked = parser.parse_args()
    try:
        found = compare(read_transactions(asked.data), Teller())
    except HandbookMissing as error:
        print(error, file=sys.stderr)
        return 2
    for line in found.lines():
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
