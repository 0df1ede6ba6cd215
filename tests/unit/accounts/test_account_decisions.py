"""The registry's rules: what a command changes, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.accounts.audit import By
from fusion_daemon.accounts.contact_rules import InvalidContact, check_contact
from fusion_daemon.accounts.decisions import (
    AccountExists,
    AddressTaken,
    ChainAddress,
    ContactExists,
    Decided,
    InvalidAccount,
    Known,
    KnownAccount,
    KnownContact,
    NewAccount,
    UnknownAccount,
    UnknownContact,
    add_contact,
    checked_link,
    link_address,
    prepare,
    record_of,
    register,
    verify_contact,
)
from fusion_daemon.accounts.records import record_from_json, record_json
from fusion_daemon.domain.account import AccountRecord, Channel, Contact
from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import NATIVE, AccountId, Address, ChainId
from fusion_daemon.store.writes import Append, Copy

BY = By("alice", "req-1")
EMPTY = Known({}, {})
HOOK = "https://desk.example/hook"


def address(number: int) -> Address:
    return Address(number.to_bytes(20, "big"))


def link(number: int, chain: int = 1) -> ChainAddress:
    return ChainId(chain), address(number)


def new(name: str, *links: ChainAddress) -> NewAccount:
    return NewAccount(AccountId(name), f"Customer {name}", name, links)


def hook(account: str) -> Contact:
    return Contact(AccountId(account), Channel.WEBHOOK, HOOK, "hook-secret")


@dataclass
class Book:
    """A registry of dicts, kept by applying records: the tests' own idea of what a command does."""

    accounts: dict[AccountId, KnownAccount] = field(default_factory=dict)

    def known(self) -> Known:
        owners = {each: one.account for one in self.accounts.values() for each in one.addresses}
        return Known(dict(self.accounts), owners)

    def register(self, each: NewAccount) -> None:
        self.accounts[each.account] = KnownAccount(each.account, each.customer, each.name, each.addresses, ())

    def change(self, account: AccountId, change: Callable[[KnownAccount], KnownAccount]) -> None:
        self.accounts[account] = change(self.accounts[account])


def test_registering_a_batch_writes_each_account_once_with_its_entry_and_its_audit_row() -> None:
    decided = register(EMPTY, [new("a", link(2), link(1)), new("b")], BY)
    assert decided.records == (
        AccountRecord(AccountId("a"), "Customer a", "a", (link(1), link(2)), ()),
        AccountRecord(AccountId("b"), "Customer b", "b", (), ()),
    )
    assert [(entry.action, entry.target, entry.outcome, entry.by) for entry in decided.audit] == [
        ("account.register", "a", "done", BY),
        ("account.register", "b", "done", BY),
    ]
    prepared = prepare(decided, epoch=7, head=40)
    assert [(change.seq, change.record.name) for change in prepared.changes] == [(41, "a"), (42, "b")]
    commit = prepared.commit
    [append] = commit.appends
    assert append == Append("accounts", 7, 40, "account_changes", ("account", "record"), append.rows)
    assert [row[0] for row in append.rows] == ["a", "b"]
    tables = [write.table for write in commit.writes if isinstance(write, Copy)]
    assert tables == ["accounts", "account_addresses", "audit"]


def test_an_address_belongs_to_one_account_per_chain() -> None:
    known = Book({}).known()
    with pytest.raises(AddressTaken):
        register(known, [new("a", link(1)), new("b", link(1))], BY)
    with pytest.raises(AddressTaken):
        register(known, [new("a", link(1), link(1))], BY)
    assert len(register(known, [new("a", link(1, chain=1)), new("b", link(1, chain=2))], BY).records) == 2


def test_a_link_is_refused_whoever_has_the_address() -> None:
    book = Book()
    book.register(new("a", link(1)))
    book.register(new("b"))
    for account in ("a", "b"):
        with pytest.raises(AddressTaken, match="'a'"):
            link_address(book.known(), AccountId(account), link(1), BY)
    decided = link_address(book.known(), AccountId("b"), link(2), BY)
    assert decided.records[0].addresses == (link(2),)


