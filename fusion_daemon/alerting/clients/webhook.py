"""Webhooks over one shared aiohttp session. Everything here runs on the asyncio side."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp

from fusion_daemon.alerting.retry import Outcome, Verdict, http_outcome

_LARGEST_ANSWER = 4_096
"""Bytes of an answer that are read. A longer one costs the connection, nothing else."""

_LONGEST_QUOTE = 200


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    url: str
    headers: dict[str, str]
    body: bytes
    sent_at: float
    """Unix seconds; a Retry-After date is measured against it."""


class WebhookClient:
    """One pool of kept-alive connections. Get it from `open_webhooks`, end it with `close`."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def post(self, request: WebhookRequest) -> Outcome:
        """One attempt. Never follows a redirect, reads a bounded part of the answer, ends within the timeout.

        Every failure of the network or of the receiver is an Outcome. Cancelling closes the connection;
        whether the receiver got the message is then unknown.
        """
        try:
            async with self._session.post(
                request.url, data=request.body, headers=request.headers, allow_redirects=False
            ) as response:
                answer = await _bounded(response)
        except aiohttp.InvalidURL:
            return Outcome(Verdict.REJECTED, None, "The target is not a valid URL.")
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Outcome(Verdict.FAILED, None, f"The receiver cannot be reached ({_reason(error)}).")
        except TimeoutError:
            return Outcome(Verdict.AMBIGUOUS, None, "No answer in time; the receiver may have the message.")
        except aiohttp.ClientError as error:
            return Outcome(
                Verdict.AMBIGUOUS,
                None,
                f"The connection broke ({_reason(error)}); the receiver may have the message.",
            )
        detail = f"HTTP {response.status}"
        if response.status >= 300 and answer:
            detail += f": {answer}"
        return http_outcome(response.status, response.headers.get("Retry-After"), detail, request.sent_at)

    async def close(self) -> None:
        """Close every connection, also those of attempts in flight."""
        await self._session.close()


async def open_webhooks(timeout: float, connections: int) -> WebhookClient:
    """A client whose attempts last at most `timeout` seconds, over at most `connections` connections at
    once."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=15.0),
        timeout=aiohttp.ClientTimeout(total=timeout),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"User-Agent": "fusion-daemon", "Content-Type": "application/json"},
    )
    return WebhookClient(session)


async def _bounded(response: aiohttp.ClientResponse) -> str:
    """The beginning of the answer, printable. Reading to its end keeps the connection for the next
    attempt."""
    parts = bytearray()
    while len(parts) < _LARGEST_ANSWER:
        chunk = await response.content.read(_LARGEST_ANSWER - len(parts))
        if not chunk:
            break
        parts += chunk
    else:
        response.close()
    text = parts[:_LONGEST_QUOTE].decode("utf-8", "replace")
    return "".join(each if each.isprintable() else " " for each in text).strip()


def _reason(error: aiohttp.ClientError) -> str:
    """What went wrong, without the address that the library's own text repeats."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return type(cause).__name__
