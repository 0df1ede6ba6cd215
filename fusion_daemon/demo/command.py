"""`fusion-daemon demo`: set the stage, play, show, tidy up."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path

from rich.console import Console

from fusion_daemon.demo.accounts import players
from fusion_daemon.demo.epilogue import linger
from fusion_daemon.demo.scenario import Outcome, play
from fusion_daemon.demo.stage import open_stage
from fusion_daemon.demo.table import LiveTable, tell
from fusion_daemon.domain.failure import Failure

ACCOUNTS = 24


class DataDirectoryUsed(Failure):
    """--data-dir names a directory that holds something already."""


def run_demo(*, once: bool, quiet: bool, data_dir: Path | None) -> dict[str, object]:
    """Plays once. Without `once` the stage then stays up until Ctrl-C. Main thread; blocks.

    SIGTERM ends it as Ctrl-C does. quiet: no story and no table (for `--json`). data_dir: keeps everything there;
    absent: a temporary directory.
    """
    console = Console(stderr=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with _directory(data_dir) as directory, open_stage(directory, durable=data_dir is not None) as stage:
        with nullcontext() if quiet else LiveTable(stage, console) as table:
            outcome = play(stage, players(ACCOUNTS), (lambda line: None) if table is None else table.say)
            if not once:
                linger(stage, partial(tell, console), kept=data_dir is not None)
        return _report(outcome, stage.daemon.stop())


def failed(report: dict[str, object]) -> bool:
    """Whether the play shows a defect: an alert missing, unsigned or never made, a message that was not applied,
    collateral that did not come home, or an unclean stop."""
    wrong = ("missing", "unsigned", "daemon_exit_code", "locked")
    return any(report[name] for name in wrong) or not (report["margin_events"] and report["messages"])


def _report(outcome: Outcome, code: int) -> dict[str, object]:
    return {**asdict(outcome), "daemon_exit_code": code}


def _refuse_used(directory: Path) -> None:
    """Each play makes two new chains; beside the journal of the ones before them it would be a reorganisation of
    final blocks. And a directory of someone else's must not get another mode and a database."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise DataDirectoryUsed(
            f"{directory} is not an empty directory.",
            "What an earlier demonstration left there belongs to chains that are gone, so it is not played on.",
            "Name a directory that is new or empty, or remove that one.",
        )


@contextmanager
def _directory(data_dir: Path | None) -> Iterator[Path]:
    if data_dir is not None:
        _refuse_used(data_dir)
        yield data_dir.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="fusion-prime-demo-") as temporary:
        yield Path(temporary)
