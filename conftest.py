"""What the proofs in tests/ and in e2e/ share."""

from tests.prove.report import proof, pytest_configure, pytest_runtest_makereport

__all__ = ["proof", "pytest_configure", "pytest_runtest_makereport"]
