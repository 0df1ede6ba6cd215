"""What a stateless risk call is asked: JSON, read once at the edge into typed values."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TypeVar

import msgspec

from fusion_daemon.domain.failure import Failure

T = TypeVar("T")


class NotJson(Failure):
    """Nobody can tell what was asked."""


class Invalid(Failure):
    """The question contradicts itself, or asks for what there is not."""


def invalid(happened: str, remedy: str) -> Invalid:
    return Invalid(happened, "Nothing was computed.", remedy)


def read_body(body: bytes, form: type[T]) -> T:
    """`body` as `form`, a msgspec struct. The failure names the place (`$.weights`), never the rest of the body.

    Raises NotJson and Invalid.
    """
    try:
        return msgspec.json.decode(body, type=form)
    except msgspec.ValidationError as error:
        raise invalid(f"The request does not fit: {error}.", "Send the fields that docs/api.md names.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotJson("The request is not JSON.", "Nothing was computed.", "Send one JSON object.") from error


def finite(values: Sequence[Decimal], name: str) -> Sequence[Decimal]:
    """Decimal text may say NaN or Infinity, which no loss can be. Raises Invalid."""
    for place, value in enumerate(values):
        if not value.is_finite():
            raise invalid(f"`{name}` number {place} is {value}.", "Send finite numbers only.")
    return values
