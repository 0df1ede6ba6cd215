"""The demonstration: real chains, a real Postgres, a real receiver, and the daemon as a child.

End-to-end tests and benchmarks play on the same stage.
"""
