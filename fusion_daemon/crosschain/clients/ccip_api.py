"""Chainlink's CCIP API: one message by its id. asyncio side."""

from __future__ import annotations

from urllib.parse import urlsplit

import aiohttp
import msgspec

from fusion_daemon.crosschain.clients.explorer import fetch, open_session, unavailable
from fusion_daemon.crosschain.hints import Hint, shortened
from fusion_daemon.domain.identifiers import Hash32, hex_of


class _Message(msgspec.Struct, rename="camel"):
    message_id: str
    status: str
    ready_for_manual_execution: bool | None = None


_MESSAGE = msgspec.json.Decoder(_Message)


class CcipApi:
    """Get it from `open_ccip_api`, end it with `close`."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url.rstrip("/")
        self._session = session

    async def hint(self, message: Hash32) -> Hint | None:
        """None when it does not know the message. Raises HintUnavailable."""
        name = hex_of(message)
        status, body = await fetch(self._session, f"{self._url}/v2/messages/{name}", {})
        host = urlsplit(self._url).hostname or self._url
        if status == 404:
            return None
        if status != 200:
            raise unavailable(host, f"answered with HTTP {status}")
        try:
            found = _MESSAGE.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise unavailable(host, f"answered with something else than a message ({error})") from error
        if found.message_id.lower() != name:
            raise unavailable(host, "answered with another message than was asked for")
        return Hint("ccip", shortened(found.status), ready_for_manual_execution=found.ready_for_manual_execution)

    async def close(self) -> None:
        await self._session.close()


async def open_ccip_api(url: str, timeout: float) -> CcipApi:
    """`url`: https://api.ccip.chain.link."""
    return CcipApi(url, await open_session(timeout))
