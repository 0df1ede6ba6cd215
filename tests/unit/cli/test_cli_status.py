"""Rule: `status` cuts nothing: not a name, not a URL, not the cure, however narrow the terminal."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fusion_daemon.status import ComponentStatus, Readiness, print_status, status_lines

SINCE = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
REASON = (
    "No endpoint of chain 8453 answers (https://a-very-long-name-of-an-endpoint.base.rpc.example/v1: timed out). "
    "Nothing new is read. Mend `rpc_urls`, or wait."
)
STATUS = Readiness(
    True,
    (
        ComponentStatus("aio", True, "running", SINCE, 0, True),
        ComponentStatus("chain_listener:8453", True, "degraded", SINCE, 1, False, REASON, 61.7),
    ),
)


def test_a_pipe_gets_each_reason_whole_on_a_line_below_its_component(capsys: pytest.CaptureFixture[str]) -> None:
    print_status(STATUS, as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "ready, but DEGRADED",
        "  aio                  running   since 2026-01-02 03:04:05Z",
        "  chain_listener:8453  degraded  since 2026-01-02 03:04:05Z, data 62 s old, 1 restart",
        f"    {REASON}",
    ]


@pytest.mark.parametrize("width", [30, 80, 200])
def test_a_terminal_gets_it_folded_between_words(width: int) -> None:
    lines = [line for line, _ in status_lines(STATUS, width)]
    below = [line.removeprefix("    ") for line in lines[3:]]
    assert " ".join(below) == REASON
    assert all(len(line) <= width or " " not in line.strip() for line in lines[3:])


def test_what_is_ill_is_coloured() -> None:
    ill = Readiness(False, (ComponentStatus("risk_calculator", False, "restarting", SINCE, 2, False, "It fell."),))
    assert list(status_lines(ill, 80)) == [
        ("NOT READY", "bold"),
        ("  risk_calculator  restarting  since 2026-01-02 03:04:05Z, 2 restarts", "red"),
        ("    It fell.", "red"),
    ]


@pytest.mark.parametrize("state", ["running", "degraded", "paused", "stopped"])
def test_what_is_not_healthy_is_not_well_although_ready(state: str) -> None:
    running = ComponentStatus("aio", True, "running", SINCE, 0, True)
    assert Readiness(True, (running,)).well
    assert not Readiness(True, (running, ComponentStatus("oracle_poller", True, state, SINCE, 0, False))).well
