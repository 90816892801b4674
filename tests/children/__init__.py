"""Tests: children."""
