"""Fusion Prime: a cross-chain treasury and settlement platform as one actor-based daemon."""
