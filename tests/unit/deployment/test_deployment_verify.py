"""Rules: code counts byte for byte; a role's holders are exactly those that the file names; each finding says what
to do. Which chain drew them is drawn above the scenario."""

from __future__ import annotations

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from fusion_daemon.chain.artifacts import load_artifact
from fusion_daemon.chain.blocks import Creation, Log
from fusion_daemon.chain.rpc_errors import endpoint_fault
from fusion_daemon.deployment.plan import ContractCheck, code_calls, created_address
from fusion_daemon.deployment.values import Unreadable
from fusion_daemon.deployment.verify import (
    clones_in,
    judge_clones,
    judge_code,
    judge_creation,
    judge_roles,
    judge_watched,
)
from fusion_daemon.domain.identifiers import Address, Hash32, hex_of, parse_address

VAULT = load_artifact("CrossChainVault")
AT, DESK, OTHER = (Address(bytes([each]) * 20) for each in (1, 2, 3))
NAMES = {"vault": AT, "desk": DESK}
HASH = Hash32(b"\7" * 32)
CHECK = ContractCheck("vault", VAULT, AT, DESK, b"\x60\x01", HASH, 10, created_by_account=True)
RISK = keccak(text="RISK_ROLE")
REFUSED = endpoint_fault("http://node", "refused a call: execution reverted")


def change(event: str, role: bytes, account: Address, block: int, index: int = 0) -> Log:
    padded = (account.rjust(32, b"\0"), DESK.rjust(32, b"\0"))
    topics = tuple(Hash32(each) for each in (keccak(text=f"{event}(bytes32,address,address)"), role, *padded))
    return Log(block, HASH, index, HASH, 0, AT, topics, b"")


def roles(*logs: Log, told: dict[str, tuple[str, ...]] | None = None) -> dict[str, tuple[bool, str]]:
    found = judge_roles("vault", VAULT, told or {"RISK_ROLE": ("@desk",)}, logs, NAMES)
    return {each.subject: (each.failed, each.says) for each in found}


def test_the_same_code_passes_and_any_other_does_not() -> None:
    assert not judge_code("vault", CHECK, b"\1\2\3", b"\1\2\3").failed
    for there, says in ((b"\1\2\4", "first at byte 2"), (b"\1\2", "2 bytes instead of 3"), (b"", "no contract at")):
        found = judge_code("vault", CHECK, there, b"\1\2\3")
        assert found.failed
        assert found.subject == "vault code"
        assert says in found.says


def test_code_that_could_not_be_asked_or_made_is_no_success() -> None:
    assert judge_code("vault", CHECK, REFUSED, b"\1").failed
    found = judge_code("vault", CHECK, b"\1", REFUSED)
    assert found.failed
    assert "the constructor of CrossChainVault cannot be run" in found.says


@pytest.mark.parametrize(
    ("created", "says"),
    [
        (None, "does not know"),
        (Creation(False, 10, AT), "was reverted"),
        (Creation(True, 11, AT), "is in block 11 and should be in 10"),
        (Creation(True, 10, OTHER), f"made {hex_of(OTHER)} and should have made {hex_of(AT)}"),
        (Creation(True, 10, None), "made no contract"),
    ],
)
def test_a_transaction_that_is_not_the_contracts_own_is_told(created: Creation | None, says: str) -> None:
    found = judge_creation("vault", CHECK, created)
    assert found.failed
    assert says in found.says
    assert not judge_creation("vault", CHECK, Creation(True, 10, AT)).failed


def test_holders_are_what_the_logs_leave_in_their_order() -> None:
    # block 1: desk granted, other granted  <-  block 2: other revoked; the node answers in no order
    logs = [
        change("RoleRevoked", RISK, OTHER, 2),
        change("RoleGranted", RISK, OTHER, 1, index=1),
        change("RoleGranted", RISK, DESK, 1),
    ]
    assert roles(*logs) == {"vault role RISK_ROLE": (False, "is held by @desk")}
    again = change("RoleGranted", RISK, OTHER, 2, index=1)
    failed, says = roles(*logs, again)["vault role RISK_ROLE"]
    assert failed
    assert says.startswith(f"is held by {hex_of(OTHER)}, @desk and should be held by @desk;")


