"""The living process in words, for a person at a terminal: one line a thing, nothing ever cut."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from fusion_daemon.chain.order_views import skip_text
from fusion_daemon.operation_views import (
    ActorsView,
    ActorView,
    CoveragesView,
    DetailView,
    EventView,
    MailboxesView,
    MailboxView,
    ObeyedView,
    RangeView,
    ReadsView,
    SupervisorView,
    TopicsView,
)

SETTLED = {"pause": "is paused", "resume": "goes on", "restart": "was restarted"}
NOT_YET = {
    "pause": "has not reached its gate yet; it will stand there",
    "resume": "has not gone on yet; it may",
    "restart": "has not started again yet; its supervisor goes on trying",
}


def actors_text(view: ActorsView) -> Iterator[str]:
    yield from _table(
        ("actor", "state", "since", "restarts", "health", "last beat", "queued"),
        [
            (
                each.name,
                each.state,
                _moment(each.since),
                str(each.restarts),
                each.health,
                "-" if each.beat_age is None else f"{each.beat_age:.1f} s ago",
                str(each.queued),
            )
            for each in view.actors
        ],
    )


def coverage_text(view: CoveragesView) -> Iterator[str]:
    for chain in view.chains:
        yield f"chain {chain.chain_id}  " + ("nothing is read yet" if chain.tip is None else f"tip {chain.tip}")
        for each in chain.filters:
            count = len(each.contracts)
            missing = f"  missing {_blocks(each.missing)}" if each.missing else ""
            skipped = f"  skipped {_blocks(each.skipped)}" if each.skipped else ""
            contracts = "1 contract" if count == 1 else f"{count} contracts"
            yield f"  version {each.filter_version}: {contracts}  read {_blocks(each.covered)}{missing}{skipped}"
        yield from (f"  {skip_text(skip)}" for skip in chain.skips)


def _blocks(ranges: Sequence[RangeView]) -> str:
    return ", ".join(f"{each.first}-{each.last}" for each in ranges) or "nothing"


def tree_text(view: SupervisorView) -> Iterator[str]:
    yield f"{view.name}  {_rules(view)}"
    yield from _below(view, "")


def _below(view: SupervisorView, indent: str) -> Iterator[str]:
    for place, each in enumerate(view.children):
        last = place == len(view.children) - 1
        rules = "" if each.below is None else f"  {_rules(each.below)}"
        yield f"{indent}{'└── ' if last else '├── '}{each.actor.name}  {_state(each.actor)}{rules}"
        if each.below is not None:
            yield from _below(each.below, indent + ("    " if last else "│   "))


def _rules(view: SupervisorView) -> str:
    """Its strategy, and how much of both budgets is used."""
    starts = view.failed_starts
    failed = f", {starts.used} of {starts.limit} failed starts in {starts.period:g} s" if starts.used else ""
    return (
        f"{view.strategy}, {view.restarts.used} of {view.restarts.limit} restarts in {view.restarts.period:g} s{failed}"
    )


def detail_text(view: DetailView) -> Iterator[str]:
    actor = view.actor
    yield f"{actor.name}  {_state(actor)}, under {actor.supervisor}"
    if actor.reason:
        yield f"  {actor.reason}"
    yield f"  health: {actor.health}"
    if actor.pause_requested and actor.state != "paused":
        yield "  a pause is asked for; it has not reached its gate yet"
    if actor.beat_age is not None:
        limit = "" if actor.beat_limit is None else f", limit {actor.beat_limit:g} s"
        yield f"  last beat: {actor.beat_age:.1f} s ago{limit}"
    if actor.data_age is not None:
        limit = "" if actor.data_limit is None else f", limit {actor.data_limit:g} s"
        yield f"  age of its data: {actor.data_age:.1f} s{limit}"
    if view.last_error_at is not None:
        yield f"  last error: {_moment(view.last_error_at)} {view.last_error}"
    if view.epoch is not None:
        yield f"  epoch: {view.epoch}"
    for written in view.writes:
        yield f"  writes {written.stream}: head {written.head}"
    for read in view.reads:
        yield f"  {_reads(read)}"
    for mailbox in view.mailboxes:
        yield f"  serves {_mailbox(mailbox)}"
    if view.statistics is not None:
        yield f"  counts: {json.dumps(view.statistics)}"
    if view.whereabouts:
        yield "  waits at:"
        yield from (f"    {frame}" for frame in view.whereabouts)


def _reads(read: ReadsView) -> str:
    committed = "unknown" if read.committed is None else str(read.committed)
    text = f"reads {read.stream}: committed {committed}, head {read.head}"
    if read.lag is None:
        return text + ", not subscribed now"
    return f"{text}, taken {read.taken}, lag {read.lag} ({read.lag_seconds or 0.0:.1f} s)"


def mailboxes_text(boxes: MailboxesView, topics: TopicsView) -> Iterator[str]:
    for box in boxes.mailboxes:
        yield _mailbox(box)
        yield (
            f"  accepted {box.accepted} = handled {box.handled} + dropped {box.dropped} + dead {box.dead} "
            f"+ queued {box.queued} + in hand {box.in_hand}; refused {box.refused}, late replies {box.late_replies}, "
            f"redelivered {box.redelivered}"
        )
    for dead in boxes.dead_letters:
        yield f"  dead letters of {dead.mailbox}: {dead.count} {dead.reason}"
    for topic in topics.topics:
        yield f"topic {topic.stream}: head {topic.head}, {topic.published} published here"
        for each in topic.subscriptions:
            yield (
                f"  {each.consumer} at {each.position}, lag {each.lag} ({each.lag_seconds:.1f} s), "
                f"{each.buffered} of {topic.capacity} buffered, {each.filled} read from the store"
            )


def _mailbox(box: MailboxView) -> str:
    by = f"served by {box.server}" if box.serving else f"nobody serves it ({box.server or 'nobody'} did last)"
    return (
        f"mailbox {box.name}: {by}; {box.work} of {box.capacity} queued (and {box.control} of control, "
        f"{box.supervision} of supervision), {box.waiting} waiting, at most {box.peak_queued} so far; when full: "
        f"{box.policy}"
    )


def obeyed_text(view: ObeyedView) -> str:
    told = (SETTLED if view.settled else NOT_YET)[view.done]
    return f"{view.actor} {told} ({view.state} since {_moment(view.since)})."


def event_text(event: EventView) -> str:
    parts = [f"{event.at.astimezone(UTC):%H:%M:%S.%f}"[:-3] + "Z", f"{event.kind:<9}"]
    parts += [part for part in (event.subject, event.text) if part]
    if event.first is not None:
        parts.append(str(event.first) if event.first == event.last else f"{event.first}-{event.last}")
    if event.seconds is not None:
        parts.append(f"{event.seconds * 1000:.1f} ms")
    return " ".join(parts).rstrip()


def _state(actor: ActorView) -> str:
    restarts = f", {actor.restarts} restart{'s' * (actor.restarts != 1)}" if actor.restarts else ""
    return f"{actor.state} since {_moment(actor.since)}{restarts}"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
