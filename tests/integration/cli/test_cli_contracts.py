"""Rule: `contracts verify` says by name what on a chain is not what its deployment file promises, and exits 1."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from eth_utils.crypto import keccak

from fusion_daemon.cli import CONFIGURATION, FAILED
from fusion_daemon.config import load_config
from fusion_daemon.demo.anvil import anvil
from fusion_daemon.demo.node import Node, Sent, call_data
from fusion_daemon.deployment.command import verify_contracts
from fusion_daemon.domain.identifiers import NATIVE, Address, hex_of, parse_address
from fusion_daemon.logs import Redactor
from tests.integration.cli.processes import run

ROOT = Path(__file__).resolve().parents[3]
PLAN = ROOT / "contracts/deployments/local.plan.json"
DEPLOYER = parse_address("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
CHAIN = 31_337
CONFIG = """
[secrets]
directory = "{home}"

[[chains]]
id = 31337
name = "local"
rpc_urls = ["{url}"]
vaults = ["{vault}"]
"""

Found = dict[str, tuple[bool, str]]


@dataclass(frozen=True, slots=True)
class Local:
    """What the plan deploys, by its own script, on a real chain; and a daemon's configuration beside it."""

    home: Path
    node: Node

    @property
    def file(self) -> Path:
        return self.home / "deployments/local.json"

    @property
    def config(self) -> Path:
        return self.home / "config.toml"

    def told(self) -> Any:
        return json.loads(self.file.read_text())

    def address(self, name: str) -> Address:
        told = self.told()
        return parse_address(told["known"][name] if name in told["known"] else told["contracts"][name]["address"])

    def send(self, sender: str, contract: str, signature: str, *arguments: object, value: int = 0) -> None:
        data = call_data(signature, *arguments)
        self.node.send(Sent(self.address(sender), self.address(contract), data, value))

    def code(self, address: Address) -> bytes:
        return bytes.fromhex(str(self.node.call("eth_getCode", hex_of(address), "latest"))[2:])

    def replace(self, address: Address, code: bytes) -> None:
        self.node.call("anvil_setCode", hex_of(address), hex_of(code))

    def altered(self, **changes: Any) -> Path:
        path = self.home / "altered.json"
        path.write_text(json.dumps(self.told() | changes))
        return path

    def configure(self, url: str, vault: Address) -> None:
        self.config.write_text(CONFIG.format(home=self.home, url=url, vault=hex_of(vault)))


