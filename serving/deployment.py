"""Ray Serve on this machine: one port, two applications, HAProxy in front.

``decisions`` answers under ``/v1/decisions`` and ``/v1/orders`` (plain ASGI, everything in the process that received the request);
``console`` answers everything else. The measurements behind the settings are in docs/decisions/0003-serve-topology.md.

Import this module only after :func:`serving.environment.prepare` ran: Ray reads its environment when it is imported.
"""

from __future__ import annotations

import contextlib
import logging
import os
from typing import Any

import ray
from ray import serve
from starlette.types import ASGIApp

from serving.garbage import collect_less
from serving.home import Home
from serving.settings import Settings

LOGGING = {"enable_access_log": False, "log_level": "WARNING"}
MEBIBYTE = 2**20


@serve.deployment(name="decide", max_ongoing_requests=512, ray_actor_options={"num_cpus": 0}, logging_config=LOGGING)
@serve.ingress()
class DecisionReplica:
    """Decides: holds the models, a database connection of its own and the group commit."""

    def __init__(self, settings: dict[str, Any]) -> None:
        from serving.wiring import wire_decisions

        self._wired = wire_decisions(Settings(**settings), echoes=False)  # Serve puts X-Request-Id on every answer
        collect_less()

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """The application that Ray Serve calls for each request."""
        return self._wired.app

    def check_health(self) -> None:
        """Raise when this replica should be replaced."""
        self._wired.check_health()


@serve.deployment(name="console", max_ongoing_requests=512, ray_actor_options={"num_cpus": 0}, logging_config=LOGGING)
@serve.ingress()
class ConsoleReplica:
    """Pages, uploads, and every route that is not a decision."""

    def __init__(self, settings: dict[str, Any]) -> None:
        from serving.wiring_console import wire_console

        self._app = wire_console(Settings(**settings), _TrainingLauncher(settings))
        collect_less()

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """The application that Ray Serve calls for each request."""
        return self._app

    def check_health(self) -> None:
        """Raise when this replica should be replaced: nobody publishes the log any more."""
        if not self._app.state.log.alive:
            raise RuntimeError("the log's thread has ended")


class _TrainingLauncher:
    """Starts a training as a Ray task in a process of its own, at low priority: decisions keep their latency."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings

    def __call__(self, training_id: str) -> None:
        _train.remote(self._settings, training_id)


@ray.remote(num_cpus=0, max_retries=0, max_calls=1)  # type: ignore[untyped-decorator]
def _train(settings: dict[str, Any], training_id: str) -> None:
    os.nice(10)
    from serving.wiring import run_training

    run_training(Settings(**settings), training_id)


def start(settings: Settings, home: Home) -> None:
    """Start Ray and Serve's proxy; :func:`deploy` puts the applications in."""
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    ray.init(
        num_cpus=os.cpu_count() or 1,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
        object_store_memory=100 * MEBIBYTE,
        _node_ip_address="127.0.0.1",
        _temp_dir=str(home.run / "ray"),
    )
    serve.start(http_options={"host": settings.host, "port": settings.port}, proxy_location="HeadOnly", logging_config=LOGGING)


def deploy(settings: Settings) -> None:
    """Run both applications and return when their replicas are up."""
    values = settings.model_dump(mode="json")
    decisions = DecisionReplica.options(num_replicas=settings.decision_replicas).bind(values)  # type: ignore[attr-defined]
    console = ConsoleReplica.bind(values)  # type: ignore[attr-defined]
    serve.run_many(
        [
            serve.RunTarget(decisions, name="decisions", route_prefix="/v1/decisions"),
            serve.RunTarget(console, name="console", route_prefix="/"),
        ]
    )


def stop(home: Home) -> None:
    """Drain and stop Serve, then Ray; what Ray says about its own end goes to a log file."""
    with (home.logs / "ray.log").open("a") as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        serve.shutdown()
        ray.shutdown()
