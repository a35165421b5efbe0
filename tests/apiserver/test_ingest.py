"""Reporting metrics over TLS, to an endpoint that has exactly the operator's rights on a real API server."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from e2e.cluster.apiserver import ADMIN, ApiServer
from perennial.api.meta import AUDIENCE
from perennial.api.metricseries import MAX_BYTES
from perennial.api.resources import METRICSERIES, MODELDEPLOYMENTS, PODS
from perennial.ingest.clusterwide import ClusterReviewer
from perennial.ingest.namespaced import NamespaceReviewer
from perennial.ingest.published import PublishedKeys
from perennial.ingest.service import IngestService
from perennial.kube.http import HttpClient
from tests.apiserver.operators import apply_kinds
from tests.apiserver.reporting import Place, Replica, Reporter, path, sample, serving, until
from tests.prove.report import Proof, scaled

in_both_scopes = pytest.mark.parametrize("scope", ["Cluster", "Namespaced"])


@pytest.fixture
def scope() -> str:
    """Of the operator: which namespaces it serves."""
    return "Cluster"


@pytest.fixture(scope="module")
def system(kinds: ApiServer) -> Place:
    """The namespace of an operator of the whole cluster."""
    return Place(kinds)


@pytest.fixture(scope="module")
def of_the_cluster(system: Place) -> Path:
    """Its kubeconfig."""
    return system.operator()


@pytest.fixture
def place(kinds: ApiServer) -> Place:
    """A user's namespace with a ModelDeployment."""
    place = Place(kinds)
    place.deploy()
    return place


@pytest.fixture
def home(scope: str, system: Place, place: Place) -> Place:
    """The operator's namespace."""
    return system if scope == "Cluster" else place


@pytest.fixture
def operator(scope: str, of_the_cluster: Path, home: Place) -> Path:
    """The operator's kubeconfig."""
    return of_the_cluster if scope == "Cluster" else home.operator(scope)


@pytest_asyncio.fixture
async def service(operator: Path, home: Place, scope: str) -> AsyncIterator[IngestService]:
    async with serving(operator, home.name, scope=scope) as service:
        await until(lambda: service.ready() is None)
        yield service


def by(service: IngestService, home: Place, token: str | None) -> Reporter:
    return Reporter(service.port, home.bundle(), token)


@in_both_scopes
@pytest.mark.proof("Ingest")
async def test_who_has_no_token_of_ours_is_refused(
    service: IngestService, home: Place, place: Place, proof: Proof
) -> None:
    place.reporter()
    strangers = {
        "none": None,
        "made up": "eyJhbGciOiJub25lIn0.e30.",
        "of another audience": place.token("monitor", "vault"),
        "for the API server": place.server.service_account_token(place.name, "monitor"),
        "of an administrator, without audience": place.server.token(ADMIN),
    }
    for who, token in strangers.items():
        async with by(service, home, token) as reporter:
            answer = await reporter.report(place, sample())
            assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer"), who
            assert "audience 'perennial'" in answer.body["error"]
            proof.count("bad tokens refused")


async def test_a_user_is_the_same_by_whatever_he_is_known(kinds: ApiServer, client: HttpClient, place: Place) -> None:
    place.account("monitor")
    tokens = [place.token("monitor")]
    kinds.request("POST", "/api/v1/nodes", {"metadata": {"name": place.name}})
    for node in (None, place.name, "nowhere"):
        name = f"on-{node}".lower()
        container = {"name": "main", "image": "monitor:1"}
        spec = {"serviceAccountName": "monitor", "containers": [container], "nodeName": node}
        kinds.request("POST", PODS.path(place.name), {"metadata": {"name": name}, "spec": spec})
        wanted = {"audiences": [AUDIENCE], "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": name}}
        path = f"/api/v1/namespaces/{place.name}/serviceaccounts/monitor/token"
        tokens.append(kinds.request("POST", path, {"spec": wanted})["status"]["token"])
    namespaced = NamespaceReviewer(client, PublishedKeys(client.read), place.name)
    for token in tokens:
        user = await namespaced.user(token)
        assert user
        assert user == await ClusterReviewer(client).user(token)


@in_both_scopes
async def test_a_token_without_the_right_is_refused_in_words(service: IngestService, home: Place, place: Place) -> None:
    place.account("nobody")
    async with by(service, home, place.token("nobody")) as reporter:
        answer = await reporter.report(place, sample())
    assert answer.status == 403
    assert answer.body["error"] == (
        f"system:serviceaccount:{place.name}:nobody may not report metrics of 'churn': it needs a Role in "
        f"'{place.name}' with the verb create on modeldeployments/metrics (API group perennial.dev)"
    )


