"""Every field of every kind, misused: refused by name when it is applied, or explained on the object; never silently
taken, never the end of the operator, and forgotten once it is put right."""

import copy
import http.client
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from e2e.cluster.apiserver import ApiServer
from perennial.api.conditions import is_true
from perennial.api.meta import ANNOTATION_RUN_REQUEST, API_VERSION
from perennial.api.resources import (
    EVENTS,
    METRICSERIES,
    MODELDEPLOYMENTS,
    MODELS,
    MODELVERSIONS,
    RETRAINPOLICIES,
    TRAININGJOBS,
    of,
)
from perennial.trainingjob.snapshot import MUTABLE
from tests.apiserver.charts import CHART, helm
from tests.apiserver.operators import Perennial, eventually
from tests.apiserver.space import Space
from tests.prove.compare import differences, state
from tests.prove.fields import KEY, Body, Operation, Sort, kinds, leaves, names, names_in_pod, nodes, put, written
from tests.prove.known import EMBEDDED, MODEL, PLAIN, SERVED, every_operation
from tests.prove.report import Proof, scaled

KINDS = {
    one.kind: one for one in (TRAININGJOBS, MODELDEPLOYMENTS, RETRAINPOLICIES, MODELVERSIONS, MODELS, METRICSERIES)
}
JSON_PATCH = "application/json-patch+json"
SENDERS = 8
OPERATIONS = every_operation()
ALL = [one for found in OPERATIONS.values() for one in found]


def test_every_field_is_misused_at_least_as_often_as_it_is_used() -> None:
    for kind in kinds():
        for leaf in leaves(kind):
            found = OPERATIONS[leaf]
            assert len(found) >= 3, leaf
            assert 2 * sum(one.misuse for one in found) >= len(found), leaf
            assert {one.sort for one in found} >= {Sort.BOUNDARY, Sort.WRONG, Sort.CHANGED}, leaf


def each(do: Callable[[Any], Any], things: Iterable[Any]) -> list[Any]:
    """Many at once: most of a request is waiting."""
    with ThreadPoolExecutor(SENDERS) as senders:
        return list(senders.map(do, things))


class Wire:
    """Requests over connections that stay open, one for each thread: a thousand handshakes would take longest."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._context = ssl.create_default_context(cafile=server.ca)
        self._own = threading.local()

    def send(self, method: str, path: str, body: Any, content_type: str = "application/json") -> str | None:
        """The server's words when it refuses."""
        if not hasattr(self._own, "connection"):
            host = self._server.url.removeprefix("https://")
            self._own.connection = http.client.HTTPSConnection(host, context=self._context, timeout=60)
        headers = {"Authorization": f"Bearer {self._server.token()}", "Content-Type": content_type}
        self._own.connection.request(method, path, json.dumps(body).encode(), headers)
        answer = self._own.connection.getresponse()
        said = json.loads(answer.read())
        return str(said["message"]) if answer.status >= 400 else None


def plain(kind: str, number: int) -> Body:
    """A right manifest with a name of its own; the model of a version is its own too."""
    body: Body = {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": f"f{number}"},
        **copy.deepcopy(PLAIN[kind]),
    }
    return body | {"spec": body["spec"] | {"model": f"f{number}"}} if kind == "ModelVersion" else body


def manifest(operation: Operation, number: int) -> Body:
    """What somebody applies who does this."""
    body = operation.on(plain(operation.leaf.kind, number))
    if operation.leaf.kind == "ModelVersion":
        body["metadata"]["name"] = f"{body['spec'].get('model')}-{body['spec'].get('version')}"
    if operation.misuse and operation.leaf.path.startswith(EMBEDDED):
        # What is wrong with a TrainingJob is seen when there is one.
        body["metadata"]["annotations"] = {ANNOTATION_RUN_REQUEST: "now"}
    return body


def explains(operation: Operation, message: str) -> bool:
    """Whether this names what was done wrong. A TrainingJob of a policy tells of its own fields."""
    if operation.names:
        return operation.names in message
    path = operation.leaf.path
    return names(message, path) or names(message, path.removeprefix(EMBEDDED)) or names_in_pod(message, path)


