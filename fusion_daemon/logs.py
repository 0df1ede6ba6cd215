"""Logging: JSON lines in production, readable on a terminal, and never a secret.

INVARIANT: everything that leaves through `structlog`, the standard library's logging or as the traceback of
what nobody caught passes the redactor. It masks each registered secret (also as `repr`, JSON and a URL would
write it), the password of every URL or DSN, the token of every Authorization header, and what stands under
the name of a password, in values, keys and rendered tracebacks alike.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from types import TracebackType
from urllib.parse import quote, quote_plus

import structlog

_URL_PASSWORD = re.compile(r"(?P<head>[a-z][a-z0-9+.\-]*://[^\s:/@]*):[^\s/]+@", re.IGNORECASE)
_URL_TOKEN = re.compile(r"(?P<head>(?:https?|wss?)://)[^\s:/@]+@", re.IGNORECASE)
_NAMED = r"passw(?:or)?d|passphrase|pwd|authorization|api[_-]?key|access[_-]?token|client[_-]?secret|private[_-]?key"
_KEY_VALUE = re.compile(
    rf"""(?P<head>(?:\b|_)(?:{_NAMED})(?:\s*=|["']\s*[=:])\s*)(?!\[redacted\])"""
    r"""(?P<value>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s'"&,;)}\]]+)""",
    re.IGNORECASE,
)
_HEADER = re.compile(r"(?P<head>\b(?:authorization|x-api-key)\s*:\s*)(?!\[redacted\])[^\s,][^\r\n,]*", re.IGNORECASE)
"""With a colon, but only these names: an unquoted `password: …` is prose, such as a finding about that key."""
_SENSITIVE_KEY = re.compile(rf"(?:\w*[_-])?(?:{_NAMED})", re.IGNORECASE)
_BEARER = re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=\-]{6,}", re.IGNORECASE)
_SIGNING_KEY = re.compile(r"\bwhsec_[A-Za-z0-9+/=_\-]{8,}")
_MASK = "[redacted]"
_SHORTEST_SECRET = 6
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
"""By the names under which structlog's filtering loggers call their processors."""


class Redactor:
    """Masks registered secrets and whatever has the shape of a credential."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self._registered: re.Pattern[str] | None = None
        self.register(secrets)

    def register(self, secrets: Iterable[str]) -> None:
        """From any thread; what was registered stays masked. Secrets shorter than six characters are ignored:
        masking them would hide ordinary words."""
        new = {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET} - self._secrets
        if not new:
            return
        self._secrets = self._secrets | {form for secret in new for form in _forms(secret)}
        # The longest first: a secret that begins with another one must not leave its rest behind.
        longest_first = sorted(self._secrets, key=lambda form: (-len(form), form))
        self._registered = re.compile("|".join(map(re.escape, longest_first)))

    def text(self, value: str) -> str:
        # One mask may uncover what another one knows: what stood between a quoted value and an `@` becomes a URL's.
        # It ends: every pass that changes something leaves less that is no mask.
        while (masked := self._masked(value)) != value:
            value = masked
        return value

    def _masked(self, value: str) -> str:
        if self._registered is not None:
            value = self._registered.sub(_MASK, value)
        value = _SIGNING_KEY.sub(_MASK, value)
        value = _BEARER.sub(rf"\1 {_MASK}", value)
        value = _URL_PASSWORD.sub(rf"\g<head>:{_MASK}@", value)
        value = _URL_TOKEN.sub(rf"\g<head>{_MASK}@", value)
        value = _HEADER.sub(rf"\g<head>{_MASK}", value)
        return _KEY_VALUE.sub(rf"\g<head>{_MASK}", value)

    def value(self, value: object) -> object:
        """The value with every string inside it masked; other objects by their masked `repr`. What comes out is
        JSON: numbers that JSON does not have (infinity, not-a-number) become text."""
        if isinstance(value, float) and not math.isfinite(value):
            return str(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self._under(str(key), inner) for key, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(inner) for inner in value]
        return self.text(repr(value))

    def __call__(self, logger: object, method: str, event: MutableMapping[str, object]) -> MutableMapping[str, object]:
        """The structlog processor."""
        return {self.text(key): self._under(key, inner) for key, inner in event.items()}

    def _under(self, key: str, value: object) -> object:
        return _MASK if value is not None and _SENSITIVE_KEY.fullmatch(key) else self.value(value)


def _forms(secret: str) -> Iterator[str]:
    """How a secret looks where somebody has quoted it: in a `repr`, in JSON, in a URL."""
    yield secret
    yield repr(secret)[1:-1]
    yield repr(secret.encode())[2:-1]
    yield json.dumps(secret)[1:-1]
    yield quote(secret, safe="")
    yield quote_plus(secret)


class LogStyle:
    """How lines look, and which are written. Loggers keep their processors for life, so what may change while they
    live is looked up here at every line."""

    def __init__(self, style: str, level: str) -> None:
        self.change(style=style, level=level)

    def change(self, *, style: str, level: str) -> None:
        """From the next line on, of every logger. style: `json`, `console`, or `auto` (console on a terminal)."""
        terminal = sys.stderr.isatty()
        self._render: structlog.typing.Processor = (
            structlog.dev.ConsoleRenderer(colors=terminal, exception_formatter=structlog.dev.plain_traceback)
            if style == "console" or (style == "auto" and terminal)
            else structlog.processors.JSONRenderer()
        )
        self._least = logging.getLevelNamesMapping()[level.upper()]

    def drop(self, logger: object, method: str, event: MutableMapping[str, object]) -> MutableMapping[str, object]:
        """The structlog processor that comes first."""
        if _LEVELS[method] < self._least:
            raise structlog.DropEvent
        return event

    def render(
        self, logger: object, method: str, event: MutableMapping[str, object]
    ) -> structlog.typing.ProcessorReturnValue:
        """The structlog processor that comes last."""
        return self._render(logger, method, event)


def configure_logging(*, style: str, level: str, redactor: Redactor) -> LogStyle:
    """Route structlog and the standard library through one pipeline to standard error; `style` and `level` as in
    `LogStyle.change`."""
    present = LogStyle(style, level)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redactor,
    ]
    structlog.configure(
        processors=[present.drop, *shared, present.render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redactor, present.render],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)
    sys.excepthook = _crashed
    threading.excepthook = _thread_crashed
    return present


def _crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What nobody caught ends the program; its traceback may quote a secret, so it leaves through the log."""
    structlog.get_logger("daemon").critical("crashed", exc_info=(kind, error, trace))


def _thread_crashed(crash: threading.ExceptHookArgs) -> None:
    if crash.exc_value is not None:
        thread = crash.thread.name if crash.thread is not None else None
        found = (crash.exc_type, crash.exc_value, crash.exc_traceback)
        structlog.get_logger("daemon").critical("thread_crashed", thread=thread, exc_info=found)
