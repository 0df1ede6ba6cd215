"""Rule: a command learns what the daemon said: its answer in type, its refusal in full, or that nobody spoke."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from fusion_daemon.admin_client import DaemonNotReached, Refused, call, not_reached, segment
from fusion_daemon.config import Config, load_config


class Answer(msgspec.Struct, frozen=True):
    actor: str


@pytest.fixture
def config(tmp_path: Path) -> Config:
    path = tmp_path / "config.toml"
    path.write_text(
        f'[daemon]\nstate_directory = "{tmp_path}"\n[http]\nsocket = "{tmp_path}/s"\n'
        '[[chains]]\nid = 1\nname = "one"\nrpc_urls = ["http://127.0.0.1:1"]\n'
    )
    return load_config(path)


@contextmanager
def daemon(config: Config, reply: bytes) -> Iterator[list[bytes]]:
    """Answers one request; what it was asked, once it has been answered."""
    heard: list[bytes] = []

    def answer() -> None:
        with listener.accept()[0] as caller:
            heard.append(_request(caller))
            if reply:
                caller.sendall(reply)
            else:
                over.wait()

    over = threading.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(config.http.socket))
        listener.listen()
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield heard
        finally:
            over.set()
            thread.join()


def _request(caller: socket.socket) -> bytes:
    """All of it: who hangs up with something unread resets the connection, and the answer may be lost."""
    with caller.makefile("rb") as stream:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += stream.readline()
        length = re.search(rb"Content-Length: (\d+)", head)
        return head + stream.read(0 if length is None else int(length[1]))


def http(status: str, body: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def test_an_answer_comes_as_the_type_asked_for(config: Config) -> None:
    with daemon(config, http("200 OK", b'{"actor": "a", "more": 1}')) as heard:
        path = f"/v1/actors/{segment('a/b c')}/pause"
        assert call(config, "POST", path, {"x": 1}, Answer) == Answer("a")
    assert heard[0].startswith(b"POST /v1/actors/a%2Fb%20c/pause HTTP/1.1\r\n")
    assert b"Content-Type: application/json" in heard[0]


def test_a_refusal_says_what_the_daemon_said(config: Config) -> None:
    problem = {"code": "unknown-actor", "detail": "No such actor.", "request_id": "r1", "remedy": "Look."}
    with daemon(config, http("404 Not Found", msgspec.json.encode(problem))):
        with pytest.raises(Refused) as caught:
            call(config, "POST", "/x", None, Answer)
    assert (caught.value.status, caught.value.code) == (404, "unknown-actor")
    assert str(caught.value) == "No such actor. The daemon refused (404 unknown-actor). Look."


def test_a_refusal_without_a_cure_names_the_request_in_the_log(config: Config) -> None:
    problem = {"code": "internal-error", "detail": "It failed.", "request_id": "r1"}
    with daemon(config, http("500 Oh", msgspec.json.encode(problem))):
        with pytest.raises(Refused, match="under the request r1"):
            call(config, "GET", "/x", None, Answer)


def test_a_refusal_of_what_was_asked_sends_nobody_to_the_log(config: Config) -> None:
    problem = {"code": "invalid", "detail": "The last block is below the first.", "request_id": "r1"}
    with daemon(config, http("422 Invalid", msgspec.json.encode(problem))):
        with pytest.raises(Refused, match=r"Nothing was done; correct what was asked\.$"):
            call(config, "POST", "/x", None, Answer)


@pytest.mark.parametrize(("more", "says"), [({}, "A standby serves almost"), ({"remedy": "Look at y."}, "Look at y.")])
def test_what_is_not_there_is_a_standbys_silence_unless_the_daemon_says_more(
    config: Config, more: dict[str, str], says: str
) -> None:
    problem = {"code": "not-found", "detail": "There is no x.", "request_id": "r1", **more}
    with daemon(config, http("404 Not Found", msgspec.json.encode(problem))):
        with pytest.raises(Refused) as caught:
            call(config, "GET", "/x", None, Answer)
    assert caught.value.remedy.startswith(says)


@pytest.mark.parametrize("reply", [b"220 mail ESMTP\r\n", http("200 OK", b"[]"), http("502 Bad", b"<html>")])
def test_an_answer_that_is_none_of_ours_is_nobodys(config: Config, reply: bytes) -> None:
    with daemon(config, reply), pytest.raises(DaemonNotReached, match="Nothing that speaks our protocol"):
        call(config, "GET", "/x", None, Answer)


def test_silence_leaves_open_what_was_done(config: Config) -> None:
    with daemon(config, b""), pytest.raises(DaemonNotReached, match="Nobody knows whether"):
        call(config, "POST", "/x", None, Answer, patience=0.01)


def test_nobody_there_is_said(config: Config) -> None:
    with pytest.raises(DaemonNotReached, match="not running"):
        call(config, "GET", "/x", None, Answer)


def test_a_socket_of_somebody_else_is_no_daemon_that_does_not_run() -> None:
    said = str(not_reached("/x/admin.sock", PermissionError(13, "Permission denied")))
    assert "may not be opened by this user" in said
    assert "not running" not in said
