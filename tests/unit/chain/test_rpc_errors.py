"""Rule: what a node says may be shown, except for what only the URL of its endpoint holds."""

from __future__ import annotations

import base64

import pytest

from fusion_daemon.chain.range_rules import classify
from fusion_daemon.chain.rpc_errors import quote_node, range_refused

KEY = "planted+key"
QUOTED = "planted%2Bkey"


@pytest.mark.parametrize(
    "url",
    [
        f"https://node.example/v3/{QUOTED}",
        f"https://node.example/v3?key={QUOTED}&plan=free",
        f"https://node.example/?{QUOTED}",
        f"https://{QUOTED}@node.example",
        f"https://user:{QUOTED}@node.example",
    ],
)
@pytest.mark.parametrize("repeated", [KEY, QUOTED])
def test_a_repeated_key_is_masked(url: str, repeated: str) -> None:
    assert quote_node(url, f"no plan v3 for {repeated}!") == "no plan v3 for [redacted]!"


def test_a_repeated_authorization_header_is_masked() -> None:
    header = base64.b64encode(f"user:{KEY}".encode()).decode()
    assert quote_node(f"https://user:{QUOTED}@node.example", f"Basic {header}?") == "Basic [redacted]?"


def test_a_key_across_the_cut_is_masked_whole() -> None:
    """Masked first, then cut: otherwise the beginning of a key would stay."""
    assert "plan" not in quote_node(f"https://node.example/{KEY}", "." * 195 + KEY)


def test_a_refused_range_is_quoted_too() -> None:
    message = f"query returned more than 10000 results for {KEY}"
    said = classify(-32_005, message)
    assert said is not None
    assert KEY not in str(range_refused(f"https://node.example/{KEY}", 1, 2, message, said))
