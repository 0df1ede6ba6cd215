"""From the log of an on-ramp to what the off-ramp executes: the message in the destination's form, and its leaf."""

from __future__ import annotations

from typing import cast

import msgspec

from fusion_daemon.crosschain import ids
from fusion_daemon.crosschain.ccip import (
    MESSAGE_SENT_1_6,
    SEND_REQUESTED,
    Message15,
    Message16,
    address_in,
)
from fusion_daemon.crosschain.evidence import RawLog
from fusion_daemon.crosschain.layout import Unreadable, Value
from fusion_daemon.domain.identifiers import Address, Hash32

DELIVERED_1_6 = (
    "((bytes32,uint64,uint64,uint64,uint64),bytes,bytes,address,uint256,(bytes,address,uint32,bytes,uint256)[])"
)
_GAS_FIRST = (bytes.fromhex("97a657c9"), bytes.fromhex("181dcf10"))
"""Tags of the extra arguments, V1 and V2, whose first word is the receiver's gas limit."""


class Delivery(msgspec.Struct, frozen=True, gc=False):
    seq: int
    message: Hash32
    leaf: Hash32
    gas_limit: int
    """The receiver's, as the sender chose it."""
    tokens: int
    """How many travel with it."""
    form: tuple[Value, ...]
    """What the off-ramp takes, field by field."""


def delivery_1_5(log: RawLog, destination: int) -> Delivery:
    """`destination`: the lane's other end, which the log does not say. Raises Unreadable."""
    (message,) = cast("tuple[Message15]", SEND_REQUESTED.values(log.topics, log.data))
    source, sender, receiver, seq, gas, strict, nonce, fee_token, fee, data, tokens, token_data, named = message
    leaf = ids.ccip_1_5_id(
        source, destination, log.emitter, Address(sender), Address(receiver), seq, gas, strict, nonce,
        Address(fee_token), fee, data, tokens, token_data,
    )  # fmt: skip
    return Delivery(seq, Hash32(named), leaf, gas, len(tokens), message)


def delivery_1_6(log: RawLog) -> Delivery:
    """Raises Unreadable."""
    _, _, message = cast("tuple[int, int, Message16]", MESSAGE_SENT_1_6.values(log.topics, log.data))
    header, sender, data, receiver, extra, _fee_token, _fee, _juels, sent_tokens = message
    named, source, destination, seq, nonce = header
    to, gas = Address(address_in(receiver)), _gas_limit(extra)
    tokens = tuple(_token_1_6(each) for each in sent_tokens)
    leaf = ids.ccip_1_6_leaf(
        source, destination, log.emitter, Hash32(named), to, seq, gas, nonce, Address(sender), data, tokens
    )
    form: tuple[Value, ...] = (header, sender.rjust(32, b"\0"), data, to, gas, tokens)
    return Delivery(seq, Hash32(named), leaf, gas, len(tokens), form)


def _token_1_6(token: ids.Token16) -> ids.Delivered16:
    pool, destination_token, extra, amount, execution = token
    return (pool.rjust(32, b"\0"), Address(address_in(destination_token)), int.from_bytes(execution), extra, amount)


def _gas_limit(extra: bytes) -> int:
    if extra[:4] not in _GAS_FIRST or len(extra) < 36:
        raise Unreadable(f"extra arguments of the kind 0x{extra[:4].hex()}")
    return int.from_bytes(extra[4:36])
