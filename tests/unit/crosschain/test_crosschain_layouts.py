"""Topics are the signatures' hashes, and a layout refuses what its event cannot have written."""

from __future__ import annotations

from typing import cast

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.crosschain import application, axelar, ccip
from fusion_daemon.crosschain.layout import Layout, Unreadable

TOPICS = {
    axelar.CONTRACT_CALL: "30ae6cc78c27e651745bf2ad08a11de83910ac1e347a52f7ac898c0fbef94dae",
    axelar.CONTRACT_CALL_WITH_TOKEN: "7e50569d26be643bda7757722291ec66b1be66d8283474ae3fab5a98f878a7a2",
    axelar.NATIVE_GAS_PAID: "617332c1832058df6ee45fcbdf471251474c9945a8e5d229287a21a5f67ccf0a",
    axelar.GAS_PAID: "99206760f0be19dd093729bd35e5924daff5e217bcedc5223ed067b60008cf8a",
    axelar.NATIVE_GAS_PAID_WITH_TOKEN: "999d431b58761213cf53af96262b67a069cbd963499fd8effd1e21556217b841",
    axelar.NATIVE_GAS_ADDED: "feb6b00343feee0f29a1a4345f8bf93ca1c73ee922248a4237a4e50d6447604e",
    axelar.GAS_ADDED: "2275e75614080f9782f72563c2c1688c901c5339c7f9f436d323f9386fed700a",
    axelar.CONTRACT_CALL_APPROVED: "44e4f8f6bd682c5a3aeba93601ab07cb4d1f21b2aab1ae4880d9577919309aa4",
    axelar.CONTRACT_CALL_APPROVED_WITH_MINT: "9991faa1f435675159ffae64b66d7ecfdb55c29755869a18db8497b4392347e0",
    axelar.CONTRACT_CALL_EXECUTED: "91057b069763121972ce22b18b2f319b1520dd4c72f1f94a6395e81ceaf63f41",
    axelar.MESSAGE_APPROVED: "cda53a2698efcca41b57faaddeb19bcb237bb1c71b479721fcc3a6fd41ba8097",
    axelar.MESSAGE_EXECUTED: "e7d1e1f435233f7a187624ac11afaf32ee0da368cef8a5625be394412f619254",
    ccip.SEND_REQUESTED: "d0c3c799bf9e2639de44391e7f524d229b2b55f5b1ea94b2bf7da42f7243dddd",
    ccip.REPORT_ACCEPTED: "291698c01aa71f912280535d88a00d2c59fb63530a3f5d0098560468acb9ebf5",
    ccip.EXECUTION_1_5: "d4f851956a5d67c3997d1c9205045fef79bae2947fdee7e9e2641abc7391ef65",
    ccip.MESSAGE_SENT_1_6: "192442a2b2adb6a7948f097023cb6b57d29d3a7a5dd33e6666d33c39cc456f32",
    ccip.COMMIT_REPORT_ACCEPTED: "b967c9b9e1b7af9a61ca71ff00e9f5b89ec6f2e268de8dacf12f0de8e51f3e47",
    ccip.EXECUTION_1_6: "05665fe9ad095383d018353f4cbcba77e84db27dd215081bbf7cdf9ae6fbe48b",
    ccip.MESSAGE_SENT_2_0: "371bc2ff0a006f4ef863b1d27a065d4e9f938b6d883eb154572b4aea593b32cc",
    ccip.EXECUTION_2_0: "8c324ce1367b83031769f6a813e3bb4c117aba2185789d66b98b791405be6df2",
    ccip.SKIPPED_1_5: "e3dd0bec917c965a133ddb2c84874725ee1e2fd8d763c19efa36d6a11cd82b1f",
    ccip.SKIPPED_1_6: "3b575419319662b2a6f5e2467d84521517a3382b908eb3d557bb3fdb0c50e23c",
    ccip.ATTEMPTED_1_5: "67d9ba0f63d427c482c2736300e6d5a34c6691dbcdea8ad35828a1f1ba47e872",
    ccip.ATTEMPTED_1_6: "3ef2a99c550a751d4b0b261268f05a803dfb049ab43616a1ffb388f61fe65120",
    ccip.ROOT_REMOVED: "202f1139a3e334b6056064c0e9b19fd07e44a88d8f6e5ded571b24cf8c371f12",
}
"""As the bridges' contracts and explorers publish them."""
TABLES = (axelar.GATEWAY, axelar.GAS_SERVICE, ccip.ON_RAMP, ccip.OFF_RAMP, ccip.COMMIT_STORE)


