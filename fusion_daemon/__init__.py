"""Fusion Prime: a cross-chain treasury and settlement platform as one actor-based daemon."""

__version__ = "0.1.0"
"""The wheel takes its version from here."""
