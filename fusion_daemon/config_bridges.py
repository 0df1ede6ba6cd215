"""The parts of config.toml that say what carries cross-chain messages, and how long one may take."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from fusion_daemon.config_section import Section
from fusion_daemon.config_values import AddressText, ExplorerUrl

Selector = Annotated[int, Field(gt=0, lt=2**64)]


class Axelar(Section):
    name: str = Field(min_length=1, max_length=64)
    """What Axelar calls this chain, letter for letter."""
    gateway: AddressText
    """Classic or amplifier."""
    gas_service: AddressText
    adapter: AddressText
    """Our AxelarAdapter."""


class Ccip(Section):
    selector: Selector
    """CCIP's own number of this chain; not its chain id."""
    on_ramps: tuple[AddressText, ...] = ()
    off_ramps: tuple[AddressText, ...] = ()
    commit_stores: tuple[AddressText, ...] = ()
    """CCIP 1.5 alone has them apart from the off-ramps."""
    lanes: dict[AddressText, int] = Field(default_factory=dict)
    """The chain at the other end of a CCIP 1.5 contract, where there are more than two chains."""
    adapter: AddressText
    """Our CcipAdapter."""


class RemoteCredit(Section):
    address: AddressText
    vault: AddressText
    """In which the collateral lies that it locks."""


class Bridges(Section):
    """Absent: no message that leaves or reaches this chain is followed."""

    router: AddressText
    """Our BridgeRouter."""
    remote_credit: RemoteCredit | None = None
    """Ours, whose locks count as its accounts' collateral."""
    axelar: Axelar | None = None
    ccip: Ccip | None = None

    @model_validator(mode="after")
    def _carried(self) -> Bridges:
        if self.axelar is None and self.ccip is None:
            raise ValueError("a router without axelar and without ccip: nothing carries its messages")
        return self

    def contracts(self) -> tuple[str, ...]:
        """Every address whose logs tell of messages."""
        found = [self.router]
        if self.remote_credit is not None:
            found.append(self.remote_credit.address)
        if self.axelar is not None:
            found += [self.axelar.gateway, self.axelar.gas_service]
        if self.ccip is not None:
            found += [*self.ccip.on_ramps, *self.ccip.off_ramps, *self.ccip.commit_stores]
        return tuple(dict.fromkeys(found))


WholeSeconds = Annotated[int, Field(ge=1)]


class StageTerms(Section):
    """Seconds from the block that began a stage until a message counts as stuck in it."""

    source_finality_seconds: WholeSeconds = 1_800
    acceptance_seconds: WholeSeconds = 3_600
    """From the source's block: Axelar's approval, CCIP's commit."""
    execution_seconds: WholeSeconds = 1_800
    application_seconds: WholeSeconds = 600
    """Between the bridge's success and our application's own event."""
    retry_seconds: WholeSeconds = 3_600
    recovery_seconds: WholeSeconds = 3_600
    """For somebody to retry what our router stored."""
    destination_finality_seconds: WholeSeconds = 3_600
    least_gas_wei: int = Field(default=0, ge=0)
    """A call that pays Axelar less than this is marked GAS_LOW."""
    manual_execution_seconds: WholeSeconds = 28_800
    """From CCIP's commit until its off-ramp lets anyone execute a message that nobody touched."""


class Lane(StageTerms):
    """One way between two chains whose terms differ."""

    source: int = Field(gt=0)
    destination: int = Field(gt=0)


class Explorers(Section):
    """Second opinions on messages: they explain, they never decide. One that is absent is not asked."""

    axelarscan: ExplorerUrl | None = None
    ccip_api: ExplorerUrl | None = None
    timeout_seconds: float = Field(default=2.0, gt=0, le=10)
    """So long does whoever reads a message wait for them at most."""


class Messages(StageTerms):
    orphan_grace_seconds: WholeSeconds = 600
    """How far a destination may be ahead of what is read of its source before the message counts as an orphan."""
    explorers: Explorers = Explorers()
    lanes: tuple[Lane, ...] = ()

    @model_validator(mode="after")
    def _once(self) -> Messages:
        ways = [(lane.source, lane.destination) for lane in self.lanes]
        if len(set(ways)) != len(ways):
            raise ValueError("two [[messages.lanes]] are the same way")
        return self