def test_an_id_is_given_once() -> None:
    book = Book()
    book.register(new("a"))
    with pytest.raises(AccountExists):
        register(book.known(), [new("b"), new("a")], BY)
    with pytest.raises(AccountExists):
        register(EMPTY, [new("a"), new("a")], BY)
    with pytest.raises(InvalidAccount):
        register(EMPTY, [], BY)


@pytest.mark.parametrize("name", ["", "-a", "a b", "eip155:1:0x00", "a/b", "a" * 65, "é", "a\0"])
def test_ids_that_a_path_or_a_caip_id_would_confuse_are_refused(name: str) -> None:
    with pytest.raises(InvalidAccount):
        NewAccount(AccountId(name), "c", "n")


@pytest.mark.parametrize("text", ["", "  ", "x" * 201, "a\0b", "a\nb", "\ud800"])
def test_names_that_cannot_be_shown_are_refused(text: str) -> None:
    with pytest.raises(InvalidAccount):
        NewAccount(AccountId("a"), text, "n")
    with pytest.raises(InvalidAccount):
        NewAccount(AccountId("a"), "c", text)


@pytest.mark.parametrize(
    ("chain", "owner"), [(0, address(1)), (-1, address(1)), (2**53, address(1)), (1, NATIVE), (1, address(0))]
)
def test_links_that_nobody_can_have_are_refused(chain: int, owner: Address) -> None:
    with pytest.raises(InvalidAccount):
        checked_link(ChainId(chain), owner)
    with pytest.raises(InvalidAccount):
        new("a", (ChainId(chain), owner))


def test_only_a_verified_contact_is_in_the_record() -> None:
    """add -> record without it; verify -> record with it, and the row says who attested."""
    book = Book()
    book.register(new("a"))
    added = add_contact(book.known(), hook("a"), BY)
    assert added.records[0].contacts == ()
    book.change(AccountId("a"), lambda one: replace(one, contacts=(KnownContact(hook("a"), verified=False),)))
    with pytest.raises(ContactExists):
        add_contact(book.known(), hook("a"), BY)
    verified = verify_contact(book.known(), AccountId("a"), Channel.WEBHOOK, HOOK, BY)
    assert verified.records[0].contacts == (hook("a"),)
    assert "alice" in repr(verified.writes)
    assert json.loads(verified.audit[0].detail) == {"channel": "webhook", "target": HOOK}


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(UnknownAccount):
        link_address(EMPTY, AccountId("a"), link(1), BY)
    with pytest.raises(UnknownAccount):
        add_contact(EMPTY, hook("a"), BY)
    with pytest.raises(UnknownAccount):
        verify_contact(EMPTY, AccountId("a"), Channel.WEBHOOK, HOOK, BY)
    book = Book()
    book.register(new("a"))
    with pytest.raises(UnknownContact):
        verify_contact(book.known(), AccountId("a"), Channel.WEBHOOK, HOOK, BY)


