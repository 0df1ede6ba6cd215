"""Values of the domain and statistics as JSON that a person may read: exact, and without what opens a door."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from enum import Enum
from urllib.parse import urlsplit

from fusion_daemon.domain.account import Contact

EXACT = 2**53
"""From here on numbers are texts: many readers of JSON round them."""


def plain(value: object) -> object:
    """Dicts, lists, texts, numbers, booleans and None. Bytes are `0x` and hex; of an enum's member its word.

    A contact's target keeps its host alone: the path of a webhook's URL is often all the secret there is. What is
    none of ours is told by its type.
    """
    if isinstance(value, Enum):
        return value.value if isinstance(value.value, str) else value.name.lower()
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, Contact):
        return {"channel": value.channel.value, "host": _host(value.target)}
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {_key(plain(key)): plain(each) for key, each in value.items()}
    if isinstance(value, Sequence | AbstractSet):
        return [plain(each) for each in value]
    return type(value).__name__


def _key(told: object) -> str:
    return " ".join(map(str, told)) if isinstance(told, list) else str(told)


def _number(value: float) -> object:
    if isinstance(value, int):
        return value if -EXACT < value < EXACT else str(value)
    return value if math.isfinite(value) else str(value)


def _host(target: str) -> str:
    return urlsplit(target).hostname or target.rpartition("@")[2]
