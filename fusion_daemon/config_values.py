"""What a value in config.toml may look like: the types of its keys, each with what an operator is told instead."""

from __future__ import annotations

import ipaddress
import re
from decimal import Decimal
from email.utils import parseaddr
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from eth_utils.address import to_checksum_address
from pydantic import AfterValidator, BeforeValidator, Field

from fusion_daemon.accounts.contact_rules import is_mail_address
from fusion_daemon.domain.price import LARGEST_USD, USD_SCALE

_ADDRESS_LENGTH = 42


def _shaped(pattern: str, otherwise: str) -> AfterValidator:
    """The whole text fits the pattern, or `otherwise` says what was expected. It never quotes: a URL holds keys."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(otherwise)
        return text

    return AfterValidator(check)


def _quoted(otherwise: str) -> BeforeValidator:
    """A number that TOML would round, or cannot hold, is a text; one without its quotes is told so."""

    def check(value: object) -> object:
        if not isinstance(value, str):
            raise ValueError(otherwise)  # noqa: TRY004 - pydantic heeds this one
        return value

    return BeforeValidator(check)


def _address(text: str) -> str:
    """EIP-55: capitals are a checksum. An address mistyped by one digit would be watched in vain."""
    if not re.fullmatch(r"0x[0-9a-fA-F]{40}", text):
        # What is longer than an address may be a private key: it is not repeated.
        shown = text if len(text) <= _ADDRESS_LENGTH else f"{text[:6]}… ({len(text)} characters)"
        raise ValueError(f"not an address: {shown}; write 0x and 40 hex digits")
    bare = text.removeprefix("0x")
    if bare not in (bare.lower(), bare.upper()) and to_checksum_address(text.lower()) != text:
        raise ValueError("the capitals do not fit this address: it is mistyped, or write it in small letters")
    return text


def _listening(text: str) -> str:
    if text != "localhost":
        try:
            ipaddress.ip_address(text)
        except ValueError:
            raise ValueError("neither an IP address nor localhost") from None
    return text


def _loopback(text: str) -> str:
    if text != "localhost" and not ipaddress.ip_address(text).is_loopback:
        raise ValueError("not a loopback address: the admin port would be open to the network in clear text")
    return text


def _explorer(text: str) -> str:
    """It is asked about what we send: by TLS, or on this machine. Whatever is added to it names a message."""
    url = urlsplit(text)
    here = url.scheme == "http" and url.hostname in ("localhost", "127.0.0.1", "::1")
    written = text.isascii() and text.isprintable() and " " not in text
    if not written or not url.hostname or url.port == 0 or not (url.scheme == "https" or here):
        raise ValueError("not an explorer's URL: it begins with https://, or with http:// on a loopback address")
    if url.username is not None or "?" in text or "#" in text:
        raise ValueError("an explorer's URL has neither user, query nor fragment")
    return text


def _postgres(text: str) -> str:
    url = urlsplit(text)
    if url.scheme not in ("postgresql", "postgres"):
        raise ValueError("write postgresql://user@host/database")
    if url.password is not None or "password" in dict(parse_qsl(url.query)):
        raise ValueError("no password belongs here: put it into a secret and name that as [database] password")
    return text


def _sender(text: str) -> str:
    if not text.isprintable() or not is_mail_address(parseaddr(text)[1]):
        raise ValueError("write an address, or a name and an address: Fusion Prime <alerts@desk.example>")
    return text


def _price(text: str) -> str:
    if not 0 < Decimal(text) * USD_SCALE <= LARGEST_USD:
        raise ValueError("not a price: it has to be above 0 and at most 1e22 USD")
    return text


AddressText = Annotated[str, AfterValidator(_address)]
Host = Annotated[str, AfterValidator(_listening)]
Symbol = Annotated[
    str,
    _shaped(
        r"[A-Z0-9][A-Za-z0-9._-]{0,19}",
        "not an asset's symbol: 1 to 20 letters, digits, dots, dashes and underscores, a capital or a digit first",
    ),
]
Name = Annotated[
    str,
    _shaped(
        r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}",
        "not a name: 1 to 63 letters, digits, dots, dashes and underscores, a letter or a digit first",
    ),
]
Url = Annotated[str, _shaped(r"https?://\S+", "not a URL: it begins with http:// or https:// and has no spaces")]
SocketUrl = Annotated[
    str, _shaped(r"wss?://\S+", "not a URL of a WebSocket: it begins with ws:// or wss:// and has no spaces")
]
ExplorerUrl = Annotated[str, AfterValidator(_explorer)]
_AMOUNT = 'not an amount: a decimal number in quotes, such as "1.00"'
Amount = Annotated[str, _quoted(_AMOUNT), _shaped(r"\d+(\.\d{1,8})?", _AMOUNT)]
_WHOLES = 'not a whole number in quotes, such as "1000000"'
Wholes = Annotated[str, _quoted(_WHOLES), _shaped(r"\d{1,78}", _WHOLES)]
Selector = Annotated[str, _shaped(r"0x[0-9a-fA-F]{8}", "not a selector: 0x and 8 hex digits")]
Purpose = Annotated[
    str, _shaped(r"[a-z0-9][a-z0-9._-]{0,62}", "not a purpose: small letters, digits, dots, dashes and underscores")
]
Seconds = Annotated[float, Field(gt=0)]
Port = Annotated[int, Field(ge=0, le=65535)]
Loopback = Annotated[Host, AfterValidator(_loopback)]
PostgresUrl = Annotated[str, AfterValidator(_postgres)]
Sender = Annotated[str, AfterValidator(_sender)]
Usd = Annotated[Amount, AfterValidator(_price)]
