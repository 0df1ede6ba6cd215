"""Compares stored final blocks with what endpoints show, and says what a repair of them holds. It only reads.

INVARIANTS
* Whoever the stored logs came from, one of those asked is another: two endpoints are, where two are alive. With a
  single one, blocks are compared with their receipts, another way than the one by which they were read.
* An endpoint that shows another block at a final height is not compared with: whose chain it is, is judged elsewhere.
* Nor is one whose receipts contradict their own blocks: a log in the wrong place would be stored twice.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from actors.aside import aside
from actors.chain_reader import ChainReader
from fusion_daemon.chain.audit import Difference, Stored, Stretch, Verdict, digests, judge, suspects
from fusion_daemon.chain.blocks import Header, Log, Span
from fusion_daemon.chain.coverage import Coverage, Range
from fusion_daemon.chain.events import EventTable
from fusion_daemon.chain.factories import created
from fusion_daemon.chain.repair import Repair
from fusion_daemon.chain.repository import load_held, load_stored
from fusion_daemon.chain.rpc_errors import RateLimited, RpcFailure
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.chain.validate import Inconsistent
from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import Address
from fusion_daemon.store import Store


class NoWitness(Failure):
    """No endpoint can be asked now."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of a stretch, which may be shorter than what was asked."""

    stretch: Stretch
    blocks: int
    """That were compared: those whose logs are all still stored."""
    logs: int
    """Stored ones."""
    repair: Repair
    differences: tuple[Difference, ...]
    repairs: int
    """That had been taken when the comparison began."""


@dataclass(eq=False)
class WitnessFailed(Failure):
    """An endpoint could not be compared with."""

    endpoint: int
    retry_after: float | None
    """Seconds, where it said so."""


@dataclass(eq=False)
class OtherChain(Failure):
    """An endpoint shows another block where a final one is stored."""

    endpoint: int


