"""Presence on Redis."""
