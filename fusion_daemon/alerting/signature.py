"""Standard Webhooks 1.0.0, symmetric scheme `v1`: sign and verify.

Signed is `{id}.{timestamp}.{body}` with HMAC-SHA256; neither id nor timestamp may hold a dot, else two
messages could share one signature. A secret is `whsec_` + base64 of 24 to 64 bytes. While a secret is being
rotated several are valid at once, and the header carries one signature each.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence

from fusion_daemon.domain.failure import Failure

PREFIX = "whsec_"
TOLERANCE = 300
"""Seconds by which a receiver's clock may differ from ours."""

_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_ID = re.compile(r"[!-\-/-~]{1,256}")  # printable ASCII without space and dot


class SecretInvalid(Failure):
    """A signing secret is not `whsec_` + base64 of 24 to 64 bytes. The text never shows it."""


class SignatureInvalid(Failure):
    """A message is not proven to come from who shares our secret."""


def parse_secret(text: str) -> bytes:
    """The key bytes of one secret; missing base64 padding is accepted. Raises SecretInvalid."""
    encoded = text.removeprefix(PREFIX)
    try:
        key = base64.b64decode(encoded.rstrip("=") + "=" * (-len(encoded.rstrip("=")) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""  # too short: refused below
    if encoded == text or not 24 <= len(key) <= 64:
        raise SecretInvalid(
            "A webhook signing secret is malformed.",
            "Nothing can be signed with it.",
            f"Write {PREFIX} followed by the base64 of 24 to 64 random bytes.",
        )
    return key


def parse_secrets(text: str) -> list[bytes]:
    """The keys of one secret, or of several, white space between, while one is rotated. Raises SecretInvalid."""
    return [parse_secret(each) for each in text.split()] or [parse_secret("")]


def signature_headers(secrets: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of one attempt at `timestamp` (unix seconds).

    `secrets` is as `parse_secrets` takes it. Raises SecretInvalid; ValueError for an id that cannot be
    signed unambiguously.
    """
    keys = parse_secrets(secrets)
    return {
        **identity_headers(message_id, timestamp),
        "webhook-signature": " ".join(_sign(key, message_id, str(timestamp), body) for key in keys),
    }


def identity_headers(message_id: str, timestamp: int) -> dict[str, str]:
    """What an unsigned message carries too: the idempotency key and the time of the attempt."""
    if not _ID.fullmatch(message_id):
        raise ValueError(f"not a webhook id: {message_id!r}")
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp)}


def verify(
    secrets: Sequence[str], headers: Mapping[str, str], body: bytes, *, now: float, tolerance: int = TOLERANCE
) -> None:
    """Raise SignatureInvalid unless one of the secrets signed exactly this message, `tolerance` seconds
    around now.

    Header names are case-insensitive; signatures of unknown versions are skipped. Raises SecretInvalid too.
    """
    found = {name.lower(): value for name, value in headers.items()}
    message_id = found.get("webhook-id", "")
    timestamp = found.get("webhook-timestamp", "")
    if not _ID.fullmatch(message_id) or not _TIMESTAMP.fullmatch(timestamp):
        raise _invalid("The webhook-id or the webhook-timestamp is missing or malformed.")
    if abs(now - int(timestamp)) > tolerance:
        raise _invalid("The webhook-timestamp is too old or too new.")
    offered = [each[3:].encode() for each in found.get("webhook-signature", "").split(" ") if each.startswith("v1,")]
    genuine = False
    for secret in secrets:
        expected = _sign(parse_secret(secret), message_id, timestamp, body)[3:].encode()
        for signature in offered:
            genuine |= hmac.compare_digest(expected, signature)
    if not genuine:
        raise _invalid("No signature matches.")


def _sign(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    digest = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()


def _invalid(happened: str) -> SignatureInvalid:
    return SignatureInvalid(
        happened,
        "The message may be forged, replayed or altered.",
        "Refuse it; compare the secret and the clocks of both sides.",
    )
