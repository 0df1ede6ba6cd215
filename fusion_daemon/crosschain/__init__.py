"""Cross-chain messages: what both chains and both bridges show of each, and how it stands.

The core is pure. Whoever drives it goes in this order:

1. `Networks([...])` once, from the configuration: who is who on every chain. `Rules(networks, terms)` beside it.
2. `LogReader(networks).read(logs)`: a block's raw logs to evidence. For each log that `wants_receipt` names, find its
   position in the transaction's receipt first and put it into the log's `Place`. `unreadable` is to be counted.
3. `MessageTracker(rules)`, or `MessageTracker.restored(rules, state)` from rows: `encode_evidence` and
   `decode_evidence` make rows of evidence; `Standing`, `Sent` and `TrackerState` are plain msgspec structs.
4. For every journal entry `tracker.apply(chain, block, evidence)` or `tracker.retract(chain, block)`; for every move of
   a chain's final block `tracker.finality(chain, number)`; for the operator's word `abandon` and `resume`.
5. After an entry that settles (never inside a reorg), and when `next_due` has come, `tracker.settle(now)`: the
   transitions to commit. In one commit: evidence rows, transitions, standings, cursors.

The evidence of a retracted block is not deleted with the block: it is no longer canonical, and comes back by `apply`
when the block does. `tracker.state().lost` is to be kept too: it is how REORGED_OUT survives a restart.
"""

from __future__ import annotations

from fusion_daemon.crosschain.envelope import Envelope, id_of, read_envelope, write_envelope
from fusion_daemon.crosschain.evidence import (
    Evidence,
    ExecutionReverted,
    MessageId,
    Place,
    RawLog,
    Sent,
    decode_evidence,
    encode_evidence,
)
from fusion_daemon.crosschain.judgement import Rules
from fusion_daemon.crosschain.networks import (
    AxelarContracts,
    CcipContracts,
    Network,
    Networks,
    NetworksContradict,
)
from fusion_daemon.crosschain.reading import LogReader, Reading, UnreadableLog
from fusion_daemon.crosschain.standing import ALARMING, Flag, Stage, Standing, State, Transition
from fusion_daemon.crosschain.terms import LaneTerms, Terms
from fusion_daemon.crosschain.tracker import MessageTracker, TrackerState
from fusion_daemon.crosschain.value_in_flight import Kind, Unit, Way, in_flight

__all__ = [
    "ALARMING",
    "AxelarContracts",
    "CcipContracts",
    "Envelope",
    "Evidence",
    "ExecutionReverted",
    "Flag",
    "Kind",
    "LaneTerms",
    "LogReader",
    "MessageId",
    "MessageTracker",
    "Network",
    "Networks",
    "NetworksContradict",
    "Place",
    "RawLog",
    "Reading",
    "Rules",
    "Sent",
    "Stage",
    "Standing",
    "State",
    "Terms",
    "TrackerState",
    "Transition",
    "Unit",
    "UnreadableLog",
    "Way",
    "decode_evidence",
    "encode_evidence",
    "id_of",
    "in_flight",
    "read_envelope",
    "write_envelope",
]
