"""What each of the vault's events changes, from the artifacts that are shipped."""

from __future__ import annotations

import json

import pytest

from fusion_daemon.chain.artifacts import load_artifact
from fusion_daemon.chain.events import EventTable, EventTableMismatch, event_table, load_event_table
from fusion_daemon.domain.identifiers import Address
from fusion_daemon.domain.journal import (
    AssetParameters,
    BalanceChange,
    Change,
    CreditChange,
    IndexUpdate,
    Side,
)
from tests.faults.fake_node import FakeLog
from tests.unit.chain import vault_logs as logs
from tests.unit.chain.vault_logs import ALICE, BOB, STRANGER, USDC, VAULT, WETH


@pytest.fixture(scope="module")
def table() -> EventTable:
    return load_event_table()


def balance(token: bytes, side: Side, amount: int) -> BalanceChange:
    return BalanceChange(VAULT, ALICE, Address(token), side, amount)


@pytest.mark.parametrize(
    ("log", "changes"),
    [
        (logs.deposited(ALICE, WETH, 5), (balance(WETH, Side.COLLATERAL, 5),)),
        (logs.withdrawn(ALICE, WETH, 5), (balance(WETH, Side.COLLATERAL, -5),)),
        (
            logs.transferred(ALICE, BOB, WETH, 5),
            (balance(WETH, Side.COLLATERAL, -5), BalanceChange(VAULT, BOB, WETH, Side.COLLATERAL, 5)),
        ),
        (logs.borrowed(ALICE, USDC, 5), (balance(USDC, Side.DEBT, 5),)),
        (logs.repaid(ALICE, USDC, 5), (balance(USDC, Side.DEBT, -5),)),
        (
            logs.liquidated(ALICE, USDC, WETH, 5, 3),
            (balance(USDC, Side.DEBT, -5), balance(WETH, Side.COLLATERAL, -3)),
        ),
        (logs.written_off(ALICE, USDC, 5), (balance(USDC, Side.DEBT, -5),)),
        (logs.index_updated(WETH, 10**27, 7, 1_700), (IndexUpdate(VAULT, WETH, 10**27, 7, 1_700, 4),)),
        (logs.asset_configured(WETH, 18, 8_000, 8_250), (AssetParameters(VAULT, WETH, 18, 8_000, 8_250, 4),)),
        (logs.credit_set(ALICE, 10**13), (CreditChange(VAULT, ALICE, 10**13, 4),)),
        (logs.garbled(), ()),
        (logs.unknown(), ()),
        (FakeLog(VAULT, (), b""), ()),
    ],
)
def test_changes(table: EventTable, log: FakeLog, changes: tuple[Change, ...]) -> None:
    event = table.event(Address(log.address), 4, log.topics, log.data)
    assert event.changes == changes


def test_arguments_are_readable(table: EventTable) -> None:
    log = logs.borrowed(ALICE, USDC, 2**200)
    event = table.event(VAULT, 0, log.topics, log.data)
    assert event.name == "Borrowed"
    assert json.loads(event.args or "") == {
        "account": "0x" + ALICE.hex(),
        "token": "0x" + USDC.hex(),
        "to": "0x" + ALICE.hex(),
        "amount": str(2**200 + 7),
        "scaledAmount": str(2**200),
        "scaledBalance": str(2**200),
        "seq": "1",
    }


def test_the_vault_is_who_emitted_it(table: EventTable) -> None:
    log = logs.deposited(ALICE, WETH, 5)
    [change] = table.event(STRANGER, 0, log.topics, log.data).changes
    assert isinstance(change, BalanceChange)
    assert change.vault == STRANGER


def test_escrow_events_are_decoded_without_a_change(table: EventTable) -> None:
    names = {decoder.name for decoder in table.decoders.values()}
    assert names >= {"EscrowCreated", "EscrowApproved", "EscrowReleased", "EscrowRefunded"}


def test_an_abi_without_an_event_is_refused() -> None:
    abi = [entry for entry in load_artifact("CrossChainVault").abi if entry.name != "Repaid"]
    with pytest.raises(EventTableMismatch, match="Repaid"):
        event_table(abi)
