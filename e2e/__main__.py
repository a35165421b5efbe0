"""`make e2e`: all end-to-end tests on one cluster, in two lanes, and then those that want it to themselves.

Arguments are pytest's; files among them stand for all.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence

from e2e import session

LANES = ("-n", "2", "--dist", "loadfile")
PARTS = (("-m", "not alone", *LANES), ("-m", "alone"))
NONE_CHOSEN = 5  # pytest's exit code


def main(arguments: Sequence[str]) -> int:
    """Run both parts, whatever fails; returns an exit code."""
    files = [] if any(argument.startswith("e2e/") for argument in arguments) else ["e2e"]
    environment = {**os.environ, "E2E_BEGAN": str(time.time())}
    codes = set()
    with session.cluster():
        for part in PARTS:
            command = [sys.executable, "-m", "pytest", *files, "-vv", "--durations=5", *part, *arguments]
            codes.add(subprocess.run(command, env=environment).returncode)
    failed = codes - {0, NONE_CHOSEN}
    return max(failed) if failed else min(codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
