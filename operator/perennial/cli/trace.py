"""`trace`: reads what a lineage is put together from."""

import json
import re

from perennial.api.resources import MODELDEPLOYMENTS, MODELVERSIONS, RETRAINPOLICIES, TRAININGJOBS, Resource
from perennial.cli import lineage, tree
from perennial.cli.cluster import Body, Cluster
from perennial.cli.problem import Problem

# How the operator names the revisions of a ModelDeployment.
_REVISION = re.compile(r"(.+)-[0-9a-f]{10}")
_VERSIONS = ("modelversion", "modelversions", "mv")
_DEPLOYMENTS = ("modeldeployment", "modeldeployments", "mdep")


def run(cluster: Cluster, target: str, output: str) -> str:
    """The lineage of a ModelDeployment's served revision, of a revision, or of `modelversion/NAME`; `output` is `tree`
    or `json`. Problem when there is no such thing."""
    kind, _, name = target.rpartition("/")
    if kind and kind not in (*_VERSIONS, *_DEPLOYMENTS):
        raise Problem(f"{target!r}: give a ModelDeployment's name, a revision, or modelversion/NAME")
    found = _of_version(cluster, name) if kind in _VERSIONS else _of_deployment(cluster, name)
    return json.dumps(found.body(), indent=2) if output == "json" else tree.text(found)


def _of_deployment(cluster: Cluster, name: str) -> lineage.Lineage:
    deployment, wanted = cluster.find(MODELDEPLOYMENTS, name), None
    if deployment is None and (match := _REVISION.fullmatch(name)):
        deployment, wanted = cluster.find(MODELDEPLOYMENTS, match[1]), name
    if deployment is None:
        deployment = cluster.get(MODELDEPLOYMENTS, name)
    revision = lineage.revision_of(deployment, wanted)
    version = cluster.find(MODELVERSIONS, revision.version) if revision.version else None
    return _assembled(cluster, revision.version, version, revision, deployment)


def _of_version(cluster: Cluster, name: str) -> lineage.Lineage:
    return _assembled(cluster, name, cluster.get(MODELVERSIONS, name))


def _assembled(
    cluster: Cluster,
    name: str | None,
    version: Body | None,
    revision: lineage.Revision | None = None,
    deployment: Body | None = None,
) -> lineage.Lineage:
    spec = version["spec"] if version else {}
    return lineage.trace(
        cluster.namespace,
        revision=revision,
        name=name,
        version=version,
        job=_named(cluster, TRAININGJOBS, (spec.get("trainingJob") or {}).get("name")),
        policy=_named(cluster, RETRAINPOLICIES, (spec.get("retrain") or {}).get("policy")),
        deployment=deployment,
    )


def _named(cluster: Cluster, resource: Resource, name: str | None) -> Body | None:
    return cluster.find(resource, name) if name else None
