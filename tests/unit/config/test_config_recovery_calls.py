"""Rule: the example allows every call that a message's recovery proposes, after another operator's word, on the
contracts that its own `[chains.bridges]` names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from fusion_daemon.config import load_config
from fusion_daemon.crosschain import Evidence
from fusion_daemon.crosschain.ccip_manual import Manual
from fusion_daemon.crosschain.networks import Network
from fusion_daemon.crosschain.recovery import RecoveryKind, recovery_of
from fusion_daemon.crosschain.routes import RETRY_PURPOSE
from fusion_daemon.domain.identifiers import Address, ChainId
from fusion_daemon.domain.transaction import NATIVE_ASSET, Intent
from fusion_daemon.settings import message_settings, transaction_settings
from fusion_daemon.transactions.limits import Approve, judge
from fusion_daemon.transactions.records import State, Transaction
from tests.unit.crosschain.world import NETWORKS, NOW, A, B, Message, at, judged

EXAMPLE = load_config(Path(__file__).resolve().parents[3] / "config.toml")
MESSAGE = Message()
CALL = at(A, 10, 3, tx="call")
SENT: list[Evidence] = [MESSAGE.sent(at(A, 10, 4, tx="call")), MESSAGE.called(CALL)]
PAID = MESSAGE.paid(at(A, 10, 2, tx="call"))
FAILED: Mapping[RecoveryKind, list[Evidence]] = {
    RecoveryKind.RETRY: [*SENT, PAID, MESSAGE.stored(at(B, 20))],
    RecoveryKind.EXECUTE: [*SENT, PAID, MESSAGE.approved(at(B, 20), CALL)],
    RecoveryKind.GAS: SENT,
    RecoveryKind.RESEND: [*SENT, PAID],
}
"""A message that needs each kind but CCIP's manual execution, whose proof takes other messages; it is below."""
MANUAL_1_6 = bytes.fromhex("5e7bb008")
LATE = NOW + 30 * 86_400


def contracts(network: Network) -> list[Address]:
    assert network.axelar is not None
    return [network.router, network.axelar.adapter, network.axelar.gas_service]


def intent_of(kind: RecoveryKind) -> Intent:
    """As the retry's route makes it, with the example's contracts in the place of the world's."""
    standing = judged(FAILED[kind], LATE if kind is RecoveryKind.RESEND else NOW, {A: 50})
    [signer] = transaction_settings(EXAMPLE).signers
    found = recovery_of(standing, FAILED[kind], NETWORKS, signer, Manual((), NOW, 0))
    assert found.kind is kind
    shipped = message_settings(EXAMPLE).networks[ChainId(1)]
    to = dict(zip(contracts(NETWORKS[found.chain]), contracts(shipped), strict=True))[found.to]
    value = 10**15 if found.refundable else 0
    return Intent(
        id="message:1:retry:1",
        chain=shipped.chain,
        signer=signer,
        to=to,
        data=found.data,
        value=value,
        gas_cap=2_000_000,
        fee_cap=10**9,
        purpose=RETRY_PURPOSE,
        asset=NATIVE_ASSET,
        amount=value,
        proposer="ada",
    )


@pytest.mark.parametrize("kind", FAILED)
def test_what_recovery_proposes_is_allowed_after_anothers_word(kind: RecoveryKind) -> None:
    settings, intent = transaction_settings(EXAMPLE), intent_of(kind)
    waiting = Transaction(intent, 1, State.PROPOSED, 0.0)
    signer = settings.signers[intent.signer]
    own, others = (replace(waiting, approvals=frozenset({name})) for name in (intent.proposer, "bob"))
    for transaction, approved in ((waiting, False), (own, False), (others, True)):
        assert isinstance(judge(transaction, signer, settings.limits, {}, 1.0), Approve) is approved


def test_ccips_manual_execution_is_allowed_on_every_off_ramp() -> None:
    network = message_settings(EXAMPLE).networks[ChainId(1)]
    assert network.ccip is not None
    allowed = {
        call.to
        for call in transaction_settings(EXAMPLE).limits.calls
        if call.selector == MANUAL_1_6 and RETRY_PURPOSE in call.purposes and call.approval
    }
    assert allowed == set(network.ccip.off_ramps) != set()
