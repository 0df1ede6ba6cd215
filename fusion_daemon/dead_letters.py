"""What `fusion-daemon deadletters` asks of the running daemon, and its answers in words. Everything here blocks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from fusion_daemon.admin_client import call, segment
from fusion_daemon.config import Config
from fusion_daemon.quarantine.rules import State
from fusion_daemon.quarantine.views import ListView, SetAsideDetail, SetAsideView, SettledView

_PAGE = 200


def listed(config: Config, state: str | None) -> ListView:
    """All pages as one. Raises DaemonNotReached, and Refused for a state that there is not."""
    wanted = "" if state is None else f"&state={segment(state)}"
    first = f"/v1/deadletters?limit={_PAGE}{wanted}"
    whole = page = call(config, "GET", first, None, ListView)
    while page.next_cursor is not None:
        page = call(config, "GET", f"{first}&cursor={segment(page.next_cursor)}", None, ListView)
        whole = msgspec.structs.replace(page, set_aside=(*whole.set_aside, *page.set_aside))
    return whole


def shown(config: Config, number: int) -> SetAsideDetail:
    """Raises DaemonNotReached, Refused."""
    return call(config, "GET", f"/v1/deadletters/{number}", None, SetAsideDetail)


def settled(config: Config, verb: str, number: int) -> SettledView:
    """`verb`: replay or discard. Raises DaemonNotReached, Refused."""
    return call(config, "POST", f"/v1/deadletters/{number}/{verb}", None, SettledView)


def list_text(view: ListView) -> Iterator[str]:
    """One line a message, then one a mailbox and reason."""
    if not view.set_aside:
        yield "Nothing is set aside."
    for each in view.set_aside:
        yield f"{each.id}  {_moment(each.at)}  {_state(each)}  {each.message} of {_place(each)}"
    for count in view.dead_letters.counts:
        yield f"{count.mailbox}: {count.count} {count.reason}"


def detail_text(view: SetAsideDetail) -> Iterator[str]:
    each = view.set_aside
    yield f"{each.id}  {_moment(each.at)}  {_state(each)}  {each.message} of {_place(each)}"
    if view.payload is not None:
        yield f"payload: {view.payload}"
    yield view.traceback.rstrip("\n")


def _state(each: SetAsideView) -> str:
    if each.state is State.HELD or each.settled_at is None:
        return each.state
    return f"{each.state} by {each.settled_by} at {_moment(each.settled_at)}"


def _place(each: SetAsideView) -> str:
    return each.source if each.stream is None else f"{each.stream}#{each.seq} ({each.source})"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
