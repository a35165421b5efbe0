"""Looks at a new revision, as the Job of an analysis: `decide` says whether its prediction is below 5, `measure` how
many of its answers are its own; and as the evaluator of a policy: `score` says what it predicts."""

import json
import os
import sys
from pathlib import Path
from urllib.request import urlopen

REVISION, VERSION = os.environ["PERENNIAL_REVISION"], os.environ["PERENNIAL_MODEL_VERSION"]


def predicted() -> int:
    with urlopen(os.environ["PERENNIAL_URL"] + "/invocations", b"{}", timeout=10) as answer:
        (value,) = json.load(answer)["predictions"]
    return int(value)


def decide() -> int:
    value = predicted()
    print(f"it predicts {value}")
    return int(value >= 5)


def measure() -> int:
    count = right = 0
    for _ in range(60):
        with urlopen(os.environ["PERENNIAL_URL"], timeout=10) as answer:
            said = answer.headers["Perennial-Revision"], answer.headers["Perennial-Model-Version"]
        count, right = count + 1, right + (said == (REVISION, VERSION))
    Path("/dev/termination-log").write_text(
        json.dumps({"value": right / count, "count": count, "minimum": 0, "maximum": 1})
    )
    return 0


def score() -> int:
    values = [predicted() for _ in range(20)]
    Path("/dev/termination-log").write_text(json.dumps({"value": sum(values) / len(values), "count": len(values)}))
    return 0


sys.exit({"decide": decide, "measure": measure, "score": score}[sys.argv[1]]())
