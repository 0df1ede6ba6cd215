"""Rule: what is missing of a chain is named block by block, and a chain that is not read says so."""

from __future__ import annotations

from datetime import UTC, datetime

from fusion_daemon.chain.order_views import SkipView
from fusion_daemon.operation_text import coverage_text
from fusion_daemon.operation_views import ContractView, CoveragesView, CoverageView, FilterView, RangeView

VAULT = ContractView("0x01", 0, None)
ESCROW = ContractView("0x02", 7, "0x03")


def test_each_version_has_a_line_with_what_is_missing() -> None:
    first = FilterView(1, (VAULT, ESCROW), (RangeView(0, 99),), (), ())
    second = FilterView(2, (VAULT,), (RangeView(0, 4), RangeView(90, 99)), (RangeView(5, 89),), ())
    third = FilterView(3, (VAULT,), (), (RangeView(0, 99),), ())
    view = CoveragesView((CoverageView(1, 99, (first, second, third), ()), CoverageView(10, None, (), ())))
    assert list(coverage_text(view)) == [
        "chain 1  tip 99",
        "  version 1: 2 contracts  read 0-99",
        "  version 2: 1 contract  read 0-4, 90-99  missing 5-89",
        "  version 3: 1 contract  read nothing  missing 0-99",
        "chain 10  nothing is read yet",
    ]


def test_what_was_skipped_is_named_apart_with_who_and_why() -> None:
    asked = datetime(2026, 5, 1, 12, tzinfo=UTC)
    good = SkipView(3, 3, "older", "ann", asked, asked, asked)
    dense = SkipView(7, 8, "too dense", "bob", asked, asked, None)
    skips = (good, dense, SkipView(9, 9, "so too", "bob", asked, None, None))
    filters = (FilterView(1, (VAULT,), (RangeView(0, 6), RangeView(9, 99)), (), (RangeView(7, 8),)),)
    assert list(coverage_text(CoveragesView((CoverageView(1, 99, filters, skips),))))[1:] == [
        "  version 1: 1 contract  read 0-6, 9-99  skipped 7-8",
        "  3-3 skipped by ann, made good 2026-05-01 12:00:00Z: older",
        "  7-8 skipped by bob, since 2026-05-01 12:00:00Z: too dense",
        "  9-9 skipped by bob, not in force yet: so too",
    ]
