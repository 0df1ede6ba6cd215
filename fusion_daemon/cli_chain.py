"""The commands about chains: how their endpoints are, what of them was read, and orders about their history; over the
daemon's unix socket. Imports lazily, as all of the command line does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from fusion_daemon.cli_db import FAILED, ConfigOption, JsonOption
from fusion_daemon.cli_operation import Loaded, show

AnyChainOption = Annotated[
    Optional[int],  # noqa: UP045 - typer reads the annotation at run time
    typer.Option("--chain", help="This chain alone, by its id.", show_default=False),
]
ChainOption = Annotated[int, typer.Option("--chain", help="The chain, by its id.", show_default=False)]
FirstOption = Annotated[int, typer.Option("--from", min=0, help="The first block.", show_default=False)]
LastOption = Annotated[int, typer.Option("--to", min=0, help="The last block.", show_default=False)]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Look only; repair nothing.")]


def chain_commands(app: typer.Typer, loaded: Loaded) -> None:
    """Give `app` these commands."""
    _add_reads(app, loaded)
    _add_orders(app, loaded)


def _add_reads(app: typer.Typer, loaded: Loaded) -> None:
    @app.command()
    def endpoints(chain: AnyChainOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
        """Show the RPC endpoints of each chain: state and why, which is in use (*), head, pace, faults."""
        with loaded(config) as settings:
            from fusion_daemon import operation_client
            from fusion_daemon.chain.endpoint_views import endpoints_text

            views = operation_client.endpoints(settings, chain)
            show({"chains": views}, endpoints_text(views), as_json=as_json)

    @app.command()
    def coverage(chain: AnyChainOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
        """Show whose logs of each chain are read, of which blocks; what is missing, and what an operator skipped."""
        with loaded(config) as settings:
            from fusion_daemon import operation_client, operation_text

            view = operation_client.coverage(settings, chain)
            show(view, operation_text.coverage_text(view), as_json=as_json)


def _add_orders(app: typer.Typer, loaded: Loaded) -> None:
    def order(
        config: Path | None, chain: int, kind: str, blocks: tuple[int | None, int | None], *, dry: bool, as_json: bool
    ) -> None:
        with loaded(config) as settings:
            from fusion_daemon import operation_client
            from fusion_daemon.chain.order_views import order_text

            view = operation_client.chain_order(settings, chain, kind, *blocks, dry_run=dry)
            show(view, order_text(view), as_json=as_json)
            if view.state == "failed":
                raise typer.Exit(FAILED)

    @app.command()
    def replay(
        chain: ChainOption,
        first: FirstOption,
        last: LastOption,
        dry_run: DryRunOption = False,
        config: ConfigOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Compare stored final blocks with what endpoints show, and store what is missing; audited."""
        order(config, chain, "replay", (first, last), dry=dry_run, as_json=as_json)

    @app.command()
    def redecode(
        chain: ChainOption,
        first: Annotated[
            Optional[int],  # noqa: UP045
            typer.Option("--from", min=0, help="The first block; the chain's without it.", show_default=False),
        ] = None,
        last: Annotated[
            Optional[int],  # noqa: UP045
            typer.Option("--to", min=0, help="The last block; the last final one without it.", show_default=False),
        ] = None,
        dry_run: DryRunOption = False,
        config: ConfigOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Decode the stored logs of final blocks that could not be decoded when they were stored; audited."""
        order(config, chain, "redecode", (first, last), dry=dry_run, as_json=as_json)

    @app.command()
    def skip(
        chain: ChainOption,
        first: FirstOption,
        last: LastOption,
        reason: Annotated[str, typer.Option("--reason", help="Why, for those who come after.", show_default=False)],
        config: ConfigOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Go on without the logs of blocks that cannot be read. Balances lack them until a `replay`; audited."""
        with loaded(config) as settings:
            from fusion_daemon import operation_client
            from fusion_daemon.chain.order_views import skip_text

            view = operation_client.skip(settings, chain, first, last, reason)
            show(view, map(skip_text, view.skips), as_json=as_json)
