"""Send over the dev bridge from any address: what an application, an adapter or a thief of its key would do."""

from __future__ import annotations

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from fusion_daemon.demo.bridge.axelar_calls import CONTRACT_CALL
from fusion_daemon.demo.bridge.deploy import GAS_FEE, BridgeChain
from fusion_daemon.demo.bridge.faults import Key
from fusion_daemon.demo.node import Node, Sent, call_data
from fusion_daemon.domain.identifiers import Address, Hash32, hex_of

_CCIP_SEND = "ccipSend(uint64,(bytes,bytes,(address,uint256)[],address,bytes))"
_EXTRA_ARGS_V2 = bytes.fromhex("181dcf10")


def send_over_axelar(
    here: BridgeChain, gateway: Address, sender: Address, there: BridgeChain, contract: Address, payload: bytes
) -> Key:
    """`sender`'s own call to a gateway, with no gas paid: `top_up` sets it free."""
    data = call_data("callContract(string,string,bytes)", there.name, hex_of(contract), payload)
    receipt = _send(here.node, Sent(sender, gateway, data))
    return _keys(receipt, CONTRACT_CALL)[0]


def top_up(here: BridgeChain, key: Key, amount: int) -> None:
    """Pay more wei for a call, as anyone may."""
    data = call_data("addNativeGas(bytes32,uint256,address)", key.tx_hash, key.position, _PAYER)
    _send(here.node, Sent(_PAYER, here.gas_service, data, value=amount))


def send_over_ccip(
    here: BridgeChain, sender: Address, there: BridgeChain, receiver: Address, payload: bytes, gas_limit: int
) -> Key:
    """Over the generation that the router uses now. `gas_limit` is the receiver's."""
    extra_args = _EXTRA_ARGS_V2 + encode(["uint256", "bool"], [gas_limit, True])
    message = (encode(["address"], [receiver]), payload, (), bytes(20), extra_args)
    data = call_data(_CCIP_SEND, there.selector, message)
    receipt = _send(here.node, Sent(sender, here.router, data, value=GAS_FEE))
    return Key(Hash32(bytes.fromhex(str(receipt["transactionHash"])[2:])), 0)


def calls_of(receipt: dict[str, object]) -> list[Key]:
    """The Axelar calls that a transaction made, in order."""
    return _keys(receipt, CONTRACT_CALL)


_PAYER = Address(keccak(text="fusion prime dev bridge payer")[12:])


def _send(node: Node, sent: Sent) -> dict[str, object]:
    node.call("anvil_setBalance", hex_of(sent.sender), hex(10**21))
    return node.send(sent)[0]


def _keys(receipt: dict[str, object], topic: bytes) -> list[Key]:
    logs = receipt["logs"]
    assert isinstance(logs, list)
    tx_hash = Hash32(bytes.fromhex(str(receipt["transactionHash"])[2:]))
    return [Key(tx_hash, place) for place, log in enumerate(logs) if log["topics"][0] == hex_of(topic)]
