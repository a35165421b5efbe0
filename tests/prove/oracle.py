"""What a namespace must look like once nothing goes wrong any more, from what people asked for and what happened.

Written from the documentation, not from the product's code: it says of an end state what is wrong with it, in words.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from perennial.owners import controller_of, controller_uid
from perennial.plan import Body
from tests.kubelets import FATE, UNLOADABLE
from tests.prove.mirror import Past
from tests.prove.player import OURS, Player

ENDED = ("Succeeded", "Failed")
# Of a run of a policy.
UNDER_WAY = ("Pending", "Training", "Deciding", "AwaitingApproval", "RollingOut")
REMEMBERED = 20


def wrong(player: Player) -> list[str]:
    """Everything that is not as it must be; empty when all is well."""
    past = player.past
    return [
        *past.wrong,
        *_trainings(player),
        *_versions(player),
        *_belongings(past),
        *_strangers(player),
        *(line for one in past.now["ModelDeployment"].values() for line in _serving(player, one)),
        *(line for one in past.now["RetrainPolicy"].values() for line in _policy(player, one)),
    ]


# Trainings.


def _trainings(player: Player) -> Iterator[str]:
    past = player.past
    for body in past.now["TrainingJob"].values():
        name, uid = body["metadata"]["name"], body["metadata"]["uid"]
        phase = _status(body).get("phase")
        ours = [job for job in past.now["Job"].values() if controller_uid(job) == uid]
        jobs = [job for job in ours if not job["metadata"]["name"].endswith("-recover")]
        if phase not in ENDED:
            yield from _unfinished(player, body, jobs)
            continue
        ended = past.ended[uid][1]
        late = [job for job in past.made["Job"].values() if controller_uid(job) == uid and _version(job) > ended]
        if late:
            yield f"{name} had ended as {phase} when a Job was made: {late[0]['metadata']['name']}"
        if alive := [pod for job in ours for pod in _alive(past, job)]:
            yield f"{name} has ended as {phase}, but pod {alive[0]['metadata']['name']} lives"
        yield from _outcome(player, body)
    for body in past.now["TrainingJob"].values():
        # Each Job takes the place of one that somebody deleted. One that is gone took its Jobs along, and may have got
        # another while the word of its deletion was on its way.
        uid = body["metadata"]["uid"]
        of = [job for job in past.made["Job"].values() if controller_uid(job) == uid]
        trained = [job for job in of if not job["metadata"]["name"].endswith("-recover")]
        if len(trained) > 1 and uid not in player.disturbed:
            yield f"{body['metadata']['name']} got {len(trained)} Jobs, and nobody had taken one"


def _unfinished(player: Player, body: Body, jobs: list[Body]) -> Iterator[str]:
    """It may not be over only where somebody holds it: by spec.suspend, by its fate, or by the name."""
    name, status, spec = body["metadata"]["name"], _status(body), body["spec"]
    phase = status.get("phase")
    if _occupied(player, "Job", name):
        if jobs or not (_is(status, "Stalled") or spec.get("suspend")):
            yield f"{name}: its Job's name is taken, but it says {_conditions(status)}"
        return
    alive = [pod for job in jobs for pod in _alive(player.past, job)]
    if spec.get("suspend"):
        if phase != "Suspended" or alive or any(not job["spec"].get("suspend") for job in jobs):
            yield f"{name}: spec.suspend, but phase {phase}, {len(alive)} pods, {len(jobs)} Jobs"
        return
    if len(jobs) != 1:
        yield f"{name}: phase {phase}, and {len(jobs)} Jobs"
    elif not any(fate.get("exit") == -1 for fate in _fates(body)):
        yield f"{name}: still {phase}: {_conditions(status)}"
    elif phase != "Running" or len(alive) != 1 or jobs[0]["spec"].get("suspend"):
        yield f"{name}: is held by its fate, but phase {phase}, {len(alive)} pods: {_conditions(status)}"
    elif spec.get("activeDeadlineSeconds"):
        yield f"{name}: past activeDeadlineSeconds, and still {phase}"


def _outcome(player: Player, body: Body) -> Iterator[str]:
    """How it ended follows from its fates, unless somebody meddled or a deadline came first."""
    uid, name, spec = body["metadata"]["uid"], body["metadata"]["name"], body["spec"]
    phase = _status(body)["phase"]
    failures, expected = 0, "Failed"
    for fate in (*_fates(body), *_fates(body)[-1:] * 10):
        code = fate.get("exit", 0)
        failures += code > 0
        if code == 0 or code == -1:
            expected = "Succeeded" if code == 0 else "Failed"
            break
        if failures > spec.get("backoffLimit", 3):
            break
    certain = uid not in player.disturbed and not spec.get("activeDeadlineSeconds") and "suspend" not in spec
    if certain and phase != expected:
        yield f"{name}: ended as {phase}, and should as {expected}: {_conditions(_status(body))}"
    if phase == "Succeeded" and all(fate.get("exit", 0) > 0 for fate in _fates(body)):
        yield f"{name}: succeeded, and its training cannot"


def _versions(player: Player) -> Iterator[str]:
    """One version for each success, none for a failure; numbers are given once."""
    past = player.past
    versions, made = past.now["ModelVersion"], past.made["ModelVersion"].values()
    origin = Counter(uid for one in made if (uid := (one["spec"].get("trainingJob") or {}).get("uid")))
    for uid, body in past.made["TrainingJob"].items():
        phase = past.ended.get(uid, ("", 0))[0]
        found, name = origin[uid], body["metadata"]["name"]
        # One that is deleted before the training knows of it is made again.
        if (found > 1 and not player.forgotten) or (found and phase == "Failed"):
            yield f"{name}: {phase}, and {found} versions came of it"
        if phase == "Succeeded" and not found:
            yield f"{name}: {phase}, and no version came of it"
    for body in past.now["TrainingJob"].values():
        status = _status(body)
        recorded = versions.get(status.get("modelVersion", ""))
        origin = (recorded["spec"].get("trainingJob") if recorded else None) or {}
        # In the place of one that was deleted a person may write another; and when nobody remembers its number, neither
        # the Model nor a version, that comes again.
        if recorded and not player.forgotten and origin.get("uid") != body["metadata"]["uid"]:
            yield f"{body['metadata']['name']}: its version {status['modelVersion']} is of another training"
        if status.get("phase") == "Succeeded" and not recorded and not player.forgotten:
            yield f"{body['metadata']['name']}: its version {status.get('modelVersion')} is not there"
    numbers = Counter(one["metadata"]["name"] for one in made)
    if not player.forgotten and (twice := [name for name, count in numbers.items() if count > 1]):
        yield f"numbers given twice: {twice}"
    trained = sorted(one["spec"]["version"] for one in made)
    if not player.forgotten and not player.applied and trained != list(range(1, len(trained) + 1)):
        yield f"numbers are not dense: {trained}"
    yield from _overview(past)


def _overview(past: Past) -> Iterator[str]:
    """The Model knows what there is."""
    versions = list(past.now["ModelVersion"].values())
    model = past.now["Model"].get("churn")
    if versions and model is None:
        yield "there are versions, and no Model"
    if model is None:
        return
    status = _status(model)
    highest = max((one["spec"]["version"] for one in versions), default=0)
    approved = max(
        (one["spec"]["version"] for one in versions if one["spec"].get("approval") == "Approved"), default=None
    )
    if status.get("highestVersion", 0) < highest:
        yield f"the Model's highest version is {status.get('highestVersion')}, and {highest} is there"
    if status.get("latestApproved") != approved:
        yield f"the Model's latest approved is {status.get('latestApproved')}, and {approved} is"
    served = {}
    for one in past.now["ModelDeployment"].values():
        if (newest := _promotion(one)).get("version"):
            served[one["metadata"]["name"]] = newest["version"]
    if status.get("serving") != (", ".join(f"{name}={served[name]}" for name in sorted(served)) or None):
        yield f"the Model is served as {status.get('serving')}, and should as {served}"
    for version in versions:
        name, number = version["metadata"]["name"], version["spec"]["version"]
        known = set(_status(version).get("servedBy") or ())
        rolled = {
            one["metadata"]["name"]
            for one in past.now["ModelDeployment"].values()
            if (_status(one).get("rollout") or {}).get("version") == number
        }
        if known != rolled | {where for where, serves in served.items() if serves == number}:
            yield f"{name} says that it is served by {known}, and {served} is served"


# Servers.


def _serving(player: Player, body: Body) -> Iterator[str]:
    past, name, status, spec = player.past, body["metadata"]["name"], _status(body), body["spec"]
    if status.get("observedGeneration") != body["metadata"]["generation"]:
        yield f"{name}: generation {body['metadata']['generation']}, observed {status.get('observedGeneration')}"
    if _occupied(player, "Service", name):
        if not _is(status, "Stalled"):
            yield f"{name}: its Service is somebody else's, and it says {_conditions(status)}"
        return
    served, wanted = _promotion(body).get("version"), _wanted(past, body)
    replicas = spec.get("replicas", 1)
    if replicas and wanted is not None and served != wanted:
        yield f"{name}: serves {served}, and should {wanted}: {_conditions(status)}, {json.dumps(status)[:1500]}"
    if status.get("rollout"):
        yield f"{name}: is still rolling out: {status['rollout']}"
    revisions = [one for one in past.now["Deployment"].values() if controller_uid(one) == body["metadata"]["uid"]]
    stable = _promotion(body).get("revision")
    lost = any(one["reason"] == "RevisionLost" for one in status.get("conditions") or ())
    for revision in revisions:
        what, count = revision["metadata"]["name"], revision["spec"]["replicas"]
        expected = replicas if what == stable else 0
        if count != expected or _status(revision).get("readyReplicas", 0) != expected:
            ready = _status(revision).get("readyReplicas", 0)
            yield f"{name}: {what} has {count} replicas, {ready} ready, and should have {expected} (stable: {stable})"
        if not _labelled(revision, body):
            yield f"{name}: {what} has lost its labels: {revision['metadata'].get('labels')}"
    if served is None or not replicas:
        return
    if stable not in {one["metadata"]["name"] for one in revisions} and not lost:
        yield f"{name}: revision {stable} serves, and has no Deployment"
    yield from _traffic(past, body, stable)
    pinned = f"churn-{spec['model'].get('version', served)}"
    missing = pinned != f"churn-{served}" and pinned not in past.now["ModelVersion"]
    if not (lost or missing) and served == wanted and not _is(status, "Ready") and not _is(status, "Stalled"):
        yield f"{name}: serves {served} with all replicas, and says {_conditions(status)}"
    if status.get("modelVersion") != f"churn-{served}":
        yield f"{name}: shows {status.get('modelVersion')}, and serves {served}"


def _traffic(past: Past, body: Body, stable: Any) -> Iterator[str]:
    name = body["metadata"]["name"]
    service = past.now["Service"].get(name)
    if service is None or controller_uid(service) != body["metadata"]["uid"]:
        yield f"{name}: has no Service"
        return
    selector = service["spec"].get("selector")
    if selector != {f"{OURS}modeldeployment": name, f"{OURS}revision": stable}:
        yield f"{name}: its Service selects {selector}, and {stable} serves"
    if not _labelled(service, body):
        yield f"{name}: its Service has lost its labels: {service['metadata'].get('labels')}"


def _labelled(child: Body, body: Body) -> bool:
    labels = child["metadata"].get("labels") or {}
    return labels.get(f"{OURS}owned") == "true" and labels.get(f"{OURS}modeldeployment") == body["metadata"]["name"]


def _wanted(past: Past, body: Body) -> Any:
    """The version that has to be served now; None where the one that is may stay, or none has to."""
    spec, versions = body["spec"], {one["spec"]["version"]: one for one in past.now["ModelVersion"].values()}
    promotions = [one["version"] for one in _status(body).get("promotions") or () if one.get("version")]
    served = promotions[0] if promotions else 0
    pinned = spec["model"].get("version")
    if pinned and pinned != served and pinned in versions and _eligible(versions[pinned], spec):
        return pinned
    above = [number for number, one in versions.items() if number > served and _eligible(one, spec)]
    if not pinned and above:
        return max(above)
    if not served:
        return None
    if served in versions and versions[served]["spec"].get("approval") == "Rejected":
        before = [one for one in promotions[1:] if one != served and one in versions]
        # The gate was passed when it served.
        kept = [one for one in before if _eligible(versions[one], spec | {"gate": None})]
        return kept[0] if kept else served
    return served


def _eligible(version: Body, spec: Body) -> bool:
    record = version["spec"]
    if record.get("approval") == "Rejected" or UNLOADABLE in record["uri"]:
        return False
    if spec.get("approval") == "Manual" and record.get("approval") != "Approved":
        return False
    limits = (spec.get("gate") or {}).get("metrics") or ()
    return all((record.get("metrics") or {}).get(one["name"], -1) >= one["min"] for one in limits)


# Policies.


def _policy(player: Player, body: Body) -> Iterator[str]:
    past, name, uid, status = player.past, body["metadata"]["name"], body["metadata"]["uid"], _status(body)
    if status.get("observedGeneration") != body["metadata"]["generation"]:
        yield f"{name}: generation {body['metadata']['generation']}, observed {status.get('observedGeneration')}"
    runs = status.get("runs") or []
    made = {one["metadata"]["uid"]: one for one in past.made["TrainingJob"].values() if _policy_of(one) == uid}
    by_run: defaultdict[int, list[int]] = defaultdict(list)
    for one in made.values():
        by_run[int(one["metadata"]["labels"][f"{OURS}run"])].append(_version(one))
    for number, versions in by_run.items():
        # One that somebody deletes before the status could say that the run trains is made again.
        if len(versions) > 1 and max(versions) > past.begun.get((uid, number), max(versions)):
            yield f"{name}: run {number} was under way when a TrainingJob was made for it again"
    names = Counter(one["metadata"]["name"] for one in made.values())
    rows = {run["trainingJob"]: run for run in runs if run.get("trainingJob")}
    if (strays := names.keys() - rows.keys()) and len(runs) < REMEMBERED:
        yield f"{name}: TrainingJobs without a run: {strays}"
    for job, run in rows.items():
        if job not in names and run["phase"] not in ("Pending", "Replaced", "Failed"):
            yield f"{name}: run {run['number']} is {run['phase']}, and {job} was never made"
        if run["phase"] in UNDER_WAY and (why := _delayed(player, body, run)):
            yield f"{name}: run {run['number']} is still {run['phase']} ({run.get('message')}): {why}"
    causes = Counter(run["cause"].get("request") for run in runs if run["cause"]["type"] == "Request")
    if again := [value for value, count in causes.items() if count > 1]:
        yield f"{name}: several runs for request {again}"
    asked = (body["metadata"].get("annotations") or {}).get(f"{OURS}run-request")
    held = any(row["name"] == "request" and row["state"] == "Held" for row in status.get("triggers") or ())
    if asked and status.get("lastRequest") != asked and not held:
        yield f"{name}: request {asked} is not dealt with (last: {status.get('lastRequest')}), and not held"


def _delayed(player: Player, body: Body, run: Body) -> str:
    """Why a run should have ended, or got on; empty where it rightly waits."""
    past, phase = player.past, run["phase"]
    if phase == "Pending":
        waits = body["spec"].get("suspend") or _occupied(player, "TrainingJob", run["trainingJob"])
        return "" if waits else "nothing keeps it"
    if phase == "Training":
        job = past.now["TrainingJob"].get(run["trainingJob"])
        return "" if job and _status(job).get("phase") not in ENDED else "its training is over, or gone"
    deployment = past.now["ModelDeployment"].get("churn")
    if deployment is None or _occupied(player, "Service", "churn"):
        return ""
    spec = deployment["spec"]
    version = past.now["ModelVersion"].get(run.get("modelVersion", ""))
    if version is None:
        return "its version is gone"
    if spec.get("replicas") == 0 or spec["model"].get("version"):
        return ""
    waits = spec.get("approval") == "Manual" and version["spec"].get("approval") != "Approved"
    return "" if waits else "nothing keeps it"


# What holds for all kinds.


def _belongings(past: Past) -> Iterator[str]:
    """What belongs to an object goes with it."""
    uids = {one["metadata"]["uid"] for kind in past.now.values() for one in kind.values()}
    for kind in ("Job", "Deployment", "Service"):
        for body in past.now[kind].values():
            if (controller := controller_of(body)) and controller["uid"] not in uids:
                yield f"{kind} {body['metadata']['name']} outlived {controller['kind']} {controller['name']}"


def _strangers(player: Player) -> Iterator[str]:
    """Nobody touched what is somebody else's."""
    for before in player.foreign:
        name = before["metadata"]["name"]
        now = player.past.now[before["kind"]].get(name)
        if now is None or now["metadata"]["uid"] != before["metadata"]["uid"]:
            yield f"{before['kind']} {name} of somebody else is gone"
        elif any(now["metadata"].get(part) != before["metadata"].get(part) for part in ("labels", "ownerReferences")):
            yield f"{before['kind']} {name} of somebody else was changed: {now['metadata']}"


