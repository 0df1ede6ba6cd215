"""Secrets: named in the configuration, one file each, read when they are needed."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fusion_daemon.config import Config
from fusion_daemon.domain.failure import Failure

_PLACEHOLDER = re.compile(r"\{([a-zA-Z0-9][a-zA-Z0-9._-]*)\}")
_KEY = secrets.token_bytes(32)


class SecretMissing(Failure):
    """A secret that the configuration names is not there, is empty, or cannot be read."""


class SecretFiles:
    """Secrets by name: one file each. Whatever is read is told `seen` before anyone uses it."""

    def __init__(self, directory: Path | None, seen: Callable[[Iterable[str]], None] = lambda _: None) -> None:
        self._directory = directory
        self._seen = seen

    @classmethod
    def of(cls, config: Config, seen: Callable[[Iterable[str]], None] = lambda _: None) -> SecretFiles:
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        return cls(Path(credentials) if credentials else config.secrets.directory, seen)

    def __call__(self, name: str) -> str:
        """The secret's text without surrounding white space. Raises SecretMissing."""
        try:
            text = self.path(name).read_text().strip()
        except OSError as error:
            raise self._missing(name, f"cannot be read ({error.strerror})") from error
        except UnicodeDecodeError:
            raise self._missing(name, "is not text") from None  # its message would quote the secret
        if not text:
            raise self._missing(name, "is empty")
        self._seen([text])
        return text

    def path(self, name: str) -> Path:
        """The secret's file. Raises SecretMissing when nothing says where secrets are."""
        if self._directory is None:
            raise SecretMissing(
                f"The secret {name} is needed, but no directory holds secrets.",
                "Whatever uses it cannot work.",
                "Set [secrets] directory, or LoadCredential= in the unit.",
            )
        return self._directory / name

    def every(self, names: Iterable[str]) -> list[str]:
        """All of them. Raises SecretMissing, which names each one that is missing."""
        found: list[str] = []
        missing: list[SecretMissing] = []
        for name in names:
            try:
                found.append(self(name))
            except SecretMissing as failure:
                missing.append(failure)
        if len(missing) > 1:
            told = "\n".join(f"  {each.happened} {each.remedy}" for each in missing)
            raise SecretMissing(f"Secrets are missing:\n{told}\n", "Nothing was done.", "Mend each one named above.")
        if missing:
            raise missing[0]
        return found

    def _missing(self, name: str, how: str) -> SecretMissing:
        return SecretMissing(
            f"The secret {name} {how}.",
            "Whatever uses it cannot work.",
            f"Put it into the file {self._directory}/{name}, readable by the daemon alone.",
        )


def with_secrets(url: str, secret: Callable[[str], str]) -> str:
    """The URL with every `{name}` replaced by that secret. Raises SecretMissing."""
    return _PLACEHOLDER.sub(lambda found: secret(found.group(1)), url)


def known_secrets(config: Config) -> list[str]:
    """Every secret that can be read, to mask it in what is printed; one that is missing is its user's to report."""
    secret = SecretFiles.of(config)
    found = []
    for name in secret_names(config):
        try:
            found.append(secret(name))
        except SecretMissing:
            continue
    return found


def secret_names(config: Config) -> list[str]:
    """Every secret that the configuration names, once, in order."""
    return list(secret_uses(config))


def secret_uses(config: Config) -> dict[str, list[str]]:
    """What each secret is used for, in the words of an operator: `chain 1`, `principal ops` …"""
    smtp = config.alerting.smtp
    named = [(config.database.password, "database"), (smtp.password if smtp else None, "mail server")]
    named += [
        (name, f"chain {chain.id}")
        for chain in config.chains
        for url in (*chain.rpc_urls, *chain.ws_urls)
        for name in _PLACEHOLDER.findall(url)
    ]
    named += [(principal.token, f"principal {principal.name}") for principal in config.http.principals]
    named += [(receiver.secret, f"receiver {receiver.name}") for receiver in config.alerting.receivers]
    named += [
        (name, f"signer {signer.name}")
        for signer in config.signers
        for name in (signer.key, signer.keystore, signer.passphrase)
    ]
    uses: dict[str, list[str]] = {}
    for name, use in named:
        if name is not None and use not in uses.setdefault(name, []):
            uses[name].append(use)
    return uses


@dataclass(frozen=True, slots=True)
class SecretSnapshot:
    """Which value each secret had when it was read, without the values: digests under a key of this process."""

    digests: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class SecretChange:
    """One secret whose value is another one, or that is named now and was not before."""

    name: str
    uses: tuple[str, ...]
    """Who has to hear of it."""


def read_secrets(config: Config, secret: SecretFiles) -> SecretSnapshot:
    """Reads every secret that the configuration names anew. Blocks for a moment. Raises SecretMissing, which
    names each one that is missing: then whoever asked keeps what it has."""
    names = secret_names(config)
    return SecretSnapshot(
        {
            name: hashlib.blake2b(value.encode(), key=_KEY).digest()
            for name, value in zip(names, secret.every(names), strict=True)
        }
    )


def secret_changes(config: Config, before: SecretSnapshot, after: SecretSnapshot) -> list[SecretChange]:
    """What a reload has to tell: in the order of the configuration `after` was read for. A secret that is no
    longer named is nobody's any more, and no change."""
    return [
        SecretChange(name, tuple(uses))
        for name, uses in secret_uses(config).items()
        if before.digests.get(name) != after.digests[name]
    ]
