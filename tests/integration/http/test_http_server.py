"""The server on real sockets: what every client meets, whatever the routes."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import trio
import trio.lowlevel

from fusion_daemon.aio import Aio
from fusion_daemon.domain.failure import Failure
from fusion_daemon.http.body import body_as
from fusion_daemon.http.listener import BindFailed, BindRefused
from fusion_daemon.http.metrics import Metrics, metrics_route
from fusion_daemon.http.principals import Principals, hash_token
from fusion_daemon.http.route import Reply, Request, Role, Route, reply_json
from fusion_daemon.http.server import AdminServer, BoundTo
from fusion_daemon.http.server_metrics import http_families
from fusion_daemon.http.serving import serving
from fusion_daemon.http.settings import HttpSettings, PrincipalSettings

OPERATOR = "operator-" + "o" * 32
VIEWER = "viewer-" + "v" * 32


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        parsed = json.loads(self.body)
        assert isinstance(parsed, dict)
        return parsed

    @property
    def code(self) -> object:
        """The problem's code, after checking that it is a problem as RFC 9457 wants it."""
        assert self.headers["content-type"] == "application/problem+json"
        assert self.json["status"] == self.status
        assert self.json["request_id"] == self.headers["x-request-id"]
        assert self.json["type"] == f"urn:fusion-prime:problem:{self.json['code']}"
        assert self.json["title"]
        assert self.json["detail"]
        return self.json["code"]


@dataclass
class Logged:
    events: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def warning(self, event: str, **fields: object) -> None:
        self.events.append((event, fields))

    def error(self, event: str, **fields: object) -> None:
        self.events.append((event, fields))


class Teapot(Failure):
    """A room's failure that its route maps."""


class Flood(Failure):
    """A room's failure that no route maps."""


@dataclass
class Site:
    """A running server and the switches of its handlers."""

    aio: Aio
    server: AdminServer
    logged: Logged
    bound: BoundTo
    path: Path
    seen: list[Request]

    async def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        unix: bool = False,
    ) -> Answer:
        given = {"Host": f"127.0.0.1:{self.bound.port}", "Connection": "close", **(headers or {})}
        if body and "Content-Type" not in given:
            given["Content-Type"] = "application/json"
        if body and "Transfer-Encoding" not in given:
            given["Content-Length"] = str(len(body))
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in given.items())
        return await self.send(head.encode() + b"\r\n" + body, unix=unix)

    async def send(self, octets: bytes, *, unix: bool = False) -> Answer:
        with trio.fail_after(20):
            stream: trio.SocketStream
            if unix:
                stream = await trio.open_unix_socket(str(self.path))
            else:
                assert self.bound.port is not None
                stream = await trio.open_tcp_stream("127.0.0.1", self.bound.port)
            async with stream:
                await stream.send_all(octets)
                received = b""
                async for chunk in stream:
                    received += chunk
        return parsed(received)


def parsed(received: bytes) -> Answer:
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    return Answer(int(lines[0].split()[1]), {k.lower(): v for k, v in headers.items()}, body)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def table(seen: list[Request], gate: asyncio.Event) -> Sequence[Route]:
    async def echo(request: Request) -> Reply:
        seen.append(request)
        return reply_json({"path": dict(request.path), "query": dict(request.query)})

    async def number(request: Request) -> Reply:
        return reply_json(body_as(request, dict[str, int]))

    async def broken(request: Request) -> Reply:
        raise RuntimeError("the vault key is hunter2")

    async def mapped(request: Request) -> Reply:
        raise Teapot("It is a teapot.", "No coffee.", "Ask for tea.")

    async def unmapped(request: Request) -> Reply:
        raise Flood("The cellar is wet.", "Nothing is served.", "Wait.")

    async def slow(request: Request) -> Reply:
        await gate.wait()
        return reply_json({})

    return (
        Route("GET", "/v1/things/{name}", echo, "Echo.", query=("x",)),
        Route("POST", "/v1/things/{name}", echo, "Echo a mutation.", Role.OPERATOR),
        Route("POST", "/v1/numbers", number, "Numbers."),
        Route("GET", "/v1/broken", broken, "Breaks."),
        Route("GET", "/v1/mapped", mapped, "Fails as declared.", failures={Teapot: 418}),
        Route("GET", "/v1/unmapped", unmapped, "Fails otherwise."),
        Route("GET", "/v1/slow", slow, "Waits."),
        Route("GET", "/-/healthy", echo, "Management."),
    )