def deploy(url: str, output: Path) -> subprocess.CompletedProcess[str]:
    script = [sys.executable, "contracts/deploy.py", str(PLAN), "--rpc", url, "--from", hex_of(DEPLOYER)]
    return subprocess.run(
        [*script, "--output", str(output)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture(scope="module")
def deployed() -> Iterator[Local]:
    with tempfile.TemporaryDirectory(prefix="fusion-prime-contracts-") as name, anvil(CHAIN) as running:
        local = Local(Path(name), Node(running.url))
        done = deploy(running.url, local.file)
        assert done.returncode == 0, done.stderr
        local.node.call("anvil_autoImpersonateAccount", True)
        local.node.call("anvil_setBalance", hex_of(local.address("timelock")), hex(10**18))
        yield local
        local.node.close()


@pytest.fixture
def local(deployed: Local) -> Iterator[Local]:
    """As it was deployed, whatever a test before has done to the chain and the configuration."""
    snapshot = deployed.node.call("evm_snapshot")
    deployed.configure(deployed.node.url, deployed.address("vault"))
    yield deployed
    deployed.node.call("evm_revert", snapshot)


def verify(local: Local, *files: Path) -> Found:
    """What the command finds: subject -> (failed, says)."""
    found = verify_contracts(load_config(local.config), local.home, files, Redactor())
    assert len({each.subject for each in found}) == len(found), "each subject once"
    return {each.subject: (each.failed, each.says) for each in found}


def wrong(found: Found) -> dict[str, str]:
    return {subject.removeprefix("chain 31337 "): says for subject, (failed, says) in found.items() if failed}


def create_escrow(local: Local) -> Address:
    desk, reference = local.address("desk"), b"invoice".ljust(32, b"\0")
    terms = (DEPLOYER, NATIVE, bytes(20), 1, 2**40, 0, 0, [desk], [1], reference)
    create = "createEscrow((address,address,address,uint8,uint64,uint32,uint32,address[],uint256[],bytes32))"
    local.send("desk", "escrowFactory", create, terms, value=1)
    predict = "predictEscrow(address,bytes32)"
    (escrow,) = local.node.view(local.address("escrowFactory"), predict, ["address"], desk, reference)
    return parse_address(str(escrow))


def test_a_clean_deployment_verifies_and_nothing_is_left_out(local: Local) -> None:
    create_escrow(local)
    found = verify(local)
    assert wrong(found) == {}
    told = local.told()
    expected = {f"{name} {what}" for name in told["contracts"] for what in ("code", "transaction")}
    expected |= {f"{name} role {role}" for name, roles in told["roles"].items() for role in roles}
    expected |= {f"{each['contract']} {each['call']}({', '.join(each['arguments'])})" for each in told["parameters"]}
    assert found.keys() == {f"chain 31337 {each}" for each in (*expected, "escrowFactory clones")}
    assert found["chain 31337 escrowFactory clones"][1].startswith("all 1 are clones of 0x")


def test_the_command_prints_every_finding_and_its_exit_code_tells(local: Local) -> None:
    words = ("contracts", "verify", "--config", local.config)
    found = verify(local)
    sound = run(*words, "--deployments", local.file)
    assert sound.returncode == 0, sound.stderr
    assert sound.stdout.splitlines() == [f"ok      {subject}: {says}" for subject, (_, says) in found.items()]
    local.send("guardian", "vault", "pause(uint8)", 1)
    broken = run(*words, "--json")
    assert broken.returncode == FAILED
    answer = {each["subject"]: (each["failed"], each["says"]) for each in json.loads(broken.stdout)["findings"]}
    assert answer == verify(local)
    assert list(wrong(answer)) == ["vault pauseFlags()"]


@pytest.mark.parametrize("name", ["vault", "timelock", "escrowFactory", "escrow", "ethPrice"])
def test_one_changed_byte_of_code_is_told_by_name(local: Local, name: str) -> None:
    code = bytearray(local.code(local.address(name)))
    code[len(code) // 2] ^= 1
    local.replace(local.address(name), bytes(code))
    (says,) = [says for subject, says in wrong(verify(local)).items() if subject == f"{name} code"]
    assert says.startswith(f"differs in 1 of {len(code)} bytes, first at byte {len(code) // 2};")


def test_an_immutable_other_than_the_file_says_is_told_by_name(local: Local) -> None:
    told = local.told()["contracts"]
    told["ethPyth"]["constructorArguments"][0]["heartbeat"] = 601
    found = wrong(verify(local, local.altered(contracts=told)))
    assert list(found) == ["ethPyth code"]


def test_a_contract_that_is_not_there_is_told(local: Local) -> None:
    local.replace(local.address("timelock"), b"")
    assert wrong(verify(local))["timelock code"].startswith("there is no contract at 0x")


def test_a_clone_of_something_else_is_told(local: Local) -> None:
    escrow = create_escrow(local)
    local.replace(escrow, local.code(escrow).replace(local.address("escrow"), local.address("vault")))
    assert wrong(verify(local)) == {"escrowFactory clones": f"1 of 1 are not clones of it: {hex_of(escrow)}"}


def test_a_role_granted_to_anybody_else_is_told_by_name(local: Local) -> None:
    local.send("deployer", "vault", "grantRole(bytes32,address)", keccak(text="RISK_ROLE"), DEPLOYER)
    assert wrong(verify(local)) == {
        "vault role RISK_ROLE": "is held by @deployer, @timelock and should be held by @timelock; "
        "grant and revoke, or correct the file"
    }


def test_a_role_given_up_is_told_by_name(local: Local) -> None:
    guardian = local.address("guardian")
    local.send("guardian", "vault", "renounceRole(bytes32,address)", keccak(text="GUARDIAN_ROLE"), guardian)
    assert wrong(verify(local))["vault role GUARDIAN_ROLE"].startswith("is held by nobody and should be")


def test_a_role_that_the_file_does_not_name_is_told_by_its_name(local: Local) -> None:
    roles = local.told()["roles"]
    del roles["vault"]["CREDIT_ROLE"]
    found = wrong(verify(local, local.altered(roles=roles)))
    assert found["vault role CREDIT_ROLE"].startswith("is held by @desk and should be held by nobody")


def test_a_parameter_changed_on_the_chain_is_told_by_name(local: Local) -> None:
    local.send("guardian", "vault", "pause(uint8)", 1)
    local.send("timelock", "timelock", "updateDelay(uint256)", 60)
    assert wrong(verify(local)) == {
        "vault pauseFlags()": "is 1 and should be 0; change it on the chain, or correct the file",
        "timelock getMinDelay()": "is 60 and should be 172800; change it on the chain, or correct the file",
    }


def test_a_changed_field_of_an_asset_is_told_by_its_name(local: Local) -> None:
    parameters = local.told()["parameters"]
    (weth,) = [each for each in parameters if each["arguments"] == ["@weth"]]
    weth["expect"] |= {"heartbeat": 60, "feed": "@ethChainlink"}
    found = wrong(verify(local, local.altered(parameters=parameters)))
    chainlink, price = hex_of(local.address("ethChainlink")), hex_of(local.address("ethPrice"))
    assert found["vault configOf(@weth)"].startswith(
        f"feed is {price} and should be {chainlink}; heartbeat is 86460 and should be 60;"
    )


def test_another_block_than_that_of_the_transaction_is_told(local: Local) -> None:
    """Roles are read from that block on: a later one would hide what was granted before."""
    told = local.told()["contracts"]
    block = told["vault"]["block"]
    told["vault"]["block"] = block + 1
    found = wrong(verify(local, local.altered(contracts=told)))
    assert found["vault transaction"] == f"is in block {block} and should be in {block + 1}; correct the file"


def test_another_chain_behind_the_url_is_told(local: Local) -> None:
    with anvil(31_338) as other:
        local.configure(other.url, local.address("vault"))
        (says,) = wrong(verify(local)).values()
    assert "31338" in says
    assert "31337" in says


def test_a_vault_that_the_configuration_reads_and_no_file_describes_is_told(local: Local) -> None:
    local.configure(local.node.url, Address(b"\x01" * 20))
    found = wrong(verify(local))
    assert found == {f"(local) 0x{'01' * 20}": "is read by the configuration, and the file has no such contract"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"chainId": 5}, "the configuration has no such chain"),
        ({"surprise": 1}, "unknown field `surprise`"),
        ({"known": {}}, "@deployer is not a name of this file"),
        ({"known": {"vault": hex_of(DEPLOYER)}}, "vault is a contract and a known address"),
        ({"roles": {"nothing": {}}}, "nothing is no contract of this file"),
        ({"parameters": [{"contract": "vault", "call": "nothing", "expect": 1}]}, "0 functions nothing with 0"),
    ],
)
def test_a_file_that_cannot_be_right_is_told(local: Local, changes: dict[str, object], says: str) -> None:
    (found,) = wrong(verify(local, local.altered(**changes))).values()
    assert says in found


def test_no_file_at_all_is_no_success(local: Local, tmp_path: Path) -> None:
    elsewhere = tmp_path / "config.toml"
    elsewhere.write_text(local.config.read_text())
    done = run("contracts", "verify", "--config", elsewhere)
    assert done.returncode == FAILED
    assert "FAILED  deployment files: there is none in" in done.stdout
    assert "FAILED  chain 31337 (local): no file says what stands there" in done.stdout


def test_a_configuration_that_is_none_exits_as_everywhere(tmp_path: Path) -> None:
    assert run("contracts", "verify", "--config", tmp_path / "none.toml").returncode == CONFIGURATION


def test_the_script_does_not_overwrite_what_it_wrote_and_refuses_another_chain(local: Local, tmp_path: Path) -> None:
    before = local.file.read_text()
    assert deploy(local.node.url, local.file).returncode == 2
    assert local.file.read_text() == before
    with anvil(31_338) as other:
        done = deploy(other.url, tmp_path / "new.json")
    assert done.returncode == 1
    assert "the node is of chain 31338, the plan of chain 31337" in done.stderr
    assert not (tmp_path / "new.json").exists()
