"""Tests: adapters, redis."""