def test_a_role_that_nobody_named_is_told_by_name_where_the_abi_knows_it_else_by_hash() -> None:
    strange = keccak(text="STRANGE")
    found = roles(
        change("RoleGranted", RISK, DESK, 1),
        change("RoleGranted", keccak(text="GUARDIAN_ROLE"), OTHER, 1, index=1),
        change("RoleGranted", bytes(32), OTHER, 1, index=2),
        change("RoleGranted", strange, OTHER, 1, index=3),
        change("RoleGranted", keccak(text="GIVEN_UP"), OTHER, 1, index=4),
        change("RoleRevoked", keccak(text="GIVEN_UP"), OTHER, 1, index=5),
    )
    failed = {subject for subject, (failed, _) in found.items() if failed}
    names = ("GUARDIAN_ROLE", "DEFAULT_ADMIN_ROLE", hex_of(strange))
    assert failed == {f"vault role {name}" for name in names}
    assert found.keys() - failed == {"vault role RISK_ROLE"}, "a role that nobody holds any more is no finding"


def test_a_holder_that_is_not_there_is_missed() -> None:
    assert roles()["vault role RISK_ROLE"][1].startswith("is held by nobody and should be held by @desk")
    with pytest.raises(Unreadable, match="@nobody"):
        roles(told={"RISK_ROLE": ("@nobody",)})


def test_clones_are_read_from_the_events_and_each_must_be_one() -> None:
    factory = load_artifact("EscrowFactory")
    topic = keccak(text="EscrowCreated(address,address,address,address,uint256,bytes32,uint64)")
    topics = tuple(Hash32(each) for each in (topic, *(x.rjust(32, b"\0") for x in (AT, DESK, OTHER))))
    data = encode(["address", "uint256", "bytes32", "uint64"], [hex_of(OTHER), 1, bytes(32), 1])
    log = Log(1, HASH, 0, HASH, 0, DESK, topics, data)
    assert clones_in(factory, "EscrowCreated", "escrow", [log]) == [AT]
    for event, argument, says in (("Nothing", "escrow", "has no event"), ("EscrowCreated", "amount", "no address")):
        with pytest.raises(Unreadable, match=says):
            clones_in(factory, event, argument, [log])
    right = bytes.fromhex("363d3d373d3d3d363d73" + "02" * 20 + "5af43d82803e903d91602b57fd5bf3")
    assert not judge_clones("factory", DESK, [AT], [right]).failed
    for wrong in (right.replace(DESK, OTHER), b"", REFUSED):
        assert judge_clones("factory", DESK, [AT, OTHER], [right, wrong]).says.startswith("1 of 2 are not")


def test_what_the_configuration_reads_must_be_in_a_file() -> None:
    assert judge_watched("chain 1", [AT], {"vault": CHECK}) == []
    assert judge_watched("chain 1", [], None) == []
    (stray,) = judge_watched("chain 1", [AT, OTHER], {"vault": CHECK})
    assert stray.failed
    assert stray.subject.endswith(hex_of(OTHER))
    (nothing,) = judge_watched("chain 1", [AT], None)
    assert hex_of(AT) in nothing.says


def test_the_address_of_a_contracts_first_creation() -> None:
    # The example that Ethereum's wiki gave for this rule.
    maker = parse_address("0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0")
    assert hex_of(created_address(maker, 1)) == "0x343c43a37d37dff08ae8c4a11544c718abb4fcf8"
    for number in (0, 128):
        with pytest.raises(Unreadable):
            created_address(maker, number)


def test_the_constructor_runs_where_the_contract_is_without_what_it_made() -> None:
    there, made = code_calls(CHECK, 16)
    assert there == ("eth_getCode", [hex_of(AT), "0x10"])
    method, (run, block, replaced) = made
    assert (method, block) == ("eth_call", "0x10")
    assert run == {"from": hex_of(DESK), "to": hex_of(AT)}
    assert isinstance(replaced, dict)
    assert replaced[hex_of(AT)] == {"code": "0x6001", "nonce": "0x1", "state": {}}
    assert replaced[hex_of(created_address(AT, 1))] == {"code": "0x", "nonce": "0x0", "state": {}}
