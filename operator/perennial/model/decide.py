"""What happens next with a Model: numbers are reserved on it before any version is made with them."""

from datetime import datetime

from perennial.api.meta import API_VERSION
from perennial.api.modelversion import LAST_VERSION, MAX_RESERVED, ModelStatus, Reservation
from perennial.api.resources import MODELS
from perennial.config import Config
from perennial.model.snapshot import Snapshot
from perennial.model.version import model_version, origin_uid
from perennial.plan import Action, Body, Create, Patch, Plan


def decide(snapshot: Snapshot, now: datetime, config: Config) -> Plan:
    """Reserve numbers for the finished runs, then make their versions.

    The reservation is written first, and only for the Model as it was seen: after a crash the same run gets the same
    number, and no two runs ever get one.
    """
    if snapshot.body is not None and "deletionTimestamp" in snapshot.body["metadata"]:
        return Plan()
    kept = _kept(snapshot)
    given = {reservation.uid for reservation in kept}
    # Their versions outlive a Model that somebody deleted.
    made = {origin_uid(version): number for number, version in snapshot.versions.items()}
    number = _highest(snapshot)
    fresh = []
    for job in snapshot.waiting[: MAX_RESERVED - len(kept)]:
        uid = job["metadata"]["uid"]
        if uid not in given:
            number += uid not in made
            fresh.append(Reservation(version=made.get(uid, number), uid=uid))
    # Settled reservations go with the next write for a better reason.
    reserved = [*kept, *fresh] if fresh else list(snapshot.status.reserved)
    status = ModelStatus(
        highest_version=number,
        reserved=reserved,
        latest_approved=max((v for v, body in snapshot.versions.items() if _approved(body)), default=None),
        serving=_serving(snapshot),
        last_trained=now if fresh else snapshot.status.last_trained,
    )
    actions: list[Action] = []
    if status != snapshot.status:
        actions.append(_write(snapshot, status))
    versions = {reservation.uid: reservation.version for reservation in (*kept, *fresh)}
    for job in snapshot.waiting:
        version = versions.get(job["metadata"]["uid"])
        if version is not None and version not in snapshot.versions:
            actions.append(Create(model_version(job, version)))
    return Plan(actions)


def _kept(snapshot: Snapshot) -> list[Reservation]:
    """Reservations of runs that are not settled, unless somebody else's version took the number meanwhile."""
    waiting = {job["metadata"]["uid"] for job in snapshot.waiting}
    kept = []
    for reservation in snapshot.status.reserved:
        taken = snapshot.versions.get(reservation.version)
        mine = taken is None or origin_uid(taken) == reservation.uid
        if reservation.uid in waiting and mine and reservation.version > 0:
            kept.append(reservation)
    return kept


def _highest(snapshot: Snapshot) -> int:
    # Above the last number there is none: who claims it has not counted up to it.
    given = (snapshot.status.highest_version, *snapshot.versions)
    return max((number for number in given if number < LAST_VERSION), default=0)


def _approved(version: Body) -> bool:
    return bool(version["spec"].get("approval") == "Approved")


def _serving(snapshot: Snapshot) -> str | None:
    served = []
    for deployment in snapshot.deployments:
        promotions = (deployment.get("status") or {}).get("promotions") or ()
        if promotions and promotions[0].get("version"):
            served.append(f"{deployment['metadata']['name']}={promotions[0]['version']}")
    return ", ".join(served) or None


def _write(snapshot: Snapshot, status: ModelStatus) -> Action:
    if snapshot.body is None:
        return Create(
            {
                "apiVersion": API_VERSION,
                "kind": "Model",
                "metadata": {"name": snapshot.name, "namespace": snapshot.namespace},
                "status": status.body(),
            }
        )
    metadata = snapshot.body["metadata"]
    cleared: Body = dict.fromkeys(snapshot.body.get("status") or {})
    return Patch(
        MODELS,
        snapshot.namespace,
        snapshot.name,
        {"status": cleared | status.body()},
        metadata["uid"],
        resource_version=metadata["resourceVersion"],
    )
