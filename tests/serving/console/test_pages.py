"""Every page in both languages: what it shows, and what it must not."""

import dataclasses
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from jinja2 import meta, nodes

from serving.console import contexts, ports
from serving.console.rendering import SECURITY_HEADERS, environment
from serving.console.texts import NBSP
from tests.serving.console.examples import facts, reason

HELD = "/console/decisions/0193aaaa-0000-7000-8000-000000000001"
PLANNED = "/console/decisions/0193aaaa-0000-7000-8000-000000000002"


class Outline(HTMLParser):
    """What a browser and a screen reader would make of a page, as far as it can be told from the source."""

    VOID = frozenset(
        [
            "area",
            "base",
            "br",
            "col",
            "embed",
            "hr",
            "img",
            "input",
            "link",
            "meta",
            "source",
            "track",
            "wbr",
            "rect",
            "circle",
            "line",
            "path",
            "polyline",
        ]
    )

    def __init__(self, text: str) -> None:
        super().__init__()
        self.problems: list[str] = []
        self.ids: list[str] = []
        self.refers: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.fields: list[dict[str, str | None]] = []
        self.labels: set[str] = set()
        self.headings: list[int] = []
        self.landmarks: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self._forbidden(tag, found)
        self._structure(tag, found)
        if tag not in self.VOID:
            self.open.append(tag)

    def _forbidden(self, tag: str, found: dict[str, str | None]) -> None:
        if "style" in found:
            self.problems.append(f"<{tag}> has a style attribute, which the content policy forbids")
        self.problems += [f"<{tag}> has {name}" for name in found if name.startswith("on")]
        for name in ("href", "src", "action", "formaction"):
            link = found.get(name) or ""
            if re.match(r"[a-z]+:|//", link):
                self.problems.append(f"<{tag}> leads outside: {link}")
        if tag in {"script", "style"} and not found.get("src"):
            self.problems.append(f"inline <{tag}>")

    def _structure(self, tag: str, found: dict[str, str | None]) -> None:
        if found.get("id"):
            self.ids.append(str(found["id"]))
        for name in ("for", "aria-labelledby", "aria-describedby"):
            self.refers += [(name, one) for one in (found.get(name) or "").split()]
        if tag == "label":
            self.labels.add(found.get("for") or "")
        if tag in {"input", "select", "textarea"} and found.get("type") not in {"hidden", "radio"}:
            self.fields.append({**found, "inside": "label" if "label" in self.open else None})
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag in {"header", "nav", "main"}:
            self.landmarks.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag in self.VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> closes nothing")

    def check(self) -> list[str]:
        found = list(self.problems)
        found += [f"id {one} occurs twice" for one in set(self.ids) if self.ids.count(one) > 1]
        found += [f"{name} names no element: {one}" for name, one in self.refers if one not in self.ids]
        found += [f"unclosed <{tag}>" for tag in self.open]
        for field in self.fields:
            if not (field.get("aria-label") or field["inside"] or field.get("id") in self.labels):
                found.append(f"a field without a label: {field}")
        if self.headings.count(1) != 1 or self.headings[0] != 1:
            found.append(f"headings {self.headings}: a page begins with its one h1")
        found += [f"h{low} after h{high}" for high, low in zip(self.headings, self.headings[1:], strict=False) if low > high + 1]
        if self.landmarks.count("main") != 1:
            found.append("no main")
        return found


