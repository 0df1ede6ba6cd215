"""Rule: what is shipped for Prometheus and Grafana names only metrics that exist, and every alert has its runbook
and its unit tests.

Prometheus' own tool judges the rules where it is installed.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from itertools import combinations
from pathlib import Path

import pytest

from fusion_daemon.http.metrics import AnyFamily, HistogramFamily
from tools.metrics_page import PAGE, page, served_families

ROOT = Path(__file__).resolve().parents[3]
MONITORING = ROOT / "monitoring"
API = (ROOT / "docs/api.md").read_text()
"""Its table is the routes': a test of its own says so."""
ALERTS = (MONITORING / "alerts.yml").read_text()
TESTS = (MONITORING / "tests.yml").read_text()
DASHBOARDS = sorted((MONITORING / "dashboards").glob("*.json"))
RUNBOOKS = sorted((MONITORING / "runbooks").glob("*.md"))
METRIC = re.compile(r"\b(?!fusion_prime\b)((?:fusion|process|python)_[a-z0-9_]+)\b(?!\.)")
PROCESS = {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_max_fds"}
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool (Debian: prometheus) is not installed")


@cache
def families() -> dict[str, AnyFamily]:
    return {family.name: family for family in served_families()}


def series() -> dict[str, AnyFamily]:
    """Every name under which something is stored, and whose it is."""
    endings = ("_bucket", "_sum", "_count")
    return {
        name + ending: family
        for name, family in families().items()
        for ending in (endings if isinstance(family, HistogramFamily) else ("",))
    }


def alerts() -> dict[str, str]:
    """Alert -> its block of alerts.yml."""
    blocks = re.split(r"^ +- alert: ", ALERTS, flags=re.MULTILINE)[1:]
    return {block.partition("\n")[0].strip(): block for block in blocks}


def expressions(dashboard: Path) -> Iterator[str]:
    for panel in json.loads(dashboard.read_text())["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    assert PROMTOOL is not None
    return subprocess.run(
        [PROMTOOL, *arguments], cwd=MONITORING, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_page_of_metrics_is_the_codes() -> None:
    assert PAGE.read_text() == page(tuple(families().values())), "run: python -m tools.metrics_page"


@pytest.mark.parametrize(
    "path",
    [MONITORING / "alerts.yml", MONITORING / "tests.yml", *DASHBOARDS, *RUNBOOKS],
    ids=lambda path: str(path.relative_to(MONITORING)),
)
def test_every_metric_that_is_named_exists(path: Path) -> None:
    # In prose a histogram goes by its own name.
    known = series().keys() | PROCESS | (families().keys() if path.suffix == ".md" else set())
    assert not set(METRIC.findall(path.read_text())) - known


def test_every_label_that_a_rule_shows_is_one_of_its_metrics() -> None:
    for alert, block in alerts().items():
        labels = {label for name in METRIC.findall(block) for label in series()[name].labels}
        assert set(re.findall(r"\$labels\.(\w+)", block)) <= labels, alert


def test_every_alert_has_a_severity_a_runbook_and_a_summary() -> None:
    assert len(alerts()) > 10
    for alert, block in alerts().items():
        assert re.search(r"severity: (page|ticket) ", block), alert
        assert f"runbook: runbooks/{alert}.md" in block
        assert "summary: " in block, alert
    assert {path.stem for path in RUNBOOKS} == alerts().keys()


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook_says_what_it_means_where_to_look_and_what_to_do(path: Path) -> None:
    text = path.read_text()
    assert text.startswith(f"# {path.stem}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["What it means", "Where to look", "What to do"]
    assert len(text.splitlines()) <= 30


def test_what_a_runbook_asks_for_is_there() -> None:
    sources = [path for room in ("fusion_daemon", "actors") for path in (ROOT / room).rglob("*.py")]
    code = "\n".join(path.read_text() for path in sources)
    for path in RUNBOOKS:
        text = path.read_text()
        for event in re.findall(r"\| grep (?:-i )?(\w+)`", text):
            assert re.search(rf'(log|logger\(.*\))\.\w+\(\s*"[\w ]*{event}', code), (path.name, event)
        for post, route in re.findall(r"`curl -sS (-X POST .*)?http://127\.0\.0\.1:8780(/[^`?]*)`", text):
            asked = route.replace("<", "{").replace(">", "}")
            asked = re.sub(r"/actors/[a-z_]+/", "/actors/{name}/", asked)
            assert f"| `{'POST' if post else 'GET'} {asked}` |" in API, (path.name, route)


def test_every_alert_is_tested_when_it_fires_and_when_it_must_not() -> None:
    checks = re.split(r"^ +- eval_time: ", TESTS, flags=re.MULTILINE)[1:]
    told = [(re.findall(r"alertname: (\w+)", check)[0], "exp_alerts: []" in check) for check in checks]
    assert {alert for alert, quiet in told if quiet} == alerts().keys()
    assert {alert for alert, quiet in told if not quiet} == alerts().keys()


@needs_promtool
def test_prometheus_accepts_rules_and_scrape_configuration() -> None:
    for kind, name in (("rules", "alerts.yml"), ("config", "prometheus.yml")):
        done = promtool("check", kind, name)
        assert done.returncode == 0, done.stderr


@needs_promtool
def test_every_alert_fires_when_it_should_and_only_then() -> None:
    done = promtool("test", "rules", "tests.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_an_alert_that_never_fires_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "tests.yml").write_text(TESTS)
    (tmp_path / "alerts.yml").write_text(re.sub(r"expr: .*", "expr: vector(0) > 1", ALERTS))
    done = promtool("test", "rules", tmp_path / "tests.yml")
    assert done.returncode != 0
    assert set(re.findall(r"alertname: ?(\w+)", done.stdout + done.stderr)) == alerts().keys()


@needs_promtool
def test_the_dashboards_questions_are_promql(tmp_path: Path) -> None:
    asked = [expression for path in DASHBOARDS for expression in expressions(path)]
    assert len(asked) > 20
    rules = [
        {"record": f"asked_{number}", "expr": each.replace("$__rate_interval", "1m").replace("$instance", ".*")}
        for number, each in enumerate(asked)
    ]
    written = tmp_path / "asked.yml"
    written.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # JSON is YAML
    done = promtool("check", "rules", written)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_a_dashboard_is_whole_and_asks_nobody_outside(path: Path) -> None:
    text = path.read_text()
    told = json.loads(text)
    assert "://" not in text
    assert len({panel["id"] for panel in told["panels"]}) == len(told["panels"])
    for panel in told["panels"]:
        if panel["type"] != "row":
            assert panel["targets"]
            assert panel["title"]
            assert panel["description"]
            assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
    assert not [
        (one["title"], other["title"])
        for one, other in combinations(told["panels"], 2)
        if _overlap(one["gridPos"], other["gridPos"])
    ]


def _overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
    above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    return not (beside or above)
