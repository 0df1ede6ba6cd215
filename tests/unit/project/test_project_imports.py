"""One door to asyncio: the event loop's own libraries are imported in the rooms that carry, nowhere else."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CARRIED = {"asyncio", "asyncpg", "aiohttp", "uvloop", "web3"}
DOORS = re.compile(
    r"fusion_daemon/(aio/.+|store/.+|http/.+|chain/rpc\w*\.py|chain/rpc\w*/.+|\w+/clients/.+)"
)
ADAPTERS = re.compile(r"repository\w*|retention|soundness|routes\w*|rpc\w*|clients|registry|channels")
"""The parts of a room that touch the store, HTTP or a vendor; every other module of it is pure.
`registry` (accounts) is the commands' one writer, `channels` (alerting) chooses among the clients."""
ROOMS = ("chain", "crosschain", "oracle", "risk", "alerting", "accounts", "quarantine", "transactions")
OUTSIDE = ("fusion_daemon.aio", "fusion_daemon.store", "fusion_daemon.http", "fusion_daemon.runtime")
PLAIN_DATA = "fusion_daemon.store.writes"


def imported(source: str) -> Iterator[str]:
    """Every module that the source imports, anywhere in it, also under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def sources() -> list[str]:
    found = [*ROOT.glob("fusion_daemon/**/*.py"), *ROOT.glob("actors/**/*.py")]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def pure_modules() -> list[str]:
    return [
        path
        for path in sources()
        if (parts := Path(path).with_suffix("").parts)[0] == "fusion_daemon"
        and parts[1] in ROOMS
        and len(parts) > 2
        and not ADAPTERS.fullmatch(parts[2])
    ]


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


@pytest.mark.parametrize("path", sources())
def test_asyncio_is_imported_only_where_it_carries(path: str) -> None:
    found = {name.partition(".")[0] for name in imported((ROOT / path).read_text())} & CARRIED
    assert DOORS.fullmatch(path) or not found, f"{path} imports {sorted(found)}; go through fusion_daemon.aio"


@pytest.mark.parametrize("path", pure_modules())
def test_pure_modules_touch_neither_store_nor_loop(path: str) -> None:
    room = ".".join(Path(path).parts[:2])
    names = {name for name in imported((ROOT / path).read_text()) if not within(name, PLAIN_DATA)}
    outside = {name for name in names if any(within(name, each) for each in OUTSIDE)}
    own = {name for name in names if within(name, room) and ADAPTERS.fullmatch((name + "..").split(".")[2])}
    assert not outside | own, f"{path} is pure: it takes what it needs as an argument"


def test_every_module_has_its_layer() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    placed = {each.strip() for layer in contracts[0]["layers"] for each in layer.split("|")}
    tops = {path.stem for path in (ROOT / "fusion_daemon").iterdir() if path.suffix == ".py" or path.is_dir()}
    there = {f"fusion_daemon.{top}" for top in tops - {"__init__", "__pycache__", "web"}} | {"actors"}
    assert placed == there


def test_the_rule_sees_every_form_of_import() -> None:
    source = "import asyncio.subprocess\ndef f():\n    from web3 import Web3\n    from aiohttp import web\n"
    assert {name.partition(".")[0] for name in imported(source)} == {"asyncio", "web3", "aiohttp"}
