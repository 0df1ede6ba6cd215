"""`fusion-daemon reload`. Imports lazily, as all of the command line does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fusion_daemon.cli_db import ConfigOption, JsonOption

if TYPE_CHECKING:
    from fusion_daemon.config import Config

FAILED = 1
PATIENCE = 40.0
"""Seconds: more than the daemon gives a request."""


def add_reload(app: typer.Typer, loaded: Callable[[Path | None], AbstractContextManager[Config]]) -> None:
    """`loaded` reads the configuration, and shows the Failures of its block as the command line does."""

    @app.command()
    def reload(
        config: ConfigOption = None,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, change nothing.")] = False,
        as_json: JsonOption = False,
    ) -> None:
        """Have the running daemon take its configuration file and its secrets on anew, all or nothing; audited."""
        with loaded(config) as settings:
            import msgspec

            from fusion_daemon.admin_client import call
            from fusion_daemon.reload_answer import ReloadAnswer

            answer = call(settings, "POST", "/v1/reload", {"dry_run": dry_run}, ReloadAnswer, PATIENCE)
            typer.echo(msgspec.json.encode(answer).decode() if as_json else answer.text)
            if answer.refused:
                raise typer.Exit(FAILED)