class World(Space):
    """A namespace with a model version and a deployment that follows its model."""

    def __init__(self, server: ApiServer) -> None:
        super().__init__(server)
        self.wire = Wire(server)
        for kind, name in (("ModelVersion", f"{MODEL}-1"), ("ModelDeployment", SERVED)):
            self.create({"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, **PLAIN[kind]})

    def apply(self, body: Body, *, dry: bool = False) -> str | None:
        """As kubectl does, strictly; the server's words when it refuses."""
        query = "?fieldValidation=Strict" + ("&dryRun=All" if dry else "")
        return self.wire.send("POST", of(body).path(self.name) + query, body)

    def rewrite(self, body: Body) -> str | None:
        """Replace what people wrote of an object that is there; the server's words when it refuses."""
        part, _ = written(body["kind"])
        patch = [{"op": "replace", "path": f"/{part}", "value": body[part]}]
        path = of(body).path(self.name, body["metadata"]["name"]) + "?fieldValidation=Strict"
        return self.wire.send("PATCH", path, patch, JSON_PATCH)

    def objects(self) -> dict[tuple[str, str], Body]:
        """All objects of our kinds by kind and name."""
        return {(kind, one["metadata"]["name"]): one for kind in KINDS for one in self.every(KINDS[kind])}


@dataclass
class Case:
    """An operation whose object is there."""

    operation: Operation
    body: Body
    unsettled: str = field(default="", compare=False)

    @property
    def key(self) -> tuple[str, str]:
        return self.body["kind"], self.body["metadata"]["name"]


Mistakes = tuple[World, World, list[Case], list[Case]]


def seen(one: Body) -> list[Body] | None:
    """The conditions of an object, once the operator has looked at it as it is now."""
    status = one.get("status") or {}
    if status.get("observedGeneration") != one["metadata"]["generation"] or not status.get("conditions"):
        return None
    conditions: list[Body] = status["conditions"]
    return conditions


Objects = Mapping[tuple[str, str], Body]
NOT_GOING_ON = (("Stalled", "True"), ("Ready", "False"), ("Running", "False"))


def explained(case: Case, objects: Objects) -> str:
    """Empty when the object says what is wrong with it, or the training that a policy made of it; else what it says."""
    conditions = seen(objects[case.key])
    if conditions is None:
        return "nothing is said of it"
    if case.operation.leaf.path.startswith(EMBEDDED) and (job := objects.get(("TrainingJob", f"{case.key[1]}-1"))):
        conditions = [*conditions, *(seen(job) or ())]
    bad = [c for c in conditions if (c["type"], c["status"]) in NOT_GOING_ON]
    if any(explains(case.operation, c["message"]) for c in bad):
        return ""
    return f"not explained: {[(c['type'], c['status'], c['reason'], c['message']) for c in conditions]}"


def healthy(case: Case, objects: Objects) -> str:
    """Empty when nothing is wrong with the object; else what is."""
    one = objects[case.key]
    if case.operation.leaf.kind in ("ModelVersion", "Model", "MetricSeries"):
        return ""
    conditions = seen(one)
    if conditions is None:
        return "nothing is said of it"
    if is_true(conditions, "Stalled"):
        return f"stalled: {[(c['reason'], c['message']) for c in conditions]}"
    begun = one["kind"] != "TrainingJob" or one["spec"]["suspend"] or one["status"].get("jobName")
    return "" if begun else "it does not begin"


def settle(space: World, cases: list[Case], look: Callable[[Case, Objects], str], seconds: float = 180.0) -> None:
    """Wait until nothing is to be said against any of the cases; list what is."""
    pending = list(cases)

    def done() -> bool:
        objects = space.objects()
        for case in pending:
            case.unsettled = look(case, objects) if case.key in objects else "it is not there"
        pending[:] = [case for case in pending if case.unsettled]
        return not pending

    try:
        eventually(done, seconds)
    except AssertionError:
        pytest.fail(report(f"{case.operation}: {case.unsettled}" for case in pending))


def report(lines: Iterable[str]) -> str:
    found = list(lines)
    return "\n".join([f"{len(found)} of them:", *found])


@pytest.fixture(scope="module")
def server(perennial: Perennial, controlled: ApiServer) -> Iterator[ApiServer]:
    """The operator works, and nobody had to start it again; and the chart keeps a version's parameters."""
    rendered = helm(
        controlled, "template", "fields", str(CHART), "--kube-version=1.33", "--show-only=templates/policies.yaml"
    )
    kept = [one for one in rendered.split("\n---") if "-version-parameters" in one]
    assert len(kept) == 2
    controlled.kubectl("apply", "--filename=-", stdin="\n---\n".join(kept))
    assert perennial.process
    yield controlled
    assert perennial.process.poll() is None


@pytest.fixture(scope="module")
def answers(server: ApiServer) -> dict[Operation, str | None]:
    """What the API server says to each operation on a new object: its words, or None when it takes it."""
    space = World(server)
    tried = [one for one in ALL if one.sort is not Sort.CHANGED]
    said = each(lambda case: space.apply(manifest(case[1], case[0]), dry=True), enumerate(tried))
    return dict(zip(tried, said, strict=True))


@pytest.mark.proof("Every field")
def test_a_refusal_names_the_field(answers: dict[Operation, str | None], proof: Proof) -> None:
    refused = {one: words for one, words in answers.items() if words is not None}
    wrongly = [f"{one}: {words}" for one, words in refused.items() if not one.misuse]
    assert not wrongly, report(wrongly)
    unclear = [f"{one}: {words}" for one, words in refused.items() if not explains(one, words)]
    assert not unclear, report(unclear)
    proof.count("fields", len(OPERATIONS))
    proof.count("misuses refused by name", len(refused))


@pytest.mark.proof("Every field")
def test_an_unknown_field_is_named(server: ApiServer, proof: Proof) -> None:
    space = World(server)
    tried = [(kind, path) for kind in kinds() for path in nodes(kind)]

    def attempt(case: tuple[int, tuple[str, str]]) -> str | None:
        number, (kind, path) = case
        body = plain(kind, number)
        if kind == "ModelVersion":
            body["metadata"]["name"] = f"{body['spec']['model']}-1"
        put(body, kind, f"{path}.nosuchField", 1)
        return space.apply(body, dry=True)

    said = each(attempt, enumerate(tried))
    unclear = [
        f"{kind} {path}: {words}"
        for (kind, path), words in zip(tried, said, strict=True)
        if f'unknown field "{path.replace("[]", "[0]").replace(".*", "." + KEY)}.nosuchField"' not in (words or "")
    ]
    assert not unclear, report(unclear)
    proof.count("unknown fields named", len(tried))


@pytest.fixture(scope="module")
def mistakes(server: ApiServer, answers: dict[Operation, str | None]) -> Mistakes:
    """Misuse that the API server takes; and elsewhere the same objects without it."""
    mistaken, clean = World(server), World(server)
    taken = [one for one, words in answers.items() if words is None and one.misuse][:: scaled(1, 6)]
    cases = [Case(one, manifest(one, number)) for number, one in enumerate(taken)]
    mended = [replace(case, body=right(case)) for case in cases]
    for space, made in ((mistaken, cases), (clean, mended)):
        refused = [words for words in each(lambda case, space=space: space.apply(case.body), made) if words]
        assert not refused, report(refused)
    return mistaken, clean, cases, mended


@pytest.fixture(scope="module")
def running(
    server: ApiServer, answers: dict[Operation, str | None], mistakes: Mistakes
) -> tuple[World, dict[Operation, Case]]:
    """What is right, made, and looked at by the operator, which does so with the mistakes meanwhile."""
    space = World(server)
    right = [one for one, words in answers.items() if words is None and not one.misuse and one.run]
    # To leave out what is not there anyway is nothing new.
    said = {json.dumps(manifest(one, 0)): one for one in reversed(right)}
    chosen = [one for one in right if one in said.values()][:: scaled(1, 8)]
    cases = [Case(one, manifest(one, number)) for number, one in enumerate(chosen)]
    made = each(lambda case: space.apply(case.body), cases)
    # Two ways to say the same of a version are one version.
    refused = [
        f"{c.operation}: {words}" for c, words in zip(cases, made, strict=True) if words and "already" not in words
    ]
    assert not refused, report(refused)
    settle(space, cases, healthy)
    return space, {case.operation: case for case in cases}


@pytest.mark.proof("Every field")
def test_what_is_right_is_taken_and_does_no_harm(running: tuple[World, dict[Operation, Case]], proof: Proof) -> None:
    space, cases = running
    assert errors(space) == []
    proof.count("right uses seen to work", len(cases))


@pytest.mark.proof("Every field")
def test_a_later_change_is_done_or_refused_by_name(running: tuple[World, dict[Operation, Case]], proof: Proof) -> None:
    """What a run or a version was made from stays; what may change does."""
    space, cases = running
    changes: list[Case] = []
    for found in OPERATIONS.values():
        subject = next((cases[one].body for one in found if one in cases and one.sort is Sort.BOUNDARY), None)
        for one in found if subject else ():
            if one.run and one.sort is Sort.CHANGED and (body := one.on(subject or {})) != subject:
                changes.append(Case(one, body))
    # What is refused leaves no trace; what is taken comes after it.
    changes.sort(key=lambda case: not case.operation.misuse)
    said = each(lambda case: space.rewrite(case.body), changes)
    wrong = [f"{case.operation}: {words}" for case, words in zip(changes, said, strict=True) if not fits(case, words)]
    assert not wrong, report(wrong)
    settle(space, [case for case, words in zip(changes, said, strict=True) if words is None], changed)
    assert errors(space) == []
    proof.count("later changes", len(changes))


def top(case: Case) -> str:
    """The field of the spec that an operation is about."""
    return case.operation.leaf.path.split(".")[1].removesuffix("[]")


def fits(case: Case, words: str | None) -> bool:
    """Whether that is the answer to this change: what is misuse, or fixed by now, is refused by name."""
    if case.operation.misuse:
        return words is not None and explains(case.operation, words)
    if case.key[0] == "ModelVersion" and top(case) not in ("approval", "approvedBy"):
        return words is not None and f"spec.{top(case)} cannot change" in words
    return words is None or (case.key[0] == "TrainingJob" and f"spec.{top(case)} cannot change once" in words)


def changed(case: Case, objects: Objects) -> str:
    """A run that was changed behind the back of the rules says so; anything else is as healthy as before."""
    conditions = seen(objects[case.key]) or []
    if case.key[0] == "TrainingJob" and top(case) not in MUTABLE:
        return "" if is_true(conditions, "SpecChanged") else "nothing is said of the change"
    return healthy(case, objects)


def errors(space: World) -> list[str]:
    """The operator's own failures, as it tells them."""
    return [event["message"] for event in space.every(EVENTS) if event["reason"] == "ReconcileError"]


@pytest.mark.proof("Every field")
def test_misuse_that_is_taken_is_explained_and_forgotten_once_put_right(mistakes: Mistakes, proof: Proof) -> None:
    mistaken, clean, cases, mended = mistakes
    settle(mistaken, cases, explained)
    assert errors(mistaken) == []
    refused = [words for words in each(lambda case: mistaken.rewrite(case.body), mended) if words]
    assert not refused, report(refused)
    # What is wrong in a policy's template is in the training that was made of it, too.
    for case in mended:
        job = mistaken.get(TRAININGJOBS, f"{case.body['metadata']['name']}-1")
        if job and case.operation.leaf.path.startswith(EMBEDDED):
            assert mistaken.rewrite(job | {"spec": case.body["spec"]["trainingJobTemplate"]["spec"]}) is None
    different: list[str] = []

    def same() -> bool:
        different[:] = differences(observed(clean), observed(mistaken))
        return not different

    try:
        eventually(same, 180)
    except AssertionError:
        pytest.fail(report(different))
    proof.count("misuses explained, and put right", len(cases))


def observed(space: World) -> dict[str, Body]:
    """The state of a namespace; an object that was put right has a generation more."""
    plain: dict[str, Body] = json.loads(
        re.sub(r'"observedGeneration": \d+', '"observedGeneration": 0', json.dumps(state(space)))
    )
    return plain


def right(case: Case) -> Body:
    """What should have been applied instead."""
    operation = case.operation
    good = next((one for one in OPERATIONS[operation.leaf] if one.sort is Sort.BOUNDARY and one.run), None)
    base = plain(operation.leaf.kind, 0)
    return {**(good.on(base) if good else base), "metadata": case.body["metadata"]}
