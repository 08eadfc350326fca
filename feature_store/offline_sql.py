"""Aggregates as SQL: the same :class:`~feature_store.views.parts.Aggregate` that is interpreted online, for a million requests at once.

**Series.** A request is paired with the items that the online state would hold at its moment, and the pairs are reduced. An item is held from
``known`` until ``keep`` newer ones are known; that moment, ``gone``, is the ``keep``-th smallest ``known`` among the items after it, for most
histories just the ``known`` of the item ``keep`` places on. A history much longer than ``keep`` is cut into stretches of ``keep`` items, and
items lie in each stretch in which they are held, so that a request meets at most twice ``keep`` items however hot its key is.

**Tallies.** An event enters a window at one moment and leaves it at another; running sums over these moments answer every request by one ASOF
join, whatever the size of the window.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import duckdb
import numpy as np

from feature_store.entities import Entity
from feature_store.offline_duckdb import append
from feature_store.views.parts import Aggregate, How

FOR_EVER: Final = 2**62
"""When what is held for ever goes."""

SEVERAL: Final = frozenset({Entity.SKU, Entity.SUPPLIER})
"""Entities of which an order may name several."""


SLICE: Final = 125_000
"""Requests whose pairs are reduced at a time: what is gathered of each of them stays in memory."""


class _Slice(NamedTuple):
    """Requests from ``first`` to ``last`` (not included)."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Computed:
    """A table with the values of aggregates: ``rid``, and for each of ``parts`` its value ``v<n>`` and event time ``t<n>``."""

    table: str
    parts: tuple[tuple[Aggregate, int], ...]


