"""Rule: what is missing of a chain is named block by block, and a chain that is not read says so."""

from __future__ import annotations

from fusion_daemon.operation_text import coverage_text
from fusion_daemon.operation_views import ContractView, CoveragesView, CoverageView, FilterView, RangeView

VAULT = ContractView("0x01", 0, None)
ESCROW = ContractView("0x02", 7, "0x03")


def test_each_version_has_a_line_with_what_is_missing() -> None:
    first = FilterView(1, (VAULT, ESCROW), (RangeView(0, 99),), ())
    second = FilterView(2, (VAULT,), (RangeView(0, 4), RangeView(90, 99)), (RangeView(5, 89),))
    third = FilterView(3, (VAULT,), (), (RangeView(0, 99),))
    view = CoveragesView((CoverageView(1, 99, (first, second, third)), CoverageView(10, None, ())))
    assert list(coverage_text(view)) == [
        "chain 1  tip 99",
        "  version 1: 2 contracts  read 0-99",
        "  version 2: 1 contract  read 0-4, 90-99  missing 5-89",
        "  version 3: 1 contract  read nothing  missing 0-99",
        "chain 10  nothing is read yet",
    ]
