"""From a file to an endpoint, by forms alone and by the script."""

import dataclasses
import re
from typing import Any

import httpx
import pytest

from feature_store.problems import DataRefused
from serving.console import ports
from serving.console.joined.workbench import refused

FORM = {"template": "custom"}


def upload(browser: Any, data: bytes, **fields: str) -> httpx.Response:
    token = browser.token()
    return browser.send(
        "POST", "/console/train/upload", data={"form_token": token, **FORM, **fields}, files={"file": ("C:\\data\\orders.csv", data)}
    )


def test_a_file_becomes_a_model_by_forms_alone(world: Any, browser: Any) -> None:
    browser.login("trainer")
    answer = upload(browser, b"late,price\n1,2\n")
    assert answer.status_code == 303
    page = browser.get(answer.headers["location"])
    assert "orders.csv" in page.text
    assert "C:\\" not in page.text
    assert "Say what should be predicted" in page.text
    assert re.search(r'<button class="primary" type="submit" disabled', page.text)
    page = browser.get(answer.headers["location"] + "?target=late&time=Scheduled+Delivery+Date")
    assert "left out" in page.text
    assert "only known after the outcome" in page.text
    assert 'disabled aria-describedby="cannot"' not in page.text
    fields = {
        "dataset_id": "d-0",
        "template": "custom",
        "target": "late",
        "time": "Scheduled Delivery Date",
        "name": "scms-late",
        "budget_s": "20",
    }
    started = browser.post("/console/train/start", {**fields, "form_token": browser.token()})
    assert started.headers["location"] == "/console/train/runs/t-0"
    spec = world.workbench.runs["t-0"].spec
    assert (spec["target"], spec["time"], spec["budget_s"]) == ("late", "Scheduled Delivery Date", 20.0)
    assert '<noscript><meta http-equiv="refresh"' in browser.get("/console/train/runs/t-0").text
    world.workbench.finish("t-0")
    report = browser.get("/console/train/runs/t-0").text.replace("\u00a0", " ")
    for part in (
        "0.871",
        "0.852–0.889",
        "87 % of the time",
        "Country: Nigeria",
        "Delivered to Client Date",
        "POST /v1/decisions/scms-late",
        "2,065 rows",
    ):
        assert part in report, part
    published = browser.post("/console/train/runs/t-0/publish", {"form_token": browser.token()})
    assert published.status_code == 303
    assert world.models.published == [("scms-late", 1, "local-trainer")]
    text = browser.get("/console/train/runs/t-0").text
    assert "In service as champion" in text
    assert "publish" not in re.findall(r'action="([^"]*)"', text)


def test_the_ready_example_is_one_that_a_shell_takes_apart_as_meant(world: Any, browser: Any) -> None:
    import html
    import json
    import shlex

    test_a_file_becomes_a_model_by_forms_alone(world, browser)
    text = html.unescape(browser.get("/console/train/runs/t-0").text)
    command = text.split('id="curl">')[1].split("</pre>")[0]
    words = shlex.split(command.replace("\\\n", ""))
    assert words[2] == "http://127.0.0.1:8000/v1/decisions/scms-late"
    assert json.loads(words[words.index("-d") + 1]) == {"row": {"Country": "Côte d'Ivoire", "Weight (Kilograms)": 13}}


def test_where_two_people_are_needed_there_is_no_button(world: Any, browser: Any) -> None:
    world.models.can_publish = False
    browser.login("trainer")
    upload(browser, b"late,price\n1,2\n")
    world.workbench.start(ports.TrainingRequest("d-0", ports.Purpose("custom", "late"), "scms-late", 20), "local-trainer")
    world.workbench.finish("t-0")
    text = browser.get("/console/train/runs/t-0").text
    assert "/publish" not in text
    assert "A second person publishes it" in text
    assert browser.post("/console/train/runs/t-0/publish", {"form_token": browser.token()}).status_code == 409
    assert world.models.published == []


def test_a_file_that_is_no_table_says_where_and_what_to_do(world: Any, browser: Any) -> None:
    answer = upload(browser.login("trainer"), b"no table")
    assert answer.status_code == 422
    for part in ("row 7, column price", "This row has 1 field", "Correct the row.", 'role="alert"'):
        assert part in answer.text, part
    assert world.workbench.files == {}


def test_a_form_without_a_file_says_so(world: Any, browser: Any) -> None:
    browser.login("trainer")
    answer = browser.post("/console/train/upload", {"form_token": browser.token(), **FORM})
    assert answer.status_code == 422
    assert "No file was chosen" in answer.text


