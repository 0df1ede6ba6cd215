"""From a deployment file and the artifacts to what the chain is asked. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from eth_utils.crypto import keccak

from fusion_daemon.chain.abi import event_decoders
from fusion_daemon.chain.artifacts import AbiEntry, Artifact
from fusion_daemon.chain.rpc_wire import Call, Param
from fusion_daemon.deployment.manifest import DeployedContract, Deployment, DeploymentInvalid, Parameter
from fusion_daemon.deployment.values import (
    Names,
    Unreadable,
    address_of,
    call_data,
    creation_code,
    function_of,
)
from fusion_daemon.domain.identifiers import Address, Hash32, hex_of

ArtifactOf = Callable[[str], Artifact]

_CHILDREN = 8
"""The most contracts that one of our constructors makes."""
_SHORTEST_RLP = 0x7F
"""The greatest nonce that RLP writes as one byte."""


@dataclass(frozen=True, slots=True)
class ContractCheck:
    name: str
    artifact: Artifact
    address: Address
    creator: Address
    creation_code: bytes
    transaction: Hash32
    block: int
    created_by_account: bool


@dataclass(frozen=True, slots=True)
class ParameterCheck:
    contract: str
    told: Parameter
    function: AbiEntry
    to: Address
    data: bytes


@dataclass(frozen=True, slots=True)
class Questions:
    """Everything that one file gives to ask."""

    file: Deployment
    names: Names
    contracts: Mapping[str, ContractCheck]
    parameters: tuple[ParameterCheck, ...]


def questions(file: Deployment, artifact_of: ArtifactOf) -> Questions:
    """Raises DeploymentInvalid, ArtifactMissing."""
    try:
        return _questions(file, artifact_of)
    except Unreadable as error:
        raise invalid(file, str(error)) from error


def invalid(file: Deployment, what: str) -> DeploymentInvalid:
    return DeploymentInvalid(
        f"The deployment of chain {file.chain_id} ({file.name}) is not one: {what}.",
        "Nothing of it was looked at.",
        "Correct the file; contracts/README.md has its form.",
    )


def _questions(file: Deployment, artifact_of: ArtifactOf) -> Questions:
    told = {name: each.address for name, each in file.contracts.items()}
    twice = told.keys() & file.known.keys()
    if twice:
        raise Unreadable(f"{min(twice)} is a contract and a known address")
    names = {name: address_of(text, {}) for name, text in {**file.known, **told}.items()}
    contracts = {
        name: _contract(file, name, each, artifact_of(each.artifact), names) for name, each in file.contracts.items()
    }
    absent = file.roles.keys() | {name for each in file.clones for name in (each.contract, each.implementation)}
    if absent - contracts.keys():
        raise Unreadable(f"{min(absent - contracts.keys())} is no contract of this file")
    parameters = tuple(_parameter(each, contracts, names) for each in file.parameters)
    return Questions(file, names, contracts, parameters)


def _contract(file: Deployment, name: str, told: DeployedContract, artifact: Artifact, names: Names) -> ContractCheck:
    if re.fullmatch(r"0x[0-9a-fA-F]{64}", told.transaction) is None:
        raise Unreadable(f"the transaction of {name} is no hash")
    return ContractCheck(
        name=name,
        artifact=artifact,
        address=names[name],
        creator=address_of(told.creator, names),
        creation_code=creation_code(artifact, told.constructor_arguments, names),
        transaction=Hash32(bytes.fromhex(told.transaction[2:])),
        block=told.block,
        created_by_account=told.creator.removeprefix("@") not in file.contracts,
    )


def _parameter(told: Parameter, contracts: Mapping[str, ContractCheck], names: Names) -> ParameterCheck:
    if told.contract not in contracts:
        raise Unreadable(f"{told.contract} is no contract of this file")
    check = contracts[told.contract]
    function = function_of(check.artifact, told.call, len(told.arguments))
    return ParameterCheck(told.contract, told, function, check.address, call_data(function, told.arguments, names))


def code_calls(check: ContractCheck, block: int) -> tuple[Call, Call]:
    """The code that is there, and the code that the artifact's constructor makes there.

    The constructor runs at the contract's own address, from its creator, on empty storage, with what it creates
    itself not there yet: so every immutable comes out as it did then, also those made of addresses and of the sender.
    Only this one call sees the chain that way.
    """
    at, address = hex(block), hex_of(check.address)
    children = (created_address(check.address, number) for number in range(1, _CHILDREN + 1))
    replaced: dict[str, Param] = {hex_of(each): {"code": "0x", "nonce": "0x0", "state": {}} for each in children}
    replaced[address] = {"code": hex_of(check.creation_code), "nonce": "0x1", "state": {}}
    run: Param = {"from": hex_of(check.creator), "to": address}
    return ("eth_getCode", [address, at]), ("eth_call", [run, at, replaced])


def created_address(maker: Address, number: int) -> Address:
    """Of the contract that another makes as its `number`-th, from 1, by CREATE."""
    if not 1 <= number <= _SHORTEST_RLP:
        raise Unreadable(f"a constructor that makes {number} contracts")
    return Address(keccak(b"\xd6\x94" + maker + bytes([number]))[12:])


def view_call(check: ParameterCheck, block: int) -> Call:
    return ("eth_call", [{"to": hex_of(check.to), "data": hex_of(check.data)}, hex(block)])


def code_call(address: Address, block: int) -> Call:
    return ("eth_getCode", [hex_of(address), hex(block)])


def event_topics(artifact: Artifact, *events: str) -> list[Hash32]:
    """Raises Unreadable when the ABI lacks one of them."""
    topics = {decoder.name: decoder.topic for decoder in event_decoders(artifact.abi).values()}
    absent = set(events) - topics.keys()
    if absent:
        raise Unreadable(f"{artifact.name} has no event {', '.join(sorted(absent))}")
    return [topics[event] for event in events]
