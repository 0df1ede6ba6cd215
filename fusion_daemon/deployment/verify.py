"""Whether what a chain answered is what a deployment file promises. Pure: answers in, findings out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fusion_daemon.chain.abi import EventDecoder, Undecodable, event_decoders
from fusion_daemon.chain.artifacts import Artifact
from fusion_daemon.chain.blocks import Creation, Log
from fusion_daemon.chain.rpc_errors import RpcFailure
from fusion_daemon.deployment.plan import ContractCheck, ParameterCheck
from fusion_daemon.deployment.values import Names, Unreadable, address_of, differences, role_id
from fusion_daemon.domain.identifiers import Address, hex_of
from fusion_daemon.findings import Finding

Answer = bytes | RpcFailure

GRANTED, REVOKED = "RoleGranted", "RoleRevoked"
_CLONE = (bytes.fromhex("363d3d373d3d3d363d73"), bytes.fromhex("5af43d82803e903d91602b57fd5bf3"))
"""EIP-1167: before and after the implementation's address."""


def judge_code(subject: str, check: ContractCheck, there: Answer, made: Answer) -> Finding:
    """The code at the address against the code that the artifact's constructor makes there, byte for byte."""
    subject = f"{subject} code"
    if isinstance(there, RpcFailure):
        return Finding(subject, True, str(there))
    if not there:
        says = f"there is no contract at {hex_of(check.address)}; correct the address, or deploy it"
        return Finding(subject, True, says)
    if isinstance(made, RpcFailure):
        says = f"the constructor of {check.artifact.name} cannot be run with these arguments: {made.happened}"
        return Finding(subject, True, f"{says} Correct the file, or ask a node that takes state overrides in eth_call")
    if there == made:
        return Finding(subject, False, f"is what {check.artifact.name} compiles to, with these arguments")
    return Finding(subject, True, f"{_difference(there, made)}; {_CURE}")


_CURE = "it is another contract or version, or was made with other arguments: find out which before it is used"


def _difference(there: bytes, made: bytes) -> str:
    if len(there) != len(made):
        return f"has {len(there)} bytes instead of {len(made)}"
    differing = [at for at, (left, right) in enumerate(zip(there, made, strict=True)) if left != right]
    return f"differs in {len(differing)} of {len(there)} bytes, first at byte {differing[0]}"


def judge_creation(subject: str, check: ContractCheck, created: Creation | None) -> Finding:
    """Whether the transaction made the contract in that block. The roles are read from there on."""
    subject = f"{subject} transaction"
    if created is None:
        return Finding(subject, True, f"the node does not know {hex_of(check.transaction)}; correct the file")
    if not created.succeeded:
        return Finding(subject, True, f"{hex_of(check.transaction)} was reverted; correct the file")
    if created.block != check.block:
        return Finding(subject, True, f"is in block {created.block} and should be in {check.block}; correct the file")
    if check.created_by_account and created.contract != check.address:
        made = "no contract" if created.contract is None else hex_of(created.contract)
        return Finding(subject, True, f"made {made} and should have made {hex_of(check.address)}; correct the file")
    return Finding(subject, False, f"made it in block {created.block}")


def judge_parameter(subject: str, check: ParameterCheck, answer: Answer, names: Names) -> Finding:
    told = ", ".join(map(str, check.told.arguments))
    subject = f"{subject} {check.told.call}({told})"
    if isinstance(answer, RpcFailure):
        return Finding(subject, True, str(answer))
    try:
        wrong = differences(check.function.outputs, check.told.expect, answer, names)
    except Unreadable as error:
        return Finding(subject, True, f"{error}; correct the file")
    if wrong:
        return Finding(subject, True, f"{'; '.join(wrong)}; change it on the chain, or correct the file")
    return Finding(subject, False, "is as the file says")