@in_both_scopes
async def test_a_right_can_be_for_one_deployment(service: IngestService, home: Place, place: Place) -> None:
    place.deploy("fraud")
    async with by(service, home, place.reporter(deployments=["churn"])) as reporter:
        assert (await reporter.report(place, sample(), name="fraud")).status == 403
        assert (await reporter.report(place, sample())).status == 200


@pytest.mark.parametrize("scope", ["Namespaced"])
async def test_other_namespaces_are_not_served(service: IngestService, home: Place, kinds: ApiServer) -> None:
    other = Place(kinds)
    other.deploy()
    theirs, ours = other.reporter(), home.reporter()
    async with by(service, home, ours) as reporter:
        answer = await reporter.report(other, sample())
    assert (answer.status, answer.body["error"]) == (404, f"this operator serves the namespace {home.name!r} only")
    async with by(service, home, theirs) as reporter:
        for place in (home, other):
            answer = await reporter.report(place, sample())
            assert answer.status == 401
            assert f"audience 'perennial' of a ServiceAccount in {home.name!r}" in answer.body["error"]


@in_both_scopes
async def test_what_is_accepted_is_in_a_record_of_the_deployment(
    service: IngestService, home: Place, place: Place
) -> None:
    async with by(service, home, place.reporter()) as reporter:
        answer = await reporter.report(place, sample(0.9), sample(0.7, count=3))
    assert (answer.status, answer.body) == (200, {"accepted": 2})
    series = place.series()
    (owner,) = series["metadata"]["ownerReferences"]
    deployment = place.server.request("GET", MODELDEPLOYMENTS.path(place.name, "churn"))
    assert (owner["kind"], owner["uid"], owner["controller"]) == (
        "ModelDeployment",
        deployment["metadata"]["uid"],
        True,
    )
    (row,) = series["status"]["series"]
    assert row["minutes"][0].split(" ")[1:5] == ["4", "3", "0.7", "0.9"]


async def test_reports_come_together_in_few_writes(service: IngestService, home: Place, place: Place) -> None:
    async with by(service, home, place.reporter()) as reporter:
        answers = await asyncio.gather(*(reporter.report(place, sample()) for _ in range(10)))
    assert {answer.status for answer in answers} == {200}
    assert place.counted() == 10
    # The first is written at once, the others wait together. Each write is a generation.
    assert place.series()["metadata"]["generation"] <= 4


async def test_an_acknowledged_sample_outlives_the_process(operator: Path, home: Place, place: Place) -> None:
    token = place.reporter()
    for number in range(3):
        with Replica(operator, home.name, "perennial-killed") as replica:
            async with Reporter(replica.port, home.bundle(), token) as reporter:
                answer = await reporter.report(place, sample())
                replica.kill()
        assert answer.status == 200
        assert place.counted() == number + 1


@pytest.mark.proof("Ingest")
async def test_two_replicas_lose_nothing_of_each_other(operator: Path, home: Place, place: Place, proof: Proof) -> None:
    tokens = [place.reporter(f"monitor-{i}") for i in range(4)]
    accepted = 0

    async def report(port: int, token: str) -> None:
        nonlocal accepted
        async with Reporter(port, home.bundle(), token) as reporter:
            for _ in range(20):
                answer = await reporter.report(place, sample(), sample(count=2))
                assert answer.status in (200, 429), answer
                accepted += 3 if answer.status == 200 else 0

    with Replica(operator, home.name, "perennial-a") as a, Replica(operator, home.name, "perennial-b") as b:
        assert home.bundle().count("BEGIN CERTIFICATE") >= 2
        await asyncio.gather(*(report(replica.port, token) for token in tokens for replica in (a, b)))
    assert accepted >= 300
    assert place.counted() == accepted
    proof.count("acknowledged samples found", accepted)


@pytest.mark.proof("Ingest")
async def test_a_sender_may_report_ten_times_a_second(
    service: IngestService, home: Place, place: Place, proof: Proof
) -> None:
    async with by(service, home, place.reporter()) as reporter:
        await reporter.report(place, sample())
        await asyncio.sleep(1)
        answers = await asyncio.gather(*(reporter.report(place, sample()) for _ in range(14)))
        refused = [answer for answer in answers if answer.status == 429]
        assert len(refused) == 4
        proof.count("requests above the rate refused", len(refused))
        assert {answer.headers["Retry-After"] for answer in refused} == {"1"}
        async with by(service, home, place.reporter("other")) as other:
            assert (await other.report(place, sample())).status == 200
        await asyncio.sleep(1)
        assert (await reporter.report(place, sample())).status == 200


