"""Compiled contracts: ABI and bytecode, committed in `contracts/artifacts/` and shipped in the wheel.

The wheel carries that directory as package data `fusion_daemon/chain/contract_artifacts/`; in a checkout
(an editable install) the committed files themselves are read.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import msgspec

from fusion_daemon.domain.failure import Failure

_CHECKOUT = Path(__file__).resolve().parents[2] / "contracts/artifacts"


class ArtifactMissing(Failure):
    """A compiled contract is not where the installation should have it, or is not one."""


class AbiField(msgspec.Struct, frozen=True):
    """An input or output of an ABI entry, as the Solidity compiler describes it."""

    type: str
    name: str = ""
    indexed: bool = False
    components: tuple[AbiField, ...] = ()


class AbiEntry(msgspec.Struct, frozen=True):
    type: str
    name: str = ""
    inputs: tuple[AbiField, ...] = ()
    outputs: tuple[AbiField, ...] = ()
    anonymous: bool = False


@dataclass(frozen=True, slots=True)
class Artifact:
    name: str
    abi: tuple[AbiEntry, ...]
    bytecode: bytes
    """Creation code, without constructor arguments."""


class _Wire(msgspec.Struct):
    # The names are the file format's, which Hardhat introduced.
    contractName: str  # noqa: N815
    abi: tuple[AbiEntry, ...]
    bytecode: str


@functools.cache
def load_artifact(name: str) -> Artifact:
    """The compiled contract of that name. Raises ArtifactMissing."""
    try:
        wire = msgspec.json.decode(_directory().joinpath(f"{name}.json").read_bytes(), type=_Wire)
        return Artifact(wire.contractName, wire.abi, bytes.fromhex(wire.bytecode.removeprefix("0x")))
    except (OSError, ValueError, msgspec.DecodeError) as error:
        raise ArtifactMissing(
            f"The compiled contract {name} cannot be read: {error}.",
            "Its events cannot be decoded and it cannot be deployed.",
            "Reinstall Fusion Prime; in a checkout run the contracts build.",
        ) from error


def _directory() -> Traversable:
    packaged = resources.files("fusion_daemon.chain").joinpath("contract_artifacts")
    return packaged if packaged.is_dir() else _CHECKOUT
