"""Nobody gains by Perennial what they could not do by hand: by a pod's template, by a name, by a URL."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from e2e.cluster.apiserver import ApiServer
from perennial.api.meta import ANNOTATION_RUN_REQUEST
from perennial.api.resources import (
    JOBS,
    MODELDEPLOYMENTS,
    MODELS,
    MODELVERSIONS,
    NODES,
    PODS,
    RETRAINPOLICIES,
    SERVICES,
    TRAININGJOBS,
    Resource,
)
from perennial.plan import Body
from perennial.pods import overlay
from tests.apiserver.charts import CHART, SYSTEM, Refused, helm, send
from tests.apiserver.operators import ROOT, USER, apply_gateway_kinds, eventually
from tests.apiserver.space import MERGE
from tests.prove.attempts import Row, Seen, says, templates
from tests.prove.foreign import CASES, WRITTEN, Case
from tests.prove.listener import Listener
from tests.prove.places import (
    DIGEST,
    EDITOR,
    FORBIDDEN,
    KINDS,
    ROLES,
    WRITER,
    Place,
    Watched,
    contents,
    serving,
    training,
    version,
)
from tests.prove.report import FULL, Proof, scaled
from tests.prove.tries import MAIN, PLAIN, TRIES

pytestmark = pytest.mark.proof("Nobody gains")
JSON = "application/json"
VICTIM = "victim"
PRESET: Body = {
    "preset": {"template": {"spec": {"containers": [{"name": MAIN, "env": [{"name": "PRESET", "value": "true"}]}]}}}
}
FOLLOWING: Body = {"model": {"name": "churn"}, "template": {"spec": PLAIN}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A server with Kubernetes' controllers, and the chart."""
    users = {user: ["staff"] for user in (USER, *ROLES)}
    # Left to themselves the controllers send 20 requests in a second.
    fast = ("--kube-api-qps=1000", "--kube-api-burst=1000")
    folder = tmp_path_factory.mktemp("gains")
    with ApiServer(folder, users=users, controller_manager=True, controller_args=fast) as server:
        runtimes = ("--set-json", f"trainingRuntimes={json.dumps(PRESET)}")
        apply_gateway_kinds(server)
        helm(server, "install", "perennial", str(CHART), "--namespace", SYSTEM, "--create-namespace", *runtimes)
        server.kubectl("create", "priorityclass", "ordinary", "--value=1")
        # Pods that name a node which is not there are removed.
        server.request("POST", NODES.path(), {"metadata": {"name": "control-plane"}})
        yield server


@pytest.fixture(scope="module")
def operator(server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """The operator with the account, the rights and the configuration that the chart gives it."""
    with Watched(server, tmp_path_factory.mktemp("operator")) as operator:
        operator.started()
        yield operator


@dataclass(frozen=True)
class Tried:
    """What a user with `edit` tried in a namespace that enforces `restricted`, and beside each try its control: the
    same in an open namespace, or where that is refused too, the same field without harm."""

    rows: list[Row]
    controls: list[Row]


@pytest.fixture(scope="module")
def tried(server: ApiServer, operator: Watched) -> Tried:
    """All are made before any is looked at: the cluster takes some seconds to refuse a pod in words."""
    restricted, open_ = Place(server, "restricted"), Place(server)
    found = Tried([], [])
    for place in (restricted, open_):
        place.write(EDITOR, MODELDEPLOYMENTS, "churn", FOLLOWING)
    # In CI each template is tried by one kind, and some by the others.
    for resource, step in {TRAININGJOBS: 1, MODELDEPLOYMENTS: scaled(1, 8), RETRAINPOLICIES: scaled(1, 16)}.items():
        for number, one in list(enumerate(TRIES))[::step]:
            name = f"{resource.kind[0].lower()}{number:02}"
            found.rows.append(Row(restricted, resource, name, one, one.template))
            if one.control:
                found.controls.append(Row(restricted, resource, f"{name}-harmless", one, one.control))
            elif one.words:
                found.controls.append(Row(open_, resource, name, one, one.template))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(Row.make, (*found.rows, *found.controls)))
    return found


