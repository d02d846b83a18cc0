"""What is measured, not asserted: ``python -m benchmarks NAME``."""
