"""Children that die with their parent."""

from __future__ import annotations

import shutil
from collections.abc import Sequence


def leashed(command: Sequence[str]) -> list[str]:
    """The command under `setpriv --pdeathsig KILL`, where the machine has setpriv (Linux).

    The signal follows the *thread* that starts the child, so start it from the main thread.
    """
    setpriv = shutil.which("setpriv")
    return list(command) if setpriv is None else [setpriv, "--pdeathsig", "KILL", "--", *command]
