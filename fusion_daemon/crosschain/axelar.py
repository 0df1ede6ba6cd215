"""Axelar's events: gateways of both generations and the gas service.

A gateway serves everybody. What neither comes from our adapter, nor goes to it, nor carries one of our envelopes is
left out here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

from fusion_daemon.crosschain.envelope import id_of
from fusion_daemon.crosschain.evidence import (
    AxelarApproved,
    AxelarCalled,
    AxelarExecuted,
    AxelarGasAdded,
    AxelarGasPaid,
    Evidence,
    RawLog,
)
from fusion_daemon.crosschain.ids import amplifier_command, axelar_message, classic_commands
from fusion_daemon.crosschain.layout import Layout, Unreadable, Value
from fusion_daemon.crosschain.networks import Networks, address_of
from fusion_daemon.crosschain.parsing import Parse, is_ours
from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import Address, Hash32

CONTRACT_CALL = Layout("ContractCall(address indexed,string,string,bytes32 indexed,bytes)")
CONTRACT_CALL_WITH_TOKEN = Layout(
    "ContractCallWithToken(address indexed,string,string,bytes32 indexed,bytes,string,uint256)"
)
NATIVE_GAS_PAID = Layout("NativeGasPaidForContractCall(address indexed,string,string,bytes32 indexed,uint256,address)")
GAS_PAID = Layout("GasPaidForContractCall(address indexed,string,string,bytes32 indexed,address,uint256,address)")
NATIVE_GAS_PAID_WITH_TOKEN = Layout(
    "NativeGasPaidForContractCallWithToken"
    "(address indexed,string,string,bytes32 indexed,string,uint256,uint256,address)"
)
NATIVE_GAS_ADDED = Layout("NativeGasAdded(bytes32 indexed,uint256 indexed,uint256,address)")
GAS_ADDED = Layout("GasAdded(bytes32 indexed,uint256 indexed,address,uint256,address)")
CONTRACT_CALL_APPROVED = Layout(
    "ContractCallApproved(bytes32 indexed,string,string,address indexed,bytes32 indexed,bytes32,uint256)"
)
CONTRACT_CALL_APPROVED_WITH_MINT = Layout(
    "ContractCallApprovedWithMint"
    "(bytes32 indexed,string,string,address indexed,bytes32 indexed,string,uint256,bytes32,uint256)"
)
CONTRACT_CALL_EXECUTED = Layout("ContractCallExecuted(bytes32 indexed)")
MESSAGE_APPROVED = Layout("MessageApproved(bytes32 indexed,string,string,string,address indexed,bytes32 indexed)")
MESSAGE_EXECUTED = Layout("MessageExecuted(bytes32 indexed)")

_LOCAL_ID = re.compile(r"0x[0-9a-f]{64}-\d+")

Values = tuple[Value, ...]
_Call = tuple[bytes, str, str, bytes, bytes, str, int]
_Payment = tuple[bytes, str, str, bytes, str, int, bytes | None, int]


class ReceiptIndexMissing(Failure):
    """The caller gave a gateway's call without its position in the receipt."""


def _call(log: RawLog, values: Values, networks: Networks) -> tuple[Evidence, ...]:
    return _called(log, cast("_Call", (*values, "", 0)), networks)


def _call_with_token(log: RawLog, values: Values, networks: Networks) -> tuple[Evidence, ...]:
    return _called(log, cast("_Call", values), networks)


def _called(log: RawLog, call: _Call, networks: Networks) -> tuple[Evidence, ...]:
    sender, chain, destination, named, payload, symbol, amount = call
    far = networks.by_axelar(chain)
    goes_to_us = far is not None and address_of(destination) == networks.axelar_adapter(far)
    if sender != networks.axelar_adapter(log.place.chain) and not goes_to_us and not is_ours(payload, networks):
        return ()
    if log.place.receipt_index is None:
        raise ReceiptIndexMissing(
            f"A gateway's call in {log.place.tx_hash.hex()} came without its position in the receipt.",
            "Axelar names a call by that position: its approval could not be told from another's.",
            "Read the receipts of the logs that `wants_receipt` names.",
        )
    if id_of(payload) != named:
        raise Unreadable("a payload that is not the one its hash names")
    return (AxelarCalled(log.place, Hash32(named), Address(sender), chain, destination, payload, symbol, amount),)


def _native_gas(log: RawLog, values: Values, networks: Networks) -> tuple[Evidence, ...]:
    sender, chain, destination, named, fee, _refund = cast("tuple[bytes, str, str, bytes, int, bytes]", values)
    return _paid(log, (sender, chain, destination, named, "", 0, None, fee), networks)


