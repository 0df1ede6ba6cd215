"""Request bodies, parsed at the edge into typed values."""

from __future__ import annotations

from http import HTTPStatus
from typing import TypeVar

import msgspec

from fusion_daemon.http.problem import Problem, invalid
from fusion_daemon.http.route import Request

T = TypeVar("T")


def body_as(request: Request, form: type[T]) -> T:
    """The JSON body as `form` (a msgspec struct, a dataclass or a builtin generic of them).

    Raises Problem 400 when it is not JSON, 422 when it is JSON of another shape; the detail names
    the place (`$.addresses[0].chain_id`), never more of the body than the offending type.
    """
    if not request.body:
        raise Problem(HTTPStatus.BAD_REQUEST, "not-json", "The body is empty; this command needs a JSON object.")
    try:
        return msgspec.json.decode(request.body, type=form)
    except msgspec.ValidationError as error:
        raise invalid(f"The body does not fit: {error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, "not-json", "The body is not JSON.") from error
