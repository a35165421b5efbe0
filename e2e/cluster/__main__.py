"""The command line of the clusters: `python -m e2e.cluster up|down|list|load|exec|kubeconfig|images|tools`."""

from __future__ import annotations

import argparse
import sys

from e2e.cluster import tools
from e2e.cluster.cache import ClusterError, say


def main() -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m e2e.cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("tools", help="build the cluster's programs and print where they lie")
    build.add_argument("--apiserver", action="store_true", help="only what the API server tests need")
    args = parser.parse_args()
    try:
        names = tools.APISERVER_TOOLS if args.apiserver else tuple(tools.TOOLS)
        for path in tools.ensure(*names).values():
            print(path)
    except ClusterError as error:
        say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
