"""What the Jobs that Perennial makes have in common: one of an agent's container, and how a Job ended."""

from collections.abc import Iterable

from perennial.plan import Body
from perennial.pods import RESTRICTED, claim_volumes, tmp_volume

# A node that goes away is no failure of what ran there: it is tried again, and does not count.
DISRUPTIONS_IGNORED: Body = {
    "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
}


def agent_job(metadata: Body, labels: dict[str, str], container: Body, claims: Iterable[str], limits: Body) -> Body:
    """A Job of one container of the agent image. `labels`: of its pods; `claims`: that the container mounts; `limits`:
    fields of the Job that say how long and how often it is tried."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            **limits,
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "securityContext": {"fsGroup": RESTRICTED["runAsGroup"]},
                    "containers": [container],
                    "volumes": [*claim_volumes(claims), tmp_volume()],
                },
            },
        },
    }


def job_condition(job: Body | None, *types: str) -> Body | None:
    """The first of these conditions that holds."""
    conditions = ((job or {}).get("status") or {}).get("conditions") or ()
    return next((one for one in conditions if one["type"] in types and one["status"] == "True"), None)
