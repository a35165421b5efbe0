"""`approve VERSION` and `reject VERSION`: a person's word on a ModelVersion, in their own name."""

from perennial.api.modelversion import Decision
from perennial.api.resources import MODELVERSIONS
from perennial.cli.cluster import Body, Cluster
from perennial.cli.problem import Problem, Refused

# The operator writes the status of the same object.
_TRIES = 5


def run(cluster: Cluster, name: str, decision: Decision, *, overwrite: bool) -> str:
    """Write spec.approval and spec.approvedBy; what was done, in words.

    Problem when somebody decided otherwise before and `overwrite` is not given, or when the server refuses.
    """
    for _ in range(_TRIES):
        version = cluster.get(MODELVERSIONS, name)
        if done := _decided(version, decision, overwrite):
            return done
        try:
            cluster.patch(MODELVERSIONS, name, _change(version, decision, cluster.user()))
        except Refused as refused:
            if refused.code != 409:
                raise _explained(refused, cluster.namespace) from None
        else:
            return f"modelversion {name} {decision.lower()}{_consequence(version, decision)}"
    raise Problem(f"modelversion {name} changes all the time: try again")


def _decided(version: Body, decision: Decision, overwrite: bool) -> str | None:
    """What is to be said when there is nothing to do."""
    name, before = version["metadata"]["name"], version["spec"].get("approval")
    by = version["spec"].get("approvedBy") or "somebody"
    if before == decision:
        return f"modelversion {name} is {decision.lower()} already, by {by}"
    if before and not overwrite:
        raise Problem(f"modelversion {name} was {before.lower()} by {by}: --overwrite decides anew")
    return None


def _change(version: Body, decision: Decision, user: str) -> Body:
    """Of what was read, and nothing later: nobody's word is lost unseen."""
    read = {"resourceVersion": version["metadata"]["resourceVersion"]}
    return {"metadata": read, "spec": {"approval": str(decision), "approvedBy": user}}


def _explained(refused: Refused, namespace: str) -> Problem:
    if refused.code != 403:
        return refused
    return Problem(f"{refused}. Kubernetes' role admin in {namespace} has what it takes")


def _consequence(version: Body, decision: Decision) -> str:
    served = (version.get("status") or {}).get("servedBy") or ()
    if decision is Decision.APPROVED or not served:
        return ""
    return f"; {', '.join(served)}: the version that served before comes back, if there is one"