@pytest.mark.parametrize("by_script", [True, False])
def test_a_file_that_is_too_large_is_refused_with_the_limit(world: Any, browser: Any, by_script: bool) -> None:
    browser.login("trainer")
    data = b"a,b\n" * 100_000
    if by_script:
        headers = {"x-form-token": browser.token(), "content-type": "application/octet-stream"}
        answer = browser.send("POST", "/console/train/upload?filename=a.csv", content=data, headers=headers)
    else:
        answer = upload(browser, data)
    assert answer.status_code == 413
    assert "200 kB" in answer.text
    assert world.workbench.files == {}


def test_the_scripts_upload_answers_with_an_address(world: Any, browser: Any) -> None:
    browser.login("trainer")
    headers = {"x-form-token": browser.token(), "content-type": "application/octet-stream"}
    answer = browser.send(
        "POST", "/console/train/upload?filename=..%2F..%2Fetc%2Fa.csv&template=fraud", content=b"a,b\n1,2\n", headers=headers
    )
    assert answer.status_code == 201
    assert answer.headers["location"] == "/console/train/datasets/d-0"
    assert world.workbench.files["d-0"].name == "a.csv"
    assert world.workbench.files["d-0"].template == "fraud"
    headers["x-form-token"] = "guess"
    assert browser.send("POST", "/console/train/upload?filename=a.csv", content=b"a,b\n", headers=headers).status_code == 403


def test_a_training_that_cannot_start_says_why_on_the_page_of_its_file(world: Any, browser: Any) -> None:
    browser.login("trainer")
    upload(browser, b"a,b\n1,2\n")
    answer = browser.post("/console/train/start", {"dataset_id": "d-0", "name": "my-name", "form_token": browser.token()})
    assert answer.status_code == 422
    assert "choose the column to predict" in answer.text
    assert 'value="my-name"' in answer.text


def test_stopping(world: Any, browser: Any) -> None:
    browser.login("trainer")
    upload(browser, b"a,b\n1,2\n")
    world.workbench.start(ports.TrainingRequest("d-0", ports.Purpose("custom", "late"), "scms-late", 20), "local-trainer")
    assert browser.post("/console/train/runs/t-0/cancel", {"form_token": browser.token()}).status_code == 303
    assert world.workbench.runs["t-0"].state == "cancelled"
    assert "Stopped" in browser.get("/console/train/runs/t-0").text


def test_a_failed_training_says_what_to_mend(world: Any, browser: Any) -> None:
    browser.login("trainer")
    upload(browser, b"a,b\n1,2\n")
    world.workbench.start(ports.TrainingRequest("d-0", ports.Purpose("custom", "late"), "scms-late", 20), "local-trainer")
    errors = [{"loc": ["target"], "msg": "Only 0 occurs.", "fix": "Add rows.", "column": "late"}]
    world.workbench.runs["t-0"] = dataclasses.replace(
        world.workbench.runs["t-0"], state="failed", error={"detail": "One outcome only.", "errors": errors}
    )
    text = browser.get("/console/train/runs/t-0").text
    for part in ("Failed", "The file cannot be used as it is.", "column late", "Only 0 occurs.", "Add rows.", "Nothing was registered"):
        assert part in text, part


