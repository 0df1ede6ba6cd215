"""What is scraped of chains and of their endpoints, in Prometheus' words; see `metric_sources`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from actors.chain_listener import ChainListener
from actors.listener_statistics import ListenerStatistics
from fusion_daemon.aio import BUCKETS
from fusion_daemon.chain.endpoint_state import State
from fusion_daemon.chain.rpc_endpoints import EndpointStatistics
from fusion_daemon.composition import House
from fusion_daemon.http.metrics import AnyFamily, HistogramFamily, HistogramSample, Sample, counter, gauge

_LISTENER_COUNTERS: Sequence[tuple[str, str, Callable[[ListenerStatistics], float]]] = (
    ("fusion_chain_blocks_total", "Blocks committed.", lambda s: s.blocks),
    ("fusion_chain_logs_total", "Logs committed.", lambda s: s.logs),
    (
        "fusion_chain_undecodable_logs_total",
        "Logs stored raw because their arguments were odd.",
        lambda s: s.undecodable,
    ),
    ("fusion_chain_repaired_blocks_total", "Blocks whose logs a node had left out.", lambda s: s.repaired),
    (
        "fusion_chain_audit_mismatches_total",
        "Logs of final blocks that were not stored, or not as endpoints have them.",
        lambda s: s.audit.mismatches,
    ),
    ("fusion_chain_audit_repaired_total", "Logs of final blocks that the audit stored.", lambda s: s.audit.repaired),
    ("fusion_chain_dense_blocks_total", "Steps that ended at a block whose logs no way gave.", lambda s: s.dense),
    ("fusion_chain_announced_heads_total", "New heads announced over a WebSocket.", lambda s: s.announced.heads),
    ("fusion_chain_socket_losses_total", "WebSockets lost, or not opened.", lambda s: s.announced.losses),
    ("fusion_chain_reorgs_total", "Reorganisations followed.", lambda s: s.reorgs),
    ("fusion_chain_orphaned_blocks_total", "Blocks that reorganisations took away.", lambda s: s.orphaned),
    ("fusion_chain_orphaned_logs_total", "Logs that reorganisations took back.", lambda s: s.orphaned_logs),
    (
        "fusion_chain_reorg_handling_seconds_total",
        "Time from noticing a reorganisation to its commit, all together.",
        lambda s: s.reorg_seconds,
    ),
    ("fusion_chain_rate_limits_total", "Requests that a provider limited.", lambda s: s.rate_limits),
    ("fusion_chain_faults_total", "Steps that failed on an endpoint.", lambda s: s.faults),
)
_LISTENER_GAUGES: Sequence[tuple[str, str, Callable[[ListenerStatistics], float | None]]] = (
    ("fusion_chain_tip_block", "Number of the last committed block.", lambda s: s.tip),
    ("fusion_chain_head_block", "Number of the endpoint's head.", lambda s: s.head),
    ("fusion_chain_finalized_block", "Number of the highest final block.", lambda s: s.finalized),
    ("fusion_chain_deepest_reorg_blocks", "Depth of the deepest reorganisation.", lambda s: s.deepest_reorg),
    (
        "fusion_chain_audited_block",
        "Number of the last block up to which stored logs were compared with what endpoints have.",
        lambda s: s.audit.audited,
    ),
    (
        "fusion_chain_audit_differing_logs",
        "Logs of final blocks that endpoints have otherwise and nobody has settled.",
        lambda s: s.audit.differing,
    ),
    (
        "fusion_chain_missing_blocks",
        "Blocks up to the tip whose logs of some contract were not read, counted for each filter version.",
        lambda s: s.missing,
    ),
    (
        "fusion_chain_skipped_blocks",
        "Blocks up to the tip whose logs are left out by an operator's order, until a replay reads them.",
        lambda s: s.skipped,
    ),
    (
        "fusion_chain_behind_blocks",
        "Blocks between the endpoint's head and the last committed one.",
        lambda s: None if s.head is None or s.tip is None else max(s.head - s.tip, 0),
    ),
    (
        "fusion_chain_behind_seconds",
        "Time between these two, as the chain itself tells it.",
        lambda s: None
        if s.head_timestamp is None or s.tip_timestamp is None
        else max(s.head_timestamp - s.tip_timestamp, 0),
    ),
    (
        "fusion_chain_tip_age_seconds",
        "Age of the last committed block by its own time.",
        lambda s: None if s.tip_timestamp is None else time.time() - s.tip_timestamp,
    ),
)
_ENDPOINT_COUNTERS: Sequence[tuple[str, str, Callable[[EndpointStatistics], float]]] = (
    ("fusion_rpc_requests_total", "HTTP requests.", lambda e: e.requests),
    ("fusion_rpc_faults_total", "Requests that failed.", lambda e: e.faults),
    ("fusion_rpc_null_results_total", "JSON-RPC answers that said: no such thing.", lambda e: e.nulls),
    (
        "fusion_rpc_errors_total",
        "JSON-RPC answers with an error other than a limit of our rate.",
        lambda e: e.errors,
    ),
    (
        "fusion_rpc_receipt_escapes_total",
        "Single blocks whose logs were refused, so that their receipts were read.",
        lambda e: e.escapes,
    ),
    ("fusion_rpc_received_bytes_total", "Bytes received.", lambda e: e.octets),
)
_ENDPOINT_GAUGES: Sequence[tuple[str, str, Callable[[EndpointStatistics], float]]] = (
    (
        "fusion_rpc_calls_per_second_allowed",
        "Calls a second that the endpoint is asked at most; it falls when the provider limits us.",
        lambda e: e.rate,
    ),
    (
        "fusion_rpc_requests_in_flight",
        "HTTP requests that were sent and not answered yet.",
        lambda e: e.in_flight,
    ),
)


def chain_families(house: House) -> Iterable[AnyFamily]:
    seen = [
        (actor.name.partition(":")[2], actor.statistics())
        for actor in tuple(house.fixtures.alive.values())
        if isinstance(actor, ChainListener)
    ]
    for name, text, number in _LISTENER_COUNTERS:
        yield counter(name, text, [Sample(number(s), (chain,)) for chain, s in seen], ("chain",))
    for name, text, figure in _LISTENER_GAUGES:
        told = [(chain, figure(s)) for chain, s in seen]
        yield gauge(name, text, [Sample(value, (chain,)) for chain, value in told if value is not None], ("chain",))
    yield counter(
        "fusion_chain_range_splits_total",
        "Ranges that an endpoint refused or did not answer, by reason and by the rule that knew the error.",
        [Sample(n, (chain, reason, rule)) for chain, s in seen for (reason, rule), n in s.splits.items()],
        ("chain", "reason", "rule"),
    )
    yield from _endpoint_families([(chain, str(place), e) for chain, s in seen for place, e in enumerate(s.endpoints)])


def _endpoint_families(endpoints: Sequence[tuple[str, str, EndpointStatistics]]) -> Iterable[AnyFamily]:
    label = ("chain", "endpoint")
    yield gauge(
        "fusion_rpc_endpoint_state",
        "1 for the state that the endpoint is in.",
        [Sample(e.state is state, (c, p, state.value)) for c, p, e in endpoints for state in State],
        (*label, "state"),
    )
    yield counter(
        "fusion_rpc_endpoint_transitions_total",
        "Changes of an endpoint's state, by what made it change.",
        [
            Sample(n, (c, p, before.value, after.value, reason))
            for c, p, e in endpoints
            for (before, after, reason), n in e.transitions.items()
        ],
        (*label, "from", "to", "reason"),
    )
    yield HistogramFamily(
        "fusion_rpc_request_duration_seconds",
        "Time from sending an HTTP request to the end of its answer, of those that were answered whole.",
        BUCKETS,
        [HistogramSample(tuple(e.durations), e.seconds, (c, p)) for c, p, e in endpoints],
        label,
    )
    for name, text, number in _ENDPOINT_COUNTERS:
        yield counter(name, text, [Sample(number(e), (c, p)) for c, p, e in endpoints], label)
    for name, text, figure in _ENDPOINT_GAUGES:
        yield gauge(name, text, [Sample(figure(e), (c, p)) for c, p, e in endpoints], label)
