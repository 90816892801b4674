"""Tests: adapters, jetstream."""
