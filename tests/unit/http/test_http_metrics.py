"""Metrics: every exposition passes promtool, and what would not is refused where it is made."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.http.metrics import (
    AnyFamily,
    Family,
    HistogramFamily,
    HistogramSample,
    Kind,
    Metrics,
    Sample,
    Unit,
)
from fusion_daemon.http.server_metrics import http_families
from fusion_daemon.http.statistics import BOUNDS, HttpStatistics, Tallies

_SAMPLE = re.compile(r'([a-z_][a-z0-9_]*)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+)\})? (\S+)')


def refuse(source: str, error: BaseException) -> None:
    raise AssertionError(source) from error


def render(*sources: Iterable[AnyFamily]) -> str:
    metrics = Metrics(refuse)
    for number, families in enumerate(sources):
        metrics.add(f"source{number}", partial(tuple, families))
    return metrics.render().decode()


def check_exposition(text: str) -> dict[str, dict[str, float]]:
    """A strict reading of text format 0.0.4 with promtool's lint rules; `{family: {series: value}}`."""
    kinds: dict[str, str] = {}
    helps: set[str] = set()
    series: dict[str, dict[str, float]] = {}
    current = ""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            current, told = line.removeprefix("# HELP ").split(" ", 1)
            assert current not in helps, f"{current} stands in two places"
            assert told.strip(), f"{current} has no help"
            helps.add(current)
        elif line.startswith("# TYPE "):
            name, kind = line.removeprefix("# TYPE ").split(" ")
            assert name == current
            kinds[name] = kind
            series[name] = {}
        else:
            matched = _SAMPLE.fullmatch(line)
            assert matched, line
            endings = ("_bucket", "_sum", "_count") if kinds[current] == "histogram" else ("",)
            assert matched[1] in {current + ending for ending in endings}, line
            key = f"{matched[1]}{{{matched[2] or ''}}}"
            assert key not in series[current], f"{key} twice"
            series[current][key] = float(matched[3])
    for name, kind in kinds.items():
        assert (kind == "counter") == name.endswith("_total"), f"{name} is a {kind}"
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert not re.search(r"(milli|micro|nano|kilo|mega)(seconds|bytes)|minutes|hours|percent", name)
        if kind == "histogram":
            _check_buckets(series[name])
    return series


def _check_buckets(series: dict[str, float]) -> None:
    last: dict[str, float] = {}
    for key, value in series.items():
        if "_bucket{" in key:
            rest = re.sub(r',?le="[^"]*"', "", key)
            assert value >= last.get(rest, 0.0), f"{key} is not cumulative"
            last[rest] = value


def test_the_exposition_of_a_busy_server_is_valid() -> None:
    text = render(http_families({"admin": busy(), "metrics": busy()}))
    series = check_exposition(text)
    durations = series["fusion_http_request_duration_seconds"]
    labels = 'method="GET",route="/v1/accounts/{id}",server="admin",status="200"'
    assert durations[f"fusion_http_request_duration_seconds_count{{{labels}}}"] == 3
    assert durations[f"fusion_http_request_duration_seconds_sum{{{labels}}}"] == pytest.approx(60.0015)
    assert (
        series["fusion_http_requests_rejected_total"]['fusion_http_requests_rejected_total{server="admin"}']
        == 7
    )
    assert "process_open_fds" in series
    assert "python_info" in series


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed")
def test_promtool_has_nothing_to_say() -> None:
    text = render(http_families({"admin": busy()}), examples())
    promtool = shutil.which("promtool")
    assert promtool is not None
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def busy() -> HttpStatistics:
    tallies = Tallies()
    for seconds in (0.0005, 0.001, 60.0):
        tallies.count("GET", "/v1/accounts/{id}", 200, seconds)
    tallies.count("OTHER", "unmatched", 404, 0.02)
    return HttpStatistics(tallies.snapshot(), connections=3, running=2, waiting=1, rejected=7)


def examples() -> Sequence[AnyFamily]:
    return (
        Family(
            "fusion_chain_head_age_seconds",
            Kind.GAUGE,
            "Age of a chain's newest block.",
            [Sample(1.5, ('a"b\\c\nd',)), Sample(math.inf, ("1",))],
            ("chain",),
            Unit.SECONDS,
        ),
        Family("fusion_alerts_sent_total", Kind.COUNTER, "Alerts sent.", [Sample(12)]),
        Family("fusion_empty_total", Kind.COUNTER, "Nothing yet.", []),
        HistogramFamily(
            "fusion_tick_duration_seconds", "Time of a tick.", (0.1, 1.0), [HistogramSample((1, 0, 2), 9.5)]
        ),
    )


def test_awkward_label_values_and_empty_families_are_rendered_validly() -> None:
    series = check_exposition(render(examples()))
    assert series["fusion_chain_head_age_seconds"] == {
        'fusion_chain_head_age_seconds{chain="a\\"b\\\\c\\nd"}': 1.5,
        'fusion_chain_head_age_seconds{chain="1"}': math.inf,
    }
    assert series["fusion_empty_total"] == {}
    assert series["fusion_tick_duration_seconds"]['fusion_tick_duration_seconds_bucket{le="+Inf"}'] == 3


