"""Rule: everything on standard error is one JSON object a line and passes the redactor, whoever wrote it.

Logging is the process's own, so each scene plays in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys

SECRET = 'pl4nted\'secret\\with "quotes"'
START = f"""
import logging, sys, threading, warnings
import structlog
from fusion_daemon.logs import Redactor, configure_logging
SECRET = {SECRET!r}
present = configure_logging(style=STYLE, level="info", redactor=Redactor([SECRET]))
log = structlog.get_logger("scene")
"""


def scene(body: str, style: str = "json") -> str:
    """What the scene wrote to standard error; it is free of the secret."""
    program = START.replace("STYLE", repr(style)) + body
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert not done.stdout
    for form in (SECRET, repr(SECRET)[1:-1], json.dumps(SECRET)[1:-1]):
        assert form not in done.stderr
    return done.stderr


def objects(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_one_object_a_line_even_when_the_text_has_several() -> None:
    (first, second) = objects(
        scene('log.info("two\\nlines\\u2028", value={"a": [1, float("nan")]})\nlog.warning("next")')
    )
    assert first["event"] == "two\nlines\u2028"
    assert first["value"] == {"a": [1, "nan"]}
    assert first["level"] == "info"
    assert str(first["timestamp"]).endswith("Z")
    assert second["level"] == "warning"


def test_below_the_level_nothing_is_written() -> None:
    assert scene('log.debug("quiet")\nlogging.getLogger("aiohttp").info("quiet")') == ""


def test_level_and_style_change_for_loggers_that_live() -> None:
    body = """
bound = log.bind(actor="one")
bound.debug("quiet")
present.change(style="json", level="debug")
bound.debug("told")
present.change(style="console", level="error")
bound.warning("quiet")
try:
    raise ValueError("why")
except ValueError:
    bound.exception("readable")
"""
    first, *rest = scene(body).splitlines()
    assert json.loads(first)["event"] == "told"
    assert "readable" in rest[0]
    assert not rest[0].startswith("{")
    assert any("ValueError: why" in line for line in rest)


def test_the_traceback_of_a_logged_error_is_there_and_masked() -> None:
    body = 'try:\n    raise ValueError(SECRET)\nexcept ValueError:\n    log.exception("failed", given=SECRET)'
    (record,) = objects(scene(body))
    assert "ValueError: [redacted]" in str(record["exception"])
    assert record["given"] == "[redacted]"


def test_the_standard_library_speaks_through_the_same_pipeline() -> None:
    body = """
logging.getLogger("asyncio").error("call to %s failed", SECRET)
try:
    raise KeyError(SECRET)
except KeyError:
    logging.getLogger("aiohttp.server").exception("odd request")
"""
    first, second = objects(scene(body))
    assert first["event"] == "call to [redacted] failed"
    assert (first["logger"], second["logger"]) == ("asyncio", "aiohttp.server"), "who speaks"
    assert first["level"] == "error"
    assert "KeyError" in str(second["exception"])


def test_a_warning_is_a_record_too() -> None:
    (record,) = objects(scene("warnings.warn(f'odd: {SECRET}', stacklevel=1)"))
    assert record["level"] == "warning"
    assert "odd: [redacted]" in str(record["event"])


def test_what_nobody_caught_ends_the_program_through_the_log() -> None:
    (record,) = objects(scene("raise ExceptionGroup('two', [ValueError(SECRET), OSError(2, SECRET)])"))
    assert (record["event"], record["level"]) == ("crashed", "critical")
    assert "ValueError: [redacted]" in str(record["exception"])


def test_a_thread_that_dies_is_heard_of() -> None:
    body = "def die(): raise ValueError(SECRET)\nt = threading.Thread(target=die, name='worker')\nt.start()\nt.join()"
    (record,) = objects(scene(body))
    assert (record["event"], record["thread"]) == ("thread_crashed", "worker")


def test_the_terminal_style_is_masked_as_well() -> None:
    body = 'try:\n    raise ValueError(SECRET)\nexcept ValueError:\n    log.exception("failed", given=SECRET)'
    text = scene(body, style="console")
    assert "[redacted]" in text
    assert "ValueError" in text
    assert "\x1b" not in text, "no colours where no terminal is"


def test_auto_is_json_where_nobody_looks() -> None:
    (record,) = objects(scene('log.info("hello")', style="auto"))
    assert record["event"] == "hello"
