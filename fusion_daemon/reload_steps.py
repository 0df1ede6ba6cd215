"""A reload's steps, taken on the house: what each does to the supervision tree, the admin port and the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import trio

from fusion_daemon.composition import House, Stand
from fusion_daemon.config import Config, load_config
from fusion_daemon.config_hash import configuration_hash
from fusion_daemon.http.server import AdminServer
from fusion_daemon.logs import LogStyle
from fusion_daemon.reload_plan import LOGGING, PRINCIPALS, RETENTION, Action, Step
from fusion_daemon.runtime import Supervisor
from fusion_daemon.secret_files import SecretFiles, SecretSnapshot, read_secrets
from fusion_daemon.settings import check_signing_keys
from fusion_daemon.store import Candidacy

RECORD_SECONDS = 5.0
"""How long a reload waits until the lease says by which configuration is decided now."""


class HouseSteps:
    """reload's Living.

    Without a tree, in a daemon that stands by, a step about a branch has nothing to do: the tree will be made from
    the stand in force.
    """

    def __init__(
        self,
        path: Path,
        secret: SecretFiles,
        house: House,
        admin: AdminServer,
        logs: LogStyle,
        candidacy: Candidacy,
    ) -> None:
        self._path = path
        self._secret = secret
        self._house = house
        self._admin = admin
        self._logs = logs
        self._candidacy = candidacy
        self._tree: Supervisor | None = None
        self._show: Callable[[], None] = lambda: None

    def act_on(self, tree: Supervisor, show: Callable[[], None]) -> None:
        """`tree` was made from the stand in force, whose routes `show` serves from now on."""
        self._tree, self._show = tree, show
        show()

    def read(self) -> tuple[Config, SecretSnapshot]:
        config = load_config(self._path)
        return config, read_secrets(config, self._secret)

    def design(self, config: Config) -> Stand:
        check_signing_keys(config, self._secret)
        return self._house.design(config, self._house.stand.journals)

    async def take(self, step: Step, to: Stand) -> None:
        if step.action is Action.UPDATE:
            self._update(step.target, to)
        elif self._tree is None:
            return
        elif step.action is Action.ADD:
            await self._tree.add(to.branches[step.target])
        elif step.action is Action.REMOVE:
            await self._remove(self._tree, step.target)
        else:
            await self._tree.replace(to.branches[step.target])

    async def insist(self, step: Step, to: Stand) -> None:
        if self._tree is None or step.action in (Action.UPDATE, Action.REMOVE):
            return
        self._tree.change(to.tree)  # also describes what is not there any more
        await self._tree.stop_child(step.target)
        self._tree.restart(step.target)

    async def settle(self, to: Stand) -> Sequence[str]:
        self._house.stand = to
        self._show()
        with trio.move_on_after(RECORD_SECONDS) as patience:
            await self._candidacy.decide_by(configuration_hash(to.config))
        if patience.cancelled_caught:
            return ["the lease does not tell standbys of the new configuration yet: its database is away"]
        return ()

    def _update(self, target: str, to: Stand) -> None:
        if target == LOGGING:
            self._logs.change(style=to.config.logging.style, level=to.config.logging.level)
        elif target == PRINCIPALS:
            self._admin.admit(to.principals)
        elif target == RETENTION:
            self._house.retention = to.retention
        # Explorers: the new routes ask the new ones.
        # Secrets: whoever uses one reads its file, and to read it is to have it masked.

    async def _remove(self, tree: Supervisor, branch: str) -> None:
        names = [each.name for each in tree.tree() if each.supervisor == branch]
        await tree.stop_child(branch)
        tree.delete(branch)
        for name in names:
            self._house.fixtures.alive.pop(name, None)
