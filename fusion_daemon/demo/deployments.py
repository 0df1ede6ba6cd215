"""The stage's deployment files: `fusion-daemon contracts verify` looks at its chains as at any other."""

from __future__ import annotations

from pathlib import Path

import msgspec

from fusion_daemon.demo.deploy import DESK, ROLES, Deployment
from fusion_daemon.demo.links import GAS_LIMIT, GRACE, TREASURY, Link
from fusion_daemon.deployment import manifest
from fusion_daemon.deployment.plan import created_address
from fusion_daemon.domain.identifiers import Address, hex_of


def write_deployment(directory: Path, here: Link, there: Link) -> None:
    """`deployments/<chain id>.json` below the directory."""
    folder = directory / "deployments"
    folder.mkdir(exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(_described(here, there)))
    (folder / f"{here.deployment.chain_id}.json").write_bytes(text)


def _described(here: Link, there: Link) -> manifest.Deployment:
    stands, bridge, far = here.deployment, here.bridge, there.deployment.chain_id
    escrow = created_address(stands.factory, 1)
    return manifest.Deployment(
        name=f"demo-{stands.chain_id}",
        chain_id=stands.chain_id,
        known={
            "desk": hex_of(DESK),
            "treasury": hex_of(TREASURY),
            "gateway": hex_of(here.gateway),
            "gasService": hex_of(bridge.gas_service),
            "ccipRouter": hex_of(bridge.router),
            "farCredit": hex_of(there.credit),
        },
        contracts={
            "vault": _contract(stands, "CrossChainVault", stands.vault, ("@desk",)),
            "escrowFactory": _contract(stands, "EscrowFactory", stands.factory, ("@desk",)),
            "escrow": msgspec.structs.replace(
                _contract(stands, "Escrow", stands.factory), address=hex_of(escrow), creator="@escrowFactory"
            ),
            "router": _contract(stands, "BridgeRouter", here.router, ("@desk",)),
            "axelar": _contract(stands, "AxelarAdapter", here.axelar, ("@router", "@gateway", "@gasService", 0)),
            "ccip": _contract(stands, "CcipAdapter", here.ccip, ("@router", "@ccipRouter", 0)),
            "credit": _contract(
                stands, "RemoteCredit", here.credit, ("@desk", "@vault", "@router", "@treasury", GRACE)
            ),
        },
        roles={
            "vault": dict.fromkeys(("DEFAULT_ADMIN_ROLE", *ROLES), ("@desk",))
            | {"CREDIT_ROLE": ("@desk", "@credit"), "LOCKER_ROLE": ("@credit",)},
            "escrowFactory": {"DEFAULT_ADMIN_ROLE": ("@desk",)},
            "router": dict.fromkeys(("DEFAULT_ADMIN_ROLE", "REGISTRAR_ROLE", "GUARDIAN_ROLE"), ("@desk",)),
            "credit": dict.fromkeys(("DEFAULT_ADMIN_ROLE", "RISK_ROLE", "SEIZER_ROLE"), ("@desk",)),
        },
        parameters=(
            manifest.Parameter(contract="escrowFactory", call="implementation", expect="@escrow"),
            manifest.Parameter(contract="router", call="adapterOf", arguments=("text:axelar",), expect="@axelar"),
            manifest.Parameter(contract="router", call="adapterOf", arguments=("text:ccip",), expect="@ccip"),
            manifest.Parameter(contract="router", call="remoteAppOf", arguments=("@credit", far), expect="@farCredit"),
            _peer("axelar", far, hex_of(there.bridge.name.encode()), there.axelar),
            _peer("ccip", far, hex_of(there.bridge.selector.to_bytes(32, "big")), there.ccip),
        ),
        clones=(
            manifest.Clones(
                contract="escrowFactory", event="EscrowCreated", argument="escrow", implementation="escrow"
            ),
        ),
    )


def _peer(adapter: str, chain: int, network: str, remote: Address) -> manifest.Parameter:
    expect = {"network": network, "adapter": hex_of(remote), "gasLimit": GAS_LIMIT}
    return manifest.Parameter(contract=adapter, call="peerOf", arguments=(chain,), expect=expect)


def _contract(
    stands: Deployment, artifact: str, address: Address, arguments: tuple[object, ...] = ()
) -> manifest.DeployedContract:
    created = stands.node.creations[address]
    return manifest.DeployedContract(
        artifact=artifact,
        constructor_arguments=arguments,
        creator="@desk",
        address=hex_of(address),
        transaction=created.transaction,
        block=created.block,
    )
