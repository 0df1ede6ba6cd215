"""Asking an explorer over HTTP: bounded answers, no redirects, every failure named. asyncio side."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import aiohttp

from fusion_daemon.crosschain.hints import HintUnavailable

LARGEST_ANSWER = 1 << 20
"""Bytes: a message with its payload and all its transactions is far below."""


async def open_session(timeout: float) -> aiohttp.ClientSession:
    """A session whose requests last at most `timeout` seconds."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=4, keepalive_timeout=15.0),
        timeout=aiohttp.ClientTimeout(total=timeout),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "fusion-daemon", "Accept": "application/json"},
    )


async def fetch(session: aiohttp.ClientSession, url: str, query: Mapping[str, str]) -> tuple[int, bytes]:
    """Status and body of one GET. Raises HintUnavailable when there is none, or none worth reading."""
    host = urlsplit(url).hostname or url
    try:
        async with session.get(url, params=query, allow_redirects=False) as answer:
            body = await answer.content.read(LARGEST_ANSWER + 1)
            while len(body) <= LARGEST_ANSWER and (more := await answer.content.read(LARGEST_ANSWER + 1 - len(body))):
                body += more
    except (aiohttp.ClientError, TimeoutError) as error:
        raise unavailable(host, f"could not be asked ({type(error).__name__})") from error
    if len(body) > LARGEST_ANSWER:
        raise unavailable(host, f"answered with more than {LARGEST_ANSWER} bytes")
    if answer.status == 429 or answer.status >= 500 or 300 <= answer.status < 400:
        raise unavailable(host, f"answered with HTTP {answer.status}")
    return answer.status, body


def unavailable(host: str, what: str) -> HintUnavailable:
    return HintUnavailable(
        f"The explorer {host} {what}.",
        "Its second opinion on this message is missing; the chains alone decide, as always.",
        "Nothing, unless it lasts: then check the explorer's address in the configuration and its status page.",
    )