def prepare(world: Any) -> dict[str, tuple[str | None, str, int]]:
    """Every page and state of a page: role, path, status."""
    bench = world.workbench
    upload = bench.receive()
    upload.write(b"a,b\n")
    file = upload.finish("scms.csv", "custom", "local-trainer")
    asked = ports.TrainingRequest(file.dataset_id, ports.Purpose("custom", "late", "Scheduled Delivery Date"), "scms-late", 60)
    ids = [bench.start(asked, "local-trainer").training_id for _ in range(5)]
    bench.say(ids[1], "tuning", 0.4, "Trial 6")
    bench.finish(ids[2])
    bench.cancel(ids[3])
    error = {"detail": "One outcome only.", "errors": [{"loc": ["target"], "msg": "Only 0 occurs.", "column": "late"}]}
    bench.runs[ids[4]] = dataclasses.replace(bench.runs[ids[4]], state="failed", error=error)
    world.decisions.stored.append(bare())
    run, data = "/console/train/runs", "/console/train/datasets"
    return {
        "login": (None, "/console/login", 200),
        "login link used": (None, "/console/login?token=none", 200),
        "list": ("auditor", "/console/decisions", 200),
        "list filtered": ("auditor", "/console/decisions?type=acceptance&since=2026-11-10", 200),
        "list without a match": ("auditor", "/console/decisions?type=fraud&outcome=BLOCK", 200),
        "list with a wrong time": ("auditor", "/console/decisions?since=yesterday", 200),
        "held": ("auditor", HELD, 200),
        "planned": ("auditor", PLANNED, 200),
        "bare": ("auditor", "/console/decisions/bare", 200),
        "order": ("auditor", "/console/orders/SO-1001", 200),
        "train": ("trainer", "/console/train", 200),
        "dataset": ("trainer", f"{data}/{file.dataset_id}", 200),
        "dataset with target": ("trainer", f"{data}/{file.dataset_id}?target=late&time=Scheduled+Delivery+Date", 200),
        "queued": ("trainer", f"{run}/{ids[0]}", 200),
        "running": ("trainer", f"{run}/{ids[1]}", 200),
        "done": ("trainer", f"{run}/{ids[2]}", 200),
        "stopped": ("trainer", f"{run}/{ids[3]}", 200),
        "failed": ("trainer", f"{run}/{ids[4]}", 200),
        "models": ("admin", "/console/models", 200),
        "features": ("auditor", "/console/features", 200),
        "features narrowed": ("trainer", "/console/features?type=fraud&entity=customer&q=return", 200),
        "no feature fits": ("admin", "/console/features?q=nothing-is-called-so", 200),
        "health": ("auditor", "/console/health", 200),
        "ledger": ("auditor", "/console/ledger", 200),
        "reference": (None, "/docs", 200),
        "reference inside": ("trainer", "/console/docs", 200),
        "no such decision": ("auditor", "/console/decisions/none", 404),
        "no such order": ("auditor", "/console/orders/none", 404),
        "no such file": ("trainer", f"{data}/none", 404),
        "no such training": ("trainer", f"{run}/none", 404),
        "no such page": ("auditor", "/console/nowhere", 404),
        "role": ("trainer", "/console/decisions", 403),
    }


def bare() -> ports.DecisionFacts:
    """The least that a decision can be: a fallback without model, order, reasons or features."""
    line = ports.DecisionLine("bare", "scms-late", "REVIEW", "fallback", 1_800_000_000_000)
    return ports.DecisionFacts(
        line, {"outcome": "REVIEW", "fallback_reason": "deadline", "confidence": None, "model": None, "policy": None}
    )


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_page_is_sound(world: Any, make_browser: Any, language: str) -> None:
    """Sound HTML, labelled fields, headings in order, nothing inline, nothing from elsewhere, the strict policy; in both languages."""
    pages = prepare(world)
    browsers = {None: make_browser(world)} | {role: make_browser(world).login(role) for role in ("auditor", "trainer", "admin")}
    for name, (role, path, status) in pages.items():
        browser = browsers[role]
        browser.headers["accept-language"] = language
        answer = browser.get(path)
        assert answer.status_code == status, (name, answer.text)
        assert Outline(answer.text).check() == [], name
        assert answer.headers["content-security-policy"] == SECURITY_HEADERS["Content-Security-Policy"], name
        assert answer.headers["cache-control"] == "no-store", name
        assert f'<html lang="{language}">' in answer.text, name
        assert "None" not in re.sub(r"<[^>]*>", "", answer.text), name


@pytest.mark.parametrize("page", contexts.PAGES, ids=lambda page: page.__name__)
def test_a_template_gets_its_context_and_nothing_else(page: Any) -> None:
    made = environment("en")
    source, _, _ = made.loader.get_source(made, page.TEMPLATE)  # type: ignore[union-attr]
    assert meta.find_undeclared_variables(made.parse(source)) <= {"page", "t", "asset", "parts"}
    known = {field.name for field in dataclasses.fields(page)}
    asked = {
        node.attr for node in made.parse(source).find_all(nodes.Getattr) if isinstance(node.node, nodes.Name) and node.node.name == "page"
    }
    assert asked <= known
    assert known - asked - {"frame"} == set(), "a context holds nothing that its page does not show"
    assert dataclasses.fields(page)[0].name == "frame"
    assert page.__dataclass_params__.frozen


def test_the_held_decision_tells_everything(world: Any, browser: Any) -> None:
    text = browser.login("auditor").get(HELD).text.replace(NBSP, " ")
    for part in (
        "Likely to miss its promise: the supplier is behind: 410 open orders, usual 120; customs rules changed 10 days ago.",
        "24–39 %", "90 % interval; thresholds 25 %, 60 %", "acceptance v3", "policy acceptance v5", "presale queue",
        "base −2.31 and contributions add up to the margin −0.80", "from the usual 9 % to 31 %", "3 more features",
        "410 orders, usual 120 orders · 5 min old", "Risk above 25 % → hold", "never seen", "¥742.00", "Fraud: Allow", "sha256:efef",
        "SUPPLIER_CAPACITY_LOW", "9 in 10 by 16 Nov, 18:00 UTC",
    ):  # fmt: skip
        assert part in text, part
    assert "<button" not in text.replace('<button class="plain"', ""), "no button that does nothing"


