"""How good the decisions are that Perennial takes, where the truth is known; printed as the tables of the docs.

`python -m tests.quality [gate | drift]`: one of them, or both.
"""

import sys

from tests.quality import drift, gate

if __name__ == "__main__":
    for name in sys.argv[1:] or ("gate", "drift"):
        {"gate": gate, "drift": drift}[name].main()
        print()
