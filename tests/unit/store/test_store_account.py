"""Under which account the embedded server runs."""

from __future__ import annotations

import os

import pytest

from fusion_daemon.store import BinariesMissing, NoServerAccount
from fusion_daemon.store.binaries import USER_VARIABLE, find_binaries, server_account


def test_an_ordinary_user_runs_the_server_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert server_account() is None


def test_root_lends_an_account_without_privileges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.delenv(USER_VARIABLE, raising=False)
    account = server_account()
    assert account is not None
    assert account.name in {"postgres", "nobody"}
    assert account.uid != 0


def test_the_operator_may_name_the_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv(USER_VARIABLE, "nobody")
    account = server_account()
    assert account is not None
    assert account.name == "nobody"


@pytest.mark.parametrize("name", ["root", "no-such-account"])
def test_root_itself_and_unknown_accounts_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv(USER_VARIABLE, name)
    with pytest.raises(NoServerAccount, match=name):
        server_account()


def test_a_missing_wheel_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fusion_daemon.store.binaries.find_spec", lambda _name: None)
    with pytest.raises(BinariesMissing, match="Install the extra 'embedded'"):
        find_binaries()
