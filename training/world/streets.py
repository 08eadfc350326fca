"""Street addresses as people write them: the same serial always gives the same text."""

from __future__ import annotations

_ROADS: tuple[str, ...] = (
    "Renmin Road", "Jianguo Road", "Zhongshan Road", "Jiefang Road", "Heping Street", "Xinhua Road", "Wenhua Street", "Changjiang Road",
    "Huanghe Road", "Beijing Road", "Nanjing Road", "Guangming Lane", "Xiyuan Lane", "Dongfeng Road", "Yuhua Street", "Taishan Road",
)  # fmt: skip
_FACTOR = 2_654_435_761


def street(serial: int) -> str:
    """The street address of an address's serial."""
    mixed = serial * _FACTOR % 4_294_967_291
    road, mixed = _ROADS[mixed % len(_ROADS)], mixed // len(_ROADS)
    number, mixed = 1 + mixed % 398, mixed // 398
    building, mixed = 1 + mixed % 24, mixed // 24
    return f"{road} {number}, building {building}, room {1 + mixed % 28}{1 + mixed // 28 % 12:02d}"


def next_door(text: str) -> str:
    """Another room of the same house, by another way of writing it: what looks alike at a glance."""
    house, _, room = text.rpartition("room ")
    return f"{house}Rm {(int(room) + 101) % 2_900 + 100}"
