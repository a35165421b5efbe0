"""What the benchmark makes: plain TrainingJobs, and Jobs that are like theirs but nobody's."""

import asyncio
from collections.abc import Iterable
from typing import Any

from perennial.api.resources import MODELDEPLOYMENTS, MODELVERSIONS, RETRAINPOLICIES, TRAININGJOBS, Resource
from perennial.kube.http import HttpClient
from perennial.plan import Body

# As many requests at once as the operator has workers.
AT_ONCE = 32


async def create_all(client: HttpClient, bodies: Iterable[Body]) -> None:
    """Create them, so many at once."""
    rest = iter(bodies)

    async def work() -> None:
        for body in rest:
            await client.create(body)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


def trainingjob(namespace: str, number: int, **spec: Any) -> Body:
    """A plain run of a model of its own."""
    container = {"name": "main", "image": "train:1", "command": ["python", "train.py"]}
    plain: Body = {
        "model": {"name": f"model-{number:04}"},
        "template": {"spec": {"containers": [container]}},
        "parameters": {"depth": 6, "learning_rate": 0.1},
        "inputs": [{"name": "data", "uri": "s3://bench/data.parquet"}],
        "output": {"uri": "s3://bench/models"},
    }
    return _body(TRAININGJOBS, namespace, f"run-{number:04}", plain | spec)


def bare_job(like: Body, namespace: str, number: int) -> Body:
    """The same Job as the operator's, with the same pod, without an owner and the operator's labels."""
    spec = {field: value for field, value in like["spec"].items() if field not in ("selector", "manualSelector")}
    template = like["spec"]["template"]
    spec["template"] = {
        "metadata": {"annotations": template["metadata"].get("annotations", {})},
        "spec": template["spec"],
    }
    metadata = {"name": f"bare-{number:04}", "namespace": namespace, "annotations": like["metadata"]["annotations"]}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def modeldeployment(namespace: str, number: int, run: int) -> Body:
    """Serves the model of the run with that number."""
    spec = {"model": {"name": f"model-{run:04}"}, "scaleDownDelay": "1s"}
    return _body(MODELDEPLOYMENTS, namespace, f"serve-{number:04}", spec)


def modelversion(namespace: str, run: int, version: int) -> Body:
    """Another version of the model of the run with that number."""
    model = f"model-{run:04}"
    files = {"uri": f"s3://bench/{model}/{version}", "digest": f"sha256:{version:064x}", "format": "sklearn"}
    return _body(MODELVERSIONS, namespace, f"{model}-{version}", {"model": model, "version": version, **files})


def retrainpolicy(namespace: str, number: int, run: int) -> Body:
    """Keeps the deployment with its number fresh: a metric that nobody reports, and a schedule far away."""
    spec = trainingjob(namespace, run)["spec"]
    triggers: list[Body] = [
        {"name": "accuracy", "metric": {"name": "accuracy", "below": 0.9}},
        {"name": "yearly", "schedule": {"cron": "0 0 1 1 *"}},
    ]
    deployment = {"name": f"serve-{number:04}"}
    policy = {"deployment": deployment, "trainingJobTemplate": {"spec": spec}, "triggers": triggers}
    return _body(RETRAINPOLICIES, namespace, f"keep-{number:04}", policy)


def _body(resource: Resource, namespace: str, name: str, spec: Body) -> Body:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "spec": spec}
