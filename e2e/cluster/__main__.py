"""The command line of the clusters: `python -m e2e.cluster up|down|list|load|exec|kubeconfig|images|tools`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from e2e.cluster import clusters, images, tools
from e2e.cluster.cache import ClusterError, say


def main() -> int:
    """Run one command and return its exit code."""
    args = _parser().parse_args()
    try:
        return _run(args)
    except ClusterError as error:
        say(f"error: {error}")
    except KeyboardInterrupt:
        say("interrupted; the same command goes on from here")
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m e2e.cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    named = argparse.ArgumentParser(add_help=False)
    named.add_argument("--name", default="perennial", help="the cluster's name (default: %(default)s)")
    up = commands.add_parser("up", parents=[named], help="bring a cluster up, from whatever state it is in")
    up.add_argument("--provider", choices=("auto", *clusters.PROVIDERS), default="auto", help="for a new cluster")
    commands.add_parser("down", parents=[named], help="remove a cluster and everything it made")
    commands.add_parser("list", help="list the clusters")
    load = commands.add_parser("load", parents=[named], help="build the images and make them known to a cluster")
    load.add_argument("targets", nargs="*", default=images.TARGETS, help="images, or archives (default: all images)")
    commands.add_parser("kubeconfig", parents=[named], help="print the path of a cluster's kubeconfig")
    inside = commands.add_parser("exec", parents=[named], help="run a command in a cluster's network")
    inside.add_argument("words", nargs="+", metavar="COMMAND")
    build = commands.add_parser("images", help="build the images and print where their archives lie")
    build.add_argument("targets", nargs="*", default=images.TARGETS)
    made = commands.add_parser("tools", help="build the cluster's programs and print where they lie")
    made.add_argument("names", nargs="*", default=tuple(tools.TOOLS))
    made.add_argument("--apiserver", action="store_true", help="only what the API server tests need")
    return parser


def _run(args: argparse.Namespace) -> int:
    match args.command:
        case "up":
            cluster = clusters.find(args.name, args.provider)
            cluster.up()
            print(cluster.kubeconfig)
        case "down":
            clusters.find(args.name).down()
        case "list":
            for cluster in clusters.every():
                print(f"{cluster.name:20} {clusters.provider_of(cluster):8} {'up' if cluster.running() else 'stopped'}")
        case "load":
            archives = [Path(t).resolve() if t.endswith(".tar") else images.ensure(t) for t in args.targets]
            clusters.find(args.name).load(archives)
        case "kubeconfig":
            print(clusters.find(args.name).kubeconfig)
        case "exec":
            cluster = clusters.find(args.name)
            command = cluster.exec_command(args.words)
            search = f"{tools.path('kubectl').parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
            env = os.environ | {"KUBECONFIG": str(cluster.kubeconfig), "PATH": search}
            return subprocess.run(command, env=env).returncode
        case "images":
            for target in args.targets:
                print(images.ensure(target))
        case "tools":
            for program in tools.ensure(*(tools.APISERVER_TOOLS if args.apiserver else args.names)).values():
                print(program)
    return 0


if __name__ == "__main__":
    sys.exit(main())