def judge_roles(
    subject: str, artifact: Artifact, told: Mapping[str, Sequence[str]], logs: Iterable[Log], names: Names
) -> list[Finding]:
    """One finding for each role that the file names or somebody holds. Raises Unreadable, Undecodable."""
    held = _holders(artifact, logs)
    known = {role_id(name): name for name in (*_roles_of(artifact), *told)}
    wanted = {role_id(name): {address_of(each, names) for each in holders} for name, holders in told.items()}
    spoken = {address: f"@{name}" for name, address in names.items()}

    def shown(holders: set[Address]) -> str:
        return ", ".join(sorted(spoken.get(each, hex_of(each)) for each in holders)) or "nobody"

    found = []
    for role in [*wanted, *(each for each, holders in held.items() if holders and each not in wanted)]:
        want, have = wanted.get(role, set()), held.get(role, set())
        name = f"{subject} role {known.get(role, hex_of(role))}"
        if want == have:
            found.append(Finding(name, False, f"is held by {shown(have)}"))
        else:
            says = f"is held by {shown(have)} and should be held by {shown(want)}"
            found.append(Finding(name, True, f"{says}; grant and revoke, or correct the file"))
    return found


def _roles_of(artifact: Artifact) -> list[str]:
    """Names of the roles that the contract shows: constants such as `RISK_ROLE()`."""
    return [each.name for each in artifact.abi if each.type == "function" and each.name.endswith("_ROLE")]


def _holders(artifact: Artifact, logs: Iterable[Log]) -> dict[bytes, set[Address]]:
    decoders: dict[bytes, EventDecoder] = {decoder.topic: decoder for decoder in event_decoders(artifact.abi).values()}
    held: dict[bytes, set[Address]] = {}
    for log in sorted(logs, key=lambda each: (each.block_number, each.log_index)):
        decoder = decoders[log.topics[0]]
        values = dict(zip(decoder.fields, decoder.decode(log.topics, log.data), strict=True))
        role, account = values["role"], values["account"]
        if not isinstance(role, bytes) or not isinstance(account, bytes):
            raise Undecodable(f"{decoder.name} names no role and account")
        holders = held.setdefault(role, set())
        (holders.add if decoder.name == GRANTED else holders.discard)(Address(account))
    return held


def clones_in(artifact: Artifact, event: str, argument: str, logs: Iterable[Log]) -> list[Address]:
    """The clones that a factory told of. Raises Unreadable, Undecodable."""
    decoder = next((each for each in event_decoders(artifact.abi).values() if each.name == event), None)
    if decoder is None or argument not in decoder.fields:
        raise Unreadable(f"{artifact.name} has no event {event} with {argument}")
    found = []
    for log in logs:
        value = decoder.decode(log.topics, log.data)[decoder.fields.index(argument)]
        if not isinstance(value, bytes) or len(value) != 20:
            raise Unreadable(f"{argument} of {event} is no address")
        found.append(Address(value))
    return found


def judge_clones(subject: str, implementation: Address, clones: Sequence[Address], codes: Sequence[Answer]) -> Finding:
    subject, expected = f"{subject} clones", implementation.join(_CLONE)
    wrong = [hex_of(clone) for clone, code in zip(clones, codes, strict=True) if code != expected]
    if wrong:
        return Finding(subject, True, f"{len(wrong)} of {len(clones)} are not clones of it: {', '.join(wrong[:5])}")
    return Finding(subject, False, f"all {len(clones)} are clones of {hex_of(implementation)}")


def judge_watched(
    subject: str, watched: Iterable[Address], deployed: Mapping[str, ContractCheck] | None
) -> list[Finding]:
    """What the configuration reads has to stand in the file. None: the chain has no file."""
    if deployed is None:
        missing = [hex_of(each) for each in watched]
        if not missing:
            return []
        return [Finding(subject, True, f"no file says what stands there; describe {', '.join(missing)} in one")]
    there = {check.address for check in deployed.values()}
    return [
        Finding(f"{subject} {hex_of(each)}", True, "is read by the configuration, and the file has no such contract")
        for each in watched
        if each not in there
    ]
