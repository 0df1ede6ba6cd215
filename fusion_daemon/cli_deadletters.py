"""`fusion-daemon deadletters`: what nobody could handle, and the operator's word on it; over the daemon's unix socket.
Imports lazily, as all of the command line does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from fusion_daemon.cli_db import ConfigOption, JsonOption

if TYPE_CHECKING:
    from fusion_daemon.config import Config

NumberArgument = Annotated[int, typer.Argument(metavar="NUMBER", help="As `list` has it.", min=1, show_default=False)]


class LetterState(StrEnum):
    HELD = "held"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


def dead_letter_commands(loaded: Callable[[Path | None], AbstractContextManager[Config]]) -> typer.Typer:
    """`loaded` reads the configuration, and shows the Failures of its block as the command line does."""
    app = typer.Typer(help="See what nobody could handle; replay or discard what was set aside.", no_args_is_help=True)

    @app.command("list")
    def listed(
        state: Annotated[
            Optional[LetterState],  # noqa: UP045 - typer reads the annotation at run time
            typer.Option("--state", help="All without it.", show_default=False),
        ] = None,
        config: ConfigOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """List what was set aside, newest first, and count what else reached nobody since the daemon began."""
        with loaded(config) as settings:
            from fusion_daemon import dead_letters

            view = dead_letters.listed(settings, state)
            _show(view, dead_letters.list_text(view), as_json=as_json)

    @app.command()
    def show(number: NumberArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
        """Show one with its traceback."""
        with loaded(config) as settings:
            from fusion_daemon import dead_letters

            view = dead_letters.shown(settings, number)
            _show(view, dead_letters.detail_text(view), as_json=as_json)

    def settle(verb: str, number: int, config: Path | None, *, as_json: bool) -> None:
        with loaded(config) as settings:
            from fusion_daemon import dead_letters

            view = dead_letters.settled(settings, verb, number)
            _show(view, [f"{view.id} is {view.state}. {view.means}"], as_json=as_json)

    @app.command()
    def replay(number: NumberArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
        """Have it handled once more, after an upgrade that mends what it died of; audited."""
        settle("replay", number, config, as_json=as_json)

    @app.command()
    def discard(number: NumberArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
        """Go on without it; the answer says what that means for balances; audited."""
        settle("discard", number, config, as_json=as_json)

    return app


def _show(view: object, lines: Iterable[str], *, as_json: bool) -> None:
    import msgspec

    for line in [msgspec.json.encode(view).decode()] if as_json else lines:
        typer.echo(line)
