"""``make bench``: the kernels, the ledger, the features, the events, the starts and the service, one after the other, beside their peers."""

from __future__ import annotations

import subprocess
import sys

PARTS = ("kernel", "splitting", "baskets", "features", "offline", "ingest", "ledger", "start", "serve")


def main() -> int:
    for part in PARTS:
        print(f"\n## {part}\n", flush=True)
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{part}"], check=False)
        if done.returncode != 0:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
