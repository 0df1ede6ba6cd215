"""The `fusion-daemon` command. Imports lazily: `--help` must not pay for what it does not use.

Exit codes: 0 ok, 1 failed, 2 usage, 3 degraded, 75 try again, 78 configuration (systemd does not restart).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from fusion_daemon.domain.failure import Failure

FAILED = 1
DEGRADED = 3
CONFIGURATION = 78

ConfigOption = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads the annotation at run time
    typer.Option("--config", "-c", help="The configuration file, TOML.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]

app = typer.Typer(
    help="Fusion Prime: cross-chain treasury and settlement as one daemon.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def run(config: ConfigOption = None) -> None:
    """Run the daemon that the configuration describes."""
    with _failures():
        from fusion_daemon.config import load_config
        from fusion_daemon.daemon import run_daemon

        raise typer.Exit(run_daemon(load_config(config)))


@app.command()
def check(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Validate the configuration and try every connection; print each finding with its cure."""
    with _failures():
        from fusion_daemon.check import check_everything, print_findings
        from fusion_daemon.config import load_config

        findings = check_everything(load_config(config))
        print_findings(findings, as_json=as_json)
        if any(finding.failed for finding in findings):
            raise typer.Exit(FAILED)


@app.command()
def migrate(config: ConfigOption = None) -> None:
    """Bring the database to this version's schema; say what was applied."""
    with _failures():
        from fusion_daemon.config import load_config
        from fusion_daemon.daemon import migrate_database

        applied = migrate_database(load_config(config))
        typer.echo("\n".join(applied) if applied else "The schema is up to date.")


@app.command()
def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Ask the running daemon how every component is. Exit code 3 when one is not ready."""
    with _failures():
        from fusion_daemon.config import load_config
        from fusion_daemon.status import print_status, read_status

        answer = read_status(load_config(config))
        print_status(answer, as_json=as_json)
        if not answer.ready:
            raise typer.Exit(DEGRADED)


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="Play once and exit.")] = False,
    as_json: JsonOption = False,
    data_dir: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads the annotation at run time
        typer.Option("--data-dir", help="Keep everything in this directory.", show_default=False),
    ] = None,
) -> None:
    """Two local chains, a Postgres, a receiver: a price falls and margin calls arrive."""
    with _failures():
        import json

        from fusion_daemon.demo.command import failed, run_demo

        report = run_demo(once=once, quiet=as_json, data_dir=data_dir)
        typer.echo(json.dumps(report, indent=None if as_json else 2))
        if failed(report):
            raise typer.Exit(FAILED)


@contextmanager
def _failures() -> Iterator[None]:
    """A Failure is for the operator: its text, not a traceback; configuration errors exit 78."""
    from fusion_daemon.domain.failure import Failure

    try:
        yield
    except (Failure, ExceptionGroup) as error:
        failures = _failures_in(error)
        if not failures:
            raise  # a defect of ours: the traceback is what helps
        for failure in failures:
            typer.echo(str(failure), err=True)
        raise typer.Exit(max(map(_exit_code, failures))) from error


def _failures_in(error: Exception) -> Sequence[Failure]:
    """The Failures that an error consists of (nurseries wrap theirs in groups); empty when it is anything else."""
    from fusion_daemon.domain.failure import Failure

    if isinstance(error, Failure):
        return [error]
    if not isinstance(error, ExceptionGroup):
        return []
    parts = [_failures_in(part) for part in error.exceptions]
    return [failure for part in parts for failure in part] if all(parts) else []


def _exit_code(failure: Failure) -> int:
    from fusion_daemon.config import ConfigurationInvalid, SecretMissing

    return CONFIGURATION if isinstance(failure, ConfigurationInvalid | SecretMissing) else FAILED


def main() -> None:
    """The console script."""
    app(prog_name="fusion-daemon")