@pytest.mark.proof("Ingest")
async def test_there_is_a_bound_on_records_that_wait(
    service: IngestService, home: Place, place: Place, proof: Proof
) -> None:
    names = [f"model-{i}" for i in range(60)]
    for name in names:
        place.deploy(name)
    tokens = [place.reporter(f"monitor-{i}") for i in range(6)]
    answers = []

    async def report(token: str, mine: list[str]) -> None:
        async with by(service, home, token) as reporter:
            answers.extend(await asyncio.gather(*(reporter.report(place, sample(), name=name) for name in mine)))

    started = time.monotonic()
    await asyncio.gather(*(report(token, names[10 * i : 10 * i + 10]) for i, token in enumerate(tokens)))
    taken = time.monotonic() - started
    accepted = [answer for answer in answers if answer.status == 200]
    refused = [answer for answer in answers if answer.status == 429]
    assert len(accepted) + len(refused) == 60
    assert refused
    proof.count("records above the rate refused", len(refused))
    assert all(int(answer.headers["Retry-After"]) >= 10 for answer in refused)
    assert len(accepted) <= taken * 5 + 1


@pytest.mark.parametrize("where", ["missing", "Churn", "churn%2F..%2F..%2Fpods", "%2e%2e", "churn%00"])
async def test_a_deployment_that_is_not_there(service: IngestService, home: Place, place: Place, where: str) -> None:
    async with by(service, home, place.reporter()) as reporter:
        answer = await reporter.send(path(place, where), json.dumps({"samples": [sample()]}))
    assert answer.status in (403, 404)
    items = place.server.request("GET", METRICSERIES.path(place.name))["items"]
    assert items == []


@pytest.mark.proof("Ingest")
async def test_bad_reports_are_told_what_is_wrong(
    service: IngestService, home: Place, place: Place, proof: Proof
) -> None:
    wrong = {
        b"{": "the body is no JSON",
        json.dumps(
            {"samples": [sample(), sample(value="high")]}
        ).encode(): "samples[1].value: Input should be a valid n",
        json.dumps({"samples": [sample(timestamp=0)]}).encode(): "samples[0].timestamp:",
        b'{"samples": [{"name": "a", "value": 1}]}': "samples[0].revision: missing: the header Perennial-Revision",
    }
    async with by(service, home, place.reporter()) as reporter:
        for body, words in wrong.items():
            answer = await reporter.send(path(place), body)
            assert answer.status == 400
            assert words in answer.body["error"]
            proof.count("bad reports refused")
        assert (await reporter.send(path(place), b" " * 300_000)).status == 413

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(5):
                yield b" " * 60_000

        assert (await reporter.send(path(place), chunks())).status == 413
        compressed = await reporter.send(path(place), b"\x1f\x8b", **{"Content-Encoding": "gzip"})
        assert compressed.status == 415


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.proof("Ingest")
async def test_no_body_makes_an_error_of_ours(service: IngestService, home: Place, place: Place, proof: Proof) -> None:
    fields = ("name", "value", "timestamp", "revision", "count")
    samples = st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(fields, JSONS)), max_size=3)
    bodies = st.binary() | JSONS.map(json.dumps) | samples.map(lambda found: json.dumps({"samples": found}))
    found: list[bytes | str] = []

    @settings(max_examples=scaled(600, 60), suppress_health_check=list(HealthCheck), database=None)
    @given(body=bodies)
    def collect(body: bytes | str) -> None:
        found.append(body)

    collect()
    async with by(service, home, place.reporter()) as reporter:
        statuses = set()
        for start in range(0, len(found), 10):
            answers = await asyncio.gather(*(reporter.send(path(place), body) for body in found[start : start + 10]))
            statuses |= {answer.status for answer in answers}
            await asyncio.sleep(1)
    assert statuses == {400}
    proof.count("bad reports refused", len(found))


