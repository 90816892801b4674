"""Whether the benchmark sees what is wrong; part of the tests."""
