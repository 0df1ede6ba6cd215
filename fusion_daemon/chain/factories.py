"""Contracts that a factory creates: found in its events, so that they come and go with those blocks. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from fusion_daemon.chain.blocks import Created, Log
from fusion_daemon.chain.events import EventTable
from fusion_daemon.domain.identifiers import Address

CREATIONS = frozenset({"EscrowCreated"})
"""Events whose first indexed argument is the new contract."""


def created(table: EventTable, factories: Collection[Address], logs: Iterable[Log]) -> Sequence[Created]:
    """In chain order. Only a factory's own word counts: anybody may emit an event of that name."""
    return [
        Created(Address(log.topics[1][-20:]), log.block_number, log.address)
        for log in logs
        if log.address in factories and len(log.topics) > 1 and _name(table, log) in CREATIONS
    ]


def _name(table: EventTable, log: Log) -> str | None:
    decoder = table.decoders.get((log.topics[0], len(log.topics)))
    return None if decoder is None else decoder.name