def test_chinese_reaches_reasons_and_labels(world: Any, browser: Any) -> None:
    browser.login("auditor").headers["accept-language"] = "zh-CN,zh;q=0.9,en;q=0.8"
    text = browser.get(HELD).text
    for part in ("可能无法兑现承诺：供应商积压", "供应商 7 天未交订单", "海关规则", "暂缓", "华东", "2026年11月11日"):
        assert part in text, part


def test_the_plan_is_told_with_its_proof(world: Any, browser: Any) -> None:
    text = browser.login("auditor").get(PLANNED).text.replace(NBSP, " ")
    for part in (
        "2 shipments from CN-EAST-1, CN-NORTH-2",
        "¥57.655",
        "Proven optimal",
        "cost +¥4.10, lateness +6.5 h",
        "No stock of SKU-77",
        "94 %",
    ):
        assert part in text, part


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_users_write_is_shown_as_they_wrote_it(world: Any, browser: Any, language: str) -> None:
    """Neither their column ``Lead 7 days`` nor their cell ``-5`` is set as our own sentences are."""
    one = world.decisions.stored[1]
    told = {"en": "Lead 7 days is -5", "zh": "Lead 7 days为 -5（通常为 -6 h）"}
    label = {"en": "Lead 7 days", "zh": "Lead 7 days"}
    feature = ports.FeatureFact(
        "Lead 7 days", label, 3.0, None, 4.0, 0.4, "request", None, {"en": "-5", "zh": "-5"}, {"en": "-6 h", "zh": "-6 h"}
    )
    reason = {"code": "LEAD", "text": told, "direction": "raises", "feature": feature.name}
    line = dataclasses.replace(one.line, type="parcel-late")
    world.decisions.stored = [dataclasses.replace(one, line=line, reasons=[reason], features=[feature])]
    browser.login("auditor").headers["accept-language"] = language
    text = browser.get(HELD).text
    shown = re.sub(r"<[^>]*>", "\n", text.split("<main", 1)[1])
    assert told[language] in shown
    assert "Lead 7 days" in shown
    assert not re.search(r"−[56]|7\u00a0days|6\u00a0h", shown)


def test_what_users_write_is_never_markup(world: Any, browser: Any) -> None:
    evil = "<script>alert(1)</script>"
    one = world.decisions.stored[1]
    line = dataclasses.replace(one.line, order_id=evil, channel=evil, region=evil)
    world.decisions.stored = [dataclasses.replace(one, line=line, reasons=[{"code": evil, "text": {"en": evil}, "direction": "raises"}])]
    browser.login("auditor")
    for path in ("/console/decisions", HELD, "/console/orders/%3Cscript%3Ealert(1)%3C%2Fscript%3E", f"/console/decisions?order_id={evil}"):
        answer = browser.get(path)
        assert answer.status_code == 200, path
        assert evil not in answer.text, path
        assert "&lt;script&gt;" in answer.text, path


def test_the_raw_record_is_there_for_those_who_may(world: Any, browser: Any, make_browser: Any) -> None:
    answer = browser.login("auditor").get(f"{HELD}/record.json")
    assert answer.json()["record_id"].startswith("0193aaaa")
    assert answer.headers["content-type"] == "application/json"
    assert make_browser(world).login("trainer").get(f"{HELD}/record.json").status_code == 403


def test_static_files_are_kept_by_browsers_and_say_nothing_of_others(world: Any, browser: Any) -> None:
    page = browser.get("/console/login").text
    address = re.search(r'href="(/console/static/ordinance.css[^"]*)"', page)
    assert address
    answer = browser.get(address[1])
    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]
    assert browser.get("/console/static/../app.py").status_code == 404
    css = answer.text
    assert not re.search(r"url\(|@import", css), "no request from a style sheet"


def test_the_strongest_reasons_are_shown_and_the_others_folded(world: Any, browser: Any) -> None:
    many = [reason(rank, f"CODE_{rank}", f"Reason {rank}", f"理由 {rank}") for rank in range(1, 23)]
    world.decisions.stored = [facts(reasons=many)]
    text = browser.login("auditor").get(f"/console/decisions/{facts().line.record_id}").text
    shown, folded = text.split('<details class="more">')
    assert "CODE_6<" in shown
    assert "CODE_7<" not in shown
    assert "16 more reasons" in folded
    world.decisions.stored = [facts(reasons=many[:7])]
    assert ">1 more reason<" in browser.get(f"/console/decisions/{facts().line.record_id}").text
    assert '<ol class="reasons" start="7">' in folded
    assert "CODE_22<" in folded


def test_the_words_of_the_domain_are_told_in_the_reader_s_language(browser: Any) -> None:
    browser.login("auditor")
    browser.headers["accept-language"] = "zh"
    text = browser.get("/console/orders/SO-1001").text
    for part in ("银行卡 · 已授权", "预售、跨境", "美妆", "大件商品", "应用", "华东"):
        assert part in text, part
    assert "cross_border" not in text
