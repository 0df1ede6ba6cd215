"""Axelarscan's GMP API: `searchGMP` by source transaction and log index. asyncio side."""

from __future__ import annotations

import msgspec

from fusion_daemon.crosschain.clients.explorer import fetch, parsed, unavailable
from fusion_daemon.crosschain.hints import AxelarCall, Hint, shortened
from fusion_daemon.domain.identifiers import hex_of


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


async def ask_axelarscan(url: str, call: AxelarCall, timeout: float) -> Hint | None:
    """None when it does not know the call. Raises HintUnavailable after at most `timeout` seconds.

    `url`: https://api.gmp.axelarscan.io, or that of the testnet. Without a log index the API answers with the first of
    a transaction's calls, so an answer about another log is no answer.
    """
    query = {"method": "searchGMP", "txHash": hex_of(call.transaction), "txLogIndex": str(call.log_index)}
    status, body = await fetch(url, query, timeout)
    if status != 200:
        raise unavailable(url, f"answered with HTTP {status}")
    answer = parsed(url, body, _ANSWER, "messages")
    named = [each for each in answer.data if each.call is not None and _is(each.call, call)]
    return _hint(named[0]) if named else None


def _is(told: _Call, call: AxelarCall) -> bool:
    return (told.transaction_hash or "").lower() == hex_of(call.transaction) and told.log_index == call.log_index


def _hint(message: _Message) -> Hint:
    gas = None if message.gas_status is None else shortened(message.gas_status)
    return Hint(shortened(message.status), gas, _error_text(message.error))


def _error_text(error: _Error | str | None) -> str | None:
    cause = error.error if isinstance(error, _Error) else error
    if isinstance(cause, _Cause):
        cause = cause.message or cause.reason
    return None if cause is None else shortened(cause)
