"""Ask one chain everything that its deployment file promises. asyncio side; all of it at one block."""

from __future__ import annotations

from dataclasses import dataclass

from fusion_daemon.chain.abi import Undecodable
from fusion_daemon.chain.rpc_errors import RpcFailure
from fusion_daemon.chain.rpc_state import StateRpc, open_state
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.deployment.manifest import Clones
from fusion_daemon.deployment.plan import (
    ContractCheck,
    Questions,
    code_call,
    code_calls,
    event_topics,
    view_call,
)
from fusion_daemon.deployment.values import Unreadable
from fusion_daemon.deployment.verify import (
    GRANTED,
    REVOKED,
    clones_in,
    judge_clones,
    judge_code,
    judge_creation,
    judge_parameter,
    judge_roles,
)
from fusion_daemon.findings import Finding


@dataclass(frozen=True, slots=True)
class _Inspection:
    rpc: StateRpc
    asked: Questions
    block: int

    def subject(self, contract: str) -> str:
        return f"chain {self.asked.file.chain_id} {contract}"

    async def codes(self) -> list[Finding]:
        checks = list(self.asked.contracts.values())
        answers = await self.rpc.ask([call for check in checks for call in code_calls(check, self.block)])
        created = await self.rpc.creations([check.transaction for check in checks])
        found = []
        for at, check in enumerate(checks):
            subject = self.subject(check.name)
            found.append(judge_code(subject, check, answers[2 * at], answers[2 * at + 1]))
            found.append(judge_creation(subject, check, created[at]))
        return found

    async def parameters(self) -> list[Finding]:
        checks = self.asked.parameters
        answers = await self.rpc.ask([view_call(check, self.block) for check in checks])
        return [
            judge_parameter(self.subject(check.contract), check, answer, self.asked.names)
            for check, answer in zip(checks, answers, strict=True)
        ]

    async def roles(self, check: ContractCheck) -> list[Finding]:
        told = self.asked.file.roles[check.name]
        topics = event_topics(check.artifact, GRANTED, REVOKED)
        logs = await self.rpc.logs(check.address, topics, check.block, self.block)
        return judge_roles(self.subject(check.name), check.artifact, told, logs, self.asked.names)

    async def clones(self, told: Clones) -> Finding:
        check, implementation = self.asked.contracts[told.contract], self.asked.contracts[told.implementation]
        topics = event_topics(check.artifact, told.event)
        logs = await self.rpc.logs(check.address, topics, check.block, self.block)
        made = clones_in(check.artifact, told.event, told.argument, logs)
        codes = await self.rpc.ask([code_call(clone, self.block) for clone in made])
        return judge_clones(self.subject(check.name), implementation.address, made, codes)


async def inspect(settings: ChainSettings, asked: Questions) -> list[Finding]:
    """Never raises for what the node or the file says: that becomes a finding."""
    rpc = await open_state(settings)
    subject = f"chain {asked.file.chain_id} ({asked.file.name})"
    found: list[Finding] = []
    try:
        inspection = _Inspection(rpc, asked, await rpc.height())
        found += await inspection.codes()
        for name in asked.file.roles:
            found += await inspection.roles(asked.contracts[name])
        found += await inspection.parameters()
        found += [await inspection.clones(each) for each in asked.file.clones]
    except RpcFailure as failure:
        found.append(Finding(subject, True, str(failure)))
    except (Unreadable, Undecodable) as error:
        found.append(Finding(subject, True, f"{error}; correct the file"))
    finally:
        await rpc.close()
    return found