def _token_gas(log: RawLog, values: Values, networks: Networks) -> tuple[Evidence, ...]:
    sender, chain, destination, named, token, fee, _refund = cast(
        "tuple[bytes, str, str, bytes, bytes, int, bytes]", values
    )
    return _paid(log, (sender, chain, destination, named, "", 0, token, fee), networks)


def _native_gas_with_token(log: RawLog, values: Values, networks: Networks) -> tuple[Evidence, ...]:
    sender, chain, destination, named, symbol, amount, fee, _refund = cast(
        "tuple[bytes, str, str, bytes, str, int, int, bytes]", values
    )
    return _paid(log, (sender, chain, destination, named, symbol, amount, None, fee), networks)


def _paid(log: RawLog, payment: _Payment, networks: Networks) -> tuple[Evidence, ...]:
    sender, chain, destination, named, symbol, amount, token, fee = payment
    if sender != networks.axelar_adapter(log.place.chain):
        return ()
    paid_in = None if token is None else Address(token)
    return (AxelarGasPaid(log.place, Hash32(named), Address(sender), chain, destination, symbol, amount, paid_in, fee),)


def _native_added(log: RawLog, values: Values, _networks: Networks) -> tuple[Evidence, ...]:
    tx, index, fee, _refund = cast("tuple[bytes, int, int, bytes]", values)
    return (AxelarGasAdded(log.place, Hash32(tx), index, None, fee),)


def _token_added(log: RawLog, values: Values, _networks: Networks) -> tuple[Evidence, ...]:
    tx, index, token, fee, _refund = cast("tuple[bytes, int, bytes, int, bytes]", values)
    return (AxelarGasAdded(log.place, Hash32(tx), index, Address(token), fee),)


def _approved(log: RawLog, values: Values, networks: Networks) -> tuple[Evidence, ...]:
    command, chain, sender, contract, named, tx, index = cast(
        "tuple[bytes, str, str, bytes, bytes, bytes, int]", values
    )
    here = log.place.chain
    if contract != networks.axelar_adapter(here):
        return ()
    sound = command in classic_commands(tx, index, here) if index >> 64 == 0 else False
    message = axelar_message(tx, index)
    return (_approval(log, command, chain, message, sender, contract, named, sound),)


def _approved_with_mint(log: RawLog, values: Values, networks: Networks) -> tuple[Evidence, ...]:
    return _approved(log, (*values[:5], *values[7:]), networks)


def _message_approved(log: RawLog, values: Values, networks: Networks) -> tuple[Evidence, ...]:
    command, chain, message, sender, contract, named = cast("tuple[bytes, str, str, str, bytes, bytes]", values)
    if contract != networks.axelar_adapter(log.place.chain):
        return ()
    sound = command == amplifier_command(chain, message)
    lower = message.lower()
    return (
        _approval(
            log, command, chain, lower if _LOCAL_ID.fullmatch(lower) else message, sender, contract, named, sound
        ),
    )


def _approval(
    log: RawLog, command: bytes, chain: str, message: str, sender: str, contract: bytes, named: bytes, sound: bool
) -> Evidence:
    return AxelarApproved(log.place, Hash32(named), Hash32(command), chain, message, sender, Address(contract), sound)


def _executed(log: RawLog, values: Values, _networks: Networks) -> tuple[Evidence, ...]:
    return (AxelarExecuted(log.place, Hash32(cast("tuple[bytes]", values)[0])),)


GATEWAY: Mapping[Layout, Parse] = {
    CONTRACT_CALL: _call,
    CONTRACT_CALL_WITH_TOKEN: _call_with_token,
    CONTRACT_CALL_APPROVED: _approved,
    CONTRACT_CALL_APPROVED_WITH_MINT: _approved_with_mint,
    CONTRACT_CALL_EXECUTED: _executed,
    MESSAGE_APPROVED: _message_approved,
    MESSAGE_EXECUTED: _executed,
}
"""Without `Executed`, which says that an approval arrived and not that anything ran."""

GAS_SERVICE: Mapping[Layout, Parse] = {
    NATIVE_GAS_PAID: _native_gas,
    GAS_PAID: _token_gas,
    NATIVE_GAS_PAID_WITH_TOKEN: _native_gas_with_token,
    NATIVE_GAS_ADDED: _native_added,
    GAS_ADDED: _token_added,
}
"""Without `Refunded`: what comes back of a fee moves no message."""
