"""`fusion-daemon risk`: the stateless risk calls for analysts and scripts. Imports lazily, as all of the command
line does."""

from __future__ import annotations

import sys
from typing import IO

import typer

from fusion_daemon.risk.stateless import STATELESS, STATUSES, Answer, StatelessCall

MANNER = (
    "Reads one JSON request a line on standard input and prints one JSON answer a line, in order; blank lines are "
    "skipped. A request that cannot be answered gets a problem object, with `line` and what to do, and the next is "
    "read; so the exit code is 0 when every line has its answer. Decimals are strings. Needs no configuration and "
    "no database."
)


def risk_commands() -> typer.Typer:
    app = typer.Typer(help="Compute risk from standard input, without a database.", no_args_is_help=True)

    @app.callback()
    def options() -> None:
        """Compute risk from standard input, without a database."""

    for call in STATELESS:
        _add(app, call)
    return app


def _add(app: typer.Typer, call: StatelessCall) -> None:
    @app.command(call.name, help=f"{call.summary}.\n\n{MANNER}", short_help=call.summary)
    def command() -> None:
        answer_lines(call.answer, sys.stdin.buffer, sys.stdout.buffer)


def answer_lines(answer: Answer, requests: IO[bytes], answers: IO[bytes]) -> None:
    """Each is written out before the next is read: a program may ask and listen in turn."""
    import msgspec

    for number, line in enumerate(requests, start=1):
        if line.strip():
            answers.write(msgspec.json.encode(_answer(answer, line, number)) + b"\n")
            answers.flush()


def _answer(answer: Answer, line: bytes, number: int) -> object:
    from fusion_daemon.http.problem import problem_of

    try:
        return answer(line)
    except tuple(STATUSES) as failure:
        return problem_of(failure, STATUSES).members() | {"line": number}
