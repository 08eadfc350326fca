"""What a training says while it runs, and how it is stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from feature_store.wording import Text


@dataclass(frozen=True, slots=True)
class Progress:
    """One line of progress.

    Attributes:
        stage: ``reading``, ``checking``, ``splitting``, ``tuning``, ``building``, ``calibrating``, ``evaluating``, ``registering``, ``done``.
        share: of the whole, from 0 to 1.
        message: for a person; of :func:`step` in both languages.
        data: numbers behind the message, and its Chinese.
    """

    stage: str
    share: float
    message: str
    data: Mapping[str, Any] = field(default_factory=dict)


MESSAGES: Mapping[str, tuple[str, str]] = {
    "reading": ("Reading the file", "正在读取文件"),
    "checking": ("Checking every row and column", "正在检查每一行和每一列"),
    "splitting": ("Splitting by time", "正在按时间划分"),
    "trying": ("Trying configuration {trial}", "正在尝试第 {trial} 组参数"),
    "tuning": ("Tried {trials} configurations, best loss {loss:.4f}", "已尝试 {trials} 组参数，最低损失 {loss:.4f}"),
    "building": ("Building the model: {rounds} trees", "正在构建模型：{rounds} 棵树"),
    "calibrating": ("Calibrating on rows that the model has not seen", "正在用模型未见过的数据校准"),
    "calibrating_part": ("Calibrating, part {part} of {parts}", "正在校准，第 {part} 部分，共 {parts} 部分"),
    "evaluating": ("Judging on the newest {rows:,} rows", "正在用最新的 {rows:,} 行检验"),
    "registering": ("Writing and registering the model", "正在写入并登记模型"),
    "done": ("Registered {name} version {version}", "已登记 {name} 第 {version} 版"),
}
"""What a training says, English and Chinese."""


def step(stage: str, share: float, message: str | None = None, /, **facts: Any) -> Progress:
    """One line of progress in both languages.

    Args:
        stage: as :class:`Progress` has it.
        share: of the whole, from 0 to 1.
        message: its key in :data:`MESSAGES` where that is not the stage.
        facts: what fills it in, kept as the numbers behind it.
    """
    en, zh = MESSAGES[message or stage]
    text = Text(en.format(**facts), zh.format(**facts))
    return Progress(stage, share, text, {**facts, "zh": {"message": text.zh}})


class TrainingCancelled(Exception):
    """Raised out of a training by its progress callback when it shall stop."""


Report = Callable[[Progress], None]
"""Is told of progress; raises :class:`TrainingCancelled` to stop the training."""


def silent(_progress: Progress) -> None:
    """Tell nobody."""
