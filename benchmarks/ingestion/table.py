"""The report as the tables of benchmarks/README.md."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from benchmarks.ingestion.figures import Figures

README = Path(__file__).parents[1] / "README.md"
_BEGIN, _END = "<!-- ingest.py -->", "<!-- /ingest.py -->"

class Report(TypedDict):
    ours: Figures
    peers: dict[str, Figures | None]
    limit: Figures
    missing: dict[str, str]
    goals: Figures
    cells: dict[str, str]
    does: dict[str, str]
    machine: dict[str, int | None]
    runs: int
"""`ours`, `peers` by name and `limit`, with the same names of figures; a peer that cannot run here is null."""


def write_readme(report: Report) -> None:
    """Puts the tables in place of those that are there."""
    text = README.read_text()
    written = f"{_BEGIN}\n{render(report)}{_END}"
    README.write_text(re.sub(f"{re.escape(_BEGIN)}.*{re.escape(_END)}", lambda _: written, text, flags=re.DOTALL))


def render(report: Report) -> str:
    """Markdown: one table a cell, contenders as columns."""
    peers = {name: figures for name, figures in report["peers"].items() if figures is not None}
    columns = {"ours": report["ours"], **peers, "limit": report["limit"]}
    parts = [f"Measured on {report['machine']['cores']} cores; medians of {report['runs']} rounds.\n"]
    parts += [f"* {name}: {does}." for name, does in report["does"].items()]
    parts += [f"* {name} is missing: {_first_line(why)}." for name, why in report["missing"].items()]
    for cell, says in report["cells"].items():
        prefix = "" if cell == "dense" else f"{cell}_"
        others = [f"{each}_" for each in report["cells"] if each != "dense"]
        parts += [f"\n### {cell}: {says}\n", *_table(columns, prefix, others)]
    return "\n".join(parts) + "\n"


def _table(columns: Mapping[str, Figures], prefix: str, others: Sequence[str]) -> list[str]:
    def belongs(figure: str) -> bool:
        return figure.startswith(prefix) if prefix else not figure.startswith(tuple(others))

    here = {name: told for name, told in columns.items() if any(map(belongs, told))}
    figures = list(dict.fromkeys(figure for told in here.values() for figure in told if belongs(figure)))
    head = ["| figure | " + " | ".join(here) + " |", "|---|" + "---:|" * len(here)]
    return head + [
        f"| {figure.removeprefix(prefix)} | " + " | ".join(_number(told.get(figure)) for told in here.values()) + " |"
        for figure in figures
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.10g}" if abs(value) < 1_000 else f"{value:,.0f}"


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0].rstrip(".")
