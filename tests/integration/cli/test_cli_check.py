"""Rule: `check` tries everything that the configuration names, says each finding with its cure, and changes nothing."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fusion_daemon.cli import CONFIGURATION, FAILED
from fusion_daemon.demo.configuration import RECEIVER_SECRET, TOKEN_SECRET
from fusion_daemon.demo.stage import CHAIN_IDS, Stage, open_stage
from tests.integration.cli.processes import run

EXAMPLE = Path(__file__).resolve().parents[3] / "config.toml"


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="fusion-prime-check-") as name:
        with open_stage(Path(name), durable=False) as opened:
            yield opened


def findings(config: Path, code: int) -> dict[str, tuple[bool, str]]:
    """What `check --json` found: subject -> (failed, says)."""
    done = run("check", "--config", config, "--json")
    assert done.returncode == code, done.stderr + done.stdout
    assert len(done.stdout.splitlines()) == 1
    return {each["subject"]: (each["failed"], each["says"]) for each in json.loads(done.stdout)["findings"]}


def altered(stage: Stage, old: str, new: str) -> Path:
    text = stage.config.read_text()
    assert old in text
    path = stage.directory / "altered.toml"
    path.write_text(text.replace(old, new))
    return path


def test_a_sound_stage_passes_and_every_finding_is_printed(stage: Stage) -> None:
    found = findings(stage.config, 0)
    assert not [subject for subject, (failed, _) in found.items() if failed]
    assert found["database"][1].startswith("reached; `run` or `migrate` will apply 0001")
    for chain in CHAIN_IDS:
        assert [says for subject, (_, says) in found.items() if subject.startswith(f"chain {chain} ")]
    assert found[f"feeds on chain {CHAIN_IDS[0]}"][1] == "all 2 are as configured"
    assert {"receiver desk", "signing key of desk", "principal demo", f"secret {TOKEN_SECRET}"} <= found.keys()
    lines = run("check", "--config", stage.config).stdout.splitlines()
    assert len(lines) == len(found)
    assert all(line.startswith("ok      ") for line in lines)


def test_a_feed_of_another_asset_is_found(stage: Stage) -> None:
    path = altered(stage, 'description = "ETH / USD"', 'description = "BTC / USD"')
    failed, says = findings(path, FAILED)[f"feeds on chain {CHAIN_IDS[0]}"]
    assert failed
    assert "BTC / USD" in says
    assert "ETH / USD" in says


def test_another_chain_behind_the_url_is_found_and_the_rest_is_still_tried(stage: Stage) -> None:
    first, second = stage.deployments
    found = findings(altered(stage, second.node.url, first.node.url), FAILED)
    (failed, says) = next(each for subject, each in found.items() if subject.startswith(f"chain {CHAIN_IDS[1]} "))
    assert failed
    assert str(CHAIN_IDS[0]) in says
    assert str(CHAIN_IDS[1]) in says
    assert not found[f"feeds on chain {CHAIN_IDS[0]}"][0]


def test_nobody_behind_the_url_is_found(stage: Stage) -> None:
    first, _ = stage.deployments
    found = findings(altered(stage, first.node.url, "http://127.0.0.1:1"), FAILED)
    assert found[f"feeds on chain {CHAIN_IDS[0]}"] == (
        True,
        "not looked at: the chain has no endpoint that answers; mend that first",
    )


@pytest.mark.parametrize(
    ("name", "text", "subject", "cure"),
    [
        (RECEIVER_SECRET, "whsec_short", "signing key of desk", "base64"),
        (RECEIVER_SECRET, "", f"secret {RECEIVER_SECRET}", "is empty. Whatever uses it cannot work. Put it into"),
        (RECEIVER_SECRET, None, f"secret {RECEIVER_SECRET}", "Put it into the file"),
        (TOKEN_SECRET, "guessable", "principal demo", "openssl rand"),
    ],
)
def test_a_wrong_secret_is_found_and_never_shown(
    stage: Stage, name: str, text: str | None, subject: str, cure: str
) -> None:
    file = stage.directory / "secrets" / name
    right = file.read_text()
    try:
        file.unlink() if text is None else file.write_text(text)
        found = findings(stage.config, FAILED)
    finally:
        file.write_text(right)
        file.chmod(0o600)
    failed, says = found[subject]
    assert failed
    assert cure in says
    assert not text or text not in str(found)


def test_two_keys_while_one_is_rotated_are_well_formed(stage: Stage) -> None:
    file = stage.directory / "secrets" / RECEIVER_SECRET
    right = file.read_text()
    try:
        file.write_text(f"{right}\nwhsec_{'A' * 40}\n")
        assert findings(stage.config, 0)["signing key of desk"] == (False, "well-formed")
    finally:
        file.write_text(right)
        file.chmod(0o600)


def test_a_database_and_a_receiver_that_are_not_there_are_found(stage: Stage) -> None:
    text = stage.config.read_text().replace(stage.dsn, "postgresql://fusion@127.0.0.1:1/fusion")
    path = stage.directory / "altered.toml"
    path.write_text(text.replace(stage.receiver.url, "http://127.0.0.1:1/alerts"))
    found = findings(path, FAILED)
    assert found["database"][0]
    assert found["receiver desk"][0]
    assert "127.0.0.1:1" in found["receiver desk"][1]


def test_an_unwritable_state_directory_is_found(stage: Stage) -> None:
    path = altered(stage, f'state_directory = "{stage.directory / "daemon"}"', 'state_directory = "/proc/1/nowhere"')
    assert findings(path, FAILED)["state directory"][0]


def test_the_shipped_example_parses_and_lacks_only_what_is_not_here() -> None:
    found = findings(EXAMPLE, FAILED)
    elsewhere = (
        "secret ",
        "principal ",
        "signing key ",
        "receiver ",
        "mail server",
        "chain ",
        "feeds ",
        "state directory",
        "key of signer ",
    )
    assert not [subject for subject, (failed, _) in found.items() if failed and not subject.startswith(elsewhere)]
    assert not found["risk limits"][0]


def test_a_bad_configuration_is_not_tried_at_all(open_directory: Path) -> None:
    path = open_directory / "config.toml"
    path.write_text("[daemon]\ninstanc = 1\n")
    for verb in ("check", "run", "migrate", "status"):
        done = run(verb, "--config", path)
        assert done.returncode == CONFIGURATION
        assert "daemon.instanc: unknown key" in done.stderr
        assert "  chains: " in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout == ""
    (found,) = findings(path, CONFIGURATION).items()
    assert found[0] == "configuration"
    assert "daemon.instanc: unknown key" in found[1][1]
