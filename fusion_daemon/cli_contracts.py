"""`fusion-daemon contracts`: what is deployed. Imports lazily, as all of the command line does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from fusion_daemon.cli_db import ConfigOption, JsonOption

if TYPE_CHECKING:
    from fusion_daemon.config import Config

FAILED = 1

DeploymentsOption = Annotated[
    Optional[list[Path]],  # noqa: UP045 - typer reads the annotation at run time
    typer.Option(
        "--deployments",
        metavar="FILE",
        help="A chain's deployment file; may be repeated. Without it: all in deployments/ beside the configuration.",
        show_default=False,
    ),
]


def contract_commands(loaded: Callable[[Path | None], AbstractContextManager[Config]]) -> typer.Typer:
    """`loaded` reads the configuration, and shows the Failures of its block as the command line does."""
    app = typer.Typer(help="Look whether the chains hold what was deployed.", no_args_is_help=True)

    @app.callback()
    def options() -> None:
        """Look whether the chains hold what was deployed."""

    @app.command()
    def verify(config: ConfigOption = None, deployments: DeploymentsOption = None, as_json: JsonOption = False) -> None:
        """Compare code, roles and parameters on the chains with the artifacts and files; print each finding."""
        with loaded(config) as settings:
            from fusion_daemon.deployment.command import verify_contracts
            from fusion_daemon.findings import print_findings
            from fusion_daemon.logs import Redactor
            from fusion_daemon.secret_files import known_secrets

            assert config is not None  # or nothing could have been loaded
            redactor = Redactor()
            redactor.register(known_secrets(settings))
            findings = verify_contracts(settings, config.absolute().parent, deployments or [], redactor)
            print_findings(findings, as_json=as_json)
            if any(finding.failed for finding in findings):
                raise typer.Exit(FAILED)

    return app
