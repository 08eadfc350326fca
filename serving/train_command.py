"""``ordinance train``: a file in, a report and perhaps an endpoint out."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from feature_store import datasets
from feature_store.checks import Choices
from governance import promotion
from governance.access import Role
from models.artifact import artifact_folder, load_artifact
from serving.home import Home, address_in_use
from serving.local_keys import local_key
from serving.migrate import migrate
from serving.settings import Settings
from serving.wiring import WITHOUT_SECOND, local_principal, wire_base, workshop
from training import service
from training.accepted import recording
from training.jobs import Training, Wanted
from training.progress import Progress

CHUNK = 1 << 20


class TrainRefused(Exception):
    """A training that cannot be done as asked; the message says why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asked for."""

    file: Path
    template: str
    target: str | None
    time: str | None
    name: str | None
    budget_s: float
    publish: bool


def train_file(settings: Settings, asked: Asked, say: Callable[[str], None]) -> int:
    """Check the file, train on it, register the model, and put it in service where asked; returns the exit code.

    Raises:
        TrainRefused: the file cannot be opened, or this home has no publishing without a second person.
        DataRefused: the file cannot be read as a table, or the request does not fit it; nothing of the file is kept.
    """
    name = service.name_of(template=asked.template, name=asked.name, file=asked.file.name, target=asked.target)
    base = wire_base(settings)
    try:
        migrate(base.engine)
        service.check_name_is_free(base.engine, name, asked.template)
        if asked.publish and not base.home.demo:
            raise TrainRefused("--publish is for demo homes. Here a second person approves: submit the version in the console.")
        shop = workshop(base)
        training = _run(base.home, replace(asked, name=name), shop, say)
        if training.error is not None:
            _tell_failure(training.error)
            return 1
        version = training.model_version
        assert version is not None, "a training that ended well has a version"
        found = promotion.find_version(base.engine, training.name, version)
        assert found is not None, "it was registered a moment ago"
        for line in report_lines(found.report, training.name, version):
            say(line)
        if asked.publish:
            service.publish(shop, training.name, version, changed_by=training.started_by, note=WITHOUT_SECOND)
            for line in _endpoint_lines(settings, base.home, found.type, found.digest):
                say(line)
        return 0
    finally:
        base.engine.dispose()


def _run(home: Home, asked: Asked, shop: service.Workshop, say: Callable[[str], None]) -> Training:
    engine = shop.engine
    principal = local_principal(Role.TRAINER)
    dataset = datasets.accept(
        _chunks(asked.file), home.datasets, engine, name=asked.file.name, template=asked.template, uploaded_by=principal,
        also=recording(shop.scribe),
    )  # fmt: skip
    say(f"{asked.file.name}: {dataset.rows:,} rows, {len(dataset.columns)} columns, sha256 {dataset.sha256[:12]}…")
    wanted = Wanted(Choices(asked.target, asked.time), asked.budget_s)
    queued = service.ask(
        engine, home.datasets, dataset_id=dataset.dataset_id, template=asked.template, name=asked.name, wanted=wanted, started_by=principal
    )
    return service.run_training(shop, queued.training_id, _telling(say))


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
    except OSError as error:
        raise TrainRefused(f"{path} cannot be read: {error.strerror}.") from error


def _telling(say: Callable[[str], None]) -> Callable[[Progress], None]:
    """One line a stage."""
    last = ""

    def tell(progress: Progress) -> None:
        nonlocal last
        if progress.stage != last:
            last = progress.stage
            say(f"  {progress.share:4.0%}  {progress.message}")

    return tell


def _tell_failure(error: Mapping[str, Any]) -> None:
    if not error["errors"]:
        print(f"ordinance: {error['detail']}", file=sys.stderr)
        return
    print("ordinance: the file cannot be used as it is:", file=sys.stderr)
    for problem in error["errors"]:
        place = ", ".join(f"{name} {problem[name]}" for name in ("row", "column") if name in problem)
        count = f" ({problem['count']} times)" if problem.get("count", 1) > 1 else ""
        print(f"  {place + ': ' if place else ''}{problem['msg']}{count} {problem['fix']}".rstrip(), file=sys.stderr)


def report_lines(report: Mapping[str, Any], name: str, version: int) -> Iterator[str]:
    """What is to be said of a model version, for a terminal."""
    card = report["card"]
    judged, data = card["evaluation"], card["data"]
    yield ""
    yield f"{name} version {version}, {report['task']}, {report['digest']}"
    rows = card["rows"]
    yield f"learnt from {rows['learnt_from']:,} rows, judged on {rows['judged_on']:,} ({card['split']['method']} split), left out {rows['left_out']:,}"
    for metric, found in judged["metrics"].items():
        if found["value"] is not None:
            interval = "" if found["low"] is None else f"  [{found['low']:.3f}, {found['high']:.3f}]"
            yield f"  {metric.replace('_', ' '):<22}{found['value']:.3f}{interval}"
    yield f"intervals at {judged['level']:.0%}"
    if data.get("excluded"):
        yield "left out of the model:"
        for column in data["excluded"]:
            yield f"  {column['column']}: {column['reason']}"
    for warning in data.get("warnings", ()):
        yield f"note: {warning['msg']}"


def _endpoint_lines(settings: Settings, home: Home, kind: str, digest: str) -> Iterator[str]:
    url = f"{settings.public_url or address_in_use(home) or settings.local_url}/v1/decisions/{kind}"
    yield ""
    yield f"in service, without a second person (demo home): POST {url}"
    encoder = load_artifact(artifact_folder(home.models, digest), digest).encoder
    if encoder is not None:
        body = orjson.dumps({"row": encoder.example()}).decode()
        yield (
            f"curl -s {url} -H {shlex.quote('Authorization: Bearer ' + local_key(home, Role.OMS))} -H 'Content-Type: application/json' "
            f"-H 'Idempotency-Key: try-1' -d {shlex.quote(body)}"
        )
