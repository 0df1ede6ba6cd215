"""Delivery channels: how an attempt leaves the house."""
