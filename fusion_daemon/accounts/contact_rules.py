"""What a contact's target must look like before anyone is asked to verify it. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from fusion_daemon.domain.account import Channel
from fusion_daemon.domain.failure import Failure

TARGET_LENGTH = 2048
MAIL_LENGTH = 254
"""RFC 5321's limit of a path, without its angle brackets."""
_SECRET = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}")
_ATOM = r"[\w!#$%&'*+/=?^`{|}~-]+"
_MAIL = re.compile(rf"(?!.*=\?)(?=[^@]{{1,64}}@){_ATOM}(\.{_ATOM})*@[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def is_mail_address(text: str) -> bool:
    """Whether it is a bare mail address, and one that every mail header can hold: a dot-atom before the @, and
    nothing that reads as an encoded word."""
    return len(text) <= MAIL_LENGTH and _MAIL.fullmatch(text) is not None and ".." not in text


class InvalidContact(Failure):
    """A contact that could not be told anything, or not safely."""


def check_contact(channel: Channel, target: str, secret: str | None) -> None:
    """Raises InvalidContact."""
    if not target.isprintable() or " " in target or not target.isascii():
        raise _invalid("its target has spaces or characters outside ASCII")
    if channel is Channel.WEBHOOK:
        _check_webhook(target, secret)
    else:
        _check_mail(target, secret)


def _check_webhook(target: str, secret: str | None) -> None:
    if secret is None or not _SECRET.fullmatch(secret):
        raise _invalid("a webhook needs `secret`, the name of the secret that signs it")
    try:
        url = urlsplit(target)
        port_fits = url.port is None or url.port > 0
    except ValueError as error:
        raise _invalid("its target is not a URL") from error
    if len(target) > TARGET_LENGTH or url.scheme not in ("http", "https") or not url.hostname or not port_fits:
        raise _invalid("a webhook's target is an absolute https URL")
    if url.scheme == "http" and url.hostname not in _LOOPBACK:
        raise _invalid("a webhook outside this machine is reached by https")
    if url.username is not None or url.password is not None or url.fragment:
        raise _invalid("a webhook's target holds no user, password or fragment: it is shown in answers and logs")


def _check_mail(target: str, secret: str | None) -> None:
    if secret is not None:
        raise _invalid("mail is not signed, so it takes no `secret`")
    if not is_mail_address(target):
        raise _invalid("its target is not a mail address")


def _invalid(why: str) -> InvalidContact:
    return InvalidContact(
        f"The contact is not usable: {why}.",
        "Nobody could be told through it, so it was not added.",
        "Correct it and ask again.",
    )
