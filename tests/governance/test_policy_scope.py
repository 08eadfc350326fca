"""Which policy judges: one, the most specific, whatever the order in which they are looked at."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from governance.policy_scope import EVERYTHING, Ambiguous, Scope, Traits, ambiguous, choose


@dataclass(frozen=True)
class Named:
    name: str
    scope: Scope


some = st.frozensets(st.sampled_from("ab"), max_size=2)
scopes = st.builds(Scope, some, some, some, st.none() | st.integers(0, 4), st.none() | st.integers(5, 9), st.integers(0, 1))
traits = st.builds(Traits, st.none() | st.sampled_from("abc"), st.none() | st.sampled_from("abc"), st.frozensets(st.sampled_from("abc")))


@given(st.lists(scopes, min_size=1, max_size=5, unique=True), traits, st.integers(0, 10), st.randoms())
def test_whatever_may_be_saved_together_has_one_winner_in_any_order(several: list[Scope], one: Traits, at: int, random) -> None:
    assume(not any(ambiguous(a, b) for a, b in combinations(several, 2)))
    named = [Named(str(index), scope) for index, scope in enumerate(several)]
    winner = choose(named, one, at)
    random.shuffle(named)
    assert choose(named, one, at) is winner
    holding = [each for each in named if each.scope.holds(one, at)]
    assert (winner is None) == (not holding)
    if winner is not None:
        assert winner in holding
        assert all(winner.scope.named >= other.scope.named for other in holding)


@given(scopes, scopes, traits, st.integers(0, 10))
def test_what_is_within_holds_less_and_what_never_meets_never_holds_together(a: Scope, b: Scope, one: Traits, at: int) -> None:
    if a.within(b) and a.holds(one, at):
        assert b.holds(one, at)
    if a.holds(one, at) and b.holds(one, at):
        assert a.meets(b)
    assert not (a.beats(b) and b.beats(a))
    assert a.meets(b) == b.meets(a)


EAST, WEST = Scope(frozenset({"east"})), Scope(frozenset({"west"}))


@pytest.mark.parametrize(
    ("one", "other", "tied"),
    [
        (EAST, EAST, True),
        (EAST, WEST, False),
        (EAST, EVERYTHING, False),
        (EAST, Scope(frozenset({"east", "west"})), False),
        (EAST, Scope(channels=frozenset({"app"})), True),
        (EAST, Scope(channels=frozenset({"app"}), rank=1), False),
        (Scope(tags=frozenset({"a"})), Scope(tags=frozenset({"b"})), True),
        (Scope(since=0, until=5), Scope(since=5), False),
        (Scope(since=0, until=6), Scope(since=5), True),
        (EVERYTHING, Scope(rank=1), False),
    ],
)
def test_what_nothing_tells_apart(one: Scope, other: Scope, tied: bool) -> None:
    assert ambiguous(one, other) is ambiguous(other, one) is tied


def test_a_period_begins_with_its_first_moment_and_ends_before_its_last() -> None:
    scope = Scope(since=10, until=20)
    assert [scope.holds(Traits(), at) for at in (9, 10, 19, 20)] == [False, True, True, False]


def test_an_edited_database_does_not_make_the_choice_depend_on_chance() -> None:
    with pytest.raises(Ambiguous):
        choose([Named("a", EAST), Named("b", EAST)], Traits("east"), 0)
