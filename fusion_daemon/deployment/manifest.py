"""`deployments/<chain>.json`: the contracts of one chain, and what must hold on it.

A new contract is data here: its artifact, its constructor's arguments, its roles, and view calls with what they must
answer. Values are written as `values` reads them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from fusion_daemon.domain.failure import Failure


class DeploymentInvalid(Failure):
    """A deployment file cannot be read, or does not fit the artifacts."""


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    pass


class PlannedContract(_Strict, frozen=True, kw_only=True):
    artifact: str
    constructor_arguments: tuple[object, ...] = ()
    creator: str = "@deployer"
    """Whoever ran the constructor: an account, or a contract of the file whose own constructor made this one."""


class DeployedContract(PlannedContract, frozen=True, kw_only=True):
    address: str
    transaction: str
    block: int


class Step(_Strict, frozen=True, kw_only=True):
    """A call of the deployer's once everything is there."""

    contract: str
    call: str
    arguments: tuple[object, ...] = ()


class Parameter(_Strict, frozen=True, kw_only=True):
    """A view call, and what it must answer."""

    contract: str
    call: str
    arguments: tuple[object, ...] = ()
    expect: object


class Clones(_Strict, frozen=True, kw_only=True):
    """A contract that makes EIP-1167 clones of another, and tells each by an event."""

    contract: str
    event: str
    argument: str
    """Of the event: the clone's address."""
    implementation: str


class _Promises(_Strict, frozen=True, kw_only=True):
    name: str
    chain_id: int
    known: dict[str, str] = {}
    """Addresses of others' contracts and of accounts, by the names that are used here."""
    roles: dict[str, dict[str, tuple[str, ...]]] = {}
    """Contract to role to holders: all of them, and nobody else."""
    parameters: tuple[Parameter, ...] = ()
    clones: tuple[Clones, ...] = ()


class Plan(_Promises, frozen=True, kw_only=True):
    """What is to be deployed, in this order."""

    contracts: dict[str, PlannedContract]
    setup: tuple[Step, ...] = ()


class Deployment(_Promises, frozen=True, kw_only=True):
    """What has been deployed."""

    contracts: dict[str, DeployedContract]


F = TypeVar("F", Plan, Deployment)


def load_plan(path: Path) -> Plan:
    """Raises DeploymentInvalid."""
    return _load(path, Plan)


def load_deployment(path: Path) -> Deployment:
    """Raises DeploymentInvalid."""
    return _load(path, Deployment)


def _load(path: Path, kind: type[F]) -> F:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError) as error:
        why = (error.strerror or error) if isinstance(error, OSError) else error
        raise DeploymentInvalid(
            f"{path} does not say what is deployed: {why}.",
            "Nothing of it was looked at.",
            "Correct the file; contracts/README.md has its form.",
        ) from error
