"""Who sees what: sessions, roles, form tokens, languages."""

import re
from typing import Any

import pytest

from feature_store.times import DAY, HOUR
from serving.console.session import LIFETIME


def secured(make_browser: Any, world: Any) -> Any:
    """A browser that reaches the console by https."""
    browser = make_browser(world, base_url="https://decisions.example.com", secure_cookies=True)
    browser.base = "https://decisions.example.com"
    return browser


def test_without_a_session_every_page_leads_to_the_login_and_back(world: Any, browser: Any) -> None:
    answer = browser.get("/console/decisions?type=fraud")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/console/login?target=%2Fconsole%2Fdecisions%3Ftype%3Dfraud"
    assert 'value="/console/decisions?type=fraud"' in browser.get(answer.headers["location"]).text


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "/console\\evil", "javascript:x", "/v1/models"]
)
def test_a_login_never_leads_elsewhere(world: Any, browser: Any, target: str) -> None:
    page = browser.get("/console/login", params={"target": target})
    assert 'name="target" value="/console"' in page.text


def test_a_key_opens_a_session_and_a_wrong_one_says_so(world: Any, browser: Any) -> None:
    page = browser.get("/console/login")
    token = page.text.split('name="form_token" value="')[1].split('"')[0]
    wrong = browser.post("/console/login", {"key": "ord_auditor_guess", "form_token": token})
    assert wrong.status_code == 401
    assert 'role="alert"' in wrong.text
    assert "ordinance_session" not in browser.cookies
    browser.login("auditor")
    cookie = next(
        header for header in browser.get("/console/login?token=once").headers.get_list("set-cookie") if "ordinance_session" in header
    )
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/console" in cookie


def test_behind_tls_the_cookie_is_secure(world: Any, make_browser: Any) -> None:
    answer = make_browser(world, secure_cookies=True).get("/console/login?token=once")
    assert all(
        "Secure" in header
        for header in answer.headers.get_list("set-cookie")
        if "ordinance_session=" in header and "Max-Age=0" not in header
    )


def test_a_login_link_works_once(world: Any, make_browser: Any) -> None:
    first, second = make_browser(world), make_browser(world)
    assert "You are signed in" in first.get("/console/login?token=once").text
    assert first.get("/console/decisions").status_code == 200
    assert "has been used" in second.get("/console/login?token=once").text
    assert second.get("/console/decisions").status_code == 303


def test_a_session_ends_with_its_key_and_with_time(world: Any, make_browser: Any) -> None:
    one, other = make_browser(world).login("auditor"), make_browser(world).login("reviewer")
    world.accounts.revoked.add("hash-auditor")
    assert one.get("/console/decisions").status_code == 303
    assert other.get("/console/decisions").status_code == 200
    world.clock[0] += 13 * HOUR
    assert other.get("/console/decisions").status_code == 303


def test_signing_out_forgets_the_session(world: Any, browser: Any) -> None:
    token = browser.login("auditor").token()
    assert browser.post("/console/logout", {"form_token": token}).status_code == 303
    assert browser.get("/console/decisions").status_code == 303


def test_each_role_begins_where_it_may(world: Any, make_browser: Any) -> None:
    starts = {"auditor": "/console/decisions", "trainer": "/console/train", "admin": "/console/models"}
    for role, path in starts.items():
        browser = make_browser(world).login(role)
        assert browser.get("/").headers["location"] == "/console"
        assert browser.get("/console").headers["location"] == path
        assert browser.get(path).status_code == 200
    assert make_browser(world).get("/console").headers["location"] == "/console/login"


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("oms", set()),
        ("auditor", {"decisions", "models"}),
        ("trainer", {"train", "models"}),
        ("admin", {"models"}),
        ("reviewer", {"decisions", "models"}),
    ],
)
def test_role_by_section(world: Any, browser: Any, role: str, allowed: set[str]) -> None:
    browser.login(role)
    for section in ("decisions", "train", "models"):
        answer = browser.get(f"/console/{section}")
        assert answer.status_code == (200 if section in allowed else 403)
        assert (f'href="/console/{section}"' in answer.text) == (section in allowed), "the navigation shows what the role may open"


