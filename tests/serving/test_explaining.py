"""A decision over HTTP in the words of its reader."""

from __future__ import annotations

from typing import Any

import pytest

from governance.access import Role
from governance.readers import TOPIC_TEXTS, Reader, Topic


def _decided(service: Any, body: Any, decision_type: str = "fraud") -> tuple[str, dict[str, Any]]:
    answer = service.decide(decision_type, body()).json
    return f"/v1/decisions/{answer['decision_id']}/explanation", answer


@pytest.mark.parametrize("decision_type", ["acceptance", "fraud", "split-order"])
@pytest.mark.parametrize("reader", list(Reader))
def test_each_reader_is_told_in_both_languages(service: Any, body: Any, decision_type: str, reader: Reader) -> None:
    path, answer = _decided(service, body, decision_type)
    told = service.get(f"{path}?reader={reader}").json
    assert (told["reader"], told["outcome"], told["decision_id"]) == (reader, answer["outcome"], answer["decision_id"])
    for text in (told["summary"], *(reason["text"] for reason in told["reasons"])):
        assert set(text) == {"en", "zh"}
        assert all(text.values())


def test_an_agent_reads_what_the_answer_says(service: Any, body: Any) -> None:
    path, answer = _decided(service, body)
    told = service.get(f"{path}?reader=agent").json["reasons"]
    assert [reason["text"] for reason in told[:4]] == [reason["text"] for reason in answer["reasons"]]
    assert not {"contribution", "feature", "value"} & {name for reason in told for name in reason}


def test_a_customer_reads_topics_only(service: Any, body: Any) -> None:
    path, _ = _decided(service, body)
    told = service.get(f"{path}?reader=customer").json
    assert set(told) == {"decision_id", "outcome", "reader", "words", "summary", "reasons"}
    assert all(reason["text"] == TOPIC_TEXTS[Topic(reason["code"])] for reason in told["reasons"])


def test_an_auditor_reads_what_adds_up(service: Any, body: Any) -> None:
    path, _ = _decided(service, body)
    told = service.get(f"{path}?reader=auditor").json
    plain = service.get(path).json
    del plain["decision_id"]
    assert told["explanation"] == plain
    for reason in told["reasons"]:
        if reason["members"]:
            assert sum(one["contribution"] for one in reason["members"]) == pytest.approx(reason["contribution"], abs=1e-5)
    assert told["policy"]["results"]


@pytest.mark.parametrize("query", ["reader=nobody", "reader=", "who=customer"])
def test_an_unknown_reader_is_refused(service: Any, body: Any, query: str) -> None:
    path, _ = _decided(service, body)
    assert service.get(f"{path}?{query}").status == 422


def test_an_oms_may_not_ask_and_nothing_is_told_of_nothing(service: Any, body: Any) -> None:
    path, _ = _decided(service, body)
    assert service.get(f"{path}?reader=customer", role=Role.OMS).status == 403
    assert service.get("/v1/decisions/none/explanation?reader=customer").status == 404
