"""Identifiers of chains, addresses, hashes and assets."""

from __future__ import annotations

from typing import NewType

ChainId = NewType("ChainId", int)
"""EIP-155 chain id."""

Address = NewType("Address", bytes)
"""20 bytes. Native currency is `NATIVE` everywhere, on chain and off."""

Hash32 = NewType("Hash32", bytes)
"""32 bytes: a block hash, a transaction hash or a log topic."""

AssetId = NewType("AssetId", str)
"""A symbol such as ``WETH`` that unites the tokens of several chains under one price."""

AccountId = NewType("AccountId", str)
"""A registered account's id, or the CAIP-10 name of an address that nobody registered."""

NATIVE = Address(b"\xee" * 20)
"""The conventional address of a chain's native currency (0xEeee…EEeE)."""


def parse_address(text: str) -> Address:
    """`0x` + 40 hex digits, any case, to 20 bytes. Raises ValueError otherwise."""
    if not text.startswith("0x") or len(text) != 42:
        raise ValueError(f"not a 20-byte address: {text!r}")
    return Address(bytes.fromhex(text[2:]))


def hex_of(octets: bytes) -> str:
    """`0x` + lower-case hex, the form of JSON-RPC and of our own API."""
    return "0x" + octets.hex()


def unregistered(chain: ChainId, address: Address) -> AccountId:
    """The CAIP-10 account id under which an address is margined until someone registers it."""
    return AccountId(f"eip155:{chain}:{hex_of(address)}")
