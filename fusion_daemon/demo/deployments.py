"""The stage's deployment files: `fusion-daemon contracts verify` looks at its chains as at any other."""

from __future__ import annotations

from pathlib import Path

import msgspec

from fusion_daemon.demo.deploy import DESK, ROLES, Deployment
from fusion_daemon.deployment import manifest
from fusion_daemon.deployment.plan import created_address
from fusion_daemon.domain.identifiers import Address, hex_of


def write_deployment(directory: Path, stands: Deployment) -> None:
    """`deployments/<chain id>.json` below the directory."""
    folder = directory / "deployments"
    folder.mkdir(exist_ok=True)
    (folder / f"{stands.chain_id}.json").write_bytes(msgspec.json.format(msgspec.json.encode(_described(stands))))


def _described(stands: Deployment) -> manifest.Deployment:
    escrow = created_address(stands.factory, 1)
    return manifest.Deployment(
        name=f"demo-{stands.chain_id}",
        chain_id=stands.chain_id,
        known={"desk": hex_of(DESK)},
        contracts={
            "vault": _contract(stands, "CrossChainVault", stands.vault, ("@desk",)),
            "escrowFactory": _contract(stands, "EscrowFactory", stands.factory),
            "escrow": msgspec.structs.replace(
                _contract(stands, "Escrow", stands.factory), address=hex_of(escrow), creator="@escrowFactory"
            ),
        },
        roles={"vault": dict.fromkeys(("DEFAULT_ADMIN_ROLE", *ROLES), ("@desk",))},
        parameters=(manifest.Parameter(contract="escrowFactory", call="implementation", expect="@escrow"),),
        clones=(
            manifest.Clones(
                contract="escrowFactory", event="EscrowCreated", argument="escrow", implementation="escrow"
            ),
        ),
    )


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