@pytest.mark.parametrize(
    ("name", "kind", "help_text", "labels", "unit"),
    [
        ("fusion_alerts_sent", Kind.COUNTER, "x", (), Unit.NONE),
        ("fusion_queue_total", Kind.GAUGE, "x", (), Unit.NONE),
        ("fusion_lag_milliseconds", Kind.GAUGE, "x", (), Unit.NONE),
        ("fusion_lag_ms", Kind.GAUGE, "x", (), Unit.NONE),
        ("fusion_lag_seconds", Kind.GAUGE, "x", (), Unit.NONE),
        ("fusion_lag", Kind.GAUGE, "x", (), Unit.SECONDS),
        ("fusion_wait_total", Kind.COUNTER, "x", (), Unit.SECONDS),
        ("fusion_queue_gauge", Kind.GAUGE, "x", (), Unit.NONE),
        ("fusion_queue_count", Kind.GAUGE, "x", (), Unit.NONE),
        ("fusion_Queue", Kind.GAUGE, "x", (), Unit.NONE),
        ("queue", Kind.GAUGE, "x", (), Unit.NONE),
        ("fusion_queue", Kind.GAUGE, " ", (), Unit.NONE),
        ("fusion_queue", Kind.GAUGE, "x", ("le",), Unit.NONE),
        ("fusion_queue", Kind.GAUGE, "x", ("chainId",), Unit.NONE),
    ],
)
def test_a_family_that_promtool_would_refuse_cannot_be_made(
    name: str, kind: Kind, help_text: str, labels: tuple[str, ...], unit: Unit
) -> None:
    with pytest.raises(ValueError, match=name):
        Family(name, kind, help_text, [], labels, unit)


def test_samples_must_fit_their_labels_and_differ() -> None:
    with pytest.raises(ValueError, match="as many"):
        Family("fusion_x", Kind.GAUGE, "x", [Sample(1)], ("a",))
    with pytest.raises(ValueError, match="its value is 1"):
        Family("fusion_x_info", Kind.GAUGE, "x", [Sample(2)])
    with pytest.raises(ValueError, match="same labels"):
        Family("fusion_x", Kind.GAUGE, "x", [Sample(1, ("a",)), Sample(2, ("a",))], ("a",))
    with pytest.raises(ValueError, match="bucket"):
        HistogramFamily("fusion_x_seconds", "x", (1.0,), [HistogramSample((1,), 1.0)])
    with pytest.raises(ValueError, match="ascending"):
        HistogramFamily("fusion_x_seconds", "x", (1.0, 1.0), [])


def test_two_sources_may_fill_one_family_if_they_agree_on_it() -> None:
    def lag(help_text: str, chain: str) -> Family:
        return Family("fusion_lag", Kind.GAUGE, help_text, [Sample(1, (chain,))], ("chain",))

    series = check_exposition(render([lag("Lag.", "1")], [lag("Lag.", "2")]))
    assert len(series["fusion_lag"]) == 2
    failed: list[str] = []
    metrics = Metrics(lambda source, error: failed.append(source))
    metrics.add("first", lambda: [lag("Lag.", "1")])
    metrics.add("second", lambda: [lag("Another.", "2")])
    assert check_exposition(metrics.render().decode())["fusion_lag"] == {'fusion_lag{chain="1"}': 1}
    assert failed == ["second"]


def test_a_source_that_raises_is_told_and_counted_and_blinds_no_other() -> None:
    failed: list[tuple[str, str]] = []

    def broken() -> Iterable[AnyFamily]:
        yield Family("fusion_half_total", Kind.COUNTER, "Half.", [Sample(1)])
        raise RuntimeError("no snapshot")

    metrics = Metrics(lambda source, error: failed.append((source, str(error))))
    metrics.add("broken", broken)
    metrics.add("whole", examples)
    series = check_exposition(metrics.render().decode())
    assert failed == [("broken", "no snapshot")]
    assert "fusion_half_total" not in series
    assert "fusion_alerts_sent_total" in series
    counted = series["fusion_metrics_source_failures_total"]
    assert counted['fusion_metrics_source_failures_total{source="broken"}'] == 1
    assert counted['fusion_metrics_source_failures_total{source="whole"}'] == 0
    with pytest.raises(ValueError, match="two metric sources"):
        metrics.add("whole", examples)


@given(st.lists(st.floats(0, 100), max_size=30))
def test_a_histogram_holds_every_observation_once(durations: list[float]) -> None:
    tallies = Tallies()
    for seconds in durations:
        tallies.count("GET", "/x", 200, seconds)
    for route in tallies.snapshot():
        assert sum(route.buckets) == route.requests == len(durations)
        for at, bound in enumerate(BOUNDS):
            assert sum(route.buckets[: at + 1]) == sum(seconds <= bound for seconds in durations)
