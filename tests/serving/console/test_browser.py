"""The pages in a real browser: mouse, keyboard, phone, colours, paper, and no scripts at all. Nothing leaves this machine."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from serving.console.app import create_console
from tests.serving.console.watched import ODD, WELL, checked

pytestmark = [pytest.mark.slow, pytest.mark.chromium]

HELD = "/console/decisions/0193aaaa-0000-7000-8000-000000000001"


class Served:
    """A console on a port of its own, and what is behind it."""

    def __init__(self, world: Any) -> None:
        self.world = world
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        app = create_console(self.world.wiring(base_url=self.url, max_upload_bytes=4_000_000))
        self._server = uvicorn.Server(
            uvicorn.Config(app, host="127.0.0.1", port=int(self.url.rsplit(":", 1)[1]), log_level="error", lifespan="off")
        )
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> Served:
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.01)
            assert self._thread.is_alive()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)


@pytest.fixture
def served(world: Any) -> Iterator[Served]:
    with Served(world) as running:
        yield running


class Visitor:
    """One browser profile; remembers every complaint of the browser and every request that leaves the console."""

    def __init__(self, chromium: Any, served: Served, **profile: Any) -> None:
        self.context = chromium.new_context(
            viewport=profile.pop("viewport", {"width": 1280, "height": 900}), locale=profile.pop("locale", "en-GB"), **profile
        )
        self.page = self.context.new_page()
        self.served = served
        self.complaints: list[str] = []
        self.strangers: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda line: self.complaints.append(line.text) if line.type == "error" else None)
        self.page.on("request", lambda asked: None if asked.url.startswith(served.url) else self.strangers.append(asked.url))

    def login(self, role: str) -> Visitor:
        self.page.goto(f"{self.served.url}/console/login")
        self.page.get_by_label("API").fill(f"ord_{role}_key")
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(lambda url: "/login" not in url)
        return self

    def go(self, path: str) -> Any:
        self.page.goto(self.served.url + path)
        return self.page

    def close(self) -> None:
        self.context.close()
        assert self.complaints == []
        assert self.strangers == []


def test_an_auditor_finds_a_decision_and_reads_it(chromium: Any, served: Served) -> None:
    visitor = Visitor(chromium, served).login("auditor")
    page = visitor.page
    page.wait_for_url("**/console/decisions")
    page.get_by_text("Filters").click()
    page.get_by_label("Type").select_option("acceptance")
    page.get_by_role("button", name="Apply").click()
    assert page.locator("table.decisions tbody tr").count() == 1
    page.get_by_role("link", name="Hold Acceptance").click()
    assert page.get_by_role("heading", level=1).inner_text().startswith("Hold Likely to miss its promise")
    assert page.get_by_role("img", name="31 %, between 24 % and 39 %; the policy changes at 25 %, 60 %").is_visible()
    page.get_by_role("link", name="Order SO-1001").click()
    assert page.locator(".story > li").count() == 3
    visitor.close()


def test_bars_are_drawn_where_the_numbers_say(chromium: Any, served: Served) -> None:
    visitor = Visitor(chromium, served).login("auditor")
    boxes = (
        visitor.go(HELD)
        .locator(".waterfall tbody rect")
        .evaluate_all("bars => bars.map(bar => { const b = bar.getBoundingClientRect(); return [b.left, b.right]; })")
    )
    usual, first, second = boxes[0], boxes[1], boxes[2]
    assert first[0] == pytest.approx(usual[1], abs=1)
    assert second[0] == pytest.approx(first[1], abs=1)
    assert (first[1] - first[0]) / (second[1] - second[0]) == pytest.approx(0.82 / 0.51, rel=0.02)
    visitor.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(chromium: Any, served: Served, scheme: str) -> None:
    """WCAG AA: 4.5 to 1 for every text on the decision's page, measured from the colours that the browser computed."""
    visitor = Visitor(chromium, served, color_scheme=scheme).login("auditor")
    worst = visitor.go(HELD).evaluate(CONTRAST)
    assert worst[0] >= 4.5, worst
    visitor.close()


