"""`kubectl perennial`: does what the command line says.

Exit code 1 when it could not be done, 2 when the command line is wrong.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from perennial.cli import arguments
from perennial.cli.problem import Problem, printable


def main(words: list[str] | None = None) -> int:
    """The exit code."""
    given = arguments.parser().parse_args(words)
    try:
        said = _COMMANDS[given.command](given)
    except Problem as problem:
        return _failed(str(problem))
    except ModuleNotFoundError as missing:
        if missing.name != "kubernetes":
            raise
        return _failed("the official Kubernetes client is missing: install perennial with its extra, perennial[cli]")
    except KeyboardInterrupt:
        return _failed("interrupted")
    sys.stdout.write(said + "\n")
    return 0


def _failed(words: str) -> int:
    sys.stderr.write(f"error: {printable(' '.join(words.split()))}\n")
    return 1


# What talks to the cluster is imported by those who do: the client takes most of a second to load.


def _trace(given: argparse.Namespace) -> str:
    from perennial.cli import cluster, trace

    return trace.run(cluster.connect(given.kubeconfig, given.context, given.namespace), given.target, given.output)


def _decide(given: argparse.Namespace) -> str:
    from perennial.cli import approval, cluster

    there = cluster.connect(given.kubeconfig, given.context, given.namespace)
    return approval.run(there, given.version, given.decision, overwrite=given.overwrite)


def _rollout(given: argparse.Namespace) -> str:
    from perennial.cli import cluster, rollout

    there = cluster.connect(given.kubeconfig, given.context, given.namespace)
    return rollout.run(there, given.command, given.deployment, given.revision)


def _digest(given: argparse.Namespace) -> str:
    from perennial.cli import digest

    return digest.run(given.path)


def _report(given: argparse.Namespace) -> str:
    from perennial.cli import cluster, report

    sender = report.Sender(
        lambda: cluster.connect(given.kubeconfig, given.context, given.namespace),
        namespace=given.namespace,
        service_account=given.service_account,
        credentials=given.credentials,
        url=given.url,
        operator_namespace=given.operator_namespace,
    )
    return sender.send(report.Report(given.deployment, given.metrics, given.revision, given.samples, given.time))


def _replay(given: argparse.Namespace) -> str:
    from perennial.cli import cluster, prometheus, replay

    there = cluster.connect(given.kubeconfig, given.context, given.namespace)
    asked = prometheus.Prometheus(given.prometheus, given.prometheus_token_file) if given.prometheus else None
    return replay.run(there, given.policy, given.file, given.since, datetime.now(UTC), asked)


_COMMANDS: Mapping[str, Callable[[argparse.Namespace], str]] = {
    "trace": _trace,
    "approve": _decide,
    "reject": _decide,
    **dict.fromkeys(arguments.OF_ROLLOUTS, _rollout),
    "replay": _replay,
    "digest": _digest,
    "report": _report,
}

if __name__ == "__main__":
    sys.exit(main())
