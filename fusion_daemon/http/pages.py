"""Keyset pages: `?limit=` and an opaque `?cursor=`, answered with `next_cursor` and a Link header.

INVARIANT: a cursor is the key of the last row shown, so a row that is inserted or removed between
two pages neither repeats nor hides another.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode

from fusion_daemon.http.problem import Problem, invalid
from fusion_daemon.http.route import Reply, Request, reply_json

PAGE_LIMIT = 200
PAGE_DEFAULT = 50
PAGE_QUERY = ("limit", "cursor")
"""What `page_of` reads: for the `query` of a paged route."""
_CURSOR = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Page:
    limit: int
    """1 … PAGE_LIMIT."""
    after: str | None
    """The key of the last row that the client has seen."""


def page_of(request: Request) -> Page:
    """Raises Problem 400 for a cursor that is not ours, 422 for a limit out of range."""
    text = request.query.get("limit", str(PAGE_DEFAULT))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= PAGE_LIMIT):
        raise invalid(f"limit is a whole number from 1 to {PAGE_LIMIT}.")
    cursor = request.query.get("cursor")
    if cursor is None:
        return Page(int(text), None)
    if not _CURSOR.fullmatch(cursor):
        raise bad_cursor()
    try:
        after = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError as error:
        raise bad_cursor() from error
    if "\0" in after:
        raise bad_cursor()
    return Page(int(text), after)


def bad_cursor() -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, "bad-cursor", "The cursor is not one that this API gave: start without one.")


def cursor_of(key: str) -> str:
    return urlsafe_b64encode(key.encode()).rstrip(b"=").decode("ascii")


def page_reply(page: Page, path: str, member: str, rows: Sequence[object], last_key: str | None) -> Reply:
    """`{member: rows, "next_cursor": …}`. `last_key` is the key of the last row, None for no rows.

    A full page may be the last one: then the next is empty. That costs one request and saves
    counting.
    """
    if last_key is None or len(rows) < page.limit:
        return reply_json({member: rows, "next_cursor": None})
    cursor = cursor_of(last_key)
    query = urlencode({"limit": page.limit, "cursor": cursor})
    return reply_json({member: rows, "next_cursor": cursor}, headers={"Link": f'<{path}?{query}>; rel="next"'})