def test_there_are_tries_enough() -> None:
    assert len({one.name for one in TRIES}) == len(TRIES)
    assert sum(bool(one.words) for one in TRIES) >= 60


def test_who_may_create_pods_gets_none_that_the_namespace_forbids(tried: Tried, proof: Proof) -> None:
    hostile = [row for row in tried.rows if row.what.words]
    place = hostile[0].place

    def silent() -> list[str]:
        said = Seen(place).said
        return [f"{row}: {said.get(row.subject)}" for row in hostile if row.what.words not in said.get(row.subject, "")]

    _until_empty(silent)
    pods = Seen(place).pods
    assert not [row.what.name for row in hostile if row.subject in pods]
    proof.count("tries refused in a restricted namespace, in words on the status", len(hostile))


def test_what_the_namespace_forbids_comes_to_be_where_it_is_allowed(tried: Tried, proof: Proof) -> None:
    def missing() -> list[str]:
        seen = {place: Seen(place) for place in {row.place for row in tried.controls}}
        return [
            f"{row}: {seen[row.place].said.get(row.subject)}"
            for row in tried.controls
            if not says(seen[row.place].pods.get(row.subject), row.template)
        ]

    _until_empty(missing)
    proof.count("controls that came to be", len(tried.controls))


def test_what_comes_to_be_its_author_could_make_by_hand_and_nothing_else(tried: Tried, proof: Proof) -> None:
    own = [row for row in tried.rows if not row.what.words]
    place = own[0].place

    def missing() -> list[str]:
        seen = Seen(place)
        return [
            f"{row}: {seen.said.get(row.subject)}" for row in own if not says(seen.pods.get(row.subject), row.template)
        ]

    _until_empty(missing)
    pods = Seen(place).pods
    made = templates(place)
    compared = [row for row in tried.rows if row.subject in made]
    assert len(compared) > len(own)
    for row in compared:
        refusal = place.by_hand(EDITOR, made[row.subject])
        assert bool(refusal) is (row.subject not in pods), f"{row}: {refusal}"
        assert row.what.words in refusal
    proof.count("templates with the same answer by hand", len(compared))


def _until_empty(missing: Callable[[], list[str]]) -> None:
    deadline = time.monotonic() + 180
    while (left := missing()) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert not left, "\n".join(left)


@pytest.fixture(scope="module")
def bare(server: ApiServer, operator: Watched) -> Place:
    """An open namespace with one object of each kind, of which nothing is to be made yet."""
    place = Place(server)
    plain: Body = {"spec": PLAIN}
    place.write(EDITOR, TRAININGJOBS, "kept", KINDS[TRAININGJOBS](plain, suspend=True))
    place.write(EDITOR, MODELDEPLOYMENTS, "kept", KINDS[MODELDEPLOYMENTS](plain, replicas=0))
    place.write(EDITOR, RETRAINPOLICIES, "kept", KINDS[RETRAINPOLICIES](plain, suspend=True))
    eventually(lambda: place.get(SERVICES, "kept"))
    return place


def test_who_may_not_create_pods_gets_none_by_what_a_template_says(bare: Place, proof: Proof) -> None:
    kinds = list(KINDS.items())

    def refused(number: int) -> int:
        one = TRIES[number]
        # In CI each kind has its turn.
        turns = kinds if FULL else [kinds[number % len(kinds)]]
        for resource, spec in turns:
            written = spec(one.template)
            edited = {"trainingJobTemplate": written["trainingJobTemplate"]} if resource is RETRAINPOLICIES else written
            assert FORBIDDEN in bare.refusal(WRITER, resource, "try", written), one.name
            assert FORBIDDEN in bare.edit_refusal(WRITER, resource, "kept", edited), one.name
            # The right is all that they lack.
            assert not bare.refusal(EDITOR, resource, "try", written, dry=True), one.name
            assert not bare.edit_refusal(EDITOR, resource, "kept", edited, dry=True), one.name
        return 2 * len(turns)

    before = bare.made()
    with ThreadPoolExecutor(8) as pool:
        proof.count("tries of one who may not create pods", sum(pool.map(refused, range(len(TRIES)))))
    assert bare.made() == before


