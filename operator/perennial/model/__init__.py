"""Model: the record of one model name; gives the version numbers and makes the ModelVersions of finished runs."""

from collections.abc import Iterable

from perennial.api.resources import MODELDEPLOYMENTS, MODELS, MODELVERSIONS, TRAININGJOBS
from perennial.model.decide import decide
from perennial.model.snapshot import gather
from perennial.plan import Body
from perennial.view import Controller, Name, View


def _of_run(_: View, job: Body) -> Iterable[Name]:
    """Only a run with a result concerns its Model; the rest of its life would be work for nothing."""
    result = (job.get("status") or {}).get("result")
    if result:
        yield Name(job["metadata"]["namespace"], result["origin"]["model"])


def _of_version(_: View, version: Body) -> Iterable[Name]:
    yield Name(version["metadata"]["namespace"], version["spec"]["model"])


def _of_deployment(_: View, deployment: Body) -> Iterable[Name]:
    name = (deployment["spec"].get("model") or {}).get("name")
    if name:
        yield Name(deployment["metadata"]["namespace"], name)


CONTROLLER = Controller(
    resource=MODELS,
    gather=gather,
    decide=decide,
    watches={TRAININGJOBS: _of_run, MODELVERSIONS: _of_version, MODELDEPLOYMENTS: _of_deployment},
)
