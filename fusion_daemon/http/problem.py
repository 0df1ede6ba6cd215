"""RFC 9457 problem details: the one form of every error that a client meets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus

import msgspec

from fusion_daemon.domain.failure import Failure
from fusion_daemon.http.route import NO_HEADERS, Reply

PROBLEM_JSON = "application/problem+json"
TYPE_PREFIX = "urn:fusion-prime:problem:"
_WORD_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Problem(Exception):
    """An answer that is not the one asked for. `code` is stable and kebab-case; `detail` is for a human."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        remedy: str | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.remedy = remedy
        self.headers = headers

    def members(self) -> dict[str, object]:
        """type, title, status, detail, code and, where there is one, remedy."""
        members: dict[str, object] = {
            "type": TYPE_PREFIX + self.code,
            "title": self.code.replace("-", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.remedy is not None:
            members["remedy"] = self.remedy
        return members

    def reply(self, request_id: str) -> Reply:
        """Its members, and the request's id, under which the log has the rest."""
        members = self.members() | {"request_id": request_id}
        return Reply(self.status, msgspec.json.encode(members), self.headers, PROBLEM_JSON)


def code_of(failure: type[Failure]) -> str:
    """`AddressTaken` is `address-taken`."""
    return _WORD_BORDER.sub("-", failure.__name__).lower()


def problem_of(failure: Failure, statuses: Mapping[type[Failure], int]) -> Problem:
    """The problem that a route declares for this failure, else 503.

    A Failure is written for operators and holds no secret, so its text may be shown; one that no
    route declares is about the daemon's surroundings (its database, its other half), not the request.
    """
    for kind in type(failure).__mro__:
        if issubclass(kind, Failure) and kind in statuses:
            return Problem(
                statuses[kind],
                code_of(kind),
                f"{failure.happened} {failure.means}",
                remedy=failure.remedy,
            )
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        code_of(type(failure)),
        f"{failure.happened} {failure.means}",
        remedy=failure.remedy,
        headers={"Retry-After": "5"},
    )


def not_found(what: str, remedy: str | None = None) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "not-found", f"There is no {what}.", remedy=remedy)


def invalid(detail: str) -> Problem:
    """422: well-formed, but it says something that cannot be."""
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", detail)
