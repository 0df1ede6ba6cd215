"""The `fusion-daemon` command. Imports lazily: `--help` must not pay for what it does not use.

Exit codes: 0 ok, 1 failed, 2 usage, 3 degraded, 4 an actor would not stop, 5 a standby, 78 configuration or schema
(systemd does not restart), 130 interrupted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from fusion_daemon.cli_chain import chain_commands
from fusion_daemon.cli_contracts import contract_commands
from fusion_daemon.cli_db import ConfigOption, JsonOption, data_commands
from fusion_daemon.cli_deadletters import dead_letter_commands
from fusion_daemon.cli_operation import operation_commands
from fusion_daemon.cli_reload import add_reload

if TYPE_CHECKING:
    from fusion_daemon.config import Config
    from fusion_daemon.domain.failure import Failure
    from fusion_daemon.logs import Redactor

FAILED = 1
DEGRADED = 3
STANDBY = 5
CONFIGURATION = 78

app = typer.Typer(
    help="Fusion Prime: cross-chain treasury and settlement as one daemon.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        from fusion_daemon import __version__

        typer.echo(f"fusion-daemon {__version__}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_tell_version)
    ] = False,
) -> None:
    """Options of every command."""


@app.command()
def run(config: ConfigOption = None) -> None:
    """Run the daemon that the configuration describes."""
    with _failures() as redactor:
        loaded = _load(config, redactor)
        from fusion_daemon.daemon import run_daemon

        assert config is not None  # or nothing could have been loaded
        raise typer.Exit(run_daemon(loaded, config))


@app.command()
def check(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Validate the configuration and try every connection; print each finding with its cure."""
    with _failures() as redactor:
        from fusion_daemon.check import check_everything
        from fusion_daemon.config import ConfigurationInvalid
        from fusion_daemon.findings import Finding, print_findings

        try:
            loaded = _load(config, redactor)
        except ConfigurationInvalid as failure:
            if as_json:  # whoever parses the answer gets one, and the exit code of a configuration error
                print_findings([Finding("configuration", True, str(failure))], as_json=True)
            raise
        findings = check_everything(loaded, redactor)
        print_findings(findings, as_json=as_json)
        if any(finding.failed for finding in findings):
            raise typer.Exit(FAILED)


@app.command()
def migrate(config: ConfigOption = None) -> None:
    """Bring the database to this version's schema; say what was applied."""
    with _failures() as redactor:
        loaded = _load(config, redactor)
        from fusion_daemon.database import database_name, migrate_database

        applied = migrate_database(loaded)
        typer.echo(f"database: {database_name(loaded)}")
        for name in applied:
            typer.echo(f"applied {name}")
        if not applied:
            typer.echo("The schema is up to date.")


@app.command()
def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Ask the running daemon how every component is. Exit code 3: one is not well; 5: it could take over."""
    with _failures() as redactor:
        loaded = _load(config, redactor)
        from fusion_daemon.status import print_status, read_status

        answer = read_status(loaded)
        print_status(answer, as_json=as_json)
        if not answer.well:
            raise typer.Exit(STANDBY if answer.stands_by else DEGRADED)


@app.command()
def takeover(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Tell the standby of this configuration to take the lease now, whoever holds it; audited."""
    with _failures() as redactor:
        loaded = _load(config, redactor)
        from fusion_daemon.status import take_over, takeover_text

        typer.echo(takeover_text(take_over(loaded), as_json=as_json))


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
        typer.echo(json.dumps(report) if as_json else _by_lines(report))
        if failed(report):
            raise typer.Exit(FAILED)


def _by_lines(report: Mapping[str, object]) -> str:
    """JSON, a line for each name: a list of many figures does not fill the screen."""
    import json

    return "{\n" + ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in report.items()) + "\n}"


@contextmanager
def _loaded(path: Path | None) -> Iterator[Config]:
    with _failures() as redactor:
        yield _load(path, redactor)


operation_commands(app, _loaded)
chain_commands(app, _loaded)
app.add_typer(data_commands(_loaded), name="db")
app.add_typer(contract_commands(_loaded), name="contracts")
app.add_typer(dead_letter_commands(_loaded), name="deadletters")
add_reload(app, _loaded)


def _load(path: Path | None, redactor: Redactor) -> Config:
    """The configuration; from here on its secrets are masked in what is printed. Raises ConfigurationInvalid."""
    from fusion_daemon.config import load_config
    from fusion_daemon.secret_files import known_secrets

    config = load_config(path)
    redactor.register(known_secrets(config))
    return config


@contextmanager
def _failures() -> Iterator[Redactor]:
    """A Failure is for the operator: its text (masked), not a traceback; configuration errors exit 78."""
    from fusion_daemon.domain.failure import Failure
    from fusion_daemon.logs import Redactor

    redactor = Redactor()
    try:
        yield redactor
    except (Failure, ExceptionGroup) as error:
        failures = _failures_in(error)
        if not failures:
            raise  # a defect of ours: the traceback is what helps
        for failure in failures:
            typer.echo(redactor.text(str(failure)), err=True)
        raise typer.Exit(max(map(_exit_code, failures))) from error
    except BaseExceptionGroup as group:
        if group.split(KeyboardInterrupt)[1] is not None:
            raise
        raise KeyboardInterrupt from None  # Ctrl-C, wrapped by the nurseries that it passed


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
    from fusion_daemon.config import ConfigurationInvalid
    from fusion_daemon.http.principals import PrincipalsInvalid, TokenInvalid
    from fusion_daemon.secret_files import SecretMissing
    from fusion_daemon.store import MigrationRefused

    needs_a_person = ConfigurationInvalid | SecretMissing | PrincipalsInvalid | TokenInvalid | MigrationRefused
    return CONFIGURATION if isinstance(failure, needs_a_person) else FAILED


def main() -> None:
    """The console script."""
    app(prog_name="fusion-daemon")
