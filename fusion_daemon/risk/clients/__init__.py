"""Processes of our own that compute what no loop may wait for."""
