"""What the readers of all bridges agree on."""

from __future__ import annotations

from collections.abc import Callable

from fusion_daemon.crosschain.envelope import read_envelope
from fusion_daemon.crosschain.evidence import Evidence, RawLog
from fusion_daemon.crosschain.layout import Value
from fusion_daemon.crosschain.networks import Networks

Parse = Callable[[RawLog, tuple[Value, ...], Networks], tuple[Evidence, ...]]
"""A log and its arguments to evidence; nothing where it is a stranger's business. Raises Unreadable.

INVARIANT: the answer depends on the log and the table of networks alone.
"""


def is_ours(payload: bytes, networks: Networks) -> bool:
    """Does a payload of whatever sender claim to be one of our envelopes? Then a wrong sender is an alarm."""
    envelope = read_envelope(payload)
    return envelope is not None and envelope.source in networks and envelope.destination in networks
