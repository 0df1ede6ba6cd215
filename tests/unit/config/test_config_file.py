"""Rule: a configuration is taken whole or refused with every wrong key named; no secret stands in it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

import fusion_daemon.config as config_module
from fusion_daemon.config import Config, ConfigurationInvalid, StaticSource, load_config
from fusion_daemon.secret_files import SecretFiles, SecretMissing, known_secrets, secret_names, with_secrets

EXAMPLE = Path(__file__).resolve().parents[3] / "config.toml"
CHAIN = '[[chains]]\nid = 1\nname = "one"\nrpc_urls = ["http://127.0.0.1:8545"]\n'
USDC = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
USDC_AS_A = f'{{address = "{USDC}", asset = "A"}}'
USDC_AS_B = f'{{address = "{USDC.lower()}", asset = "B"}}'
RECEIVER = '[[alerting.receivers]]\nname = "a"\n'
EXPLORERS = "[messages.explorers]\n"
STATIC = '[[oracle.assets]]\nasset = "A"\nsources = [{{kind = "static", usd = "{}"}}]\n'
MAIL_TO = 'channel = "email"\ntarget = '
CALL = '[[transactions.calls]]\nchain = 1\nto = "0x1"\n'
LIMIT = '[[transactions.limits]]\npurpose = "a"\nasset = "native"\n'
SENDER = '[alerting.smtp]\nhost = "h"\nsender = '


def refusal(tmp_path: Path, text: str) -> str:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationInvalid) as caught:
        load_config(path)
    return str(caught.value)


def load(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return load_config(path)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("daemon.instanc: unknown key", f'[daemon]\ninstanc = "x"\n{CHAIN}'),
        ("http.port", f"[http]\nport = 99999\n{CHAIN}"),
        ("http.host: not a loopback address", f'[http]\nhost = "0.0.0.0"\n{CHAIN}'),
        ("http.host: neither", f'[http]\nhost = "example.org"\n{CHAIN}'),
        ("http.metrics_host: neither", f'[http]\nmetrics_host = "example.org"\n{CHAIN}'),
        ("http: port and metrics_port are the same", f"[http]\nport = 9000\nmetrics_port = 9000\n{CHAIN}"),
        ("http.principals.0 (principal ops): ops needs a token", f'[[http.principals]]\nname = "ops"\n{CHAIN}'),
        ("http: two principals", f'[http]\nprincipals = [{{name="a", uid=1}}, {{name="b", uid=1}}]\n{CHAIN}'),
        ("database.dsn: write postgresql://", f'[database]\ndsn = "db.internal"\n{CHAIN}'),
        ("database.dsn: no password", f'[database]\ndsn = "postgresql://u:hunter22@db/x"\n{CHAIN}'),
        ("database.dsn: no password", f'[database]\ndsn = "postgresql://u@db/x?password=hunter22"\n{CHAIN}'),
        ("database: a password needs a dsn", f'[database]\npassword = "pg"\n{CHAIN}'),
        ("database: a password needs a dsn", f'[database]\npassword = "pg"\ndsn = "postgresql://db/x"\n{CHAIN}'),
        ("chains.0.rpc_urls.0 (chain 1): not a URL", CHAIN.replace("http://", "ws://")),
        ("chains.0 (chain 1): poll_min_seconds", f"{CHAIN}poll_min_seconds = 20\n"),
        ("chains.0.ws_urls.0 (chain 1): not a URL of a WebSocket", f'{CHAIN}ws_urls = ["http://hunter22.example"]\n'),
        ("chains.0 (chain 1): calls_per_second_min is", f"{CHAIN}calls_per_second_max = 2\n"),
        ("chains.0.calls_per_second_min", f"{CHAIN}calls_per_second_min = 0\n"),
        ("chains.0.poll_max_seconds", f"{CHAIN}poll_max_seconds = inf\n"),
        ("chains.0 (chain 1): two tokens", f"{CHAIN}tokens = [{USDC_AS_A}, {USDC_AS_B}]\n"),
        ("chains.0.vaults.0 (chain 1): the capitals", f'{CHAIN}vaults = ["{USDC.replace("eB48", "eB49")}"]\n'),
        ("chains.0.vaults.0 (chain 1): not an address: 0x12;", f'{CHAIN}vaults = ["0x12"]\n'),
        ("chains.0.tokens.0.asset (token eth): not an", f'{CHAIN}tokens = [{{address="{USDC}", asset="eth"}}]\n'),
        ("chains.0.vaults.0 (chain 1): not an address: 0xacac… (66", f'{CHAIN}vaults = ["0x{"ac" * 32}"]\n'),
        ("oracle.assets.0.sources.0.static.usd (asset A): not an amount", f"{CHAIN}{STATIC.format('1,00')}"),
        ("the file: two [[chains]]", CHAIN * 2),
        ("the file: chain 1: nothing prices asset ETH", f'{CHAIN}tokens = [{{address="{USDC}", asset="ETH"}}]\n'),
        ("oracle.assets.0.heartbeat_seconds", f"{CHAIN}{STATIC.format(1)}heartbeat_seconds = 29\n"),
        ("oracle.assets.0.jump_bps", f"{CHAIN}{STATIC.format(1)}jump_bps = 0\n"),
        ("oracle.poll_seconds", f"{CHAIN}[oracle]\npoll_seconds = 15.1\n"),
        ("oracle.assets.0.sources.0.static.usd (asset A): not a price", f'{CHAIN}{STATIC.format("0.00000000")}'),
        ("oracle.assets.0.sources.0.static.usd (asset A): not a price", f'{CHAIN}{STATIC.format("9" * 40)}'),
        ("messages.explorers.ccip: unknown key", f'{CHAIN}{EXPLORERS}ccip = "https://a.example"\n'),
        ("messages.explorers.ccip_api: not an explorer's", f'{CHAIN}{EXPLORERS}ccip_api = "http://a.example"\n'),
        ("messages.explorers.ccip_api: not an explorer's", f'{CHAIN}{EXPLORERS}ccip_api = "https:///x"\n'),
        ("messages.explorers.ccip_api: not an explorer's", f'{CHAIN}{EXPLORERS}ccip_api = "https://a.example /x"\n'),
        ("messages.explorers.axelarscan: an explorer's", f'{CHAIN}{EXPLORERS}axelarscan = "https://u:hunter22@a.b"\n'),
        ("messages.explorers.axelarscan: an explorer's", f'{CHAIN}{EXPLORERS}axelarscan = "https://a.b/?k=hunter22"\n'),
        ("messages.explorers.timeout_seconds", f"{CHAIN}{EXPLORERS}timeout_seconds = 60\n"),
        ("risk: limits must fall", f"{CHAIN}[risk]\nscore_bps = [5000, 3000, -5]\n"),
        ("risk: limits must fall", f"{CHAIN}[risk]\nscore_bps = [3000, 5000, 10]\n"),
        ("alerting.receivers.0 (receiver a): a webhook", f'{CHAIN}{RECEIVER}channel="webhook"\ntarget="http://"\nsecret="s"'),
        ("the file: an e-mail receiver needs", f'{CHAIN}{RECEIVER}channel="email"\ntarget="a@b.example"'),
        ("alerting.receivers.0 (receiver a): an e-mail receiver", f'{CHAIN}{RECEIVER}{MAIL_TO}"a:b@c.example"'),
        ("alerting.smtp.sender: write an address", f'{CHAIN}{SENDER}"Fusion Prime"'),
        ("oracle.assets.0.sources.0.static.usd (asset A): not an", CHAIN + STATIC.format(1).replace('"1"', "1.5")),
        ("transactions.limits.0.each (limit for a): not a whole number in quotes", f"{CHAIN}{LIMIT}each = 0.2\n"),
        ("transactions.limits.0.day (limit for a): it is missing", f"{CHAIN}{LIMIT}each = 0.2\n"),
        ("transactions.calls.0.purposes (call of 0x1): it needs at least one entry", f"{CHAIN}{CALL}purposes = []\n"),
        ("alerting.smtp.sender: write an address", f'{CHAIN}{SENDER}"A <a@b.example>\\nBcc: c@d.example"'),
    ],
)  # fmt: skip
def test_the_wrong_key_is_named(tmp_path: Path, key: str, text: str) -> None:
    said = refusal(tmp_path, text)
    assert f"  {key}" in said
    assert "hunter22" not in said


@pytest.mark.parametrize("url", ["https://api.example/v1", "http://127.0.0.1:9", "http://[::1]:9", "http://localhost"])
def test_an_explorer_is_asked_by_tls_or_on_this_machine(tmp_path: Path, url: str) -> None:
    explorers = load(tmp_path, f'{CHAIN}{EXPLORERS}axelarscan = "{url}"\n').messages.explorers
    assert (explorers.axelarscan, explorers.ccip_api) == (url, None)


def test_all_wrong_keys_are_named_at_once(tmp_path: Path) -> None:
    chain = '[[chains]]\nid = 0\nname = "a b"\nrpc_urls = []\n'
    said = refusal(tmp_path, f'[daemon]\ninstanc = "x"\n{chain}')
    found = re.findall(r"^  ([\w.]+)(?: \(.*\))?: ", said, re.MULTILINE)
    # Not "chains: should have at least 1 item": there is one, and it is what is wrong.
    assert found == ["daemon.instanc", "chains.0.id", "chains.0.name", "chains.0.rpc_urls"]


def test_no_chain_at_all_is_refused(tmp_path: Path) -> None:
    assert "  chains: " in refusal(tmp_path, "")
    assert "  chains: " in refusal(tmp_path, "chains = []")


@pytest.mark.parametrize("text", ["[daemon", "a = 1\na = 2", 'a = "\x01"'])
def test_what_is_not_toml_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    assert "is not TOML" in refusal(tmp_path, text)


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ConfigurationInvalid, match="cannot be read"):
            load_config(path)
    with pytest.raises(ConfigurationInvalid, match="--config"):
        load_config(None)


@pytest.mark.parametrize("address", [USDC, USDC.lower(), "0x" + USDC[2:].upper()])
def test_addresses_with_a_right_checksum_or_none_are_taken(tmp_path: Path, address: str) -> None:
    assert load(tmp_path, f'{CHAIN}vaults = ["{address}"]\n').chains[0].vaults == (address,)


def _keys(model: type[BaseModel]) -> set[str]:
    return set(model.model_fields)


def test_the_shipped_example_names_every_section_and_key() -> None:
    text = EXAMPLE.read_text()
    config = load_config(EXAMPLE)
    sections = [
        *(getattr(config, name) for name in Config.model_fields if isinstance(getattr(config, name), BaseModel)),
        config.chains[0],
        config.chains[0].tokens[0],
        config.http.principals[0],
        config.oracle.assets[0],
        config.oracle.assets[0].sources[0],
        StaticSource(kind="static", usd="1.00"),
        config.messages.explorers,
        config.alerting.receivers[0],
        config.alerting.smtp,
        config.signers[0],
        config.transactions.calls[0],
        config.transactions.limits[0],
    ]
    for section in sections:
        absent = {key for key in _keys(type(section)) if not re.search(rf"^#? ?\[*[\w.]*\b{key}\b", text, re.MULTILINE)}
        assert not absent, f"{type(section).__name__}: {absent} is not in config.toml"


def test_the_examples_values_are_the_defaults_it_claims() -> None:
    raw = tomllib.loads(EXAMPLE.read_text())
    defaults = Config.model_validate({"chains": raw["chains"], "oracle": raw["oracle"]})
    loaded = load_config(EXAMPLE)
    assert loaded.risk == defaults.risk
    assert loaded.logging == defaults.logging
    assert loaded.daemon == defaults.daemon
    assert loaded.alerting.timeout_seconds == defaults.alerting.timeout_seconds


def test_a_secret_is_a_file_and_white_space_around_it_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("  value\n")
    assert SecretFiles(tmp_path)("key") == "value"
    assert with_secrets("https://rpc.example/{key}/v1", SecretFiles(tmp_path)) == "https://rpc.example/value/v1"


def test_a_missing_secret_is_named_with_its_cure(tmp_path: Path) -> None:
    with pytest.raises(SecretMissing, match=re.escape(str(tmp_path / "key"))):
        SecretFiles(tmp_path)("key")
    with pytest.raises(SecretMissing, match="LoadCredential"):
        SecretFiles(None)("key")


def test_every_missing_secret_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "here").write_text("value")
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "binary").write_bytes(b"\xff\xfesecret")
    secret = SecretFiles(tmp_path)
    assert secret.every(["here"]) == ["value"]
    with pytest.raises(SecretMissing) as caught:
        secret.every(["here", "absent", "empty", "binary"])
    said = str(caught.value)
    for part in ("absent cannot be read (No such file", "empty is empty", "binary is not text"):
        assert f"  The secret {part}" in said
    assert "secret here" not in said
    with pytest.raises(SecretMissing, match="^The secret absent"):
        secret.every(["absent"])


def test_every_key_is_read_by_somebody() -> None:
    # A key that nothing reads is a promise that nothing keeps.
    package = EXAMPLE.parent / "fusion_daemon"
    sources = [path for path in package.rglob("*.py") if path.name != "config.py"]
    loading = (package / "config.py").read_text().split("def load_config")[1]
    text = "\n".join([loading, *(path.read_text() for path in sources)])
    sections = [each for each in vars(config_module).values() if isinstance(each, type) and issubclass(each, BaseModel)]
    keys = {key for section in sections for key in section.model_fields} - {"kind"}
    assert len(keys) > 40
    assert not {key for key in keys if not re.search(rf"\.{key}\b", text)}


def test_systemds_credentials_go_before_the_configured_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "pg").write_text("from systemd")
    (tmp_path / "pg").write_text("from the directory")
    text = f'[secrets]\ndirectory = "{tmp_path}"\n[database]\ndsn = "postgresql://u@db/x"\npassword = "pg"\n'
    config = load(tmp_path, f"{text}{CHAIN}")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert known_secrets(config) == ["from the directory"]
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    assert known_secrets(config) == ["from systemd"]


def test_secrets_are_known_from_every_place_that_can_name_one() -> None:
    config = load_config(EXAMPLE)
    assert secret_names(config) == [
        "smtp-password",
        "ethereum-rpc-key",
        "treasury-ops-token",
        "desk-webhook-key",
        "settlement-keystore",
        "settlement-passphrase",
    ]
    assert known_secrets(config) == [], "none is there, and that is for `check` to report"
