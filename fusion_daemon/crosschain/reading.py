"""From logs to evidence: by emitter, then by topic. What no contract of the table emitted is nobody's business."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from fusion_daemon.crosschain import application, axelar, ccip
from fusion_daemon.crosschain.evidence import Evidence, RawLog
from fusion_daemon.crosschain.layout import Layout, Unreadable
from fusion_daemon.crosschain.networks import Network, Networks
from fusion_daemon.crosschain.parsing import Parse
from fusion_daemon.domain.identifiers import Address, ChainId

_CALLS = frozenset({axelar.CONTRACT_CALL.topic, axelar.CONTRACT_CALL_WITH_TOKEN.topic})
_Events = Mapping[bytes, tuple[Layout, Parse]]


class UnreadableLog(msgspec.Struct, frozen=True):
    """A log of a contract of the table that is not as its event declares. It is kept, counted, and never fatal."""

    log: RawLog
    event: str
    why: str


class Reading(msgspec.Struct, frozen=True):
    evidence: tuple[Evidence, ...]
    unreadable: tuple[UnreadableLog, ...]


class LogReader:
    """Immutable: what it reads depends on the log and the table of networks alone."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._events: dict[tuple[ChainId, Address], dict[bytes, tuple[Layout, Parse]]] = {}
        for network in networks:
            self._watch(network)

    def _watch(self, network: Network) -> None:
        roles: list[tuple[Address, Mapping[Layout, Parse]]] = [(network.router, application.ROUTER)]
        if network.axelar is not None:
            roles.append((network.axelar.gateway, axelar.GATEWAY))
            roles.append((network.axelar.gas_service, axelar.GAS_SERVICE))
        if network.ccip is not None:
            roles += [(ramp, ccip.ON_RAMP) for ramp in network.ccip.on_ramps]
            roles += [(ramp, ccip.OFF_RAMP) for ramp in network.ccip.off_ramps]
            roles += [(store, ccip.COMMIT_STORE) for store in network.ccip.commit_stores]
        for emitter, events in roles:
            table = self._events.setdefault((network.chain, emitter), {})
            table.update({layout.topic: (layout, parse) for layout, parse in events.items()})

    def wants_receipt(self, chain: ChainId, emitter: Address, topic: bytes) -> bool:
        """Must the caller find this log's position in its transaction's receipt?"""
        return topic in _CALLS and topic in self._events.get((chain, emitter), {})

    def topics(self) -> frozenset[bytes]:
        """Of every event that is read."""
        return frozenset(topic for events in self._events.values() for topic in events)

    def read(self, logs: Iterable[RawLog]) -> Reading:
        """Raises ReceiptIndexMissing when a log that `wants_receipt` names has none."""
        evidence: list[Evidence] = []
        unreadable: list[UnreadableLog] = []
        for log in logs:
            events = self._events.get((log.place.chain, log.emitter))
            found = None if events is None or not log.topics else events.get(log.topics[0])
            if found is None:
                continue
            layout, parse = found
            try:
                evidence += parse(log, layout.values(log.topics, log.data), self._networks)
            except Unreadable as error:
                unreadable.append(UnreadableLog(log, layout.name, str(error)))
        return Reading(tuple(evidence), tuple(unreadable))