async def test_a_record_stays_small_on_the_server_too(service: IngestService, home: Place, place: Place) -> None:
    now = time.time()
    ages = [*range(0, 3600, 60), *range(0, 43_200, 900), *range(0, 2_500_000, 86_400)]
    async with by(service, home, place.reporter()) as reporter:
        for i in range(16):
            long = f"metric-{i}".ljust(63, "x").replace("-", "_")
            samples = [sample(-age / 7e9, name=long, timestamp=now - age, count=10**9) for age in ages]
            assert (await reporter.report(place, *samples)).status == 200
            await asyncio.sleep(0.1)
        answer = await reporter.report(place, sample(name="one-too-many"))
    assert answer.status == 400
    assert "at most 16 series" in answer.body["error"]
    stored = len(json.dumps(place.series(), separators=(",", ":")))
    assert MAX_BYTES * 0.8 < stored <= MAX_BYTES


async def test_the_ca_is_where_deployments_are(
    service: IngestService, home: Place, place: Place, kinds: ApiServer
) -> None:
    def copied() -> bool:
        try:
            return place.bundle() == home.bundle()
        except OSError:
            return False

    await until(copied)
    empty = Place(kinds)
    names = [
        item["metadata"]["name"]
        for item in kinds.request("GET", f"/api/v1/namespaces/{empty.name}/configmaps")["items"]
    ]
    assert "perennial-ca" not in names


async def test_an_operator_that_runs_in_a_namespace_is_told_of(
    operator: Path, system: Place, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(place.operator("Namespaced"), place.name, "theirs-0", scope="Namespaced") as theirs:
        await until(lambda: theirs.ready() is None)
        before = place.bundle()
        async with serving(operator, system.name):
            await until(
                lambda: f"another operator runs in {place.name}, and both act on the same objects" in caplog.text
            )
        assert place.bundle() == before


async def test_a_configmap_of_somebody_else_is_left_alone(operator: Path, kinds: ApiServer) -> None:
    home = Place(kinds)
    theirs = {"metadata": {"name": "perennial-ca"}, "data": {"ca.crt": "theirs"}}
    kinds.request("POST", f"/api/v1/namespaces/{home.name}/configmaps", theirs)
    async with serving(operator, home.name) as service:
        await until(lambda: service.ready() is None)
        assert home.bundle() == "theirs"


async def test_who_does_not_trust_the_ca_does_not_connect(service: IngestService, place: Place) -> None:
    async with Reporter(service.port, "", None) as reporter:
        with pytest.raises(OSError, match="certificate verify failed"):
            await reporter.report(place, sample())


async def test_reports_in_flight_are_answered_when_it_stops(operator: Path, home: Place, place: Place) -> None:
    token = place.reporter()
    async with serving(operator, home.name) as service:
        await until(lambda: service.ready() is None)
        reporter = by(service, home, token)
        # The second waits for its turn while the service stops.
        await reporter.report(place, sample())
        waiting = asyncio.create_task(reporter.report(place, sample()))
        await asyncio.sleep(0.05)
        assert not waiting.done()
    answer = await waiting
    await reporter.__aexit__()
    assert answer.status == 200
    assert place.counted() == 2


@pytest.mark.proof("Ingest")
async def test_nothing_is_acknowledged_while_the_api_server_is_away(tmp_path: Path, proof: Proof) -> None:
    with ApiServer(tmp_path) as server:
        apply_kinds(server)
        place = Place(server)
        place.deploy()
        token = place.reporter()
        async with serving(server.kubeconfig, place.name) as service:
            await until(lambda: service.ready() is None)
            async with by(service, place, token) as reporter:
                assert (await reporter.report(place, sample())).status == 200
                await asyncio.to_thread(server.stop_apiserver, kill=True)
                answer = await reporter.report(place, sample())
                assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
                proof.count("kills of the API server under load")
                await asyncio.to_thread(server.start_apiserver)
                assert (await reporter.report(place, sample())).status == 200
        assert place.counted() == 2


async def test_the_record_goes_with_its_deployment(controlled: ApiServer) -> None:
    place = Place(controlled)
    place.deploy()
    token = place.reporter()
    async with serving(controlled.kubeconfig, place.name) as service:
        await until(lambda: service.ready() is None)
        async with by(service, place, token) as reporter:
            assert (await reporter.report(place, sample())).status == 200
            before = place.series()["metadata"]["uid"]
            controlled.request("DELETE", MODELDEPLOYMENTS.path(place.name, "churn"))
            assert (await reporter.report(place, sample())).status == 404
            place.deploy()
            answer = await reporter.report(place, sample())
            deadline = time.monotonic() + 60
            while answer.status == 503:
                assert "earlier ModelDeployment" in answer.body["error"]
                assert time.monotonic() < deadline
                await asyncio.sleep(0.5)
                answer = await reporter.report(place, sample())
    assert answer.status == 200
    assert place.series()["metadata"]["uid"] != before
    assert place.counted() == 1
