"""Rule: a key that cannot be used signs nothing, the operator reads which secret it is, and nobody what is in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account

from fusion_daemon.config import load_config
from fusion_daemon.domain.identifiers import hex_of
from fusion_daemon.runtime import ActorContext
from fusion_daemon.secret_files import SecretFiles
from fusion_daemon.transactions.records import State
from tests.integration.transactions.sending import GWEI, KEY, PAYMENT, SIGNER, Sending, looking

EXAMPLE = Path(__file__).resolve().parents[3] / "config.toml"
PASSPHRASE = "open sesame"
OTHER = b"\x11" * 32


def lay(directory: Path, key: bytes = bytes.fromhex(KEY), passphrase: str = PASSPHRASE) -> None:
    """A keystore and what is meant to open it, as systemd lays credentials."""
    keystore = json.dumps(Account.encrypt(key, PASSPHRASE, kdf="pbkdf2", iterations=2))
    for name, text in (("hot-keystore", keystore), ("hot-passphrase", passphrase)):
        (directory / name).write_text(text)
        (directory / name).chmod(0o600)


def unreadable(directory: Path) -> None:
    lay(directory)
    (directory / "hot-keystore").write_bytes(b"\xff\xfe")


def absent(directory: Path) -> None:
    lay(directory)
    (directory / "hot-passphrase").unlink()


def stored(sending: Sending, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signer's key stands in a keystore that LoadCredential brings."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(directory))
    sending.secret = SecretFiles.of(load_config(EXAMPLE))
    hot = replace(sending.settings.signers[SIGNER], key=None, keystore="hot-keystore", passphrase="hot-passphrase")
    sending.settings = replace(sending.settings, signers={SIGNER: hot})


async def told(context: ActorContext, words: str) -> str:
    async def look() -> bool:
        return words in context.health.reason

    await looking(look)
    return context.health.reason


@pytest.mark.parametrize(
    ("laid", "words"),
    [
        (lambda directory: lay(directory, passphrase="close sesame"), "does not open with the passphrase"),
        (lambda directory: lay(directory, key=OTHER), "belongs to"),
        (unreadable, "is not text"),
        (absent, "hot-passphrase"),
    ],
    ids=["another passphrase", "another address", "unreadable", "absent"],
)
async def test_it_waits_and_signs_once_the_secret_is_mended(
    sending: Sending,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    laid: Callable[[Path], None],
    words: str,
) -> None:
    stored(sending, tmp_path, monkeypatch)
    laid(tmp_path)
    await sending.propose(PAYMENT)
    async with sending.living() as context:
        reason = await told(context, words)
        assert (await sending.shown()).transaction.state == State.APPROVED
        assert sending.pool() == []
        lay(tmp_path)
        found = await sending.until(State.SENT)
    shown = "".join([reason, repr(found), *capfd.readouterr()])
    for text in (KEY, OTHER.hex(), PASSPHRASE, "close sesame"):
        assert text not in shown


async def test_while_a_unit_of_gas_costs_more_than_its_cap_it_is_held_and_told(sending: Sending) -> None:
    sending.node.call("anvil_setNextBlockBaseFeePerGas", hex(500 * GWEI))
    sending.mine()
    await sending.propose(PAYMENT)
    async with sending.living() as context:
        await told(context, f"and it may pay {PAYMENT.fee_cap}")
        assert (await sending.shown()).transaction.state == State.APPROVED
        sending.node.call("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
        sending.mine()
        await sending.until(State.SENT)


async def test_what_was_signed_is_sent_again_without_its_key(sending: Sending) -> None:
    """Its signer is configured no longer, it waits long enough for a better offer, and the node has forgotten it."""
    await sending.propose(PAYMENT)
    async with sending.living():
        await sending.until(State.SENT)
    [signed] = sending.pool()
    sending.node.call("anvil_dropTransaction", hex_of(signed))
    assert sending.pool() == []
    sending.settings = replace(sending.settings, signers={})
    sending.sooner(0.0)
    async with sending.living() as context:
        await sending.pooled()
        assert sending.pool() == [signed]
        await told(context, "has no signer")
        sending.mine()
        sending.finalize()
        await sending.until(State.FINAL)
