"""Prometheus metrics: what rooms count, told as typed families, checked and rendered.

Rooms and primitives keep plain numbers and answer `.statistics()`; a *source* turns such a snapshot
into families at the time of the scrape. Nothing is counted twice and no room knows Prometheus.

INVARIANT: what leaves here passes `promtool check metrics`. A family that would not is refused
where it is made, with the rule that it breaks: counters and only counters end in `_total`, units
are base units and stand in the name, every family has a help text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from fusion_daemon.http.route import Reply, Request, Route

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "fusion_"
_NAME = re.compile(r"fusion(_[a-z0-9]+)+")
_LABEL = re.compile(r"[a-z][a-z0-9_]*")
_NOT_BASE_UNITS = frozenset(
    {"milliseconds", "microseconds", "nanoseconds", "ms", "us", "ns", "minutes", "hours", "days", "kilobytes"}
    | {"megabytes", "gigabytes", "kb", "mb", "gb", "kib", "mib", "gib", "bits", "percent", "sec", "secs", "s"}
)
_RESERVED_ENDINGS = ("_count", "_sum", "_bucket", "_created")
_KIND_WORDS = frozenset({"counter", "gauge", "histogram", "summary", "metric"})


class Unit(Enum):
    """The base units that a name may end in."""

    NONE = ""
    SECONDS = "seconds"
    BYTES = "bytes"
    RATIO = "ratio"
    USD = "usd"
    BLOCKS = "blocks"


class Kind(Enum):
    COUNTER = "counter"
    GAUGE = "gauge"


Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    value: float
    labels: Labels = ()
    """Values, in the order of the family's label names."""


@dataclass(frozen=True, slots=True)
class HistogramSample:
    buckets: tuple[int, ...]
    """Observations per bucket, not cumulative; one more than the family's bounds."""
    total: float
    """The sum of the observations, in the family's unit."""
    labels: Labels = ()


@dataclass(frozen=True, slots=True)
class Family:
    """A counter or a gauge. `name` is whole: `fusion_chain_head_lag_seconds`, `fusion_alerts_sent_total`."""

    name: str
    kind: Kind
    help: str
    samples: Sequence[Sample]
    labels: Labels = ()
    unit: Unit = Unit.NONE

    def __post_init__(self) -> None:
        bare = self.name.removesuffix("_total")
        _check(self.name, bare, self.help, self.labels, self.unit)
        if (self.kind is Kind.COUNTER) != (bare != self.name):
            raise ValueError(f"{self.name}: counters, and only they, end in _total")
        if bare.endswith("_info") and any(sample.value != 1 for sample in self.samples):
            raise ValueError(f"{self.name}: what it says stands in its labels, and its value is 1")
        _check_samples(self.name, self.labels, [sample.labels for sample in self.samples])


@dataclass(frozen=True, slots=True)
class HistogramFamily:
    """A histogram with fixed upper `bounds` (ascending, without infinity)."""

    name: str
    help: str
    bounds: tuple[float, ...]
    samples: Sequence[HistogramSample]
    labels: Labels = ()
    unit: Unit = Unit.SECONDS

    def __post_init__(self) -> None:
        _check(self.name, self.name, self.help, self.labels, self.unit)
        if self.name.endswith("_total") or list(self.bounds) != sorted(set(self.bounds)):
            raise ValueError(f"{self.name}: a histogram has ascending bounds and no _total")
        if any(len(sample.buckets) != len(self.bounds) + 1 for sample in self.samples):
            raise ValueError(f"{self.name}: a sample has one bucket more than there are bounds")
        _check_samples(self.name, self.labels, [sample.labels for sample in self.samples])


def gauge(name: str, text: str, samples: Sequence[Sample], labels: tuple[str, ...] = ()) -> Family:
    """Its unit is the last word of its name."""
    last = name.rsplit("_", 1)[-1]
    unit = next((each for each in Unit if each.value and each.value == last), Unit.NONE)
    return Family(name, Kind.GAUGE, text, samples, labels, unit)


def counter(name: str, text: str, samples: Sequence[Sample], labels: tuple[str, ...] = ()) -> Family:
    """Its unit is the last word of its name before `_total`."""
    bare = name.removesuffix("_total").rsplit("_", 1)[-1]
    unit = next((each for each in Unit if each.value and each.value == bare), Unit.NONE)
    return Family(name, Kind.COUNTER, text, samples, labels, unit)


AnyFamily = Family | HistogramFamily
Source = Callable[[], Iterable[AnyFamily]]
"""Called on the asyncio side at each scrape; must not block and must bear the trio side writing
meanwhile (copy a dict with `tuple(d.items())`, which is one step of the interpreter)."""