def test_who_may_not_create_pods_gets_none_by_any_other_field(bare: Place, proof: Proof) -> None:
    before = bare.made()
    for resource, spec in WRITTEN:
        name = "churn-1" if resource is MODELVERSIONS else "try"
        assert FORBIDDEN in bare.refusal(WRITER, resource, name, spec), spec
        assert not bare.refusal(EDITOR, resource, name, spec, dry=True), spec
        proof.count("tries of one who may not create pods")
    assert bare.made() == before


def test_who_may_not_create_pods_has_no_other_way_in(bare: Place, proof: Proof) -> None:
    """The same user, without Perennial: so the role of the chart gives nothing else either."""
    pod = {"metadata": {"name": "try"}, "spec": PLAIN}
    job = {"metadata": {"name": "try"}, "spec": {"template": {"spec": PLAIN | {"restartPolicy": "Never"}}}}
    status = {"status": {"promotions": [{"uri": "pvc://robot", "digest": DIGEST, "revision": "kept-1"}]}}
    for method, path, body in (
        ("POST", PODS.path(bare.name), pod),
        ("POST", JOBS.path(bare.name), job),
        ("GET", f"/api/v1/namespaces/{bare.name}/secrets", None),
        ("POST", f"/api/v1/namespaces/{bare.name}/serviceaccounts/robot/token", {"spec": {}}),
        ("PATCH", MODELDEPLOYMENTS.path(bare.name, "kept", "status"), status),
        ("PATCH", TRAININGJOBS.path(bare.name, "kept", "status"), status),
        ("POST", MODELS.path(bare.name), {"metadata": {"name": "try"}}),
    ):
        with pytest.raises(Refused, match="cannot") as refused:
            send(bare.server, method, path, body, user=WRITER, content_type=MERGE if method == "PATCH" else JSON)
        assert refused.value.code == 403
        proof.count("tries of one who may not create pods")


@pytest.fixture
def victim(server: ApiServer) -> str:
    """The namespace `victim`, with what is worth having."""
    server.request("POST", "/api/v1/namespaces", {"metadata": {"name": VICTIM}})
    server.kubectl("create", "secret", "generic", "store", "--from-literal=key=value", "-n", VICTIM)
    server.kubectl("create", "serviceaccount", "robot", "-n", VICTIM)
    for resource, spec in ((MODELDEPLOYMENTS, FOLLOWING), (TRAININGJOBS, training({"spec": PLAIN}, suspend=True))):
        kind = {"apiVersion": resource.api_version, "kind": resource.kind}
        server.request("POST", resource.path(VICTIM), {**kind, "metadata": {"name": "churn"}, "spec": spec})
        eventually(lambda of=resource: server.request("GET", of.path(VICTIM, "churn")).get("status"))
    return VICTIM


def test_what_is_another_namespaces_or_somebody_elses_stays_theirs(
    server: ApiServer, operator: Watched, victim: str, proof: Proof
) -> None:
    place = Place(server)
    place.write(EDITOR, MODELDEPLOYMENTS, "churn", FOLLOWING)
    server.kubectl("create", "service", "clusterip", "payments", "--tcp=80", "-n", place.name)
    backup = {"suspend": True, "template": {"spec": PLAIN | {"restartPolicy": "Never"}}}
    server.request("POST", JOBS.path(place.name), {"metadata": {"name": "backup"}, "spec": backup})
    before = [contents(server, name) for name in (victim, SYSTEM, "kube-system")]
    own = contents(server, place.name)
    theirs = {name: own[name] for name in ("Service payments", "Job backup")}

    waiting: dict[str, Case] = {}
    for number, case in enumerate(CASES):
        name = case.name or f"hostile{number}"
        asked = {ANNOTATION_RUN_REQUEST: "now"} if case.resource is RETRAINPOLICIES else {}
        refusal = place.refusal(EDITOR, case.resource, name, case.spec, annotations=asked)
        assert case.words in refusal or not refusal, case
        if not refusal:
            waiting[name] = case
        place.write(EDITOR, case.resource, _harmless(number, case), case.harmless, annotations=asked)
    assert len(waiting) < len(CASES)

    def silent() -> list[str]:
        return [
            f"{case}: {status}"
            for name, case in waiting.items()
            if case.words not in (status := json.dumps((place.get(case.resource, name) or {}).get("status")))
        ]

    def missing() -> list[str]:
        return [
            f"{case}"
            for number, case in enumerate(CASES)
            if case.shown not in json.dumps(_made(place, case.resource, _harmless(number, case)))
        ]

    _until_empty(silent)
    _until_empty(missing)
    assert [contents(server, name) for name in (victim, SYSTEM, "kube-system")] == before
    now = contents(server, place.name)
    assert {name: now[name] for name in theirs} == theirs
    assert not [name for name in now if name.split()[0] == "Pod" and "hostile" in name]
    proof.count("tries to reach what is somebody else's", len(CASES))
    proof.count("controls that came to be", len(CASES))


