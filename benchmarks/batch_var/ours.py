"""Our batch, and the least that such a batch can take here: the same blocks multiplied and partitioned, no more.

    python -m benchmarks.batch_var.ours PORTFOLIOS ASSETS SCENARIOS ROUNDS

Prints one JSON object. One BLAS thread is the caller's to set: it is read when numpy is imported.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import numpy as np

from benchmarks.batch_var.workload import TAIL, Floats, Workload, least
from fusion_daemon.risk.value_at_risk.batch import BLOCK, batch_figures
from fusion_daemon.risk.value_at_risk.levels import tail_count


def main() -> None:
    work = Workload(*map(int, sys.argv[1:5]))
    weights, losses = work.weights(), work.asset_losses()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = least(work.rounds, lambda: batch_figures(weights, losses, 1 - TAIL))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    product, partition = floor(weights, losses, work.rounds)
    figures = batch_figures(weights, losses, 1 - TAIL)
    answer = {
        "seconds": seconds,
        "memory_mb": memory / 1024,
        "product_seconds": product,
        "partition_seconds": partition,
        "var_sum": float(figures.var.sum()),
        "es_sum": float(figures.es.sum()),
    }
    print(json.dumps(answer))


def floor(weights: Floats, losses: Floats, rounds: int) -> tuple[float, float]:
    """CPU seconds of the products alone and of the partitions alone, each its quickest round."""
    rank = losses.shape[1] - tail_count(1 - TAIL, losses.shape[1])
    block = np.empty((BLOCK, losses.shape[1]))
    products, partitions = [], []
    for _ in range(rounds):
        product = partition = 0.0
        for first in range(0, weights.shape[0], BLOCK):
            rows = weights[first : first + BLOCK]
            out = block[: rows.shape[0]]
            start = time.process_time()
            np.matmul(rows, losses, out=out)
            between = time.process_time()
            out.partition(rank, axis=1)
            partition += time.process_time() - between
            product += between - start
        products.append(product)
        partitions.append(partition)
    return min(products), min(partitions)


if __name__ == "__main__":
    main()
