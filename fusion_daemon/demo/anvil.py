"""A local EVM chain: launch and stop anvil.

Synchronous on purpose. `PR_SET_PDEATHSIG` fires when the *thread* that forked ends, so an anvil must be
started by a thread that lives as long as its owner means to: the main thread. Launching takes about 0.2 s.
"""

from __future__ import annotations

import ctypes
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from fusion_daemon.demo.node import Node
from fusion_daemon.domain.failure import Failure

READY_SECONDS = 20.0
STOP_SECONDS = 5.0
PORT_TRIES = 5
_PR_SET_PDEATHSIG = 1
_CHECKOUT_ANVIL = Path(__file__).resolve().parents[2] / "tools/anvil/node_modules/.bin/anvil"


class AnvilMissing(Failure):
    """No anvil binary on this machine."""


class AnvilFailed(Failure):
    """anvil started but did not become ready."""


def find_anvil() -> Path:
    """The anvil to run: FUSION_PRIME_ANVIL, then PATH, then the one `make install` brought."""
    named = os.environ.get("FUSION_PRIME_ANVIL")
    if named is not None:
        if os.access(named, os.X_OK):
            return Path(named)
        raise AnvilMissing(
            f"FUSION_PRIME_ANVIL names {named}, which is not an executable file.",
            "No local chain can be started.",
            "Point it at an anvil binary, or unset it to use the installed one.",
        )
    on_path = shutil.which("anvil")
    if on_path is not None:
        return Path(on_path)
    if os.access(_CHECKOUT_ANVIL, os.X_OK):
        return _CHECKOUT_ANVIL
    raise AnvilMissing(
        "There is no anvil on PATH nor in tools/anvil.",
        "No local chain can be started.",
        "Run `make install`, or put an anvil (Foundry) on PATH.",
    )


@dataclass(slots=True)
class Anvil:
    """A running anvil. `stop()` ends it; so does the end of the thread that launched it."""

    url: str
    chain_id: int
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    """What it printed."""

    def stop(self) -> None:
        """SIGTERM, then SIGKILL after 5 s. Safe to call twice."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


def launch_anvil(chain_id: int, *, port: int | None = None, options: Sequence[str] = ()) -> Anvil:
    """Start anvil on a loopback port (a free random one by default) and wait until it answers.

    `options` are further command line flags, for example `("--block-time", "1")`. Call it from a thread that
    outlives the chain (see above). Raises AnvilMissing or AnvilFailed.
    """
    binary = find_anvil()
    failure: AnvilFailed | None = None
    for _ in range(PORT_TRIES if port is None else 1):
        try:
            return _start(binary, chain_id, port if port is not None else _free_port(), options)
        except AnvilFailed as failed:  # another process may have taken the port meanwhile: try the next
            failure = failed
    assert failure is not None
    raise failure


@contextmanager
def anvil(chain_id: int, *, options: Sequence[str] = ()) -> Iterator[Anvil]:
    """`launch_anvil` as a context manager."""
    node = launch_anvil(chain_id, options=options)
    try:
        yield node
    finally:
        node.stop()


def _start(binary: Path, chain_id: int, port: int, options: Sequence[str]) -> Anvil:
    command = [str(binary), "--host", "127.0.0.1", "--port", str(port), "--chain-id", str(chain_id), "-q"]
    # Else it writes the state of every block that is 500 deep to ~/.foundry, and leaves it there: gigabytes a run.
    command += ["--max-persisted-states", "0", *options]
    setpriv = shutil.which("setpriv")
    if setpriv is not None:
        command = [setpriv, "--pdeathsig", "KILL", "--", *command]
    log = tempfile.TemporaryFile(prefix="anvil-")  # noqa: SIM115 - closed by stop()
    process = subprocess.Popen(  # noqa: S603 - a binary that the operator chose
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        # Its one call is async-signal-safe; only where setpriv does not exist.
        preexec_fn=_die_with_parent() if setpriv is None else None,  # noqa: PLW1509
        # Ctrl-C on the terminal reaches the owner only, which stops its chains in its own order.
        start_new_session=True,
    )
    node = Anvil(f"http://127.0.0.1:{port}", chain_id, process, log)
    try:
        _await_ready(node)
    except BaseException:
        node.stop()
        raise
    return node


def _await_ready(node: Anvil) -> None:
    """INVARIANT: returns only when the answering node is the process we started (a stranger on the port has
    another chain id, or ours has already died of the taken port)."""
    deadline = time.monotonic() + READY_SECONDS
    client = Node(node.url)
    while time.monotonic() < deadline:
        code = node.process.poll()
        if code is not None:
            raise _failed(node, f"anvil ended with code {code}.")
        try:
            answered = client.call("eth_chainId")
        except (OSError, http.client.HTTPException, ValueError):  # not listening yet, or not an anvil
            time.sleep(0.02)
            continue
        finally:
            client.close()
        if answered == hex(node.chain_id) and node.process.poll() is None:
            return
        raise _failed(node, f"{node.url} answers chain id {answered} instead of {hex(node.chain_id)}.")
    raise _failed(node, f"anvil did not answer within {READY_SECONDS:.0f} s.")


def _failed(node: Anvil, happened: str) -> AnvilFailed:
    node.log.seek(0)
    said = node.log.read(2_000).decode(errors="replace").strip()
    return AnvilFailed(
        f"{happened} It said: {said or 'nothing'}.",
        f"The local chain {node.chain_id} is not there.",
        "Run the binary by hand to see why; FUSION_PRIME_ANVIL chooses another.",
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert isinstance(port, int)
    return port


def _die_with_parent() -> Callable[[], None] | None:
    """For machines without setpriv: the same prctl, called in the child before exec."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)

    def arm() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return arm
