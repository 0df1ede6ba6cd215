"""Chainlink's CCIP API: one message by its id. asyncio side."""

from __future__ import annotations

import msgspec

from fusion_daemon.crosschain.clients.explorer import fetch, parsed, unavailable
from fusion_daemon.crosschain.hints import CcipMessage, Hint, shortened
from fusion_daemon.domain.identifiers import hex_of


class _Message(msgspec.Struct, rename="camel"):
    message_id: str
    status: str
    ready_for_manual_execution: bool | None = None


_MESSAGE = msgspec.json.Decoder(_Message)


async def ask_ccip_api(url: str, message: CcipMessage, timeout: float) -> Hint | None:
    """None when it does not know the message. Raises HintUnavailable after at most `timeout` seconds.

    `url`: https://api.ccip.chain.link.
    """
    name = hex_of(message.message)
    status, body = await fetch(f"{url.rstrip('/')}/v2/messages/{name}", {}, timeout)
    if status == 404:
        return None
    if status != 200:
        raise unavailable(url, f"answered with HTTP {status}")
    found = parsed(url, body, _MESSAGE, "a message")
    if found.message_id.lower() != name:
        raise unavailable(url, "answered with another message than was asked for")
    return Hint(shortened(found.status), ready_for_manual_execution=found.ready_for_manual_execution)
