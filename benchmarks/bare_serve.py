"""The yardstick for a start: Ray Serve alone, one empty application, nothing of ours but the same environment."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    from serving import environment
    from serving.home import Home
    from serving.settings import Settings

    home = Home(Path(tempfile.mkdtemp()))
    environment.prepare(Settings(home=home.folder, port=port), home)

    import ray
    from ray import serve
    from starlette.types import ASGIApp, Receive, Scope, Send

    async def empty(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})

    @serve.deployment(ray_actor_options={"num_cpus": 0}, logging_config={"enable_access_log": False})
    @serve.ingress()
    class Empty:
        def __serve_build_asgi_app__(self) -> ASGIApp:
            return empty

    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    ray.init(
        num_cpus=os.cpu_count(),
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
        _node_ip_address="127.0.0.1",
        _temp_dir=str(home.run / "ray"),
    )
    serve.start(http_options={"host": "127.0.0.1", "port": port}, proxy_location="HeadOnly")
    serve.run(Empty.bind(), name="empty", route_prefix="/")
    stopping.wait()
    serve.shutdown()
    ray.shutdown()
    environment.clear_leftovers(home)


if __name__ == "__main__":
    sys.exit(main())
