"""Tests: adapters, memory."""
