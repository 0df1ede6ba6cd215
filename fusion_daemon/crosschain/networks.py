"""The one table of who is who: EVM chain ids, Axelar's names, CCIP's selectors, and our contracts on each chain.

Axelar's names (case-sensitive text), CCIP's selectors and chain ids are three namespaces; nothing but this table
translates between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import Address, ChainId

SELECTORS: Mapping[ChainId, int] = {
    ChainId(1): 5009297550715157269,
    ChainId(10): 3734403246176062136,
    ChainId(56): 11344663589394136015,
    ChainId(137): 4051577828743386545,
    ChainId(8453): 15971525489660198786,
    ChainId(42161): 4949039107694359620,
    ChainId(43114): 6433500567565415381,
    ChainId(11155111): 16015286601757825753,
    ChainId(84532): 10344971235874465080,
    ChainId(421614): 3478487238524512106,
    ChainId(43113): 14767482510784806043,
}
"""CCIP's own numbers of the public chains. A configured one that differs sends messages elsewhere."""

_Key = TypeVar("_Key")
_Held = TypeVar("_Held")
_ADDRESS = re.compile(r"(?:0x)?([0-9a-fA-F]{40})")


class NetworksContradict(Failure):
    """Two chains claim one name, or a public chain claims another selector than its own."""


@dataclass(frozen=True, slots=True)
class AxelarContracts:
    name: str
    """What Axelar calls the chain, letter for letter."""
    gateway: Address
    gas_service: Address
    adapter: Address
    """Ours."""


@dataclass(frozen=True, slots=True)
class CcipContracts:
    selector: int
    on_ramps: tuple[Address, ...]
    off_ramps: tuple[Address, ...]
    adapter: Address
    """Ours."""
    commit_stores: tuple[Address, ...] = ()
    """Of 1.5; later off-ramps commit themselves."""
    lanes: Mapping[Address, ChainId] = field(default_factory=dict)
    """The other end of 1.5 contracts, which serve one lane each and mostly do not say which."""


@dataclass(frozen=True, slots=True)
class Network:
    chain: ChainId
    router: Address
    """Our BridgeRouter."""
    axelar: AxelarContracts | None = None
    ccip: CcipContracts | None = None

    @property
    def emitters(self) -> tuple[Address, ...]:
        """Whose logs tell of messages."""
        axelar = () if self.axelar is None else (self.axelar.gateway, self.axelar.gas_service)
        ccip: tuple[Address, ...] = ()
        if self.ccip is not None:
            ccip = (*self.ccip.on_ramps, *self.ccip.off_ramps, *self.ccip.commit_stores)
        return tuple(dict.fromkeys((self.router, *axelar, *ccip)))


class Networks:
    """Immutable. Raises NetworksContradict."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._chains: dict[ChainId, Network] = {}
        self._axelar: dict[str, ChainId] = {}
        self._selectors: dict[int, ChainId] = {}
        for network in networks:
            _claim(self._chains, network.chain, network, f"chain {network.chain}")
            if network.axelar is not None:
                _claim(self._axelar, network.axelar.name, network.chain, f"Axelar's name {network.axelar.name!r}")
            if network.ccip is not None:
                selector = network.ccip.selector
                if SELECTORS.get(network.chain, selector) != selector:
                    raise NetworksContradict(
                        f"Chain {network.chain} is given the CCIP selector {selector}.",
                        f"Its own is {SELECTORS[network.chain]}: its messages would not be recognised.",
                        "Correct the selector in the chain's bridges.",
                    )
                _claim(self._selectors, selector, network.chain, f"the CCIP selector {selector}")

    def __iter__(self) -> Iterator[Network]:
        return iter(self._chains.values())

    def __getitem__(self, chain: ChainId) -> Network:
        return self._chains[chain]

    def __contains__(self, chain: object) -> bool:
        return chain in self._chains

    def by_axelar(self, name: str) -> ChainId | None:
        return self._axelar.get(name)

    def by_selector(self, selector: int) -> ChainId | None:
        return self._selectors.get(selector)

    def selector(self, chain: ChainId) -> int | None:
        network = self._chains.get(chain)
        return None if network is None or network.ccip is None else network.ccip.selector

    def axelar_adapter(self, chain: ChainId) -> Address | None:
        network = self._chains.get(chain)
        return None if network is None or network.axelar is None else network.axelar.adapter

    def ccip_adapter(self, chain: ChainId) -> Address | None:
        network = self._chains.get(chain)
        return None if network is None or network.ccip is None else network.ccip.adapter

    def far_selector(self, chain: ChainId, contract: Address) -> int | None:
        """Where a 1.5 contract's lane leads: as configured, or the only other chain there is."""
        network = self._chains.get(chain)
        if network is None or network.ccip is None:
            return None
        far = network.ccip.lanes.get(contract)
        others = [each for each in self._selectors.values() if each != chain]
        if far is None and len(others) == 1:
            far = others[0]
        return None if far is None else self.selector(far)


def address_of(text: str) -> Address | None:
    """Axelar's addresses are text whose letter case is not stable: compare them as 20 bytes. None: not of an EVM."""
    found = _ADDRESS.fullmatch(text)
    return None if found is None else Address(bytes.fromhex(found[1]))


def _claim(table: dict[_Key, _Held], key: _Key, value: _Held, what: str) -> None:
    if key in table:
        raise NetworksContradict(
            f"Two chains claim {what}.",
            "A message could not be told to either.",
            "Give every chain its own in its bridges.",
        )
    table[key] = value