@pytest.mark.parametrize(("layout", "topic"), TOPICS.items(), ids=[layout.name for layout in TOPICS])
def test_the_topic_is_the_published_one(layout: Layout, topic: str) -> None:
    assert layout.topic.hex() == topic


def test_every_bridge_event_that_is_read_has_a_published_topic() -> None:
    assert {layout for table in TABLES for layout in table} == set(TOPICS)
    assert len(application.ROUTER) == 7


STRUCT = "(uint64,bytes,(address,bytes)[],bool,bytes4,string)"
LAYOUT = Layout(f"Sample(uint64 indexed,{STRUCT},uint256,address indexed,bytes[])")
structs = st.tuples(
    st.integers(0, 2**64 - 1),
    st.binary(max_size=70),
    st.lists(st.tuples(st.just("0x" + "ab" * 20), st.binary(max_size=40)), max_size=3),
    st.booleans(),
    st.binary(min_size=4, max_size=4),
    st.text(max_size=10),
)


@given(structs, st.integers(0, 2**256 - 1), st.lists(st.binary(max_size=40), max_size=3))
def test_a_layout_reads_what_abi_encode_writes(struct: tuple[object, ...], number: int, octets: list[bytes]) -> None:
    data = encode([STRUCT, "uint256", "bytes[]"], [struct, number, octets])
    topics = (LAYOUT.topic, (7).to_bytes(32, "big"), bytes(12) + b"\x01" * 20)
    got = LAYOUT.values(topics, data)
    pairs = tuple((bytes.fromhex("ab" * 20), each) for _, each in cast("list[tuple[str, bytes]]", struct[2]))
    assert got == (7, (*struct[:2], pairs, *struct[3:]), number, b"\x01" * 20, tuple(octets))


@given(structs, st.data())
def test_what_is_cut_short_is_unreadable_and_never_made_up(struct: tuple[object, ...], data: st.DataObject) -> None:
    whole = encode([STRUCT, "uint256", "bytes[]"], [struct, 1, [b"x"]])
    topics = (LAYOUT.topic, bytes(32), bytes(32))
    cut = whole[: data.draw(st.integers(0, len(whole) - 64))]
    with pytest.raises(Unreadable):
        LAYOUT.values(topics, cut)


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("uint64", 2**64),
        ("uint8", 256),
        ("address", 2**160),
        ("bool", 2),
        ("bytes4", 1),
        ("bytes", 2**255),
        ("uint256[]", 2**200),
    ],
)
def test_a_word_outside_its_type_is_unreadable(kind: str, word: int) -> None:
    layout = Layout(f"E({kind})")
    head = (32).to_bytes(32, "big") if kind in ("bytes", "uint256[]") else b""
    with pytest.raises(Unreadable):
        layout.values((layout.topic,), head + word.to_bytes(32, "big"))


def test_text_that_is_not_utf_8_and_missing_topics_are_unreadable() -> None:
    layout = Layout("E(string)")
    with pytest.raises(Unreadable, match="UTF-8"):
        layout.values((layout.topic,), encode(["bytes"], [b"\xff"]))
    with pytest.raises(Unreadable, match="topics"):
        LAYOUT.values((LAYOUT.topic,), b"")
