"""A message's evidence, sorted once by what it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar, cast

from fusion_daemon.crosschain.evidence import Evidence

Kind = TypeVar("Kind", bound=Evidence)


class ByKind:
    __slots__ = ("_lists",)

    def __init__(self, evidence: Iterable[Evidence]) -> None:
        self._lists: dict[object, list[Evidence]] = {}
        for each in evidence:
            self._lists.setdefault(type(each), []).append(each)

    def of(self, kind: type[Kind]) -> Sequence[Kind]:
        return cast("Sequence[Kind]", self._lists.get(kind, ()))
