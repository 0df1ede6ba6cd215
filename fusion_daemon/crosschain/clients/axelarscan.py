"""Axelarscan's GMP API: `searchGMP` by source transaction and log index. asyncio side."""

from __future__ import annotations

from urllib.parse import urlsplit

import aiohttp
import msgspec

from fusion_daemon.crosschain.clients.explorer import fetch, open_session, unavailable
from fusion_daemon.crosschain.hints import Hint, shortened
from fusion_daemon.domain.identifiers import Hash32, hex_of


class _Call(msgspec.Struct, rename={"transaction_hash": "transactionHash", "log_index": "logIndex"}):
    transaction_hash: str | None = None
    log_index: int | None = None


class _Cause(msgspec.Struct):
    message: str | None = None
    reason: str | None = None


class _Error(msgspec.Struct):
    """Of the last attempt to execute."""

    error: _Cause | str | None = None


class _Message(msgspec.Struct):
    status: str = "unknown"
    gas_status: str | None = None
    call: _Call | None = None
    error: _Error | str | None = None


class _Answer(msgspec.Struct):
    data: list[_Message] = []


_ANSWER = msgspec.json.Decoder(_Answer)


class Axelarscan:
    """Get it from `open_axelarscan`, end it with `close`."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    async def hint(self, transaction: Hash32, log_index: int) -> Hint | None:
        """What it says of the call made by that log of a source transaction; None when it does not know the call.

        `log_index` is the block-level one. Without it the API answers with the first of a transaction's calls,
        so an answer about another log is no answer. Raises HintUnavailable.
        """
        query = {"method": "searchGMP", "txHash": hex_of(transaction), "txLogIndex": str(log_index)}
        status, body = await fetch(self._session, self._url, query)
        host = urlsplit(self._url).hostname or self._url
        if status != 200:
            raise unavailable(host, f"answered with HTTP {status}")
        try:
            found = _ANSWER.decode(body).data
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise unavailable(host, f"answered with something else than messages ({error})") from error
        named = [each for each in found if each.call is not None and _is(each.call, transaction, log_index)]
        return _hint(named[0]) if named else None

    async def close(self) -> None:
        await self._session.close()


async def open_axelarscan(url: str, timeout: float) -> Axelarscan:
    """`url`: https://api.gmp.axelarscan.io, or that of the testnet."""
    return Axelarscan(url, await open_session(timeout))


def _is(call: _Call, transaction: Hash32, log_index: int) -> bool:
    return (call.transaction_hash or "").lower() == hex_of(transaction) and call.log_index == log_index


def _hint(message: _Message) -> Hint:
    return Hint("axelarscan", shortened(message.status), message.gas_status, _error_text(message.error))


def _error_text(error: _Error | str | None) -> str | None:
    cause = error.error if isinstance(error, _Error) else error
    if isinstance(cause, _Cause):
        cause = cause.message or cause.reason
    return None if cause is None else shortened(cause)
