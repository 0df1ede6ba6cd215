"""The part of config.toml that says which contracts of a chain carry its cross-chain messages."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from fusion_daemon.config_values import AddressText, Section

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
    router: AddressText
    on_ramps: tuple[AddressText, ...] = ()
    off_ramps: tuple[AddressText, ...] = ()
    commit_stores: tuple[AddressText, ...] = ()
    """CCIP 1.5 alone has them apart from the off-ramps."""
    adapter: AddressText
    """Our CcipAdapter."""


class Bridges(Section):
    """Absent: no message that leaves or reaches this chain is followed."""

    router: AddressText
    """Our BridgeRouter."""
    remote_credit: AddressText | None = None
    """Our RemoteCredit, whose locks count as its accounts' collateral."""
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
            found.append(self.remote_credit)
        if self.axelar is not None:
            found += [self.axelar.gateway, self.axelar.gas_service]
        if self.ccip is not None:
            found += [self.ccip.router, *self.ccip.on_ramps, *self.ccip.off_ramps, *self.ccip.commit_stores]
        return tuple(dict.fromkeys(found))
