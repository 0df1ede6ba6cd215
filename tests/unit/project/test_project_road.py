"""Rule: the road of one event, as docs/architecture.md tells it, is the code's, and it has no detour."""

from __future__ import annotations

import importlib
import re
from itertools import groupby
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs/architecture.md"
STEP = re.compile(r"^\d+\. `([\w.]+)`", re.MULTILINE)


def road() -> list[str]:
    section = PAGE.read_text().split("## The road of one event")[1].split("\n## ")[0]
    return STEP.findall(section)


def room_of(name: str) -> str:
    """`fusion_daemon.chain.rpc…` is in the room `chain`; every actor is a place of its own."""
    parts = name.split(".")
    return parts[1] if parts[0] == "fusion_daemon" else ".".join(parts[:2])


def resolve(name: str) -> object:
    """The attribute behind a dotted name: the longest importable module, then attributes."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[end:]:
            found = getattr(found, attribute)
        return found
    raise AssertionError(f"{name} is nowhere")


def test_every_step_is_a_function_of_the_code() -> None:
    steps = road()
    assert len(steps) > 20
    for name in steps:
        assert callable(resolve(name)), name


def test_no_function_appears_twice() -> None:
    assert len(set(road())) == len(road())


def test_no_room_is_entered_twice() -> None:
    entered = [room for room, _ in groupby(map(room_of, road()))]
    assert len(set(entered)) == len(entered), entered
