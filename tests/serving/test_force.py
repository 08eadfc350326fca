"""Which policy judges which type: built-in, published, scoped, or none."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from feature_store.order import Order
from governance.policy import Policy
from governance.policy_document import default_policies, read_policy
from serving.api.schemas import FRAUD_EXAMPLE
from serving.force import Force, sorted_policies

POLICIES = default_policies()
ORDER = Order.model_validate(FRAUD_EXAMPLE["order"])


def made(base: str, name: str, **changes: Any) -> Policy:
    return read_policy({**orjson.loads(POLICIES[base].document), "id": name, **changes})


OWN = made("custom", "parcel", type="parcel-late")
EAST = made("fraud", "east", scope={"regions": ["east"]})
URGENT = made("fraud", "urgent", scope={"rank": 5})
NIGHT = made("custom", "night", scope={"from": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"})
NOON = 1_767_268_800_000  # 2026-01-01T12:00:00Z


def force(*loaded: Policy, models: tuple[str, ...] = ()) -> Force:
    policies, scoped = sorted_policies(POLICIES, loaded)
    return Force(dict.fromkeys(models), policies, scoped=scoped)  # type: ignore[arg-type]


def test_a_published_type_is_judged_by_its_own_policy_or_by_that_of_all() -> None:
    assert force().policy("parcel-late") is None
    assert force(OWN).policy("parcel-late") is None, "a policy alone decides nothing"
    assert force(models=("parcel-late",)).judging("parcel-late", None, 0) is POLICIES["custom"]
    assert force(OWN, models=("parcel-late",)).judging("parcel-late", None, 0) is OWN
    both = force(OWN, NIGHT, models=("parcel-late", "other"))
    assert both.judging("parcel-late", None, NOON) is OWN, "its own comes before what is shared, however specific"
    assert both.judging("other", None, NOON) is NIGHT
    assert both.judging("other", None, NOON - 24 * 3_600_000) is POLICIES["custom"]
    assert force().policy("custom") is None


@given(st.permutations([POLICIES["fraud"], EAST, URGENT]))
def test_the_choice_does_not_depend_on_the_order_of_loading(loaded: list[Policy]) -> None:
    several = force(*loaded)
    west = ORDER.model_copy(update={"ship_to": ORDER.ship_to.model_copy(update={"region": "west"})})
    assert several.judging("fraud", ORDER, NOON) is EAST
    assert several.judging("fraud", west, NOON) is URGENT
    assert [name for name, _, _ in several.rivals("fraud", EAST)] == ["fraud", "urgent"]
    assert several.judging("acceptance", ORDER, NOON) is POLICIES["acceptance"]
    assert several.rivals("acceptance", POLICIES["acceptance"]) == ()
