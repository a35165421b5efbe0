"""The cluster of the end-to-end tests: brought up before the first, with Perennial in it, and down after the last."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from e2e import operators
from e2e.demo.story import NAMESPACE
from e2e.gateway import define
from e2e.lab import SYSTEM, Lab
from e2e.space import MARK

# Several runs side by side are told apart by it.
CLUSTER = os.environ.get("E2E_CLUSTER", "perennial-e2e")


@contextmanager
def cluster() -> Iterator[Lab]:
    """With two ready replicas of the operator. E2E_KEEP=1 leaves it up for the next time."""
    lab = Lab(CLUSTER)
    try:
        lab.up()
        # Of an earlier session that left them behind, on purpose or not.
        lab.kubectl("delete", "namespace", "--selector", MARK, "--timeout=300s")
        lab.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=300s")
        lab.kubectl("delete", "lease", "-n", SYSTEM, operators.LEASE, "--ignore-not-found")
        define(lab)
        lab.install()
        operators.ready(lab)
        yield lab
    finally:
        if not os.environ.get("E2E_KEEP"):
            lab.cluster.down()
