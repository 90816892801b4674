"""Tests: brokers."""
