"""TrainingJob: one training run, as a Job with the run contract around it."""

from collections.abc import Iterable

from perennial.api.meta import LABEL_TRAININGJOB
from perennial.api.resources import JOBS, MODELVERSIONS, PODS, PVCS, SERVICES, TRAININGJOBS
from perennial.plan import Body
from perennial.trainingjob.decide import decide
from perennial.trainingjob.snapshot import gather
from perennial.view import Controller, Name, View, owner_of


def _of_pod(_: View, pod: Body) -> Iterable[Name]:
    name = (pod["metadata"].get("labels") or {}).get(LABEL_TRAININGJOB)
    return [Name(pod["metadata"]["namespace"], name)] if name else []


def _of_version(_: View, version: Body) -> Iterable[Name]:
    origin = version["spec"].get("trainingJob")
    return [Name(version["metadata"]["namespace"], origin["name"])] if origin else []


def _of_claim(_: View, claim: Body) -> Iterable[Name]:
    """None has to act: it is watched so that the next run sees whether it is there."""
    return []


CONTROLLER = Controller(
    resource=TRAININGJOBS,
    gather=gather,
    decide=decide,
    watches={
        JOBS: owner_of(TRAININGJOBS),
        PODS: _of_pod,
        SERVICES: owner_of(TRAININGJOBS),
        MODELVERSIONS: _of_version,
        PVCS: _of_claim,
    },
)
