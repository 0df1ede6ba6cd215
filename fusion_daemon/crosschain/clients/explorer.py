"""Asking an explorer over HTTP: bounded answers, no redirects, every failure named. asyncio side.

A session lives for one request: whoever looks at a message asks once in a while, and nothing has to be closed at a
reload.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec

from fusion_daemon.crosschain.hints import HintUnavailable

T = TypeVar("T")

LARGEST_ANSWER = 1 << 20
"""Bytes: a message with its payload and all its transactions is far below."""

_HEADERS = {"User-Agent": "fusion-daemon", "Accept": "application/json", "Accept-Encoding": "identity"}


async def fetch(url: str, query: Mapping[str, str], timeout: float) -> tuple[int, bytes]:
    """Status and body of one GET, which lasts at most `timeout` seconds. Raises HintUnavailable when there is none, or
    none worth reading. Nothing is unpacked: a small answer cannot become a large one."""
    try:
        async with (
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=timeout),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                headers=_HEADERS,
            ) as session,
            session.get(url, params=query, allow_redirects=False) as answer,
        ):
            status, body = answer.status, await _bounded(answer)
    except TimeoutError as error:
        raise unavailable(url, f"did not answer within {timeout:g} s") from error
    except (aiohttp.ClientError, OSError) as error:
        raise unavailable(url, f"could not be asked ({type(error).__name__})") from error
    if len(body) > LARGEST_ANSWER:
        raise unavailable(url, f"answered with more than {LARGEST_ANSWER} bytes")
    if status == 429 or status >= 500 or 300 <= status < 400:
        raise unavailable(url, f"answered with HTTP {status}")
    return status, body


def parsed(url: str, body: bytes, decoder: msgspec.json.Decoder[T], what: str) -> T:
    """Raises HintUnavailable."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise unavailable(url, f"answered with something else than {what} ({error})") from error


def unavailable(url: str, what: str) -> HintUnavailable:
    """It names the host alone: what else stands in a URL may be somebody's key."""
    return HintUnavailable(
        f"The explorer {urlsplit(url).hostname} {what}.",
        "Its second opinion on this message is missing; the chains alone decide, as always.",
        "Nothing, unless it lasts: then check the explorer's address in the configuration and its status page.",
    )


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    """The body up to one byte more than is worth reading."""
    body = b""
    while len(body) <= LARGEST_ANSWER and (more := await answer.content.read(LARGEST_ANSWER + 1 - len(body))):
        body += more
    return body