@pytest.mark.parametrize("path", ["/console/decisions", HELD, "/console/orders/SO-1001", "/console/features?type=fraud", "/console/health"])
def test_a_phone_shows_everything_without_scrolling_sideways(chromium: Any, served: Served, path: str) -> None:
    visitor = Visitor(chromium, served, viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True).login("auditor")
    assert visitor.go(path).evaluate("document.documentElement.scrollWidth") <= 390
    visitor.close()


def test_the_keyboard_alone_reaches_the_content_and_shows_where_it_is(chromium: Any, served: Served) -> None:
    visitor = Visitor(chromium, served).login("auditor")
    page = visitor.go("/console/decisions")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Space")
    assert page.locator("details.filters").evaluate("node => node.open")
    visitor.close()


def test_the_language_is_one_click_away(chromium: Any, served: Served) -> None:
    visitor = Visitor(chromium, served).login("auditor")
    page = visitor.go(HELD)
    page.get_by_role("link", name="中文").click()
    assert page.get_by_role("heading", level=1).inner_text().startswith("暂缓 可能无法兑现承诺")
    assert page.url.endswith(HELD)
    visitor.close()


def test_a_dropped_file_is_checked_trained_watched_and_published(chromium: Any, served: Served, tmp_path: Path) -> None:
    visitor = Visitor(chromium, served).login("trainer")
    page, bench = visitor.page, served.world.workbench
    page.wait_for_url("**/console/train")
    content = "late,price\\n" + "0,1\\n" * 1000
    page.evaluate(
        """content => { const data = new DataTransfer(); data.items.add(new File([content], 'orders.csv'));
        document.getElementById('drop').dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true})); }""",
        content.replace("\\n", "\n"),
    )
    page.wait_for_url("**/console/train/datasets/d-0")
    assert bench.files["d-0"].bytes == len(content.replace("\\n", "\n"))
    page.get_by_label("Predict").select_option("late")
    page.wait_for_url("**target=late**")
    assert page.get_by_text("left out").first.is_visible()
    page.get_by_label("Name").fill("scms-late")
    page.get_by_role("button", name="Start training").click()
    page.wait_for_url("**/console/train/runs/t-0")
    bench.say("t-0", "tuning", 0.4, "Trial 6 of about 20")
    page.get_by_text("Trial 6 of about 20").wait_for()
    assert page.locator(".stages .now").inner_text() == "Search"
    assert page.locator("progress").evaluate("bar => bar.value") == 40
    bench.finish("t-0")
    page.get_by_role("heading", name="How good it is").wait_for()
    page.get_by_role("button", name="Publish").click()
    page.get_by_text("In service as champion").wait_for()
    assert served.world.models.published == [("scms-late", 1, "local-trainer")]
    visitor.close()


def test_a_file_that_is_no_table_is_explained_in_place(chromium: Any, served: Served) -> None:
    visitor = Visitor(chromium, served).login("trainer")
    page = visitor.page
    page.locator("#file").set_input_files({"name": "bad.csv", "mimeType": "text/csv", "buffer": b"no table"})
    page.get_by_role("button", name="Upload and check").click()
    page.get_by_text("row 7, column price").wait_for()
    assert page.get_by_role("button", name="Upload and check").is_enabled()
    page.locator("#file").set_input_files({"name": "good.csv", "mimeType": "text/csv", "buffer": b"a,b\n1,2\n"})
    page.get_by_role("button", name="Upload and check").click()
    page.wait_for_url("**/console/train/datasets/d-0")
    visitor.complaints = [line for line in visitor.complaints if "422" not in line]
    visitor.close()


def test_all_of_it_works_without_scripts(chromium: Any, served: Served) -> None:
    visitor = Visitor(chromium, served, java_script_enabled=False).login("trainer")
    page, bench = visitor.page, served.world.workbench
    page.locator("#file").set_input_files({"name": "orders.csv", "mimeType": "text/csv", "buffer": b"late,price\n0,1\n"})
    page.get_by_role("button", name="Upload and check").click()
    page.wait_for_url("**/console/train/datasets/d-0")
    page.get_by_label("Predict").select_option("late")
    page.get_by_role("button", name="Check again").click()
    page.get_by_role("button", name="Start training").click()
    page.wait_for_url("**/console/train/runs/t-0")
    bench.finish("t-0")
    page.get_by_role("heading", name="How good it is").wait_for()  # the page reloads by itself
    visitor.close()


