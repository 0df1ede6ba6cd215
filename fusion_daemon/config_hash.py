"""What two daemons must agree on before one may take the other's place."""

from __future__ import annotations

import hashlib
import json

from fusion_daemon.config import Config
from fusion_daemon.config_bridges import Messages


def configuration_hash(config: Config) -> str:
    """Of the part of the configuration that decides: what is watched, how it is priced and judged, who is told,
    and what may be sent.
    Everything else says where a daemon runs, listens and asks, and how patiently: that may differ from host to host.
    Defaults count as if they were written; the order of chains, assets and receivers does not.
    """
    told = config.model_dump(
        mode="json",
        include={
            "chains": {
                "__all__": {"id", "start_block", "vaults", "escrow_factories", "bridges", "tokens", "finality_depth"}
            },
            "oracle": {"assets"},
            "risk": True,
            "alerting": {"receivers"},
            "messages": set(Messages.model_fields) - {"explorers"},
            "signers": {"__all__": {"address", "chains", "gas_wei_a_day"}},
            "transactions": {"calls", "limits"},
        },
    )
    told["chains"].sort(key=lambda chain: chain["id"])
    told["oracle"]["assets"].sort(key=lambda asset: asset["asset"])
    told["alerting"]["receivers"].sort(key=lambda receiver: receiver["name"])
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
