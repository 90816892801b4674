"""Measures the service beside its yardsticks: `python -m benchmarks`; see docs/performance.md."""
