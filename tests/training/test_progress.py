import re
import string

from training.progress import MESSAGES, step

STAGES = {"reading", "checking", "splitting", "tuning", "building", "calibrating", "evaluating", "registering", "done"}


def test_every_stage_has_its_words_in_both_languages() -> None:
    assert set(MESSAGES) >= STAGES
    for key, (en, zh) in MESSAGES.items():
        told = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in (en, zh)]
        assert told[0] == told[1], key
        assert re.search(r"[\u4e00-\u9fff]", zh), key


def test_a_step_says_it_in_both_languages_and_keeps_the_numbers() -> None:
    progress = step("calibrating", 0.74, "calibrating_part", part=2, parts=3)
    assert progress.message == "Calibrating, part 2 of 3"
    assert progress.data == {"part": 2, "parts": 3, "zh": {"message": "正在校准，第 2 部分，共 3 部分"}}