def _harmless(number: int, case: Case) -> str:
    return f"churn-{case.harmless['version']}" if case.resource is MODELVERSIONS else f"harmless{number}"


def _made(place: Place, resource: Resource, name: str) -> Body | None:
    """What the operator made of an object; a ModelVersion is what was made."""
    if resource is RETRAINPOLICIES:
        return place.get(TRAININGJOBS, f"{name}-1")
    if resource is MODELVERSIONS:
        return place.get(MODELVERSIONS, name)
    return place.pods("trainingjob" if resource is TRAININGJOBS else "modeldeployment").get(name)


def test_nobody_writes_into_a_namespace_that_is_not_theirs(server: ApiServer, proof: Proof) -> None:
    place = Place(server)
    job = {"apiVersion": TRAININGJOBS.api_version, "kind": "TrainingJob", "spec": training({"spec": PLAIN})}
    for namespace, written, words in (
        ("kube-system", "kube-system", "cannot create"),
        (SYSTEM, SYSTEM, "cannot create"),
        (place.name, "kube-system", "does not match the namespace"),
    ):
        body = {**job, "metadata": {"name": "try", "namespace": written}}
        with pytest.raises(Refused, match=words):
            send(server, "POST", TRAININGJOBS.path(namespace), body, user=EDITOR)
        proof.count("tries to reach what is somebody else's")
    assert not place.refusal(EDITOR, TRAININGJOBS, "try", job["spec"], dry=True)


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as listener:
        yield listener


# Of inputs: metadata services, loopback in all its spellings, the API server, redirects, names that change their mind.
URLS = (
    "http://127.0.0.1:{port}/redirect",
    "http://127.0.0.1:{port}/latest",
    "http://localhost:{port}/",
    "http://127.1:{port}/",
    "http://2130706433:{port}/",
    "http://0x7f000001:{port}/",
    "http://0.0.0.0:{port}/",
    "http://[::1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://user:password@127.0.0.1:{port}/",
    "http://127.0.0.1.nip.example:{port}/",
    "http://rebind.example:{port}/",
    "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "https://kubernetes.default.svc/api/v1/secrets",
    "https://10.96.0.1/api/v1/secrets",
    "{apiserver}/api/v1/namespaces/kube-system/secrets",
    "http://perennial.perennial-system.svc:8080/metrics",
    "s3://127.0.0.1:{port}/latest",
    "s3://169.254.169.254/latest",
)