def test_a_form_without_the_sessions_token_does_nothing(world: Any, make_browser: Any) -> None:
    browser, other = make_browser(world).login("trainer"), make_browser(world).login("trainer")
    for token in ("", "guess", other.token()):
        answer = browser.post("/console/train/start", {"dataset_id": "d-0", "target": "late", "form_token": token})
        assert answer.status_code == 403, token
    cross = browser.post("/console/train/start", {"form_token": browser.token()}, headers={"sec-fetch-site": "cross-site"})
    assert cross.status_code == 403
    assert world.workbench.runs == {}


@pytest.mark.parametrize("secure", [False, True])
def test_the_language_is_chosen_once_and_kept(world: Any, make_browser: Any, secure: bool) -> None:
    browser = secured(make_browser, world) if secure else make_browser(world)
    browser.login("auditor")
    answer = browser.get("/console/decisions?type=fraud&lang=zh")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/console/decisions?type=fraud"
    page = browser.get("/console/decisions").text
    assert '<html lang="zh">' in page
    assert 'href="/console/decisions?lang=en"' in page


def test_a_forged_cookie_is_no_session(world: Any, browser: Any) -> None:
    browser.cookies.set("ordinance_session", "e30.e30", domain="console")
    assert browser.get("/console/decisions").status_code == 303


def test_over_tls_cookies_are_bound_to_the_host(world: Any, make_browser: Any) -> None:
    plain, secure = make_browser(world), make_browser(world, base_url="https://decisions.example.com", secure_cookies=True)
    for browser, begins, ends in (
        (plain, "ordinance_", "; HttpOnly; Max-Age=3600; Path=/console; SameSite=strict"),
        (secure, "__Host-ordinance_", "; HttpOnly; Max-Age=3600; Path=/; SameSite=strict; Secure"),
    ):
        cookie = browser.get("/console/login").headers["set-cookie"]
        assert cookie.startswith(begins)
        assert cookie.endswith(ends)
        assert "domain" not in cookie.lower()


def test_over_tls_one_signs_in_and_out(world: Any, make_browser: Any) -> None:
    browser = secured(make_browser, world)
    browser.login("auditor")
    assert {cookie.name for cookie in browser.cookies.jar} == {"__Host-ordinance_session"}
    assert browser.get("/console/decisions").status_code == 200
    browser.post("/console/logout", {"form_token": browser.token()})
    assert browser.get("/console/decisions").status_code == 303


def test_who_comes_back_after_a_session_is_told_that_it_ended(world: Any, browser: Any) -> None:
    assert "has ended" not in browser.get("/console/login").text
    browser.login("auditor")
    world.clock[0] += LIFETIME + 1
    answer = browser.get("/console/decisions?type=fraud")
    assert answer.status_code == 303
    page = browser.get(answer.headers["location"])
    assert "Your session has ended" in page.text
    assert 'value="/console/decisions?type=fraud"' in page.text
    assert "aria-invalid" not in page.text
    world.clock[0] += 30 * DAY
    assert "has ended" not in browser.get("/console/login").text, "in the end the browser forgets it"


def test_a_role_without_a_page_begins_with_the_api(browser: Any) -> None:
    assert browser.login("oms").get("/console").headers["location"] == "/console/docs"


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/console/nothing", 404), ("POST", "/console/models", 405)])
def test_what_the_framework_refuses_is_told_in_the_reader_s_language(browser: Any, method: str, path: str, status: int) -> None:
    browser.login("auditor").headers["accept-language"] = "zh"
    answer = browser.send(method, path)
    assert answer.status_code == status
    text = answer.text.split('<p class="kind">')[1].split("</section>")[0]
    assert not re.search(r"[A-Za-z]{4}", re.sub(r"<[^>]*>", "", text)), text
