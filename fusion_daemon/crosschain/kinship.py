"""Which messages took the place of one that a reorg dropped: by the router's nonce, or by saying the same again."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from fusion_daemon.crosschain.envelope import Envelope
from fusion_daemon.crosschain.evidence import MessageId

_Key = tuple[object, ...]


class Kinship:
    def __init__(self) -> None:
        self._kin: dict[_Key, dict[MessageId, None]] = {}

    def add(self, message: MessageId, envelope: Envelope) -> None:
        for key in _keys(envelope):
            self._kin.setdefault(key, {})[message] = None

    def of(self, message: MessageId, envelope: Envelope) -> Iterator[MessageId]:
        """The others, those of the same nonce first; in an order of their own."""
        for key in _keys(envelope):
            there: Collection[MessageId] = self._kin.get(key, ())
            if len(there) > 1:
                yield from (each for each in sorted(there) if each != message)

    def among(self, envelope: Envelope, chosen: Mapping[MessageId, object]) -> Iterator[MessageId]:
        """Those of `chosen` that are its kin, however many others say the same."""
        for key in _keys(envelope):
            yield from self._kin.get(key, {}).keys() & chosen.keys()


def _keys(envelope: Envelope) -> tuple[_Key, _Key]:
    return ((envelope.source, envelope.nonce), envelope.content)