def test_urls_are_for_pods_and_the_operator_asks_nobody_but_the_api_server(
    server: ApiServer, operator: Watched, listener: Listener, tmp_path: Path, proof: Proof
) -> None:
    place = Place(server)
    place.write(EDITOR, MODELDEPLOYMENTS, "churn", FOLLOWING)
    urls = [url.format(port=listener.port, apiserver=server.url) for url in URLS]
    stores = [url for url in urls if url.startswith("s3:")]
    for number, url in enumerate(urls):
        image = f"127.0.0.1:{listener.port}/image:{number}"
        template = {"spec": overlay(PLAIN, {"containers": [{"name": MAIN, "image": image}]})}
        inputs = [{"name": "data", "uri": url}]
        code = {"repository": url, "revision": "1"}
        spec = training(template, inputs=inputs, code=code, output={"mode": "External"})
        assert FORBIDDEN in place.refusal(WRITER, TRAININGJOBS, f"u{number}", spec)
        place.write(EDITOR, TRAININGJOBS, f"u{number}", spec)
    for number, url in enumerate(stores):
        place.write(EDITOR, TRAININGJOBS, f"o{number}", training({"spec": PLAIN}, output={"uri": url}))
        files = {"uri": url, "digest": DIGEST, "format": "sklearn"}
        place.write(EDITOR, MODELDEPLOYMENTS, f"m{number}", serving({"spec": PLAIN}, model=files))
    # The last one is the one that `churn` takes up.
    place.write(EDITOR, MODELVERSIONS, "churn-1", version(uri=stores[0]))

    def tasks() -> dict[str, str]:
        """The task of the first container of each pod."""
        found = {}
        for label in ("trainingjob", "modeldeployment"):
            for name, pod in place.pods(label).items():
                env = {one["name"]: one.get("value") for one in pod["spec"]["initContainers"][0]["env"]}
                found[name] = str(env["PERENNIAL_TASK"])
        return found

    wanted = {f"u{number}": url for number, url in enumerate(urls)} | {"churn": stores[0]}
    wanted |= {f"{kind}{number}": url for kind in "om" for number, url in enumerate(stores)}
    _until_empty(lambda: [f"{name}: {url}" for name, url in wanted.items() if url not in tasks().get(name, "")])
    notes = [json.loads(line) for line in operator.notes.read_text().splitlines()]
    asked = {str(subject) for _, subject in notes}
    port = urlsplit(server.url).port
    assert {event for event, _ in notes} <= {"socket.connect", "socket.getaddrinfo"}
    assert str(["127.0.0.1", port]) in asked
    assert asked <= {"127.0.0.1", str(["127.0.0.1", port])}
    assert listener.asked == []
    proof.count("URLs that the operator never asks", len(wanted))

    # In the pod it would be asked.
    env = {
        "PERENNIAL_TASK": tasks()["u0"].replace("$$", "$"),
        "PERENNIAL_ATTEMPT": "u0-pod",
        "PERENNIAL_ROOT": str(tmp_path / "root"),
        "PERENNIAL_LAUNCHER": __file__,
        "PERENNIAL_TERMINATION_LOG": str(tmp_path / "message"),
        "PYTHONPATH": str(ROOT / "operator"),
    }
    subprocess.run([sys.executable, "-m", "perennial.agent", "prepare"], env=os.environ | env, timeout=60, check=False)
    assert "/landed" in listener.asked


def test_without_the_policy_the_right_to_write_is_the_right_to_create_pods(
    server: ApiServer, operator: Watched, proof: Proof
) -> None:
    """As the documentation says; and so it is the policy that the tries above are refused by."""
    place = Place(server)
    tries = [one for one in TRIES if one.words and not one.harmless][:: scaled(1, 8)]
    off = ("--set", "policies.podCreation.enabled=false")
    helm(server, "upgrade", "perennial", str(CHART), "--namespace", SYSTEM, *off)
    try:
        spec = KINDS[TRAININGJOBS]
        eventually(lambda: not place.refusal(WRITER, TRAININGJOBS, "first", spec(tries[0].template)))
        for number, one in enumerate(tries[1:]):
            place.write(WRITER, TRAININGJOBS, f"try-{number}", spec(one.template))
        eventually(lambda: len(place.pods("trainingjob")) == len(tries), 60)
    finally:
        helm(server, "upgrade", "perennial", str(CHART), "--namespace", SYSTEM, "--reset-values")
    eventually(lambda: FORBIDDEN in place.refusal(WRITER, TRAININGJOBS, "last", spec({"spec": PLAIN}), dry=True))
    proof.count("controls that came to be", len(tries))
