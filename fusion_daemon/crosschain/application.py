"""The events of our own router."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from fusion_daemon.crosschain.envelope import id_of
from fusion_daemon.crosschain.evidence import (
    Evidence,
    MessageId,
    RawLog,
    Received,
    Recovered,
    Refused,
    Resent,
    Retried,
    Sent,
    Stored,
)
from fusion_daemon.crosschain.layout import Layout, Unreadable, Value
from fusion_daemon.crosschain.networks import Networks
from fusion_daemon.crosschain.parsing import Parse
from fusion_daemon.domain.identifiers import Address, Hash32

MESSAGE_SENT = Layout("MessageSent(bytes32 indexed,bytes32 indexed,address indexed,uint64,bytes)")
MESSAGE_RESENT = Layout("MessageResent(bytes32 indexed,bytes32 indexed,address indexed,uint64)")
MESSAGE_RECEIVED = Layout("MessageReceived(bytes32 indexed,bytes32 indexed,address indexed,uint64,bytes)")
MESSAGE_FAILED = Layout("MessageFailed(bytes32 indexed,bytes32 indexed,address indexed,uint64,bytes,bytes)")
MESSAGE_REFUSED = Layout("MessageRefused(bytes32 indexed,bytes32 indexed,uint64,uint64,bytes,bytes)")
MESSAGE_RETRIED = Layout("MessageRetried(bytes32 indexed,address indexed,uint64,bytes)")
MESSAGE_RECOVERED = Layout("MessageRecovered(bytes32 indexed,address indexed,uint64)")

Values = tuple[Value, ...]


def _named(named: bytes, payload: bytes) -> MessageId:
    """The router's id is the payload's hash; where it is not, the emitter is no router of ours."""
    if id_of(payload) != named:
        raise Unreadable("a payload that is not the one its id names")
    return Hash32(named)


def _sent(log: RawLog, values: Values, _networks: Networks) -> tuple[Evidence, ...]:
    named, bridge, app, seq, payload = cast("tuple[bytes, bytes, bytes, int, bytes]", values)
    return (Sent(log.place, _named(named, payload), bridge, Address(app), seq, payload),)


def _resent(log: RawLog, values: Values, _networks: Networks) -> tuple[Evidence, ...]:
    named, bridge, by, seq = cast("tuple[bytes, bytes, bytes, int]", values)
    return (Resent(log.place, Hash32(named), bridge, Address(by), seq),)


def _received(log: RawLog, values: Values, _networks: Networks) -> tuple[Evidence, ...]:
    named, bridge, app, seq, payload = cast("tuple[bytes, bytes, bytes, int, bytes]", values)
    return (Received(log.place, _named(named, payload), bridge, Address(app), seq, payload),)


def _failed(log: RawLog, values: Values, _networks: Networks) -> tuple[Evidence, ...]:
    named, bridge, app, seq, payload, reason = cast("tuple[bytes, bytes, bytes, int, bytes, bytes]", values)
    return (Stored(log.place, _named(named, payload), bridge, Address(app), seq, payload, reason),)


def _refused(log: RawLog, values: Values, _networks: Networks) -> tuple[Evidence, ...]:
    named, bridge, seq, source, payload, reason = cast("tuple[bytes, bytes, int, int, bytes, bytes]", values)
    return (Refused(log.place, _named(named, payload), bridge, seq, source, payload, reason),)


def _retried(log: RawLog, values: Values, _networks: Networks) -> tuple[Evidence, ...]:
    named, by, seq, reason = cast("tuple[bytes, bytes, int, bytes]", values)
    return (Retried(log.place, Hash32(named), Address(by), seq, reason),)


def _recovered(log: RawLog, values: Values, _networks: Networks) -> tuple[Evidence, ...]:
    named, by, seq = cast("tuple[bytes, bytes, int]", values)
    return (Recovered(log.place, Hash32(named), Address(by), seq),)


ROUTER: Mapping[Layout, Parse] = {
    MESSAGE_SENT: _sent,
    MESSAGE_RESENT: _resent,
    MESSAGE_RECEIVED: _received,
    MESSAGE_FAILED: _failed,
    MESSAGE_REFUSED: _refused,
    MESSAGE_RETRIED: _retried,
    MESSAGE_RECOVERED: _recovered,
}
