"""Transactions that the daemon sends: a durable queue, its limits, keys, nonces and fees."""
