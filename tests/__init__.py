"""The tests of DisRoom."""