def test_a_printed_decision_has_no_controls(chromium: Any, served: Served) -> None:
    visitor = Visitor(chromium, served).login("auditor")
    page = visitor.go(HELD)
    page.emulate_media(media="print")
    assert not page.locator(".top").is_visible()
    assert not page.locator(".actions").is_visible()
    assert page.locator(".waterfall").is_visible()
    assert len(page.pdf()) > 10_000
    visitor.close()


def test_a_business_user_finds_out_what_a_number_means(chromium: Any, served: Served) -> None:
    visitor = Visitor(chromium, served).login("trainer")
    page = visitor.page
    page.get_by_role("link", name="Features").click()
    page.get_by_label("Decision type").select_option("acceptance")
    page.get_by_label("Words in name or meaning").fill("return rate last 3")
    with page.expect_navigation(url="**type=acceptance**", wait_until="load"):
        page.get_by_role("button", name="Show").click()
    assert page.locator(".catalogue > li").count() == 1
    row = page.locator("#acceptance-customer_return_share_3")
    assert row.get_by_role("heading").inner_text() == "Return rate of the customer's last 3 orders"
    assert row.get_by_role("img").get_attribute("aria-label").startswith("How the values of customer_return_share_3 lie")
    assert not row.get_by_text("delivered, returned").is_visible()
    row.get_by_text("Definition").click()
    assert row.get_by_text("delivered, returned").is_visible()
    assert row.get_by_text("Customer care").is_visible()
    with page.expect_navigation(wait_until="load"):
        page.get_by_role("link", name="Show all").click()
    assert page.locator(".catalogue > li").count() > 100
    visitor.close()


def test_an_administrator_sees_what_is_wrong_and_looks_again(chromium: Any, served: Served) -> None:
    served.world.health.facts = replace(WELL, parity=checked(ODD))
    visitor = Visitor(chromium, served).login("admin")
    page = visitor.page
    page.get_by_role("link", name="Health").click()
    assert page.get_by_role("heading", level=1).inner_text() == "Health Something is wrong"
    assert page.locator("#parity").get_by_text("2 of 38 decisions saw something else").is_visible()
    assert page.locator("#parity svg.sign.bad").is_visible()
    served.world.health.facts = WELL
    page.get_by_role("link", name="Look again").click()
    assert page.get_by_text("Everything works.").is_visible()
    visitor.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/console/features?type=fraud", "/console/health"])
def test_features_and_health_stand_out_from_their_ground(chromium: Any, served: Served, scheme: str, path: str) -> None:
    served.world.health.facts = replace(WELL, parity=checked(ODD), known_at=None, generation=9)
    visitor = Visitor(chromium, served, color_scheme=scheme).login("auditor")
    worst = visitor.go(path).evaluate(CONTRAST)
    assert worst[0] >= 4.5, worst
    visitor.close()


def test_printed_features_have_no_controls(chromium: Any, served: Served) -> None:
    visitor = Visitor(chromium, served).login("auditor")
    page = visitor.go("/console/features?type=fraud")
    page.emulate_media(media="print")
    assert not page.locator(".narrowing").is_visible()
    assert page.locator(".catalogue .histogram").first.is_visible()
    assert page.locator(".catalogue dd").first.is_visible(), "on paper nothing is folded"
    visitor.close()


CONTRAST = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = (colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => { const c = [r, g, b].map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2]; };
  const ground = (node) => { for (let n = node; n; n = n.parentElement) { const c = rgb(getComputedStyle(n).backgroundColor); if (c[3] === 255) return c; } return [255, 255, 255, 255]; };
  let worst = [99, ''];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !node.checkVisibility() || node.closest('svg, .visually-hidden, .skip')) continue;
    const a = light(rgb(getComputedStyle(node).color)), b = light(ground(node));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < worst[0]) worst = [ratio, node.outerHTML.slice(0, 120)];
  }
  return worst;
}"""