@pytest.mark.parametrize(
    ("channel", "target", "secret"),
    [
        (Channel.WEBHOOK, HOOK, None),
        (Channel.WEBHOOK, HOOK, "two words"),
        (Channel.WEBHOOK, "desk.example/hook", "s"),
        (Channel.WEBHOOK, "ftp://desk.example/", "s"),
        (Channel.WEBHOOK, "http://desk.example/", "s"),
        (Channel.WEBHOOK, "https://", "s"),
        (Channel.WEBHOOK, "https://user:pw@desk.example/", "s"),
        (Channel.WEBHOOK, "https://desk.example/#x", "s"),
        (Channel.WEBHOOK, "https://desk.example:99999/", "s"),
        (Channel.WEBHOOK, "https://[::1/", "s"),
        (Channel.WEBHOOK, "https://desk.example/\r\nX: y", "s"),
        (Channel.WEBHOOK, "https://desk.example/" + "x" * 2048, "s"),
        (Channel.EMAIL, "a@b.example", "s"),
        (Channel.EMAIL, "a@b.example\nBcc: c@d.example", None),
        (Channel.EMAIL, "a@b@c.example", None),
        (Channel.EMAIL, "a,b@c.example", None),
        (Channel.EMAIL, "@c.example", None),
        (Channel.EMAIL, ".a@c.example", None),
        (Channel.EMAIL, "a..b@c.example", None),
        (Channel.EMAIL, "a.@c.example", None),
        (Channel.EMAIL, "a:b@c.example", None),
        (Channel.EMAIL, "=?utf-8?b?_?=@c.example", None),
        (Channel.EMAIL, "a" * 65 + "@c.example", None),
        (Channel.EMAIL, "a@", None),
        (Channel.EMAIL, "a@b..example", None),
        (Channel.EMAIL, "A <a@b.example>", None),
    ],
)
def test_contacts_that_cannot_be_told_safely_are_refused(
    channel: Channel, target: str, secret: str | None
) -> None:
    with pytest.raises(InvalidContact):
        check_contact(channel, target, secret)


@pytest.mark.parametrize(
    ("channel", "target", "secret"),
    [
        (Channel.WEBHOOK, HOOK, "hook"),
        (Channel.WEBHOOK, "http://127.0.0.1:8080/alerts", "hook"),
        (Channel.WEBHOOK, "http://[::1]:8080/alerts?x=1", "hook"),
        (Channel.EMAIL, "risk+desk@mail.example", None),
        (Channel.EMAIL, "root@localhost", None),
        (Channel.EMAIL, "!#$%&'*+/?=^_`{|}~-@mail.example", None),
    ],
)
def test_usable_contacts_pass(channel: Channel, target: str, secret: str | None) -> None:
    check_contact(channel, target, secret)


names = st.sampled_from(["a", "b", "c"]).map(AccountId)
links = st.tuples(st.sampled_from([1, 2]).map(ChainId), st.integers(1, 4).map(address))
commands = st.one_of(
    st.tuples(st.just("register"), names, st.lists(links, max_size=3)),
    st.tuples(st.just("link"), names, links),
    st.tuples(st.just("contact"), names, st.just(HOOK)),
    st.tuples(st.just("verify"), names, st.just(HOOK)),
)


@given(st.lists(commands, max_size=30))
def test_whatever_is_asked_in_whatever_order_the_invariants_hold(
    asked: list[tuple[str, AccountId, object]],
) -> None:
    """One owner per address; records equal the book; one record and one audit row per touched account."""
    book = Book()
    for verb, account, argument in asked:
        before = book.known()
        try:
            decided = _decide(book, verb, account, argument)
        except Failure:
            assert book.known() == before
            continue
        assert [record.account for record in decided.records] == [account]
        assert [entry.target for entry in decided.audit] == [account]
        assert decided.records[0] == record_of(book.accounts[account])
        assert record_from_json(record_json(decided.records[0]).encode()) == decided.records[0]
    every = [each for one in book.accounts.values() for each in one.addresses]
    assert len(every) == len(set(every))


def _decide(book: Book, verb: str, account: AccountId, argument: object) -> Decided:
    """The decision, applied to the book by the test's own hand."""
    if verb == "register":
        assert isinstance(argument, list)
        one = new(account, *argument)
        decided = register(book.known(), [one], BY)
        book.register(one)
    elif verb == "link":
        assert isinstance(argument, tuple)
        decided = link_address(book.known(), account, argument, BY)
        book.change(account, lambda one: replace(one, addresses=(*one.addresses, argument)))
    elif verb == "contact":
        decided = add_contact(book.known(), hook(account), BY)
        contact = KnownContact(hook(account), verified=False)
        book.change(account, lambda one: replace(one, contacts=(*one.contacts, contact)))
    else:
        decided = verify_contact(book.known(), account, Channel.WEBHOOK, HOOK, BY)
        book.change(
            account, lambda one: replace(one, contacts=tuple(replace(c, verified=True) for c in one.contacts))
        )
    return decided