class Metrics:
    """The registry: named sources, plus what Python and the process tell about themselves."""

    def __init__(self, failed: Callable[[str, BaseException], None]) -> None:
        """`failed(source, error)` is told of a source that raised; the other ones are still served."""
        self._sources: dict[str, Source] = {}
        self._failed = failed
        self._failures: dict[str, int] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._registry.register(_Bridge(self._collect))

    def add(self, name: str, source: Source) -> None:
        """Raises ValueError when the name is taken."""
        if name in self._sources:
            raise ValueError(f"two metric sources are called {name}")
        self._sources[name] = source
        self._failures[name] = 0

    def render(self) -> bytes:
        """The exposition in text format 0.0.4."""
        return generate_latest(self._registry)

    def _collect(self) -> Iterable[AnyFamily]:
        seen: dict[str, AnyFamily] = {}
        for name, source in tuple(self._sources.items()):
            try:
                told = {family.name: _merged(seen.get(family.name), family) for family in source()}
            except Exception as error:  # noqa: BLE001 - counted and told; a broken source must not blind the rest
                self._failures[name] += 1
                self._failed(name, error)
                continue
            seen |= told
        yield from seen.values()
        yield Family(
            "fusion_metrics_source_failures_total",
            Kind.COUNTER,
            "Scrapes in which a source of metrics raised and was left out.",
            [Sample(count, (name,)) for name, count in self._failures.items()],
            ("source",),
        )


class _Bridge(Collector):
    def __init__(self, collect: Callable[[], Iterable[AnyFamily]]) -> None:
        self._families = collect

    def collect(self) -> Iterable[Metric]:
        return [_prometheus(family) for family in self._families()]


def metrics_route(metrics: Metrics) -> Route:
    """GET /metrics, for a listener of its own."""

    async def scrape(request: Request) -> Reply:
        return Reply(200, metrics.render(), content_type=CONTENT_TYPE)

    return Route("GET", "/metrics", scrape, "Everything that the daemon counts, for Prometheus.")


def _merged(first: AnyFamily | None, second: AnyFamily) -> AnyFamily:
    """Two sources may fill one family (the same primitive in two places), if they agree on what it is.
    Raises ValueError."""
    if first is None:
        return second
    if isinstance(first, Family) and isinstance(second, Family):
        agree = replace(first, samples=()) == replace(second, samples=())
        joined: AnyFamily = replace(first, samples=[*first.samples, *second.samples])
    elif isinstance(first, HistogramFamily) and isinstance(second, HistogramFamily):
        agree = replace(first, samples=()) == replace(second, samples=())
        joined = replace(first, samples=[*first.samples, *second.samples])
    else:
        agree, joined = False, first
    if not agree:
        raise ValueError(f"{first.name}: two sources disagree about what it is")
    return joined


def _prometheus(family: AnyFamily) -> Metric:
    if isinstance(family, HistogramFamily):
        histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
        for sample in family.samples:
            histogram.add_metric(sample.labels, _cumulative(family.bounds, sample.buckets), sample.total)
        return histogram
    made: CounterMetricFamily | GaugeMetricFamily
    if family.kind is Kind.COUNTER:
        made = CounterMetricFamily(family.name, family.help, labels=family.labels)
    else:
        made = GaugeMetricFamily(family.name, family.help, labels=family.labels)
    for each in family.samples:
        made.add_metric(each.labels, each.value)
    return made


def _cumulative(bounds: Sequence[float], buckets: Sequence[int]) -> list[tuple[str, float]]:
    total = 0
    rows: list[tuple[str, float]] = []
    for bound, count in zip([*(str(float(bound)) for bound in bounds), "+Inf"], buckets, strict=True):
        total += count
        rows.append((bound, float(total)))
    return rows


def _check(name: str, bare: str, help_text: str, labels: Labels, unit: Unit) -> None:
    words = bare.split("_")
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name}: a metric is called {PREFIX}… in lower-case words")
    if not help_text.strip():
        raise ValueError(f"{name}: a metric has a help text")
    if bare.endswith(_RESERVED_ENDINGS) or _KIND_WORDS & set(words):
        raise ValueError(f"{name}: the name says its kind or ends like a histogram's series")
    if wrong := _NOT_BASE_UNITS & set(words):
        raise ValueError(f"{name}: {min(wrong)} is not a base unit")
    if unit is not Unit.NONE and words[-1] != unit.value:
        raise ValueError(f"{name}: its unit {unit.value} does not end its name")
    if unit is Unit.NONE and words[-1] in {"seconds", "bytes", "ratio", "usd"}:
        raise ValueError(f"{name}: its name has a unit that it does not declare")
    if any(not _LABEL.fullmatch(label) or label in {"le", "quantile"} for label in labels):
        raise ValueError(f"{name}: a label is a lower-case word, and neither le nor quantile")


def _check_samples(name: str, labels: Labels, samples: Sequence[Labels]) -> None:
    if any(len(values) != len(labels) for values in samples):
        raise ValueError(f"{name}: a sample has as many label values as there are labels")
    if len(set(samples)) != len(samples):
        raise ValueError(f"{name}: two samples have the same labels")
