"""Guards the functions that every message passes: `pytest benchmarks/micro`. Not of the tests."""
