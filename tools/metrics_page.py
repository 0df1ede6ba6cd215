"""Write docs/metrics.md from the families that the daemon serves; a test fails when the page is another.

    python -m tools.metrics_page

Nothing is started: the house of the example configuration is built over a store without connections.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, cast

import structlog
import trio

from fusion_daemon.aio import Aio, open_aio
from fusion_daemon.composition import House, build_house
from fusion_daemon.config import Config, load_config
from fusion_daemon.config_hash import configuration_hash
from fusion_daemon.http.metrics import AnyFamily, HistogramFamily, Metrics
from fusion_daemon.http.principals import Principals
from fusion_daemon.http.server import AdminServer
from fusion_daemon.http.settings import HttpSettings
from fusion_daemon.judge import Judge
from fusion_daemon.metric_sources import add_house_sources, add_process_sources
from fusion_daemon.reload import LastReload
from fusion_daemon.reload_ways import reload_families
from fusion_daemon.runtime import Supervisor, SupervisorSpec, SystemClock
from fusion_daemon.secret_files import SecretFiles
from fusion_daemon.store import LeaseRole, LeaseStanding, Store
from fusion_daemon.store.pool import Pool

if TYPE_CHECKING:
    import asyncpg

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/metrics.md"
PREAMBLE = """# Metrics

`GET /metrics` on `[http] metrics_host` and `metrics_port` (127.0.0.1:9478 by default) serves the text format of
Prometheus, and nothing else is served there. `monitoring/prometheus.yml` scrapes it, `monitoring/alerts.yml` watches
it, `monitoring/dashboards/overview.json` draws it.

* Counters start from zero with every start of the daemon, those of an actor with every start of that actor:
  use `rate` and `increase`, which understand that.
* Times are seconds, sizes bytes. Ages are of the moment of the scrape.
* `python_*` and `process_*` are those of every Python program with the client library.

The table is written by `tools/metrics_page.py` from the code.
"""


class _Blanks(SecretFiles):
    """Every secret is there, and worth nothing."""

    def __call__(self, name: str) -> str:
        return name.ljust(32, "-")  # as long as a token has to be


class _NoConnections:
    """What a pool's statistics ask of asyncpg."""

    def get_size(self) -> int:
        return 0

    def get_idle_size(self) -> int:
        return 0


class _Families(Metrics):
    """The registry, asked for families instead of text."""

    def families(self) -> Sequence[AnyFamily]:
        return tuple(self._collect())


def page(families: Sequence[AnyFamily]) -> str:
    """The whole page."""
    rows = [_row(family) for family in sorted(families, key=lambda each: each.name)]
    return "\n".join([PREAMBLE, "| metric | kind | labels | meaning |", "|---|---|---|---|", *rows, ""])


def _row(family: AnyFamily) -> str:
    kind = "histogram" if isinstance(family, HistogramFamily) else family.kind.value
    labels = ", ".join(f"`{label}`" for label in family.labels)
    return f"| `{family.name}` | {kind} | {labels} | {family.help} |"


def served_families() -> Sequence[AnyFamily]:
    """Every family, with the samples of a daemon that has done nothing yet. Blocks; not inside trio."""
    return trio.run(_collect, load_config(ROOT / "config.toml"))


async def _collect(config: Config) -> Sequence[AnyFamily]:
    async with unstarted_house(config) as (aio, store, house):
        _be_born(house.stand.tree)
        tree = Supervisor("root", house.stand.tree, clock=SystemClock(), random=Random(0))  # noqa: S311 - jitter
        log = structlog.get_logger("metrics_page")
        admin = AdminServer(HttpSettings(), house.stand.routes, Principals((), os.getuid()), log)
        standing = LeaseStanding(LeaseRole.ACTIVE, 0.0, 1, "fusion-prime", 0.0, False, None)
        metrics = _Families(_broken)
        add_process_sources(metrics, aio, store, admin, lambda: standing)
        metrics.add("reload", lambda: reload_families(LastReload(True, 0.0, "", configuration_hash(config))))
        judge = Judge(list, frozenset(), SystemClock())
        add_house_sources(metrics, house, tree, judge)
        return metrics.families()


@asynccontextmanager
async def unstarted_house(config: Config) -> AsyncIterator[tuple[Aio, Store, House]]:
    """The daemon's house over a store without connections: to be looked at, not to be run. trio side."""
    async with open_aio() as aio:
        pool = Pool(cast("asyncpg.Pool[asyncpg.Record]", _NoConnections()))
        store = Store(aio, pool, pool, patience=0.0)
        yield aio, store, build_house(config, _Blanks(None), SystemClock(), aio, store)


def _be_born(spec: SupervisorSpec) -> None:
    """Build every actor's first life, as its supervisor would, and do not run it."""
    for child in spec.children:
        if isinstance(child.start, SupervisorSpec):
            _be_born(child.start)
        else:
            child.start()


def _broken(source: str, error: BaseException) -> None:
    raise RuntimeError(f"the metrics of {source} cannot be told") from error


if __name__ == "__main__":
    PAGE.write_text(page(served_families()))
