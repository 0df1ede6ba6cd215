"""The commands that look into the running daemon and operate it, over its unix socket. Imports lazily, as all of the
command line does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from fusion_daemon.cli_db import ConfigOption, JsonOption

if TYPE_CHECKING:
    from fusion_daemon.config import Config

Loaded = Callable[[Path | None], AbstractContextManager["Config"]]
"""Reads the configuration, and shows the Failures of its block as the command line does."""
ActorArgument = Annotated[str, typer.Argument(metavar="ACTOR", help="As `ps` names it.", show_default=False)]
LinesOption = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


def operation_commands(app: typer.Typer, loaded: Loaded) -> None:
    """Give `app` these commands."""
    _add_reads(app, loaded)
    _add_orders(app, loaded)
    _add_streams(app, loaded)


def _add_reads(app: typer.Typer, loaded: Loaded) -> None:
    @app.command()
    def ps(config: ConfigOption = None, as_json: JsonOption = False) -> None:
        """List the actors: state, restarts, health, last beat, and what waits in their mailboxes."""
        with loaded(config) as settings:
            from fusion_daemon import operation_client, operation_text

            view = operation_client.actors(settings)
            show(view, operation_text.actors_text(view), as_json=as_json)

    @app.command()
    def tree(config: ConfigOption = None, as_json: JsonOption = False) -> None:
        """Show the supervision tree: strategies, and how much of the restarts allowed is used."""
        with loaded(config) as settings:
            from fusion_daemon import operation_client, operation_text

            view = operation_client.tree(settings)
            show(view, operation_text.tree_text(view), as_json=as_json)

    @app.command()
    def inspect(actor: ActorArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
        """Show all that is known of one actor: state, errors, positions, lags, counts, and where it waits."""
        with loaded(config) as settings:
            from fusion_daemon import operation_client, operation_text

            view = operation_client.inspect(settings, actor)
            show(view, operation_text.detail_text(view), as_json=as_json)

    @app.command()
    def mailbox(config: ConfigOption = None, as_json: JsonOption = False) -> None:
        """Show every mailbox (policy, depth, what became of its messages) and how far consumers of topics lag."""
        with loaded(config) as settings:
            from fusion_daemon import operation_client, operation_text

            boxes, topics = operation_client.mailboxes(settings)
            both = {"mailboxes": boxes.mailboxes, "dead_letters": boxes.dead_letters, "topics": topics.topics}
            show(both, operation_text.mailboxes_text(boxes, topics), as_json=as_json)


def _add_orders(app: typer.Typer, loaded: Loaded) -> None:
    def order(verb: str, actor: str, config: Path | None, *, as_json: bool) -> None:
        with loaded(config) as settings:
            from fusion_daemon import operation_client, operation_text

            view = operation_client.order(settings, verb, actor)
            show(view, [operation_text.obeyed_text(view)], as_json=as_json)

    @app.command()
    def pause(actor: ActorArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
        """Hold an actor at its gate, also over a restart of it; audited."""
        order("pause", actor, config, as_json=as_json)

    @app.command()
    def resume(actor: ActorArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
        """Let a paused actor go on; audited."""
        order("resume", actor, config, as_json=as_json)

    @app.command()
    def restart(actor: ActorArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
        """End an actor, and start it from its committed cursor; one that is paused stays so; audited."""
        order("restart", actor, config, as_json=as_json)

    @app.command()
    def drain(config: ConfigOption = None, as_json: JsonOption = False) -> None:
        """Stop the daemon in order, as SIGTERM does, and wait until it has ended; audited."""
        with loaded(config) as settings:
            from fusion_daemon import operation_client

            view = operation_client.drain(settings)
            show(view, [f"{view.instance} (process {view.pid}) has ended."], as_json=as_json)


def _add_streams(app: typer.Typer, loaded: Loaded) -> None:
    @app.command()
    def trace(
        actor: ActorArgument,
        count: Annotated[int, typer.Option("--count", min=1, help="Events to show.")] = 20,
        seconds: Annotated[float, typer.Option("--seconds", min=0.1, help="Stop after this time.")] = 60.0,
        config: ConfigOption = None,
        as_json: LinesOption = False,
    ) -> None:
        """Show what an actor does next: messages, entries, beats, health, its end; types and positions alone."""
        with loaded(config) as settings:
            from fusion_daemon import operation_client, operation_text

            for missed, event in operation_client.trace(settings, actor, count, seconds):
                if missed:
                    typer.echo(f"({missed} events went unseen)", err=True)
                show(event, [operation_text.event_text(event)], as_json=as_json)

    @app.command()
    def tap(
        topic: Annotated[str, typer.Argument(metavar="TOPIC", help="As `mailbox` names it.", show_default=False)],
        count: Annotated[
            Optional[int],  # noqa: UP045 - typer reads the annotation at run time
            typer.Option("--count", min=1, help="Items to show; until Ctrl-C without it.", show_default=False),
        ] = None,
        seconds: Annotated[
            Optional[float],  # noqa: UP045
            typer.Option("--seconds", min=0.1, help="Stop after this time.", show_default=False),
        ] = None,
        config: ConfigOption = None,
    ) -> None:
        """Show the items of a topic as they are published, one JSON object a line."""
        with loaded(config) as settings:
            from fusion_daemon import operation_client

            for look in operation_client.tap(settings, topic, count or inf, seconds or inf):
                if look.missed:
                    typer.echo(f"({look.missed} items went unseen)", err=True)
                for item in look.items:
                    show(item, (), as_json=True)


def show(view: object, lines: Iterable[str], *, as_json: bool) -> None:
    """The view as one JSON object, or the lines."""
    import sys

    import msgspec

    for line in [msgspec.json.encode(view).decode()] if as_json else lines:
        typer.echo(line)
    sys.stdout.flush()  # whoever reads a pipe sees it when it happens
