"""The command line of `kubectl perennial`."""

import argparse
import math
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import NoReturn

from perennial.api.base import parse_duration, parse_time
from perennial.api.modelversion import Decision
from perennial.api.task import METRIC_NAME

OF_ROLLOUTS = {
    "promote": "leave out the steps that are left of a rollout",
    "skip-step": "end the step of a rollout that is under way",
    "abort": "roll back, and veto, what is rolled out",
    "undo": "go back to a revision that served before",
    "retry": "lift the vetoes of a ModelDeployment",
    "pause": "hold the rollout where it is, and begin no other",
    "resume": "let rollouts go on",
}


def parser() -> argparse.ArgumentParser:
    """The command line; its errors end the process with 2."""
    whole = _Parser(
        prog="kubectl perennial",
        description="Trace what serves, decide on versions and rollouts, report metrics.",
        epilog="docs/cli.md has an example of each.",
    )
    commands = whole.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    cluster = _Parser(add_help=False)
    cluster.add_argument("-n", "--namespace", help="default: the namespace of the context")
    cluster.add_argument("--context", help="context of the kubeconfig; default: the current one")
    cluster.add_argument("--kubeconfig", metavar="FILE", help="default: $KUBECONFIG, then ~/.kube/config")

    trace = commands.add_parser(
        "trace", parents=[cluster], help="from what serves back to its version, data, code, training and cause"
    )
    trace.add_argument(
        "target",
        metavar="DEPLOYMENT",
        help="a ModelDeployment; or a revision, as the header Perennial-Revision of answers says; or modelversion/NAME",
    )
    trace.add_argument("-o", "--output", choices=["tree", "json"], default="tree", help="default: tree")

    for name, decision in (("approve", Decision.APPROVED), ("reject", Decision.REJECTED)):
        decide = commands.add_parser(name, parents=[cluster], help=f"write spec.approval: {decision} on a ModelVersion")
        decide.add_argument(
            "version",
            metavar="VERSION",
            type=_named("ModelVersion", "mv", "churn-5"),
            help="name of the ModelVersion: churn-5",
        )
        decide.add_argument("--overwrite", action="store_true", help="also when somebody decided otherwise")
        decide.set_defaults(decision=decision)

    for name, words in OF_ROLLOUTS.items():
        asked = commands.add_parser(name, parents=[cluster], help=words)
        asked.add_argument(
            "deployment",
            metavar="DEPLOYMENT",
            type=_named("ModelDeployment", "mdep", "churn"),
            help="name of the ModelDeployment",
        )
        if name == "undo":
            asked.add_argument("revision", metavar="REVISION", nargs="?", help="default: what served before")
        asked.set_defaults(revision=None)

    report = commands.add_parser("report", parents=[cluster], help="report metrics of a served model")
    report.add_argument("deployment", metavar="DEPLOYMENT", help="name of the ModelDeployment")
    report.add_argument("metrics", metavar="METRIC=VALUE", type=_metric, nargs="+", help="such as accuracy=0.93")
    report.add_argument(
        "--revision", help="what was measured, as the header Perennial-Revision says; default: what serves"
    )
    report.add_argument(
        "--samples", metavar="N", type=_count, default=1, help="of how many measurements the values are means"
    )
    report.add_argument(
        "--time", metavar="T", type=_time, help="when it was measured: 2026-01-02T03:04:05Z; default: now"
    )
    who = report.add_mutually_exclusive_group()
    who.add_argument(
        "--service-account", metavar="NAME", help="who reports, of the same namespace: a token of it is asked for"
    )
    who.add_argument(
        "--credentials",
        metavar="FOLDER",
        type=Path,
        help="with the files token and ca.crt, as pods mount it; default: /var/run/perennial, where it is",
    )
    report.add_argument(
        "--url",
        type=_url,
        help="of the operator's ingest endpoint; default: its Service with --credentials, else a port-forward",
    )
    report.add_argument(
        "--operator-namespace", metavar="NAME", default="perennial-system", help="default: perennial-system"
    )

    replay = commands.add_parser(
        "replay", parents=[cluster], help="when a RetrainPolicy would have started runs, by what was reported"
    )
    which = replay.add_mutually_exclusive_group(required=True)
    which.add_argument("policy", metavar="POLICY", nargs="?", type=_named("RetrainPolicy", "rp", "churn"))
    which.add_argument("-f", "--file", metavar="FILE", type=Path, help="one that is not applied yet")
    replay.add_argument(
        "--since", metavar="SPAN", type=_span, default=timedelta(days=7), help="how far back, at most 720h (168h)"
    )
    replay.add_argument(
        "--prometheus", metavar="URL", help="asked what it would have answered, for triggers that ask it"
    )
    replay.add_argument(
        "--prometheus-token-file", metavar="FILE", type=Path, help="has a bearer token, for a server at https://"
    )

    digest = commands.add_parser("digest", help="print the digest of a file or folder, as inputs and versions have it")
    digest.add_argument("path", metavar="PATH", type=Path)
    return whole


class _Parser(argparse.ArgumentParser):
    """Errors as one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see `{self.prog} --help`\n")


def _named(kind: str, short: str, example: str) -> Callable[[str], str]:
    """The name of an object, also as kubectl prints it: with its kind before it."""
    pattern = re.compile(rf"(?:(?:{kind.lower()}s?|{short})/)?([a-z0-9][-a-z0-9]*)")

    def name(text: str) -> str:
        found = pattern.fullmatch(text)
        if not found:
            raise argparse.ArgumentTypeError(f"{text!r} is no name of a {kind}, such as {example}")
        return found[1]

    return name


def _metric(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        number = float(value) if re.fullmatch(METRIC_NAME, name) else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is no METRIC=VALUE, such as accuracy=0.93")
    return name, number


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of samples")
    return int(text)


def _span(text: str) -> timedelta:
    try:
        span = parse_duration(text)
    except ValueError:
        span = timedelta()
    if not timedelta() < span <= timedelta(days=30):
        raise argparse.ArgumentTypeError(f"{text!r} is no span of time up to 720h, such as 24h")
    return span


def _time(text: str) -> datetime:
    try:
        return parse_time(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time with a zone, such as 2026-01-02T03:04:05Z") from None


def _url(text: str) -> str:
    if not text.startswith("https://"):
        raise argparse.ArgumentTypeError(f"{text!r}: begins with https://, since a token is sent there")
    return text