def test_progress_is_told_step_by_step_until_it_is_over(world: Any, browser: Any) -> None:
    browser.login("trainer")
    upload(browser, b"a,b\n1,2\n")
    bench = world.workbench
    bench.start(ports.TrainingRequest("d-0", ports.Purpose("custom", "late"), "scms-late", 20), "local-trainer")
    bench.say("t-0", "reading", 0.02, "Reading")
    bench.say("t-0", "tuning", 0.4, "Trial 6")
    bench.finish("t-0")
    answer = browser.get("/console/train/runs/t-0/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [dict(line.split(": ", 1) for line in block.splitlines()) for block in answer.text.strip().split("\n\n")]
    assert [event["event"] for event in events] == ["progress", "progress", "over"]
    assert [event.get("id") for event in events] == ["0", "1", None]
    assert '"badge":"Done"' in events[-1]["data"]
    assert '"message":"Trial 6"' in events[1]["data"]


def test_columns_are_left_out_and_kept_as_the_reader_says(world: Any, browser: Any) -> None:
    browser.login("trainer")
    upload(browser, b"a,b\n1,2\n")
    token = browser.token()
    chosen = {
        "dataset_id": "d-0",
        "template": "custom",
        "target": "late",
        "exclude": "Country",
        "keep": "Delivered to Client Date",
        "form_token": token,
    }
    checked = browser.post("/console/train/check", {**chosen, "name": "mine", "suggested": "orders-late"})
    assert checked.status_code == 303
    assert "form_token" not in checked.headers["location"]
    text = browser.get(checked.headers["location"]).text
    assert re.search(r'name="exclude" value="Country" checked', text)
    assert 'value="mine"' in text
    assert "only known after the outcome: 97" in text
    assert browser.post("/console/train/start", chosen).status_code == 303
    assert world.workbench.runs["t-0"].spec["keep"] == ["Delivered to Client Date"]
    assert world.workbench.runs["t-0"].spec["exclude"] == ["Country"]


def test_what_a_check_found_and_a_training_does_is_told_in_the_reader_s_language(world: Any, browser: Any) -> None:
    browser.login("trainer")
    upload(browser, b"a,b\n1,2\n")
    bench = world.workbench
    bench.start(ports.TrainingRequest("d-0", ports.Purpose("custom", "late"), "scms-late", 20), "local-trainer")
    bench.say("t-0", "reading", 0.02, "Reading the file")
    bench.steps["t-0"][0].data["zh"] = {"message": "正在读取文件"}
    errors = [{"loc": ["target"], "msg": "Only 0 occurs.", "fix": "Add rows.", "zh": {"msg": "只有 0。", "fix": "请增加数据行。"}}]
    running = browser.get("/console/train/runs/t-0?lang=zh", headers={"accept-language": "zh"})
    assert "正在读取文件" in browser.get(running.headers["location"]).text
    bench.runs["t-0"] = dataclasses.replace(
        bench.runs["t-0"], state="failed", error={"code": "data_refused", "detail": "x", "errors": errors}
    )
    text = browser.get("/console/train/runs/t-0").text
    assert "只有 0。" in text
    assert "请增加数据行。" in text
    assert "Only 0 occurs" not in text
    assert '"message":"正在读取文件"' in browser.get("/console/train/runs/t-0/events").text


@pytest.mark.parametrize(
    ("query", "chosen"),
    [("", "Scheduled Delivery Date"), ("?target=late", "Scheduled Delivery Date"), ("?target=late&time=", ""), ("?target=late&time=Delivered+to+Client+Date", "Delivered to Client Date")],
)  # fmt: skip
def test_the_time_of_decision_is_offered_unless_it_was_chosen(browser: Any, query: str, chosen: str) -> None:
    address = upload(browser.login("trainer"), b"a,b\n1,2\n").headers["location"]
    times = browser.get(address + query).text.split('id="time"')[1].split("</select>")[0]
    assert re.findall(r'value="([^"]*)" selected', times) == [chosen]


def test_why_a_training_cannot_start_is_told_in_the_reader_s_language(world: Any, browser: Any) -> None:
    from training.service import name_of

    def refuse(*_anything: Any) -> Any:
        try:
            name_of(template="custom", name="Lead -5 h", file="x.csv", target="late")
        except DataRefused as error:
            raise refused(error) from error

    world.workbench.start = refuse
    browser.login("trainer").headers["accept-language"] = "zh"
    upload(browser, b"late,price\n1,2\n")
    answer = browser.post("/console/train/start", {"dataset_id": "d-0", "target": "late", "form_token": browser.token()})
    assert answer.status_code == 422
    assert "模型不能命名为“Lead -5 h”" in answer.text
    assert "cannot be called" not in answer.text


def test_what_drives_a_model_is_told_from_what_there_is(world: Any, browser: Any) -> None:
    test_a_file_becomes_a_model_by_forms_alone(world, browser)
    text = browser.get("/console/train/runs/t-0").text
    assert "on the rows it was judged on" in text
    report = {name: value for name, value in world.workbench.runs["t-0"].report.items() if name != "drivers"}
    world.workbench.runs["t-0"] = dataclasses.replace(world.workbench.runs["t-0"], report=report)
    text = browser.get("/console/train/runs/t-0").text
    assert "share of what learning from it improved" in text
    assert re.search(r"Vendor</th>.*?50\u00a0%", text)
    world.models.drivers = lambda name, version: []
    assert "what it looks at is not known" in browser.get("/console/train/runs/t-0").text