class ChainComparison:
    """Of one life of a chain's listener. Trio side."""

    def __init__(self, settings: ChainSettings, store: Store, reader: ChainReader, table: EventTable) -> None:
        """`reader` should be nobody else's: what it learns of ranges is of endpoints that are not in use."""
        self._settings = settings
        self._store = store
        self._reader = reader
        self._table = table
        self._repairs = 0

    def takes(self, compared: Compared) -> bool:
        """Call before it is committed. False: somebody else's repair came in between, which may hold the same logs."""
        if compared.repairs != self._repairs:
            return False
        self._repairs += bool(compared.repair.missing)
        return True

    async def compare(
        self, coverage: Coverage, asked: Stretch, unfit: Collection[int] = (), *, by_receipts: bool = False
    ) -> Compared:
        """The beginning of what is asked, which is final and covered by its versions. `unfit`: endpoints not to ask.
        `by_receipts`: of every block, whatever they say of it otherwise; for blocks of which no logs were read. Raises
        NoWitness, WitnessFailed, OtherChain, ListenerDrains."""
        repairs = self._repairs
        witnesses = [each for each in self._reader.witnesses() if each not in unfit]
        if not witnesses:
            raise NoWitness(
                f"No endpoint of chain {self._settings.chain} can be asked for what is stored.",
                "Stored blocks are not compared meanwhile.",
                "See `fusion-daemon endpoints`; a second RPC endpoint helps.",
            )
        contracts = asked.contracts(coverage)
        if by_receipts:
            together = min(map(self._reader.by_receipts, witnesses))
            last = min(asked.range.last, asked.range.first + together - 1)
            stretch = replace(asked, range=Range(asked.range.first, last))
            stored = await self._store.read(load_stored, self._settings.chain, stretch.range, contracts)
            odd = set(stored.blocks)
        else:
            stretch, stored, odd = await self._suspected(coverage, asked, witnesses, contracts)
        verdict = await self._settled(coverage, stored, sorted(odd), witnesses, contracts)
        found = tuple(created(self._table, self._settings.factories, verdict.missing))
        repair = Repair({block.hash: block for block in stored.blocks.values()}, verdict.missing, created=found)
        logs = sum(count for count, _ in stored.digests.values())
        return Compared(stretch, len(stored.blocks), logs, repair, verdict.differences, repairs)

    async def _suspected(
        self, coverage: Coverage, asked: Stretch, witnesses: Sequence[int], contracts: Sequence[Address]
    ) -> tuple[Stretch, Stored, set[int]]:
        """What of it was compared, what is stored of that, and the blocks of which some witness says something else."""
        told = await self._told(witnesses, asked.range, contracts)
        range_ = Range(asked.range.first, min(span.headers[-1].number for span in told.values()))
        stretch = replace(asked, range=range_)
        stored = await self._store.read(load_stored, self._settings.chain, range_, contracts)
        odd: set[int] = set()
        for witness, span in told.items():
            _check(stored, witness, span.headers)
            odd.update(await aside(_suspects, coverage, stored, span.logs))
        return stretch, stored, odd

    async def _told(
        self, witnesses: Sequence[int], asked: Range, contracts: Sequence[Address]
    ) -> dict[int, Span]:
        """Of each, from the first block on, all up to the same last one."""
        if len(witnesses) == 1:
            last = min(asked.last, asked.first + self._reader.by_receipts(witnesses[0]) - 1)
            numbers = range(asked.first, last + 1)
            return {witnesses[0]: await self._proved(witnesses[0], numbers, contracts, thorough=False)}
        told: dict[int, Span] = {}
        last = asked.last
        for witness in witnesses:
            told[witness] = await self._told_by(witness, asked.first, last, contracts, whole=bool(told))
            last = told[witness].headers[-1].number
        return told

    async def _told_by(
        self, witness: int, first: int, until: int, contracts: Sequence[Address], *, whole: bool
    ) -> Span:
        """`whole`: up to `until`, however small the pieces that this endpoint gives."""
        headers: list[Header] = []
        logs: list[Log] = []
        while not headers or (whole and headers[-1].number < until):
            start = headers[-1].number + 1 if headers else first
            try:
                span = await self._reader.told(witness, start, until, contracts)
            except RpcFailure as failure:
                raise _failed(witness, failure) from failure
            headers += span.headers
            logs += span.logs
        return Span(tuple(headers), tuple(logs))

    async def _settled(
        self,
        coverage: Coverage,
        stored: Stored,
        numbers: Sequence[int],
        witnesses: Sequence[int],
        contracts: Sequence[Address],
    ) -> Verdict:
        """By the receipts of every witness."""
        verdicts: list[Verdict] = []
        most = min(map(self._reader.by_receipts, witnesses))
        for start in range(0, len(numbers), most):
            part = numbers[start : start + most]
            proved: dict[int, Sequence[Log]] = {}
            for witness in witnesses:
                span = await self._proved(witness, part, contracts, thorough=True)
                _check(stored, witness, span.headers)
                proved[witness] = coverage.counting(span.logs)
            blocks = [stored.blocks[number] for number in part]
            held = await self._store.read(load_held, self._settings.chain, blocks, contracts)
            verdicts.append(judge(stored, held, proved))
        return Verdict(
            tuple(log for verdict in verdicts for log in verdict.missing),
            tuple(each for verdict in verdicts for each in verdict.differences),
        )

    async def _proved(
        self, witness: int, numbers: Sequence[int], contracts: Sequence[Address], *, thorough: bool
    ) -> Span:
        try:
            return await self._reader.proved(witness, numbers, contracts, thorough=thorough)
        except (RpcFailure, Inconsistent) as failure:
            raise _failed(witness, failure) from failure


def _suspects(coverage: Coverage, stored: Stored, logs: Sequence[Log]) -> Sequence[int]:
    return suspects(stored, digests(coverage.counting(logs)))


def _check(stored: Stored, witness: int, headers: Sequence[Header]) -> None:
    for header in headers:
        block = stored.blocks.get(header.number)
        if block is not None and block.hash != header.hash:
            raise OtherChain(
                f"An endpoint shows another block at {header.number}, which is final.",
                "Nothing is compared with it.",
                "Nothing: the other endpoints are asked whose chain it is.",
                witness,
            )


def _failed(witness: int, failure: RpcFailure | Inconsistent) -> WitnessFailed:
    after = failure.retry_after if isinstance(failure, RateLimited) else None
    means = "Stored blocks are compared later, or with another endpoint."
    return WitnessFailed(failure.happened, means, failure.remedy, witness, after)
