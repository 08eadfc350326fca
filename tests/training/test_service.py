"""A training from its row to a registered version; nothing is replaced by a double."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from feature_store import datasets
from feature_store.checks import Choices
from feature_store.problems import DataRefused
from feature_store.views import SERVICES
from feature_store.wording import told
from governance import promotion
from governance.ledger.receipt import Signer
from models.artifact import artifact_folder, load_artifact
from models.registry import Registry
from models.specs import DecisionType
from training import jobs, service
from training.history import HistoryFrame
from training.jobs import State, Wanted
from training.service import Workshop, ask, publish, run_training, suggested_name, train_history

SCMS = Path(__file__).parents[2] / ".." / "shared" / "data" / "scms_delivery" / "scms_decoded.csv.gz"
CHINESE = re.compile(r"[\u4e00-\u9fff]")
SIGNER = Signer("test.example/log", bytes(range(32)))


def make(engine, folder):
    return Workshop(engine, SIGNER, folder / "datasets", folder / "models", folder / "mlflow")


@pytest.fixture
def workshop(sqlite_engine, tmp_path):
    return make(sqlite_engine, tmp_path)


@pytest.fixture
def each_workshop(engine, tmp_path):
    """On SQLite and on PostgreSQL."""
    return make(engine, tmp_path)


@pytest.fixture
def quiet(monkeypatch):
    """Without MLflow, which takes seconds to open; its own tests are below."""
    monkeypatch.setattr(service, "_log_run", lambda *_: None)
    monkeypatch.setattr(Registry, "alias", lambda *_: True)


def accept(workshop, text, name="orders.csv"):
    return datasets.accept([text.encode()], workshop.datasets, workshop.engine, name=name, uploaded_by="ann")


def orders(rows=1_200, *, learnable=True):
    rng = np.random.default_rng(1)
    distance = rng.gamma(2, 300, rows)
    late = rng.random(rows) < 1 / (1 + np.exp(2 - distance / 400)) if learnable else np.zeros(rows, bool)
    lines = [
        f"2025-{1 + row * 12 // rows:02d}-{1 + row % 28:02d},{distance[row]:.1f},{('air', 'sea')[row % 2]},{('no', 'yes')[int(late[row])]}"
        for row in range(rows)
    ]
    return "\n".join(["day,distance,mode,late", *lines])


def queue(workshop, text, **more):
    dataset = accept(workshop, text)
    wanted = Wanted(Choices("late", "day"), 2.0)
    return ask(
        workshop.engine,
        workshop.datasets,
        dataset_id=dataset.dataset_id,
        template="custom",
        name=more.get("name"),
        wanted=wanted,
        started_by="ann",
    )


def test_a_file_becomes_a_served_model(workshop, quiet):
    queued = queue(workshop, orders())
    assert (queued.name, queued.state) == ("orders-late", State.QUEUED)
    done = run_training(workshop, queued.training_id)
    assert (done.state, done.model_version, done.error) == (State.DONE, 1, None)
    shares = [step.data["share"] for step in jobs.steps(workshop.engine, done.training_id)]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert jobs.steps(workshop.engine, done.training_id, after=len(shares) - 2)[0].data["stage"] == "done"
    publish(workshop, "orders-late", 1, changed_by="bob", note="first")
    serving = promotion.current(workshop.engine, SIGNER.verifier).champions["orders-late"]
    artifact = load_artifact(artifact_folder(workshop.models, serving.model.digest), serving.model.digest)
    assert artifact.encoder is not None
    row = {"day": "2025-12-24", "distance": 2_000, "mode": "air"}
    far, near = (artifact.scorer.margin(artifact.encoder.encode(row | {"distance": km}))[0] for km in (2_000, 50))
    assert far > near
    assert serving.model.report["card"]["data"]["target"] == "late"
    assert run_training(workshop, queued.training_id) == done, "a training runs once"


def test_the_same_file_and_recipe_give_the_same_digest(workshop, quiet):
    digests = set()
    for _ in range(2):
        training = run_training(workshop, queue(workshop, orders(), name="twice").training_id)
        found = promotion.find_version(workshop.engine, "twice", training.model_version)
        digests.add((str(found.report["card"]["recipe"]), found.digest))
    assert len({digest for _, digest in digests}) == len({recipe for recipe, _ in digests})


def test_a_file_that_cannot_be_learnt_from_fails_with_its_problems(workshop, quiet):
    failed = run_training(workshop, queue(workshop, orders(learnable=False)).training_id)
    assert failed.state is State.FAILED
    assert failed.error["code"] == "data_refused"
    assert [problem["code"] for problem in failed.error["errors"]] == ["one_class_target"]
    assert promotion.versions(workshop.engine) == []
    assert datasets.stored_report(workshop.engine, failed.dataset_id)["ok"] is False


def test_a_file_changed_behind_our_back_is_not_trained_on(workshop, quiet):
    queued = queue(workshop, orders())
    path = datasets.find(workshop.engine, workshop.datasets, queued.dataset_id).path
    path.write_bytes(path.read_bytes().replace(b"yes", b"no ", 1))
    (error,) = run_training(workshop, queued.training_id).error["errors"]
    assert error["code"] == "dataset_damaged"
    assert CHINESE.search(error["zh"]["msg"])
    path.write_bytes(b"")
    with pytest.raises(DataRefused) as caught:
        datasets.find(workshop.engine, workshop.datasets, queued.dataset_id)
    assert "0 字节" in caught.value.problems[0].msg.zh
    path.unlink()
    with pytest.raises(DataRefused) as caught:
        datasets.find(workshop.engine, workshop.datasets, queued.dataset_id)
    assert "无法读取数据集" in caught.value.problems[0].msg.zh


def test_why_a_version_is_refused_is_kept_in_both_languages(workshop, quiet, monkeypatch):
    def refuse(*_, **__):
        raise promotion.ModelRefused(told("bad_name.other_type", name="late", type="a", kind="b"))

    monkeypatch.setattr(service, "_run", refuse)
    error = run_training(workshop, queue(workshop, orders(50)).training_id).error
    assert error["code"] == "model_refused"
    assert CHINESE.search(error["zh"]["detail"])
    assert not CHINESE.search(error["detail"])


def test_a_queued_training_can_be_cancelled(each_workshop, quiet):
    queued = queue(each_workshop, orders())
    assert jobs.cancel(each_workshop.engine, queued.training_id)
    assert run_training(each_workshop, queued.training_id).state is State.CANCELLED
    assert not jobs.cancel(each_workshop.engine, queued.training_id)


def test_a_running_training_stops_at_its_next_step(each_workshop, quiet):
    queued = queue(each_workshop, orders())

    def cancel_when_splitting(progress):
        if progress.stage == "splitting":
            assert jobs.cancel(each_workshop.engine, queued.training_id)

    stopped = run_training(each_workshop, queued.training_id, cancel_when_splitting)
    assert stopped.state is State.CANCELLED
    assert stopped.finished_at is not None
    assert promotion.versions(each_workshop.engine) == []


def test_a_defect_is_told_and_raised(workshop, quiet, monkeypatch):
    def broken(*_):
        raise RuntimeError("oops")

    monkeypatch.setattr(service, "train_checked", broken)
    queued = queue(workshop, orders())
    with pytest.raises(RuntimeError, match="oops"):
        run_training(workshop, queued.training_id)
    failed = jobs.find(workshop.engine, queued.training_id)
    assert (failed.state, failed.error["code"]) == (State.FAILED, "defect")


def test_what_was_under_way_when_the_service_ended_is_over(each_workshop):
    queued = queue(each_workshop, orders(50))
    assert jobs.claim(each_workshop.engine, queued.training_id)
    assert not jobs.claim(each_workshop.engine, queued.training_id)
    assert jobs.fail_interrupted(each_workshop.engine) == 1
    assert jobs.find(each_workshop.engine, queued.training_id).error["code"] == "interrupted"
    assert jobs.fail_interrupted(each_workshop.engine) == 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"dataset_id": "none"}, "unknown_dataset"),
        ({"template": "magic"}, "unknown_template"),
        ({"wanted": Wanted(Choices(), 5)}, "no_target"),
        ({"name": "Not A Name"}, "bad_name"),
        ({"name": "fraud"}, "bad_name"),
    ],
)
def test_what_cannot_be_asked_is_refused_at_once(workshop, change, code):
    dataset = accept(workshop, orders(50))
    asked = {
        "dataset_id": dataset.dataset_id,
        "template": "custom",
        "name": None,
        "wanted": Wanted(Choices("late"), 5),
        "started_by": "ann",
    }
    with pytest.raises(DataRefused) as caught:
        ask(workshop.engine, workshop.datasets, **(asked | change))
    (problem,) = caught.value.problems
    assert problem.code == code
    assert CHINESE.search(problem.msg.zh)
    assert CHINESE.search(problem.fix.zh or problem.msg.zh)
    assert jobs.listing(workshop.engine) == []


@pytest.mark.parametrize(
    ("file", "target", "name"),
    [
        ("Orders 2025.csv.gz", "Late?", "orders-2025-late"),
        ("2025.csv", "late", "model-2025-late"),
        ("订单.csv", "结果", "model"),
        ("../x.csv", "y", "x-y"),
        ("a" * 100, "y", "a" * 63),
    ],
)
def test_names_are_suggested_that_can_be_used(file, target, name):
    assert suggested_name(file, target) == name
    promotion.check_name(suggested_name(file, target))


def test_our_own_history_takes_the_same_way(workshop, quiet):
    rng = np.random.default_rng(2)
    rows, names = 1_500, SERVICES["fraud"].names
    features = rng.normal(size=(rows, len(names)))
    label = (rng.random(rows) < 1 / (1 + np.exp(2 - features[:, 0]))).astype(np.int64)
    time = np.arange(rows, dtype=np.int64) * 3_600_000
    version = SERVICES["fraud"].view_version
    group = tuple(f"C-{number}" for number in rng.integers(0, 300, rows))
    frame = HistoryFrame(features, names, label, time, time + 1_000, np.full(rows, np.nan), group, group, version)
    registered = train_history(workshop, DecisionType.FRAUD, frame, budget_s=2, created_by="ann")
    artifact = load_artifact(artifact_folder(workshop.models, registered.digest), registered.digest)
    assert (artifact.type, artifact.event, artifact.encoder) == ("fraud", "fraud", None)
    assert tuple(card.name for card in artifact.features) == artifact.scorer.names == names
    assert artifact.contents.view_version == version


@pytest.mark.slow
def test_mlflow_keeps_run_version_and_alias(workshop):
    done = run_training(workshop, queue(workshop, orders()).training_id)
    assert done.state is State.DONE
    version = promotion.find_version(workshop.engine, "orders-late", 1)
    assert version.mlflow_run_id
    assert workshop.registry.by_alias("orders-late", promotion.CHAMPION) is None
    publish(workshop, "orders-late", 1, changed_by="bob", note="")
    assert workshop.registry.by_alias("orders-late", promotion.CHAMPION) == version.digest
    assert {path.name for path in workshop.mlflow.rglob("*") if path.is_file()} >= {"model.txt", "card.json", "manifest.json"}


@pytest.mark.slow
@pytest.mark.shared
def test_a_real_file_is_learnt_without_its_leaks(workshop, quiet):
    if not SCMS.exists():
        pytest.skip("the evaluation data is not beside the checkout")
    dataset = datasets.accept([SCMS.read_bytes()], workshop.datasets, workshop.engine, name="scms.csv.gz", uploaded_by="ann")
    wanted = Wanted(Choices("late", "Scheduled Delivery Date"), 10.0)
    queued = ask(
        workshop.engine,
        workshop.datasets,
        dataset_id=dataset.dataset_id,
        template="custom",
        name="scms-late",
        wanted=wanted,
        started_by="ann",
    )
    assert run_training(workshop, queued.training_id).state is State.DONE
    card = promotion.find_version(workshop.engine, "scms-late", 1).report["card"]
    area = card["evaluation"]["metrics"]["auc"]
    assert 0.75 < area["low"] < area["value"] < 0.95
    assert {"Delivered to Client Date", "Delivery Recorded Date"} <= {column["column"] for column in card["data"]["excluded"]}


def test_dataclasses_of_a_training_are_values(each_workshop):
    queued = queue(each_workshop, orders(50))
    assert jobs.find(each_workshop.engine, queued.training_id) == queued
    with pytest.raises(dataclasses.FrozenInstanceError):
        queued.state = State.DONE


def test_a_name_that_answers_another_type_is_refused_before_training(workshop):
    promotion.register_version(
        workshop.engine, SIGNER, name="late", kind="fraud", template="fraud", digest=f"sha256:{'0' * 64}", report={}, created_by="t"
    )
    with pytest.raises(DataRefused, match="answer 'fraud'") as refused:
        queue(workshop, orders(200), name="late")
    assert [problem.loc for problem in refused.value.problems] == [("name",)]
    assert jobs.listing(workshop.engine, 10) == []
