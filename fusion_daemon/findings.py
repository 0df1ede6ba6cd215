"""What a command that looks at something says about it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, and what is to be done when it failed."""

    subject: str
    failed: bool
    says: str


def print_findings(findings: Sequence[Finding], *, as_json: bool) -> None:
    """One line a finding on standard output, or one JSON object."""
    if as_json:
        print(json.dumps({"findings": [asdict(finding) for finding in findings]}))
        return
    for finding in findings:
        print(f"{'FAILED' if finding.failed else 'ok    '}  {finding.subject}: {finding.says}")
