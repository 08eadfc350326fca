"""A business user and an auditor in a browser, on the real thing: a table becomes an endpoint, an answer becomes a page."""

from __future__ import annotations

import html
import json
import random
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.journey, pytest.mark.chromium]

TRAINED_WITHIN_MS = 240_000


def parcels(rows: int) -> str:
    """Parcels of two years, late when they are heavy and go far; a column that only the outcome tells."""
    random.seed(4)
    lines = ["Shipped On,Country,Weight (kg),Carrier,Delivered On,late"]
    for row in range(rows):
        day = f"{2024 + row * 2 // rows}-{1 + (row * 24 // rows) % 12:02d}-{1 + row % 28:02d}"
        country, weight = random.choice(["Nigeria", "Vietnam", "Kenya"]), random.uniform(1, 90)
        late = weight + {"Nigeria": 30, "Kenya": 10}.get(country, 0) + random.gauss(0, 12) > 85
        lines.append(f"{day},{country},{weight:.1f},{random.choice('ABC')},{2024 + row * 2 // rows}-12-{30 if late else 29},{int(late)}")
    return "\n".join(lines) + "\n"


def login(page: Any, service: Any, role: str) -> None:
    page.goto(f"{service.url}/console/login")
    page.get_by_label("API key").fill(service.key(role))
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/login" not in url)


def test_a_table_becomes_an_endpoint_and_its_answer_a_page(chromium: Any, service: Any, tmp_path: Path) -> None:
    strangers: list[str] = []
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
    page = context.new_page()
    page.on("request", lambda asked: None if asked.url.startswith(service.url) else strangers.append(asked.url))

    # 1. The business user hands a table in and says what to predict.
    login(page, service, "trainer")
    table = tmp_path / "parcels.csv"
    table.write_text(parcels(3_000))
    page.locator("#file").set_input_files(table)
    page.get_by_role("button", name="Upload and check").click()
    page.wait_for_url("**/console/train/datasets/**", timeout=60_000)
    page.get_by_label("Predict").select_option("late")
    page.wait_for_url("**target=late**", timeout=60_000)
    page.get_by_label("Decided at").select_option("Shipped On")
    page.wait_for_url("**time=Shipped**", timeout=60_000)
    page.get_by_label("Name").fill("parcel-console")
    page.get_by_label("Time to search").select_option("20")
    page.get_by_role("button", name="Start training").click()

    # 2. Watches, reads the result, publishes.
    page.wait_for_url("**/console/train/runs/**")
    page.get_by_role("heading", name="How good it is").wait_for(timeout=TRAINED_WITHIN_MS)
    assert page.get_by_role("img", name="Calibration plot").is_visible()
    page.get_by_role("button", name="Publish").click()
    page.get_by_text("In service as champion").wait_for()

    # 3. The ready example answers as it stands, in a shell.
    command = html.unescape(page.locator("#curl").inner_text())
    assert shlex.split(command)[2] == f"{service.url}/v1/decisions/parcel-console"
    answer = ask(command, service.key("oms"))
    assert answer["outcome"] in {"0", "1"}
    assert answer["recorded"]

    # 4. The auditor finds its record.
    page.get_by_role("button", name="Sign out").click()
    login(page, service, "auditor")
    page.goto(f"{service.url}/console/decisions?type=parcel-console")
    page.locator("td.what a").first.click()
    page.wait_for_url("**/console/decisions/**")
    assert answer["decision_id"] in page.url
    assert page.get_by_text(answer["receipt"]["leaf_hash"]).is_visible()
    assert page.locator(".waterfall tbody tr").count() >= 3
    assert strangers == []
    context.close()


def ask(command: str, key: str) -> Any:
    """Run the example; a replica learns of a published model within a second or two, so the first tries may be refused."""
    for _ in range(60):
        ran = subprocess.run(
            ["sh", "-c", command], capture_output=True, check=True, env={"ORDINANCE_KEY": key, "PATH": "/usr/bin:/bin"}, timeout=30
        )
        answer = json.loads(ran.stdout)
        if answer.get("status") != 404:
            return answer
        subprocess.run(["sleep", "0.5"], check=True)
    raise AssertionError(answer)


def test_every_demo_decision_has_a_page_that_a_phone_can_show(chromium: Any, service: Any) -> None:
    context = chromium.new_context(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True, locale="zh-CN")
    page = context.new_page()
    page.goto(f"{service.url}/console/login")
    page.locator("#key").fill(service.key("auditor"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/decisions")
    seen: dict[str, str] = {}
    for link in page.locator("td.what a").all():
        seen.setdefault(link.inner_text().split()[-1], link.get_attribute("href"))
    assert len(seen) >= 3, seen
    for href in seen.values():
        answer = page.goto(service.url + href)
        assert answer.status == 200
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, href
    context.close()
