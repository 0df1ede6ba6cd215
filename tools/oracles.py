"""Ask other risk libraries the cases of our tests, in an environment of their own.

    python -m tools.oracles [--check]

Writes their answers to tests/data/oracles/value_at_risk.json. With `--check` it writes nothing, and exits with 1
unless they still are what the file says.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from tools.own_environment import ROOT, NotMade, own_environment

ANSWERS = ROOT / "tests/data/oracles/value_at_risk.json"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    options = parser.parse_args()
    python = own_environment("oracles") / "python"
    # One BLAS thread: the last bit of a sum must not depend on the machine's cores.
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg", "OPENBLAS_NUM_THREADS": "1"}
    command = [str(python), "-W", "ignore", "-m", "tests.oracles.answer"]
    if options.check:
        command.append(str(ANSWERS))
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=False)
    if done.returncode == 0 and not options.check:
        ANSWERS.parent.mkdir(parents=True, exist_ok=True)
        ANSWERS.write_bytes(done.stdout)
    sys.stdout.buffer.write(done.stdout if options.check else b"")
    return done.returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NotMade as why:
        sys.exit(str(why))
