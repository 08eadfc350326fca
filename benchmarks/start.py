"""How long a start takes: a fresh home, a second start, and bare Ray Serve, in turn; and what the service weighs."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.processes import free_port, running

ORDINANCE = str(Path(sys.executable).with_name("ordinance"))


def main(arguments: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--home", type=Path, help="a filled home; without one a fresh home is filled and timed first")
    parsed = parser.parse_args(arguments)
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        home = parsed.home or Path(scratch) / "home"
        log = Path(scratch) / "log"
        if not parsed.home:
            with running([ORDINANCE, "up", "--home", str(home), "--port", str(port := free_port())], port, "/readyz", log=log) as fresh:
                figures["fresh_home_s"] = fresh.ready_s
        seconds, bare = [], []
        for _ in range(parsed.rounds):
            with running([ORDINANCE, "up", "--home", str(home), "--port", str(port := free_port())], port, "/readyz", log=log) as again:
                seconds.append(again.ready_s)
                figures["pss_mib"] = again.pss_mib()
            with running([sys.executable, "-m", "benchmarks.bare_serve", "--port", str(port := free_port())], port, "/", log=log) as peer:
                bare.append(peer.ready_s)
                figures["bare_pss_mib"] = peer.pss_mib()
        figures["second_start_s"] = statistics.median(seconds)
        figures["bare_serve_s"] = statistics.median(bare)
        figures["second_start_over_bare"] = statistics.median(a / b for a, b in zip(seconds, bare, strict=True))
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}))
    return figures


if __name__ == "__main__":
    main()
