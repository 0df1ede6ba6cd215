"""`fusion-daemon db`: the commands that care for the data. Imports lazily, as all of the command line does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from fusion_daemon.config import Config

FAILED = 1

ConfigOption = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads the annotation at run time
    typer.Option("--config", "-c", help="The configuration file, TOML.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def data_commands(loaded: Callable[[Path | None], AbstractContextManager[Config]]) -> typer.Typer:
    """`loaded` reads the configuration, and shows the Failures of its block as the command line does."""
    app = typer.Typer(help="Back the database up, restore it, look whether it is sound.", no_args_is_help=True)

    @app.command()
    def backup(
        target: Annotated[Path, typer.Argument(metavar="TARGET", help="A directory, or a new file in one.")],
        config: ConfigOption = None,
    ) -> None:
        """Back up the database, running or not; print the file. Its manifest lies beside it."""
        with loaded(config) as settings:
            from fusion_daemon.care import back_up

            dump, manifest = back_up(settings, target)
            typer.echo(f"{dump} ({manifest.octets} bytes, sha256 {manifest.sha256})")

    @app.command()
    def restore(
        dump: Annotated[Path, typer.Argument(metavar="DUMP", help="The file; its manifest must lie beside it.")],
        config: ConfigOption = None,
    ) -> None:
        """Restore a backup into the empty database of the configuration, and verify it. No daemon may run."""
        with loaded(config) as settings:
            from fusion_daemon.care import restore as restore_dump
            from fusion_daemon.findings import print_findings

            manifest, findings = restore_dump(settings, dump)
            typer.echo(f"Restored what was backed up at {manifest.taken_at:%Y-%m-%d %H:%M:%S} UTC.")
            print_findings(findings, as_json=False)
            if any(finding.failed for finding in findings):
                raise typer.Exit(FAILED)

    @app.command()
    def verify(config: ConfigOption = None, as_json: JsonOption = False) -> None:
        """Look whether the data keep what the program promises; print each finding. The daemon may run."""
        with loaded(config) as settings:
            from fusion_daemon.care import verify as verify_data
            from fusion_daemon.findings import print_findings

            findings = verify_data(settings)
            print_findings(findings, as_json=as_json)
            if any(finding.failed for finding in findings):
                raise typer.Exit(FAILED)

    return app
