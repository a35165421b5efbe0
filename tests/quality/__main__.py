"""How good the decisions are that Perennial takes, where the truth is known; printed as the tables of the docs."""

from tests.quality import gate

if __name__ == "__main__":
    gate.main()
