#!/usr/bin/env python3
"""Deploy what a plan names, make its setup calls, and write the deployment file that `contracts verify` reads.

    python contracts/deploy.py contracts/deployments/local.plan.json --rpc http://127.0.0.1:8545 \\
        --from 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 --output deployments/local.json

The node signs: anvil, or a signer in front of a real node (clef, web3signer) that holds the deployer's key. Nothing is
retried: after a failure deploy anew, or finish by hand.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from fusion_daemon.chain.artifacts import load_artifact
from fusion_daemon.demo.node import Node, Sent
from fusion_daemon.deployment.manifest import DeployedContract, Deployment, Plan, PlannedContract, load_plan
from fusion_daemon.deployment.plan import created_address
from fusion_daemon.deployment.values import Unreadable, address_of, call_data, creation_code, function_of
from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import Address, hex_of, parse_address


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Deploy what a plan names and write its deployment file.")
    parser.add_argument("plan", type=Path)
    parser.add_argument("--rpc", required=True, help="a node that signs for the deployer, http://host:port")
    parser.add_argument("--from", required=True, dest="sender", type=parse_address, help="the deployer's address")
    parser.add_argument("--output", required=True, type=Path, help="the file to write; must not exist")
    options = parser.parse_args(arguments)
    node = Node(options.rpc)
    try:
        if options.output.exists():
            parser.error(f"{options.output} exists: it says what stands on a chain, so it is not overwritten")
        done = deploy(node, load_plan(options.plan), options.sender)
    except OSError as error:
        print(f"deploy: {options.rpc} does not answer ({error.strerror or error}): is the node up?", file=sys.stderr)
        return 1
    except (Failure, Unreadable) as error:
        print(f"deploy: {error}", file=sys.stderr)
        return 1
    finally:
        node.close()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_bytes(msgspec.json.format(msgspec.json.encode(done), indent=1) + b"\n")
    print(f"{len(done.contracts)} contracts on chain {done.chain_id}: {options.output}")
    return 0


def deploy(node: Node, plan: Plan, sender: Address) -> Deployment:
    """Contracts in the plan's order, then its setup calls, one by one. Raises NodeRefused, Unreadable."""
    found = int(str(node.call("eth_chainId")), 16)
    if found != plan.chain_id:
        raise Unreadable(f"the node is of chain {found}, the plan of chain {plan.chain_id}")
    known = {**plan.known, "deployer": hex_of(sender)}
    names = {name: address_of(text, {}) for name, text in known.items()}
    contracts: dict[str, DeployedContract] = {}
    for name, told in plan.contracts.items():
        maker = told.creator.removeprefix("@")
        made = child(told, contracts[maker], contracts) if maker in contracts else create(node, told, sender, names)
        contracts[name] = made
        names[name] = parse_address(made.address)
    for step in plan.setup:
        artifact = load_artifact(plan.contracts[step.contract].artifact)
        data = call_data(function_of(artifact, step.call, len(step.arguments)), step.arguments, names)
        node.send(Sent(sender, names[step.contract], data))
    return Deployment(
        name=plan.name,
        chain_id=plan.chain_id,
        known=known,
        contracts=contracts,
        roles=plan.roles,
        parameters=plan.parameters,
        clones=plan.clones,
    )


def create(node: Node, told: PlannedContract, sender: Address, names: dict[str, Address]) -> DeployedContract:
    code = creation_code(load_artifact(told.artifact), told.constructor_arguments, names)
    address = node.deploy(sender, code)
    created = node.creations[address]
    return deployed(told, hex_of(address), created.transaction, created.block)


def child(told: PlannedContract, maker: DeployedContract, before: dict[str, DeployedContract]) -> DeployedContract:
    """What a constructor made: the n-th contract of one that had made none."""
    number = 1 + sum(each.creator == told.creator for each in before.values())
    address = created_address(parse_address(maker.address), number)
    return deployed(told, hex_of(address), maker.transaction, maker.block)


def deployed(told: PlannedContract, address: str, transaction: str, block: int) -> DeployedContract:
    return DeployedContract(
        artifact=told.artifact,
        constructor_arguments=told.constructor_arguments,
        creator=told.creator,
        address=address,
        transaction=transaction,
        block=block,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
