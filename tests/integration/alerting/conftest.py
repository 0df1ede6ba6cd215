from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from fusion_daemon.aio import Aio
from fusion_daemon.alerting.settings import AlertingSettings
from fusion_daemon.runtime import Bell, ManualClock
from fusion_daemon.store import Store
from tests.faults.receiver import SECRET, MailSink, Receiver, mail_sink, receiving
from tests.integration.alerting.desk import Desk, WatchedStore


@pytest.fixture
async def desk(aio: Aio, store: Store) -> Desk:
    settings = AlertingSettings(receivers=(), timeout=10.0)
    return Desk(aio, WatchedStore(store), ManualClock(time.time()), settings, Bell(), {"desk": SECRET})


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as opened:
        yield opened


@pytest.fixture
def other() -> Iterator[Receiver]:
    with receiving() as opened:
        yield opened


@pytest.fixture
def sink() -> Iterator[MailSink]:
    with mail_sink() as opened:
        yield opened