@asynccontextmanager
async def site(aio: Aio, tmp_path: Path, settings: HttpSettings | None = None) -> AsyncIterator[Site]:
    principals = Principals(
        [
            PrincipalSettings("alice", Role.OPERATOR, token_hash=hash_token(OPERATOR)),
            PrincipalSettings("vera", Role.VIEWER, token_hash=hash_token(VIEWER)),
        ],
        os.getuid(),
    )
    path = tmp_path / "admin.sock"
    logged = Logged()
    seen: list[Request] = []
    wanted = replace(settings or HttpSettings(), socket=path)
    server = AdminServer(wanted, table(seen, asyncio.Event()), principals, logged)
    async with serving(aio, server, stop_timeout=15.0) as bound:
        yield Site(aio, server, logged, bound, path, seen)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Not pytest's tmp_path, which no other user may enter."""
    with tempfile.TemporaryDirectory(prefix="fusion-prime-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


async def test_a_read_is_free_on_loopback_and_on_the_socket(aio: Aio, tmp_path: Path) -> None:
    async with site(aio, tmp_path) as here:
        for unix in (False, True):
            answer = await here.ask("GET", "/v1/things/a%2Fb?x=1&x=2", unix=unix)
            assert answer.status == 200
            assert answer.headers["content-type"] == "application/json"
            assert answer.json == {"path": {"name": "a/b"}, "query": {"x": "1"}}
        assert here.seen[0].principal is None
        assert here.seen[1].principal is not None


async def test_a_mutation_needs_a_token_on_tcp(aio: Aio, tmp_path: Path) -> None:
    async with site(aio, tmp_path) as here:
        nobody = await here.ask("POST", "/v1/things/a")
        assert (nobody.status, nobody.code) == (401, "unauthorized")
        assert nobody.headers["www-authenticate"] == 'Bearer realm="fusion-prime"'
        wrong = await here.ask("POST", "/v1/things/a", bearer("w" * 40))
        assert (wrong.status, wrong.code) == (401, "unauthorized")
        assert 'error="invalid_token"' in wrong.headers["www-authenticate"]
        basic = await here.ask("POST", "/v1/things/a", {"Authorization": f"Basic {OPERATOR}"})
        assert basic.status == 401
        viewer = await here.ask("POST", "/v1/things/a", bearer(VIEWER))
        assert (viewer.status, viewer.code) == (403, "role-insufficient")
        assert here.seen == []
        operator = await here.ask("POST", "/v1/things/a", bearer(OPERATOR))
        assert operator.status == 200
        assert here.seen[0].caller().name == "alice"
        assert [event for event, _ in here.logged.events] == ["http.refused"] * 4
        assert not any(OPERATOR in str(fields) or "w" * 40 in str(fields) for _, fields in here.logged.events)


async def test_a_wrong_token_is_refused_even_where_none_is_needed(aio: Aio, tmp_path: Path) -> None:
    async with site(aio, tmp_path) as here:
        answer = await here.ask("GET", "/v1/things/a", bearer("w" * 40))
        assert (answer.status, answer.code) == (401, "unauthorized")


async def test_the_unix_socket_knows_its_peer_from_the_kernel(aio: Aio, tmp_path: Path) -> None:
    async with site(aio, tmp_path) as here:
        answer = await here.ask("POST", "/v1/things/a", unix=True)
        assert answer.status == 200
        assert here.seen[0].caller().name == f"uid:{os.getuid()}"
        assert here.seen[0].caller().role is Role.ADMIN
        named = await here.ask("POST", "/v1/things/a", bearer(OPERATOR), unix=True)
        assert named.status == 200
        assert here.seen[1].caller().name == "alice"
        assert stat.S_IMODE(here.path.stat().st_mode) == 0o660
    assert not here.path.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root may ask as somebody else")
async def test_a_stranger_on_the_unix_socket_may_read_but_not_change(aio: Aio, open_folder: Path) -> None:
    async with site(aio, open_folder) as here:
        here.path.chmod(0o666)
        answers = await trio.to_thread.run_sync(_ask_as_nobody, str(here.path))
    assert answers == {"GET": 200, "POST": 401}


def _ask_as_nobody(path: str) -> dict[str, int]:
    """In a process of its own with another user id: SO_PEERCRED is that of the connecting process."""
    program = (
        "import os,socket,sys\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "for method in ('GET','POST'):\n"
        "    s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
        "    s.sendall((method+' /v1/things/a HTTP/1.1\\r\\nHost: x\\r\\n').encode())\n"
        "    s.sendall(b'Connection: close\\r\\n\\r\\n')\n"
        "    print(method, s.makefile('rb').readline().split()[1].decode()); s.close()\n"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    return {method: int(status) for method, status in (line.split() for line in done.stdout.splitlines())}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", ""])
async def test_a_rebound_name_is_refused(aio: Aio, tmp_path: Path, host: str) -> None:
    """evil.example resolves to 127.0.0.1 in the victim's browser; its Host header gives it away."""
    async with site(aio, tmp_path) as here:
        answer = await here.ask("GET", "/v1/things/a", {"Host": host.format(port=here.bound.port)})
        assert (answer.status, answer.code) == (403, "host-not-allowed")
        assert here.seen == []


async def test_a_page_of_another_origin_is_refused(aio: Aio, tmp_path: Path) -> None:
    async with site(aio, tmp_path) as here:
        for origin in ("https://evil.example", "null", f"https://127.0.0.1:{here.bound.port}"):
            answer = await here.ask("GET", "/v1/things/a", {"Origin": origin})
            assert (answer.status, answer.code) == (403, "origin-not-allowed")
        own = f"localhost:{here.bound.port}"
        same = await here.ask("GET", "/v1/things/a", {"Host": own, "Origin": f"http://{own}"})
        assert same.status == 200


async def test_unknown_paths_and_methods(aio: Aio, tmp_path: Path) -> None:
    async with site(aio, tmp_path) as here:
        for path in ("/", "/v1", "/v1/things", "/v1/things/a/b", "//v1/things/a", "/v1/things/%00"):
            answer = await here.ask("GET", path)
            assert (answer.status, answer.code) == (404, "not-found"), path
        wrong = await here.ask("DELETE", "/v1/things/a")
        assert (wrong.status, wrong.code) == (405, "method-not-allowed")
        assert wrong.headers["allow"] == "GET, POST, HEAD"
        head = await here.ask("HEAD", "/v1/things/a")
        assert (head.status, head.body) == (200, b"")


async def test_bodies_of_the_wrong_kind(aio: Aio, tmp_path: Path) -> None:
    async with site(aio, tmp_path, HttpSettings(body_limit=1000)) as here:
        form = await here.ask("POST", "/v1/numbers", {"Content-Type": "text/plain"}, b"{}")
        assert (form.status, form.code) == (415, "unsupported-media-type")
        packed = await here.ask("POST", "/v1/numbers", {"Content-Encoding": "gzip"}, b"{}")
        assert (packed.status, packed.code) == (415, "unsupported-media-type")
        broken = await here.ask("POST", "/v1/numbers", body=b'{"a": ')
        assert (broken.status, broken.code) == (400, "not-json")
        wrong = await here.ask("POST", "/v1/numbers", body=b'{"a": "secret"}')
        assert (wrong.status, wrong.code) == (422, "invalid")
        assert b"secret" not in wrong.body
        on_get = await here.ask("GET", "/v1/things/a", body=b"{}")
        assert (on_get.status, on_get.code) == (400, "unexpected-body")
        right = await here.ask(
            "POST", "/v1/numbers", {"Content-Type": "application/json; charset=utf-8"}, b'{"a":1}'
        )
        assert right.json == {"a": 1}


async def test_a_body_beyond_the_limit_is_refused_declared_or_not(aio: Aio, tmp_path: Path) -> None:
    async with site(aio, tmp_path, HttpSettings(body_limit=1000)) as here:
        declared = await here.ask("POST", "/v1/numbers", body=b" " * 1001)
        assert (declared.status, declared.code) == (413, "body-too-large")
        chunk = b"1f4\r\n" + b" " * 500 + b"\r\n"
        chunked = await here.ask(
            "POST", "/v1/numbers", {"Transfer-Encoding": "chunked"}, chunk * 3 + b"0\r\n\r\n"
        )
        assert (chunked.status, chunked.code) == (413, "body-too-large")


async def test_a_client_that_asks_before_sending_is_told_to_send(aio: Aio, tmp_path: Path) -> None:
    async with site(aio, tmp_path) as here:
        assert here.bound.port is not None
        with trio.fail_after(10):
            async with await trio.open_tcp_stream("127.0.0.1", here.bound.port) as stream:
                await stream.send_all(
                    f"POST /v1/numbers HTTP/1.1\r\nHost: 127.0.0.1:{here.bound.port}\r\n"
                    "Content-Type: application/json\r\nContent-Length: 7\r\n"
                    "Expect: 100-continue\r\nConnection: close\r\n\r\n".encode()
                )
                assert await stream.receive_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
                await stream.send_all(b'{"a":1}')
                received = b"".join([chunk async for chunk in stream])
        assert parsed(received).json == {"a": 1}


async def test_bytes_that_are_not_http_get_a_problem_too(aio: Aio, tmp_path: Path) -> None:
    async with site(aio, tmp_path) as here:
        answer = await here.send(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert (answer.status, answer.code) == (400, "malformed-request")


async def test_a_broken_handler_tells_the_client_nothing_and_the_log_everything(
    aio: Aio, tmp_path: Path
) -> None:
    async with site(aio, tmp_path) as here:
        answer = await here.ask("GET", "/v1/broken", {"X-Request-Id": "req-7"})
        assert (answer.status, answer.code) == (500, "internal-error")
        assert answer.headers["x-request-id"] == "req-7"
        assert b"hunter2" not in answer.body
        assert b"RuntimeError" not in answer.body
        [(event, fields)] = here.logged.events
        assert event == "http.failed"
        assert fields["request_id"] == "req-7"
        assert fields["route"] == "/v1/broken"
        assert isinstance(fields["exc_info"], RuntimeError)


async def test_failures_become_the_problems_that_the_route_declares(aio: Aio, tmp_path: Path) -> None:
    async with site(aio, tmp_path) as here:
        mapped = await here.ask("GET", "/v1/mapped")
        assert (mapped.status, mapped.code) == (418, "teapot")
        assert mapped.json["detail"] == "It is a teapot. No coffee."
        assert mapped.json["remedy"] == "Ask for tea."
        unmapped = await here.ask("GET", "/v1/unmapped")
        assert (unmapped.status, unmapped.code) == (503, "flood")
        assert unmapped.headers["retry-after"] == "5"


async def test_an_odd_request_id_is_replaced(aio: Aio, tmp_path: Path) -> None:
    async with site(aio, tmp_path) as here:
        answer = await here.ask("GET", "/v1/things/a", {"X-Request-Id": "x" * 65})
        assert len(answer.headers["x-request-id"]) == 32


async def test_a_request_past_its_deadline_is_cut_off(aio: Aio, tmp_path: Path) -> None:
    async with site(aio, tmp_path, HttpSettings(deadline=0.05)) as here:
        answer = await here.ask("GET", "/v1/slow")
        assert (answer.status, answer.code) == (503, "overdue")
        assert answer.headers["retry-after"]


async def test_a_command_that_trio_does_not_finish_in_time_is_overdue_too(aio: Aio) -> None:
    async def command(request: Request) -> Reply:
        await aio.to_trio(trio.sleep_forever, timeout=0.05)
        return Reply(204)

    principals = Principals([], os.getuid())
    server = AdminServer(HttpSettings(), [Route("POST", "/x", command, "x")], principals, Logged())
    async with serving(aio, server, stop_timeout=15.0) as bound:
        answer = await Site(aio, server, Logged(), bound, Path(), []).ask("POST", "/x")
        assert (answer.status, answer.code) == (503, "overdue")


async def test_the_metrics_listener_serves_only_metrics(aio: Aio) -> None:
    logged = Logged()
    metrics = Metrics(lambda source, error: logged.error(source, error=error))
    metrics.add("http", lambda: http_families({"metrics": server.statistics()}))
    settings = HttpSettings(network=True)
    server = AdminServer(settings, [metrics_route(metrics)], Principals([], os.getuid()), logged)
    async with serving(aio, server, stop_timeout=15.0) as bound:
        here = Site(aio, server, logged, bound, Path(), [])
        for other in ("/", "/v1/accounts", "/-/healthy", "/metrics/"):
            assert (await here.ask("GET", other)).status == 404
        assert (await here.ask("GET", "/metrics?name=x")).status == 422
        assert (await here.ask("POST", "/metrics")).status == 405
        answer = await here.ask("GET", "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b"# TYPE fusion_http_request_duration_seconds histogram\n" in answer.body
    assert b'route="unmatched",server="metrics",status="404"} 4.0\n' in answer.body
    assert logged.events == []


async def test_a_flood_is_answered_503_at_once_and_health_still_answers(aio: Aio, tmp_path: Path) -> None:
    """running=2, waiting=1: two run, one waits, every other one is refused; a slot freed is used."""
    settings = HttpSettings(running=2, waiting=1, stop=0.05)
    async with site(aio, tmp_path, settings) as here, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(here.ask, "GET", "/v1/slow")
        while (stats := here.server.statistics()).running + stats.waiting < 3:
            await trio.lowlevel.checkpoint()
        refused = await here.ask("GET", "/v1/slow")
        assert (refused.status, refused.code) == (503, "overloaded")
        assert refused.headers["retry-after"] == "1"
        assert (await here.ask("GET", "/-/healthy")).status == 200
        assert here.server.statistics().rejected == 1
        nursery.cancel_scope.cancel()


async def test_connections_are_bounded(aio: Aio, tmp_path: Path) -> None:
    async with site(aio, tmp_path, HttpSettings(connections=2)) as here:
        assert here.bound.port is not None
        held = [await trio.open_tcp_stream("127.0.0.1", here.bound.port) for _ in range(2)]
        while here.server.statistics().connections < 2:
            await trio.lowlevel.checkpoint()
        with trio.fail_after(10):
            async with await trio.open_tcp_stream("127.0.0.1", here.bound.port) as third:
                with suppress(trio.BrokenResourceError):
                    assert await third.receive_some() == b""
        for stream in held:
            await stream.aclose()


async def test_every_request_is_counted_once_by_template(aio: Aio, tmp_path: Path) -> None:
    async with site(aio, tmp_path) as here:
        await here.ask("GET", "/v1/things/a")
        await here.ask("GET", "/v1/things/b")
        await here.ask("GET", "/no/such/path")
        await here.ask("DELETE", "/v1/things/b")
        counted = {(s.method, s.route, s.status): s.requests for s in here.server.statistics().routes}
        assert counted == {
            ("GET", "/v1/things/{name}", 200): 2,
            ("GET", "unmatched", 404): 1,
            ("DELETE", "unmatched", 405): 1,
        }


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
async def test_an_address_beyond_loopback_is_refused(aio: Aio, host: str) -> None:
    server = AdminServer(HttpSettings(host=host), (), Principals([], os.getuid()), Logged())
    with pytest.raises(BindRefused):
        async with serving(aio, server, stop_timeout=15.0):
            pass


async def test_a_network_listener_serves_only_reads(aio: Aio) -> None:
    async def nothing(request: Request) -> Reply:
        return Reply(200)

    principals = Principals([], os.getuid())
    settings = HttpSettings(host="0.0.0.0", network=True)
    with pytest.raises(ValueError, match="only reads"):
        AdminServer(settings, [Route("POST", "/x", nothing, "x", Role.OPERATOR)], principals, Logged())
    server = AdminServer(settings, [Route("GET", "/x", nothing, "x")], principals, Logged())
    async with serving(aio, server, stop_timeout=15.0) as bound:
        here = Site(aio, server, Logged(), bound, Path(), [])
        assert (await here.ask("GET", "/x", {"Host": "metrics.internal:9478"})).status == 200


async def test_a_taken_port_and_a_taken_path_are_named(aio: Aio, tmp_path: Path) -> None:
    async with site(aio, tmp_path) as here:
        assert here.bound.port is not None
        for settings in (HttpSettings(port=here.bound.port), HttpSettings(host=None, socket=here.path)):
            second = AdminServer(settings, (), Principals([], os.getuid()), Logged())
            with pytest.raises(BindFailed):
                async with serving(aio, second, stop_timeout=15.0):
                    pass
        assert (await here.ask("GET", "/v1/things/a", unix=True)).status == 200


async def test_the_socket_of_a_killed_daemon_is_replaced(aio: Aio, tmp_path: Path) -> None:
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "admin.sock"))
    stale.close()
    async with site(aio, tmp_path) as here:
        assert (await here.ask("GET", "/v1/things/a", unix=True)).status == 200


async def test_a_file_in_the_sockets_place_is_not_removed(aio: Aio, tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    path.write_text("precious")
    with pytest.raises(BindFailed):
        async with site(aio, tmp_path):
            pass
    assert path.read_text() == "precious"


async def test_a_client_that_hangs_up_does_not_cancel_a_mutation(aio: Aio, tmp_path: Path) -> None:
    """A connection reset in the middle of a command must not leave its outcome to chance."""
    began, goes_on, ended = (asyncio.Event() for _ in range(3))

    async def change(request: Request) -> Reply:
        began.set()
        await goes_on.wait()
        ended.set()
        return Reply(204)

    server = AdminServer(
        HttpSettings(), [Route("POST", "/x", change, "x")], Principals([], os.getuid()), Logged()
    )
    async with serving(aio, server, stop_timeout=15.0) as bound:
        assert bound.port is not None
        stream = await trio.open_tcp_stream("127.0.0.1", bound.port)
        await stream.send_all(f"POST /x HTTP/1.1\r\nHost: 127.0.0.1:{bound.port}\r\n\r\n".encode())
        await aio.call(began.wait, timeout=10)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await stream.aclose()
        assert server._http is not None
        while server._http.connections[0].transport is not None:  # the server has not noticed yet
            await trio.lowlevel.checkpoint()
        await aio.call(_set, goes_on, timeout=10)
        await aio.call(ended.wait, timeout=10)


async def _set(event: asyncio.Event) -> None:
    event.set()
