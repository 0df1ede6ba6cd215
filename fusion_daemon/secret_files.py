"""Secrets: named in the configuration, one file each, read when they are needed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from fusion_daemon.config import Config
from fusion_daemon.domain.failure import Failure

_PLACEHOLDER = re.compile(r"\{([a-zA-Z0-9][a-zA-Z0-9._-]*)\}")


class SecretMissing(Failure):
    """A secret that the configuration names is not there, is empty, or cannot be read."""


class SecretFiles:
    """Secrets by name: one file each."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    @classmethod
    def of(cls, config: Config) -> SecretFiles:
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        return cls(Path(credentials) if credentials else config.secrets.directory)

    def __call__(self, name: str) -> str:
        """The secret's text without surrounding white space. Raises SecretMissing."""
        if self._directory is None:
            raise SecretMissing(
                f"The secret {name} is needed, but no directory holds secrets.",
                "Whatever uses it cannot work.",
                "Set [secrets] directory, or LoadCredential= in the unit.",
            )
        try:
            text = (self._directory / name).read_text().strip()
        except OSError as error:
            raise self._missing(name, f"cannot be read ({error.strerror})") from error
        except UnicodeDecodeError:
            raise self._missing(name, "is not text") from None  # its message would quote the secret
        if not text:
            raise self._missing(name, "is empty")
        return text

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
            raise SecretMissing(f"Secrets are missing:\n{told}\n", "Nothing was started.", "Mend each one named above.")
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
    named = [config.database.password, config.alerting.smtp.password if config.alerting.smtp else None]
    named += [name for chain in config.chains for url in chain.rpc_urls for name in _PLACEHOLDER.findall(url)]
    named += [principal.token for principal in config.http.principals]
    named += [receiver.secret for receiver in config.alerting.receivers]
    return list(dict.fromkeys(name for name in named if name is not None))
