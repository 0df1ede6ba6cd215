"""Rule: one answer for each request, in order; what cannot be answered is a problem that says what to do, and does not
stop the others. No configuration is read and no database asked."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import Any

import msgspec

from fusion_daemon.cli_risk import answer_lines
from fusion_daemon.risk.stateless import STATELESS

ASKED = b'{"losses":["0.01","0.03","-0.01","0.05"],"var":["0.02","0.02","0.02","0.02"],"level":"0.9"}'


def answers(name: str, *lines: bytes) -> list[dict[str, Any]]:
    (call,) = (each for each in STATELESS if each.name == name)
    out = io.BytesIO()
    answer_lines(call.answer, io.BytesIO(b"\n".join(lines)), out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_answers_come_in_order_and_a_bad_line_stops_no_other() -> None:
    first, second, third, fourth = answers("backtest", ASKED, b"", b"{", b'{"losses":[]}', ASKED)
    assert first == fourth
    assert first["exceptions"] == 2
    assert (second["status"], second["code"], second["line"]) == (400, "not-json", 3)
    assert (third["status"], third["code"], third["line"]) == (422, "invalid", 4)
    assert "`var`" in third["detail"]
    assert third["remedy"]


def test_numbers_may_be_json_numbers_and_mean_the_same_decimals() -> None:
    bare = ASKED.replace(b'["', b"[").replace(b'"]', b"]").replace(b'","', b",")
    told, again = answers("backtest", ASKED, bare)
    assert told == again


def test_each_answer_is_written_before_the_next_request_is_read() -> None:
    out = io.BytesIO()
    written_before: list[int] = []

    class Asker(io.BytesIO):
        def __next__(self) -> bytes:
            written_before.append(len(out.getvalue().splitlines()))
            return super().__next__()

    answer_lines(msgspec.json.decode, Asker(b"1\n2\n3\n"), out)
    assert written_before == [0, 1, 2, 3]


def test_the_command_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fusion_daemon", "risk", "backtest"],
        input=ASKED + b"\nno\n" + ASKED,
        capture_output=True,
        timeout=60,
        check=True,
    )
    one, two, three = map(json.loads, done.stdout.splitlines())
    assert one == three
    assert one["kupiec_lr"].startswith("4.0866")
    assert two["code"] == "not-json"
    assert done.stderr == b""
