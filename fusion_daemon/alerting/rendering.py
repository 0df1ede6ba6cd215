"""What an alert says: to machines (JSON with exact decimals as strings) and to people (mail).

INVARIANT: what is sent follows from the alert alone, so every attempt at a delivery carries the same bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from fusion_daemon.domain.account import AccountRecord
from fusion_daemon.domain.alert import Alert, Severity
from fusion_daemon.domain.decimals import WAD_DECIMALS, decimal_text
from fusion_daemon.domain.margin import MarginEvent, MarginFigures, MarginInputs, MarginKind, MarginState
from fusion_daemon.domain.price import USD_DECIMALS

LARGEST_BODY = 20_000
"""Bytes: the Standard Webhooks limit."""

_LARGEST_DATA = LARGEST_BODY - 1_000
_LONGEST_NAME = 200

_STATE_NAMES = {
    MarginState.HEALTHY: "healthy",
    MarginState.WARNING: "in a margin warning",
    MarginState.MARGIN_CALL: "in a margin call",
    MarginState.LIQUIDATION: "in liquidation",
}
_SENTENCES = {
    MarginKind.OPENED: "{who} is {after}",
    MarginKind.WORSENED: "{who} worsened: it was {before} and is {after}",
    MarginKind.IMPROVED: "{who} improved: it was {before} and is {after}",
    MarginKind.RESOLVED: "{who} is healthy again; it was {before}",
    MarginKind.CORRECTED: "Correction: a reorganisation withdrew the cause; {who} is {after}, not {before}",
    MarginKind.REINSTATED: "{who} is {after} after all: what a reorganisation had withdrawn is back",
}


@dataclass(frozen=True, slots=True)
class Mail:
    subject: str
    text: str
    thread: str
    """The same for all alerts of one episode: mail programs show them together."""


def margin_alert(event: MarginEvent, record: AccountRecord | None, severity: Severity) -> Alert:
    """The alert of a margin event. Its id follows from (account, episode, step)."""
    summary = _summary(event, record)
    data: dict[str, object] = {
        "alert": margin_alert_id(event),
        "summary": summary,
        "account": event.account,
        "account_name": None if record is None else record.name[:_LONGEST_NAME],
        "customer": None if record is None else record.customer[:_LONGEST_NAME],
        "episode": event.episode,
        "step": event.step,
        "kind": event.kind.value,
        "before": event.before.name,
        "after": event.after.name,
        "cause": event.cause.value,
        "confirmed": event.confirmed,
        "health_low": decimal_text(event.health_low, WAD_DECIMALS),
        "health_high": decimal_text(event.health_high, WAD_DECIMALS),
        "past": event.past,
        **_figures(event.figures),
        "inputs": _inputs(event.inputs),
    }
    return Alert(
        id=margin_alert_id(event),
        type=f"margin.{event.kind.value}",
        severity=severity,
        account=event.account,
        occurred_at=event.inputs.as_of,
        summary=summary,
        data=orjson.dumps(data),
    )


def margin_alert_id(event: MarginEvent) -> str:
    account = hashlib.sha256(event.account.encode()).hexdigest()[:16]
    return f"mrg_{account}_{event.episode}_{event.step}"


def webhook_body(alert: Alert) -> bytes:
    """`{"type", "timestamp", "data"}` with the time of the fact; under 20 kB, whatever the alert holds."""
    data = alert.data
    if len(data) > _LARGEST_DATA:
        # Being told late or never is worse than being told briefly: the API still holds the whole of it.
        data = orjson.dumps({"alert": alert.id, "summary": alert.summary[:2_000], "truncated": True})
    return b'{"type":%b,"timestamp":%b,"data":%b}' % (
        orjson.dumps(alert.type),
        orjson.dumps(_iso(alert.occurred_at)),
        data,
    )


def mail(alert: Alert) -> Mail:
    """Subject (one line, however the summary looks) and plain text of an alert."""
    subject = f"[{alert.severity.name}] {alert.summary}"
    subject = " ".join("".join(each if each.isprintable() else " " for each in subject).split())
    lines = [alert.summary, "", f"When: {_iso(alert.occurred_at)}", f"Alert: {alert.id} ({alert.type})"]
    details = orjson.loads(alert.data)
    if isinstance(details, dict):
        lines += [*_lines(details, "")]
    return Mail(subject[:250], "\n".join(lines) + "\n", _thread(alert.id))


def _summary(event: MarginEvent, record: AccountRecord | None) -> str:
    who = event.account if record is None else f"{record.name[:_LONGEST_NAME]} ({event.account})"
    before, after = _STATE_NAMES[event.before], _STATE_NAMES[event.after]
    text = _SENTENCES[event.kind].format(who=who, before=before, after=after)
    if event.figures.health_factor is not None:
        text += f"; health factor {_brief(event.figures.health_factor)}"
    if not event.confirmed:
        text += f", unconfirmed: between {_brief(event.health_low)} and {_brief(event.health_high)}"
    if event.figures.cure_repay_usd:
        repay = decimal_text(event.figures.cure_repay_usd, USD_DECIMALS)
        deposit = decimal_text(event.figures.cure_deposit_usd, USD_DECIMALS)
        text += f"; cured by repaying {repay} USD or depositing {deposit} USD"
    if event.past:
        text += f"; found while catching up: it happened at {_iso(event.inputs.as_of)}"
    return text + "."


def _brief(health: int | None) -> str:
    """At most six decimals, cut off: nobody is told more health than there is."""
    return decimal_text(None if health is None else health // 10**12, WAD_DECIMALS - 12) or "unknown"


def _figures(figures: MarginFigures) -> dict[str, object]:
    return {
        "health_factor": decimal_text(figures.health_factor, WAD_DECIMALS),
        "score_percent": decimal_text(figures.score_bps, 2),
        "collateral_usd": decimal_text(figures.collateral_usd, USD_DECIMALS),
        "debt_usd": decimal_text(figures.debt_usd, USD_DECIMALS),
        "threshold_usd": decimal_text(figures.threshold_usd, USD_DECIMALS),
        "cure": {
            "repay_usd": decimal_text(figures.cure_repay_usd, USD_DECIMALS),
            "deposit_usd": decimal_text(figures.cure_deposit_usd, USD_DECIMALS),
        },
    }


def _inputs(inputs: MarginInputs) -> dict[str, object]:
    return {
        "price_seq": inputs.price_seq,
        "chains": [{"chain": each.chain, "seq": each.seq, "block": each.block} for each in inputs.chains],
        "configuration": inputs.configuration,
        "as_of": inputs.as_of,
        "unpriced": list(inputs.unpriced),
    }


def _lines(details: dict[str, object], prefix: str) -> list[str]:
    lines = []
    for name, value in details.items():
        if isinstance(value, dict):
            lines += _lines(value, f"{prefix}{name}.")
        elif value is not None and f"{prefix}{name}" not in ("alert", "summary"):
            text = value if isinstance(value, str) else orjson.dumps(value).decode()
            lines.append(f"{prefix}{name}: {text}")
    return lines


def _thread(alert: str) -> str:
    return alert.rsplit("_", 1)[0] if alert.startswith("mrg_") else alert


def _iso(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
