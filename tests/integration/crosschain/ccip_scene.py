"""Two joined chains whose CCIP leaves a lock's credit undelivered, among other people's messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eth_account import Account

from fusion_daemon.crosschain import Evidence, RawLog, Standing
from fusion_daemon.crosschain.by_kind import ByKind
from fusion_daemon.crosschain.ccip_manual import Manual, Verification
from fusion_daemon.crosschain.evidence import CcipSent
from fusion_daemon.crosschain.recovery import Recovery, recovery_of
from fusion_daemon.demo.bridge import Generation
from fusion_daemon.demo.bridge.deploy import THRESHOLD, VERIFIER, VERIFIER_KEY
from fusion_daemon.demo.bridge.sending import send_over_ccip
from fusion_daemon.demo.links import CCIP
from fusion_daemon.demo.node import Sent
from fusion_daemon.domain.identifiers import Address, ChainId, hex_of
from tests.integration.crosschain.seen import logs_of, networks_of
from tests.integration.crosschain.two_chains import ALICE, THIEF, TwoChains, Watch, watch

NOBODY = Address(b"\x99" * 20)
COMMITTED: tuple[Generation, ...] = ("1.5", "1.6")
VERSIONS: tuple[Generation, ...] = (*COMMITTED, "2.0")


@dataclass(frozen=True)
class Scene:
    chains: TwoChains
    version: Generation

    def lock_among_others(self) -> None:
        """The credit's message is the third of five under one commit, and carried as far as the faults let it."""
        here, there = self.chains.here, self.chains.there
        here.bridge.use(self.version, there.bridge.selector)
        for number in range(5):
            if number == 2:
                self.chains.lock(CCIP)
            else:
                send_over_ccip(here.bridge, THIEF, there.bridge, NOBODY, bytes([number]), 50_000)
        self.chains.carry()

    def standing(self) -> Standing:
        return standing_in(watch(self.chains))

    def evidence(self) -> Sequence[Evidence]:
        told = watch(self.chains)
        return told.tracker.evidence_of(standing_in(told).id)

    def recovery(self, manual: Manual | None = None) -> Recovery:
        networks = networks_of(self.chains.here, self.chains.there)
        return recovery_of(self.standing(), self.evidence(), networks, NOBODY, manual or self.manual())

    def logs(self) -> list[RawLog]:
        ends = [link.deployment for link in (self.chains.here, self.chains.there)]
        return [log for end in ends for log in logs_of(end.node, ChainId(end.chain_id))]

    def manual(self) -> Manual:
        return Manual(self.logs(), watch(self.chains).now, THRESHOLD, None, self.verifications())

    def verifications(self) -> tuple[Verification, ...]:
        [sent] = ByKind(self.evidence()).of(CcipSent)
        signature = bytes(Account.from_key(VERIFIER_KEY).unsafe_sign_hash(sent.message).signature)
        return (Verification(VERIFIER, signature),) if self.version == "2.0" else ()

    def send(self, found: Recovery) -> None:
        link = self.chains.there
        assert found.chain == link.deployment.chain_id
        node = link.deployment.node
        node.call("anvil_setBalance", hex_of(THIEF), hex(10**21))
        node.send(Sent(THIEF, found.to, found.data, gas=found.gas_floor))

    def credit(self) -> object:
        link = self.chains.there.deployment
        return link.node.view(link.vault, "creditLineOf(address)", ["uint256"], ALICE)[0]


def standing_in(told: Watch) -> Standing:
    return told.one(lambda each: each.envelope is not None)
