"""Logging: JSON lines in production, readable on a terminal, and never a secret.

INVARIANT: every value that leaves through `structlog` passes `redact`, which replaces each registered
secret, the password of every URL or DSN, and the token of every Authorization header, in keys, values
and rendered tracebacks alike.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Mapping, MutableMapping

import structlog

_URL_PASSWORD = re.compile(r"(?P<head>[a-z][a-z0-9+.\-]*://[^\s:/@]*):[^\s/@]+@", re.IGNORECASE)
_KEY_VALUE_PASSWORD = re.compile(r"\b(password|passwd|pwd)\s*=\s*('[^']*'|[^\s'&]+)", re.IGNORECASE)
_BEARER = re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=\-]{6,}", re.IGNORECASE)
_MASK = "[redacted]"
_SHORTEST_SECRET = 6


class Redactor:
    """Masks registered secrets and whatever has the shape of a credential."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self.register(secrets)

    def register(self, secrets: Iterable[str]) -> None:
        """Secrets shorter than six characters are ignored: masking them would hide ordinary words."""
        self._secrets.update(secret for secret in secrets if len(secret) >= _SHORTEST_SECRET)

    def text(self, value: str) -> str:
        for secret in self._secrets:
            value = value.replace(secret, _MASK)
        value = _URL_PASSWORD.sub(rf"\g<head>:{_MASK}@", value)
        value = _KEY_VALUE_PASSWORD.sub(rf"\1={_MASK}", value)
        return _BEARER.sub(rf"\1 {_MASK}", value)

    def value(self, value: object) -> object:
        """The value with every string inside it masked; other objects by their masked `repr`."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(inner) for inner in value]
        return self.text(repr(value))

    def __call__(self, logger: object, method: str, event: MutableMapping[str, object]) -> MutableMapping[str, object]:
        """The structlog processor."""
        return {key: self.value(inner) for key, inner in event.items()}


def configure_logging(*, style: str, level: str, redactor: Redactor) -> None:
    """Route structlog and the standard library through one pipeline to standard error.

    style: `json`, `console`, or `auto` (console on a terminal).
    """
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer()
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redactor,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redactor, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
