"""The sets of rules by the names under which they are chosen."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from fusion_daemon.risk.margin_rules import aave, compound, morpho
from fusion_daemon.risk.margin_rules.measure import Rules


class RuleName(Enum):
    AAVE_V3_5 = "aave_v3_5"
    AAVE_V3_0 = "aave_v3_0"
    COMPOUND_V3 = "compound_v3"
    MORPHO_BLUE = "morpho_blue"


RULES: Mapping[RuleName, Rules] = MappingProxyType(
    {
        RuleName.AAVE_V3_5: aave.V3_5,
        RuleName.AAVE_V3_0: aave.V3_0,
        RuleName.COMPOUND_V3: compound.RULES,
        RuleName.MORPHO_BLUE: morpho.RULES,
    }
)
