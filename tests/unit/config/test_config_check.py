"""Rule: `check` tells a cure once, and finds limits that are about nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from fusion_daemon.check import told_once, useful_limits
from fusion_daemon.config import load_config
from fusion_daemon.findings import Finding

EXAMPLE = Path(__file__).resolve().parents[3] / "config.toml"


def test_what_a_secret_lacks_is_told_where_the_secret_is() -> None:
    missing, other = Finding("secret a", True, "is missing"), Finding("secret b", True, "is empty")
    found = told_once([missing, other, Finding("key", True, "is missing"), Finding("mail", True, "is away")])
    assert found == [missing, other, Finding("key", True, "see secret a"), Finding("mail", True, "is away")]


def test_two_findings_that_went_well_are_both_told() -> None:
    well = [Finding("secret a", False, "readable"), Finding("secret b", False, "readable")]
    assert told_once(well) == well


def test_the_examples_limits_are_for_what_it_allows() -> None:
    assert useful_limits(load_config(EXAMPLE)).startswith("each is for")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('purpose = "bridge.retry"', 'purpose = "bridge-retry"', "is for bridge-retry, which"),
        ('asset = "native"', 'asset = "nativ"', "for bridge.retry names nativ, which"),
    ],
)
def test_a_limit_for_nothing_is_found(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = EXAMPLE.read_text()
    assert text.count(old) == 1
    path = tmp_path / "config.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=said):
        useful_limits(load_config(path))