class Asked:
    """The entities of one kind that requests name, with what folding made of their histories.

    Needs the tables ``requests (rid, as_of, own_ref, own_<item>, code_<own>)`` and ``named (rid, entity, key)``, and a table or view ``entries``.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, entity: Entity) -> None:
        self._connection = connection
        (count, since, until) = connection.execute(
            "SELECT count(*), coalesce(min(as_of), 0), coalesce(max(as_of), 0) FROM requests"
        ).fetchone() or (0, 0, 0)
        self._count, self._since, self._until = int(count), int(since), int(until)
        self._slices = [_Slice(first, first + SLICE) for first in range(0, max(1, self._count), SLICE)]
        self.entity = entity
        self._kept: dict[str, str] = {}
        name = entity.value
        self._run(
            f"CREATE OR REPLACE TABLE kids_{name} AS SELECT key, row_number() OVER () AS kid FROM "
            f"(SELECT DISTINCT key FROM named WHERE entity = '{name}')"
        )
        self._run(
            f"CREATE OR REPLACE TABLE asks_{name} AS SELECT kid, requests.* EXCLUDE (row, order_id) "
            f"FROM named JOIN kids_{name} USING (key) JOIN requests USING (rid) WHERE entity = '{name}'"
        )

    def drop(self) -> None:
        """Free what was made."""
        for table in (
            *(f"{kind}_{name}" for name in self._kept.values() for kind in ("items", "asks")),
            *(f"{k}_{self.entity.value}" for k in ("kids", "asks")),
        ):
            self._run(f"DROP TABLE IF EXISTS {table}")

    def _run(self, statement: str) -> None:
        self._connection.execute(statement)

    def of_series(self, series: str, parts: Sequence[tuple[Aggregate, int]], table: str) -> Computed:
        """Compute all aggregates over the items of one series, but shares, into a new table."""
        name = self._held(series)
        raw: list[str] = []
        told: list[str] = []
        for part, n in parts:
            raw += _raw(part, n)
            told += [f"{_value(part, n)} AS v{n}", f"CASE WHEN c{n} > 0 THEN t{n} END AS t{n}"]

        def rows(part: _Slice) -> str:
            pairs = f"SELECT rid, kid, any_value(as_of) AS as_of, {', '.join(raw)} FROM ({self._pairs(name, part)}) GROUP BY rid, kid"
            return f"SELECT rid, {', '.join(told)} FROM ({pairs})"

        self._reduced(table, parts, rows)
        return Computed(table, tuple(parts))

    def of_share(self, part: Aggregate, n: int, table: str) -> Computed:
        """Compute a share over a series: how many orders of one series occur in the other."""
        base, having = self._held(part.series), self._held(part.having or "")
        first = f"QUALIFY row_number() OVER (PARTITION BY rid, kid ORDER BY max(rn) DESC) <= {part.last}" if part.last else ""
        value = f"(count(m.ref)::DOUBLE + {part.prior * part.weight!r}::DOUBLE) / (count(*)::DOUBLE + {part.weight!r}::DOUBLE)"

        def rows(of: _Slice) -> str:
            found, marked = self._pairs(base, of), self._pairs(having, of)
            orders = f"SELECT rid, kid, ref, max(happened) AS happened FROM ({found}) WHERE {_picked(part)} GROUP BY rid, kid, ref {first}"
            marks = f"SELECT rid, kid, ref, max(happened) AS happened FROM ({marked}) WHERE ref <> own_ref GROUP BY rid, kid, ref"
            return (
                f"SELECT o.rid, {value} AS v{n}, greatest(max(o.happened), max(m.happened)) AS t{n} FROM ({orders}) o "
                f"LEFT JOIN ({marks}) m ON o.rid = m.rid AND o.kid = m.kid AND o.ref = m.ref GROUP BY o.rid, o.kid"
            )

        self._reduced(table, [(part, n)], rows)
        return Computed(table, ((part, n),))

    def of_tally(self, part: Aggregate, n: int, table: str) -> Computed:
        """Compute an aggregate over a tally."""
        item = f"own_{part.item.value}" if part.item else "''"
        asks = f"SELECT rid, kid, as_of, {item} AS item FROM asks_{self.entity.value} WHERE {item} IS NOT NULL"
        joined = f"SELECT a.*, b.events, b.total, b.newest FROM ({asks}) a ASOF JOIN ({self._swept(part, part.series)}) b ON a.kid = b.kid AND a.item = b.item AND a.as_of >= b.moment"
        hits = "0"
        if part.having is not None:
            joined = f"SELECT a.*, b.events AS hits FROM ({joined}) a ASOF LEFT JOIN ({self._swept(part, part.having)}) b ON a.kid = b.kid AND a.item = b.item AND a.as_of >= b.moment"
            hits = "coalesce(hits, 0)"
        divisor = f"(events::DOUBLE + {part.weight!r}::DOUBLE)"
        assumed = f"{part.prior * part.weight!r}::DOUBLE"
        scale = part.fold.scale
        value = {
            How.COUNT: "events::DOUBLE",
            How.SUM: f"total::DOUBLE / {scale}::DOUBLE",
            How.MEAN: f"CASE WHEN events > 0 THEN (total::DOUBLE / {scale}::DOUBLE + {assumed}) / {divisor} END",
            How.SHARE: f"CASE WHEN events > 0 THEN ({hits}::DOUBLE + {assumed}) / {divisor} END",
        }[part.how]
        at = f"CASE WHEN events > 0 THEN least(newest, as_of - {part.lag}) END"
        rows = f"SELECT rid, {value} AS v{n}, {at} AS t{n} FROM ({joined}) WHERE newest IS NOT NULL"
        self._reduced(table, [(part, n)], lambda _: rows, [_Slice(0, self._count)])
        return Computed(table, ((part, n),))

    def _reduced(
        self,
        table: str,
        parts: Sequence[tuple[Aggregate, int]],
        rows: Callable[[_Slice], str],
        slices: Sequence[_Slice] | None = None,
    ) -> None:
        """Store one row a request, slice by slice: of several entities the largest or least value, of equal ones the newest."""
        for n, part in enumerate(self._slices if slices is None else slices):
            made = f"SELECT * FROM ({self._one_each(parts, rows(part))}) ORDER BY rid"
            self._run(f"INSERT INTO {table} {made}" if n else f"CREATE OR REPLACE TABLE {table} AS {made}")

    def _one_each(self, parts: Sequence[tuple[Aggregate, int]], rows: str) -> str:
        if self.entity in SEVERAL:
            picks = [
                f"{'min' if part.least else 'max'}({{'v': v{n}, 't': {'-' if part.least else ''}coalesce(t{n}, 0)}}) FILTER (v{n} IS NOT NULL) AS p{n}"
                for part, n in parts
            ]
            values = [f"p{n}.v AS v{n}, nullif({'-' if part.least else ''}p{n}.t, 0) AS t{n}" for part, n in parts]
            rows = f"SELECT rid, {', '.join(values)} FROM (SELECT rid, {', '.join(picks)} FROM ({rows}) GROUP BY rid)"
        return rows

    def _pairs(self, name: str, part: _Slice) -> str:
        """Requests of a slice beside the items that were held at their moment."""
        return (
            f"SELECT a.*, i.happened, i.ref, i.value, i.rn FROM asks_{name} a JOIN items_{name} i ON a.kid = i.kid AND a.stretch = i.stretch "
            f"WHERE a.rid >= {part.first} AND a.rid < {part.last} AND i.known <= a.as_of AND a.as_of < i.gone AND i.happened <= a.as_of"
        )

    def _swept(self, part: Aggregate, tally: str) -> str:
        """Events, total and newest event of the window at each moment when any of them changes."""
        period, within, lag = part.fold.period, part.within or 0, part.lag
        began = f"(happened // {period}) * {period}"  # times are after 1970: nothing is rounded upwards
        # All that no request is old enough to tell apart happens at the moment of the first, and what comes after the last not at all.
        events = (
            f"SELECT kid, item, happened, known, value, greatest(known, {began} + {lag}) AS enters, {began} + {lag + within} AS leaves "
            f"FROM {self._tallied(tally)}"
        )
        moments = (
            f"WITH told AS MATERIALIZED ({events}) "
            "SELECT kid, item, enters AS moment, 1 AS events, value AS total, happened FROM told WHERE enters < leaves AND enters = known "
            "UNION ALL SELECT kid, item, enters, 1, value, NULL FROM told WHERE enters < leaves AND enters > known "
            f"UNION ALL SELECT kid, item, leaves, -1, -value, NULL FROM told WHERE enters < leaves AND leaves <= {self._until} "
            "UNION ALL SELECT kid, item, known, 0, 0, happened FROM told WHERE enters >= leaves OR enters > known"
        )
        summed = (
            f"SELECT kid, item, greatest(moment, {self._since}) AS moment, sum(events)::BIGINT AS events, sum(total)::HUGEINT AS total, "
            f"max(happened) AS happened FROM ({moments}) WHERE moment <= {self._until} GROUP BY ALL"
        )
        return (
            "SELECT kid, item, moment, sum(events) OVER so_far AS events, sum(total) OVER so_far AS total, max(happened) OVER so_far AS newest "
            f"FROM ({summed}) WINDOW so_far AS (PARTITION BY kid, item ORDER BY moment ROWS UNBOUNDED PRECEDING)"
        )

    def _tallied(self, tally: str) -> str:
        """Make the table of the events of one tally; its name."""
        table = f"items_{self.entity.value}_{tally}"
        if tally not in self._kept:
            self._kept[tally] = f"{self.entity.value}_{tally}"
            self._run(
                f"CREATE OR REPLACE TABLE {table} AS SELECT kid, item, happened, known, value FROM entries JOIN kids_{self.entity.value} USING (key) "
                f"WHERE entity = '{self.entity.value}' AND history = '{tally}' AND known <= {self._until}"
            )
        return table

    def _held(self, series: str) -> str:
        """Make the tables of one series: items with when they were held, requests with the stretch they fall into; their common suffix."""
        if series in self._kept:
            return self._kept[series]
        name = f"{self.entity.value}_{series}"
        keep = Aggregate(self.entity, series, How.COUNT).fold.keep
        self._run(
            f"CREATE OR REPLACE TABLE all_{name} AS SELECT kid, happened, known, ref, value, row_number() OVER one AS rn, "
            f"coalesce(lead(known, {keep}) OVER one, {FOR_EVER}) AS gone, known < lag(known) OVER one AS late, count(*) OVER (PARTITION BY kid) AS n "
            f"FROM entries JOIN kids_{self.entity.value} USING (key) WHERE entity = '{self.entity.value}' AND history = '{series}' "
            f"AND known <= {self._until} WINDOW one AS (PARTITION BY kid ORDER BY happened, known, ref, value)"
        )
        self._mend_gone(name, keep)
        self._run(
            f"CREATE OR REPLACE TABLE starts AS SELECT kid, start, row_number() OVER (PARTITION BY kid ORDER BY start) AS stretch FROM "
            f"(SELECT DISTINCT kid, known AS start FROM (SELECT kid, known, row_number() OVER (PARTITION BY kid ORDER BY known) AS kr FROM all_{name} "
            f"WHERE n > {2 * keep}) WHERE kr > 1 AND kr % {keep} = 1)"
        )
        columns = "i.kid, i.happened, i.known, i.ref, i.value, i.rn, i.gone"
        self._run(
            f"CREATE OR REPLACE TABLE items_{name} AS SELECT {columns}, 0::BIGINT AS stretch FROM all_{name} i WHERE n <= {2 * keep} AND i.gone > {self._since} "
            f"UNION ALL SELECT {columns}, unnest(range(coalesce(f.stretch, 0), coalesce(l.stretch, 0) + 1)) AS stretch FROM all_{name} i "
            "ASOF LEFT JOIN starts f ON i.kid = f.kid AND i.known >= f.start ASOF LEFT JOIN starts l ON i.kid = l.kid AND i.gone - 1 >= l.start "
            f"WHERE n > {2 * keep} AND i.gone > greatest(i.known, {self._since})"
        )
        self._run(
            f"CREATE OR REPLACE TABLE asks_{name} AS SELECT a.*, coalesce(s.stretch, 0) AS stretch FROM asks_{self.entity.value} a "
            "ASOF LEFT JOIN starts s ON a.kid = s.kid AND a.as_of >= s.start"
        )
        self._run(f"DROP TABLE all_{name}")
        self._kept[series] = name
        return name

    def _mend_gone(self, name: str, keep: int) -> None:
        """Where items became known in another order than they happened, and too many to be held: find out one by one when each went."""
        late = f"SELECT kid FROM all_{name} WHERE n > {keep} GROUP BY kid HAVING bool_or(late)"
        self._run(f"CREATE OR REPLACE TABLE mended AS SELECT kid, rn, gone FROM all_{name} LIMIT 0")
        self._run(f"CREATE OR REPLACE TABLE unordered AS SELECT kid, rn, known FROM all_{name} SEMI JOIN ({late}) USING (kid)")
        (size,) = self._connection.execute("SELECT count(*) FROM unordered").fetchone() or (0,)
        passes = size // _PASS + 1
        for one in range(passes if size else 0):
            rows = self._connection.execute(
                f"SELECT kid, rn, known FROM unordered WHERE kid % {passes} = {one} ORDER BY kid, rn DESC"
            ).fetchnumpy()
            gone = np.fromiter(_gone(rows["kid"].tolist(), rows["known"].tolist(), keep), dtype=np.int64, count=len(rows["kid"]))
            told = {"kid": rows["kid"], "rn": rows["rn"], "gone": gone}
            append(self._connection, "INSERT INTO mended SELECT kid, rn, gone FROM rows", told)
        if size:
            self._run(f"UPDATE all_{name} AS i SET gone = m.gone FROM mended m WHERE i.kid = m.kid AND i.rn = m.rn")
        self._run("DROP TABLE mended")
        self._run("DROP TABLE unordered")


_PASS: Final = 2_000_000
"""Items that go through Python at a time."""


def _gone(kids: list[int], known: list[int], keep: int) -> Iterator[int]:
    """For items, newest first, when the ``keep``-th of those after it became known."""
    newest: list[int] = []  # the keep smallest known of the items after this one, negated: a heap whose top is the largest of them
    kid = None
    for one, at in zip(kids, known, strict=True):
        if one != kid:
            kid, newest = one, []
        if len(newest) < keep:
            yield FOR_EVER
            heapq.heappush(newest, -at)
        else:
            yield -newest[0]
            heapq.heappushpop(newest, -at)


def _candidate(part: Aggregate) -> str:
    own = " AND ref <> own_ref" if part.skips_own else ""
    return f"happened <= as_of - {part.lag}{own}"


def _picked(part: Aggregate) -> str:
    window = "" if part.within is None else f" AND happened > as_of - {part.lag + part.within}"
    return _candidate(part) + window


def _raw(part: Aggregate, n: int) -> list[str]:
    """What is gathered of the pairs: candidates ``k``, picked ``c``, newest time ``t``, and what the value needs."""
    where = f"FILTER ({_picked(part)})"
    found = [f"count(*) FILTER ({_candidate(part)}) AS k{n}", f"count(*) {where} AS c{n}", f"max(happened) {where} AS t{n}"]
    own = f"code_{part.own.value}" if part.own else "NULL"
    if part.own:
        found.append(f"any_value({own}) AS o{n}")
    if part.how is How.LAST:
        found.append(f"arg_max(value, rn) {where} AS x{n}")
    elif part.last is not None and part.how not in (How.COUNT, How.SINCE):
        found.append(f"arg_max(value, rn, {part.last}) {where} AS x{n}")
    elif part.how is How.DISTINCT:
        found += [f"count(DISTINCT value) {where} AS x{n}", f"bool_or(value = {own}) {where} AS y{n}"]
    elif part.how is How.UNSEEN:
        found.append(f"bool_or(value = {own}) {where} AS x{n}")
    elif part.how in (How.SUM, How.MEAN, How.MIN, How.MAX):
        found.append(f"{'sum' if part.how is How.MEAN else part.how.value}(value) {where} AS x{n}")
    return found


def _value(part: Aggregate, n: int) -> str:
    """The value from what was gathered; NULL where it is unknown."""
    last = part.last is not None
    count = f"least(c{n}, {part.last})" if last else f"c{n}"
    scale = f"{part.fold.scale}::DOUBLE"
    over_list = {How.SUM: "list_sum", How.MEAN: "list_sum", How.MIN: "list_min", How.MAX: "list_max"}.get(part.how)
    number = f"{over_list}(x{n})" if last and over_list else f"x{n}"
    number = f"coalesce({number}, 0)::DOUBLE / {scale}"
    if part.how is How.COUNT:
        value = f"{count}::DOUBLE"
    elif part.how is How.SUM:
        value = number
    elif part.how is How.MEAN:
        value = (
            f"CASE WHEN c{n} > 0 THEN ({number} + {part.prior * part.weight!r}::DOUBLE) / ({count}::DOUBLE + {part.weight!r}::DOUBLE) END"
        )
    elif part.how is How.DISTINCT:
        different, own = (f"list_unique(x{n})", f"list_contains(x{n}, o{n})") if last else (f"x{n}", f"y{n}")
        value = f"coalesce({different}, 0)::DOUBLE" + (f" - coalesce({own}, false)::INT::DOUBLE" if part.own else "")
    elif part.how is How.UNSEEN:
        met = f"list_contains(x{n}, o{n})" if last else f"x{n}"
        value = f"CASE WHEN o{n} IS NOT NULL THEN 1 - coalesce({met}, false)::INT::DOUBLE END"
    elif part.how is How.SINCE:
        value = f"CASE WHEN c{n} > 0 THEN (as_of - t{n})::DOUBLE / {part.per}::DOUBLE END"
    else:
        value = f"CASE WHEN c{n} > 0 THEN {number} END"
    return f"CASE WHEN k{n} > 0 THEN {value} END"
