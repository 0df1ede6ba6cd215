"""Ask an admin API as fast as it answers, on several keep-alive connections, until told to stop.

    python benchmarks/flood.py PORT ACCOUNT [--connections 8]

Prints how many answers it got when its standard input is closed.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import sys
import threading


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("port", type=int)
    parser.add_argument("account", help="whose margin is asked for")
    parser.add_argument("--connections", type=int, default=8)
    options = parser.parse_args()
    stop = threading.Event()
    counts = [0] * options.connections
    paths = ("/v1/accounts", f"/v1/accounts/{options.account}/margin")
    threads = [
        threading.Thread(target=_ask, args=(options.port, paths, stop, counts, place), daemon=True)
        for place in range(options.connections)
    ]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    print(sum(counts))


def _ask(port: int, paths: tuple[str, ...], stop: threading.Event, counts: list[int], place: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for path in itertools.cycle(paths):
        if stop.is_set():
            return
        connection.request("GET", path)
        connection.getresponse().read()
        counts[place] += 1


if __name__ == "__main__":
    main()
