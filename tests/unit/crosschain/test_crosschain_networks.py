"""Three namespaces, one table: a contradiction is refused before any message is misread."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fusion_daemon.crosschain import Networks, NetworksContradict
from fusion_daemon.crosschain.networks import SELECTORS, address_of
from fusion_daemon.domain.identifiers import ChainId
from tests.unit.crosschain.world import NETWORKS, A, B, C, adapter, address, ccip_adapter, network
from tests.unit.crosschain.world import SELECTORS as LOCAL


def test_each_name_leads_to_its_chain_and_no_other() -> None:
    assert [NETWORKS.by_axelar(name) for name in ("alpha", "Alpha", "beta")] == [A, None, B], "letter for letter"
    assert [NETWORKS.by_selector(each) for each in (LOCAL[A], A)] == [A, None], "a selector is no chain id"
    assert (NETWORKS.selector(B), NETWORKS.selector(ChainId(1))) == (LOCAL[B], None)
    assert (NETWORKS.axelar_adapter(A), NETWORKS.ccip_adapter(A)) == (adapter(A), ccip_adapter(A))
    assert A in NETWORKS
    assert ChainId(1) not in NETWORKS


@pytest.mark.parametrize("claimed", ["chain", "name", "selector"])
def test_what_two_chains_claim_is_refused(claimed: str) -> None:
    one, other = network(A), network(B)
    assert one.axelar is not None
    assert one.ccip is not None
    assert other.axelar is not None
    assert other.ccip is not None
    wrong = {
        "chain": replace(other, chain=A),
        "name": replace(other, axelar=replace(other.axelar, name=one.axelar.name)),
        "selector": replace(other, ccip=replace(other.ccip, selector=one.ccip.selector)),
    }
    with pytest.raises(NetworksContradict):
        Networks([one, wrong[claimed]])


def test_a_public_chain_has_its_own_selector() -> None:
    base = replace(network(A), chain=ChainId(8453))
    with pytest.raises(NetworksContradict, match="8453"):
        Networks([base])
    assert base.ccip is not None
    right = replace(base, ccip=replace(base.ccip, selector=SELECTORS[ChainId(8453)]))
    assert Networks([right]).by_selector(15971525489660198786) == 8453


def test_a_1_5_contract_leads_where_it_is_said_to_or_to_the_only_other_chain() -> None:
    ramp = address(A, 4)
    assert NETWORKS.far_selector(A, ramp) is None
    assert Networks([network(A), network(B)]).far_selector(A, ramp) == LOCAL[B]
    there = network(A)
    assert there.ccip is not None
    said = replace(there, ccip=replace(there.ccip, lanes={ramp: C}))
    assert Networks([said, network(B), network(C)]).far_selector(A, ramp) == LOCAL[C]


def test_addresses_are_compared_as_20_bytes() -> None:
    assert address_of("0x" + "Ab" * 20) == address_of("AB" * 20) == b"\xab" * 20
    assert address_of("axelar1qqqq") is None
    assert address_of("0x" + "ab" * 21) is None
