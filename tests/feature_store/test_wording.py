"""What a check says is said in both languages, with the same values."""

import copy
import pickle
import re
import string

import numpy as np

from feature_store.problems import DataProblem
from feature_store.wording import SENTENCES, told

CHINESE = re.compile(r"[\u4e00-\u9fff]")


def fields(text: str) -> list[str]:
    return sorted({name for _, name, _, _ in string.Formatter().parse(text) if name})


def test_every_sentence_is_there_in_both_languages_with_the_same_values() -> None:
    for key, (en, zh) in SENTENCES.items():
        assert fields(en) == fields(zh), key
        assert not CHINESE.search(en), key
        assert CHINESE.search(zh), key


def test_a_value_with_two_languages_stands_in_each_as_that_language_has_it() -> None:
    text = told("determines_target", target="late", how_well=told("how_well.very", measure="AUC", value=np.float64(0.9123)))
    assert text == "It alone tells 'late' very well (AUC 0.912): too good to be known beforehand."
    assert text.zh == "仅凭该列就很好地（AUC 0.912）说明“late”：事先不可能知道。"


def test_a_text_keeps_its_chinese_wherever_it_goes() -> None:
    text = told("no_rows").then(told("no_rows.fix"))
    for kept in (copy.deepcopy(text), pickle.loads(pickle.dumps(text))):
        assert (kept, kept.zh) == (text, "只有表头，没有数据行。请在表头下方填写数据。")


def test_a_problem_comes_back_from_json_in_both_languages() -> None:
    problem = DataProblem("no_rows", ("file",), told("no_rows"), fix=told("no_rows.fix"))
    entry = problem.to_json()
    assert entry["zh"] == {"msg": "只有表头，没有数据行。", "fix": "请在表头下方填写数据。"}
    back = DataProblem.from_json(entry)
    assert back == problem
    assert back.to_json() == entry
    del entry["zh"]
    assert DataProblem.from_json(entry).msg.zh == entry["msg"], "an older report was kept in English alone"