def _occupied(player: Player, kind: str, name: str) -> bool:
    return any((one["kind"], one["metadata"]["name"]) == (kind, name) for one in player.foreign)


def _alive(past: Past, job: Body) -> list[Body]:
    return [
        pod
        for pod in past.now["Pod"].values()
        if controller_uid(pod) == job["metadata"]["uid"] and _status(pod).get("phase") not in ENDED
    ]


def _fates(body: Body) -> list[Body]:
    text = body["spec"]["template"]["metadata"]["annotations"][FATE]
    fates: list[Body] = json.loads(text)
    return fates


def _policy_of(body: Body) -> str | None:
    value: str | None = (body["metadata"].get("annotations") or {}).get(f"{OURS}retrainpolicy-uid")
    return value


def _promotion(body: Body) -> Body:
    promotions = _status(body).get("promotions") or [{}]
    first: Body = promotions[0]
    return first


def _status(body: Body) -> Body:
    status: Body = body.get("status") or {}
    return status


def _is(status: Body, type_: str) -> bool:
    return any((one["type"], one["status"]) == (type_, "True") for one in status.get("conditions") or ())


def _conditions(status: Body) -> str:
    return "; ".join(
        f"{one['type']}={one['status']} {one['reason']} {one['message'][:200]}"
        for one in status.get("conditions") or ()
    )


def _version(body: Body) -> int:
    return int(body["metadata"]["resourceVersion"])
