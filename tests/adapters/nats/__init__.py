"""Tests: adapters, nats."""
