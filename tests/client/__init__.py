"""Clients that survive the network."""
