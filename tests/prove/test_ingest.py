"""Who may not report, and what is no report, is refused by the ingest endpoint with the right code and words."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from e2e.cluster.apiserver import ApiServer
from perennial.api.meta import AUDIENCE
from perennial.api.resources import METRICSERIES, MODELDEPLOYMENTS
from tests.apiserver.reporting import RBAC, Place, path, sample
from tests.prove.forger import Forger
from tests.prove.ingesting import Ingesting, Wire, by, certificates, statuses, whole
from tests.prove.nonsense import BODY, reports, requests
from tests.prove.report import FULL, Proof

pytestmark = pytest.mark.proof("Ingest")
ISSUER = "https://kubernetes.default.svc.cluster.local"


@pytest.fixture(params=["Cluster", "Namespaced"])
def served(
    request: pytest.FixtureRequest, controlled: ApiServer, config: Path, place: Place, tmp_path: Path
) -> Iterator[tuple[Ingesting, Place]]:
    """A user's namespace, and who serves it: an operator of the whole cluster, or one of that namespace alone."""
    if request.param == "Cluster":
        yield request.getfixturevalue("operator"), place
        return
    with Ingesting(controlled, place, config, certificates(tmp_path / "tls"), scope=request.param) as operator:
        yield operator.ready(), place
        assert operator.complaints() == []


async def test_no_token_but_a_good_one_is_taken(served: tuple[Ingesting, Place], proof: Proof) -> None:
    operator, place = served
    token = place.reporter()
    forger = Forger(place.server, token)
    now, kubernetes = int(time.time()), forger.claims["kubernetes.io"]
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pod = place.server.request("POST", f"/api/v1/namespaces/{place.name}/pods", _pod("good"))["metadata"]["uid"]
    bad = {
        "expired a while ago": forger.sign(exp=now - 70, iat=now - 700, nbf=now - 700),
        "expired long ago": forger.sign(exp=1, iat=0, nbf=0),
        "not valid yet": forger.sign(nbf=now + 600, exp=now + 1200),
        "negative times": forger.sign(exp=-1, iat=-2, nbf=-2),
        "of another audience": forger.sign(aud=["vault"]),
        "of no audience": forger.sign(aud=[]),
        "without audience": forger.sign(aud=None),
        "for the API server": forger.sign(aud=[ISSUER]),
        "of an audience like ours": forger.sign(aud=["Perennial", "perennial ", "perennial.dev"]),
        "of another issuer": forger.sign(iss="https://elsewhere.example"),
        "signed by another key": forger.sign(other),
        "not signed": forger.unsigned("none"),
        "signed with the public key": forger.unsigned("HS256"),
        "of another uid": forger.sign(
            **{"kubernetes.io": kubernetes | {"serviceaccount": {"name": "monitor", "uid": "x"}}}
        ),
        "of an account that is not there": forger.sign(
            sub=f"system:serviceaccount:{place.name}:ghost",
            **{"kubernetes.io": kubernetes | {"serviceaccount": {"name": "ghost", "uid": "x"}}},
        ),
        "of a pod that is gone": forger.sign(**{"kubernetes.io": kubernetes | {"pod": {"name": "gone", "uid": "x"}}}),
        "of an earlier pod of a name": forger.sign(
            **{"kubernetes.io": kubernetes | {"pod": {"name": "good", "uid": "x"}}}
        ),
        "of nobody": forger.sign(sub=None, **{"kubernetes.io": None}),
        "cut off": token[:-20],
        "with more behind it": f"{token}.{token}",
        "empty": "=",
        "long": "a" * 7000,
        "of dots": "." * 1000,
    }
    good = {
        "its own": token,
        "signed by us": forger.sign(),
        "of a pod that is there": forger.sign(**{"kubernetes.io": kubernetes | {"pod": {"name": "good", "uid": pod}}}),
    }
    wrong = []
    for who, one in bad.items():
        async with by(operator, one) as reporter:
            answer = await reporter.report(place, sample())
        if answer.status != 401 or "give a Kubernetes token of audience 'perennial'" not in answer.body["error"]:
            wrong.append((who, answer))
        proof.count("bad tokens refused")
    assert not wrong, "\n".join(str(one)[:1500] for one in wrong)
    for who, one in good.items():
        async with by(operator, one) as reporter:
            assert (await reporter.report(place, sample())).status == 200, who
    assert place.counted() == len(good)


def _pod(name: str, account: str = "monitor") -> dict[str, Any]:
    container = {"name": "main", "image": "monitor:1"}
    return {
        "metadata": {"name": name},
        "spec": {"serviceAccountName": account, "nodeName": "nowhere", "containers": [container]},
    }


async def test_nobody_reports_where_he_may_not(served: tuple[Ingesting, Place], proof: Proof) -> None:
    operator, place = served
    other = Place(place.server)
    other.deploy()
    place.deploy("fraud")
    monitor = place.reporter(deployments=["churn"])
    place.account("training")
    names = ["fraud", "churn-1", "Churn", "churn%00", "churn%2f", "%2e%2e", "..%2fchurn", "churn%2F..%2Ffraud", "*"]
    names += ["churn%20", "chu%CC%88rn", "сhurn", "churn%E2%80%8B", "churn%0d%0aX:%20y", "a" * 64, "a" * 5000, ";churn"]
    where = [path(place, name) for name in names]
    where += [path(other), path(other, "..%2F..%2F" + place.name + "%2Fmodeldeployments%2Fchurn")]
    where += [f"/v1/namespaces/{other.name}/../{place.name}/modeldeployments/churn/metrics".replace("..", "%2E%2E")]
    where += [f"/v1/namespaces/{name}/modeldeployments/churn/metrics" for name in ("kube-system", "%2A", "", "-")]
    tries = [(monitor, one) for one in where] + [(place.token("training"), path(place))]
    wrong = []
    async with Wire(operator) as wire:
        for number, (token, one) in enumerate(tries):
            await wire.send(whole(one.encode().decode("latin-1"), token, BODY))
            answers = await wire.heard(5, 1)
            if not set(statuses(answers)) & {400, 403, 404}:
                wrong.append((one, answers))
            proof.count("reports elsewhere refused")
            if number % 8 == 7:
                await asyncio.sleep(1)
    for one in (place, other):
        assert one.server.request("GET", METRICSERIES.path(one.name))["items"] == []


@pytest.mark.skipif(not FULL, reason="waits for twenty seconds, which the unit tests of verdicts do not")
async def test_what_was_taken_away_counts_no_longer_than_said(served: tuple[Ingesting, Place], proof: Proof) -> None:
    operator, place = served
    server, space = place.server, f"/api/v1/namespaces/{place.name}"
    tokens = {name: place.reporter(name) for name in ("pod", "account", "role", "expiring", "deployment", "kept")}
    server.request("POST", f"{space}/pods", _pod("monitor", "pod"))
    bound = {"audiences": [AUDIENCE], "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "monitor"}}
    made = server.request("POST", f"{space}/serviceaccounts/pod/token", {"spec": bound})
    tokens["pod"] = made["status"]["token"]
    place.deploy("leaving")
    forger = Forger(server, tokens["expiring"])
    # The API server allows for a minute of difference between clocks.
    tokens["expiring"] = forger.sign(exp=int(time.time()) - 54)
    reporters = {name: by(operator, token) for name, token in tokens.items()}

    async def status(name: str) -> int:
        return (
            await reporters[name].report(place, sample(), name="leaving" if name == "deployment" else "churn")
        ).status

    assert [await status(name) for name in tokens] == [200] * 6
    server.request("DELETE", f"{space}/pods/monitor?gracePeriodSeconds=0")
    server.request("DELETE", f"{space}/serviceaccounts/account")
    server.request("DELETE", f"{RBAC}/namespaces/{place.name}/rolebindings/role")
    server.request("DELETE", MODELDEPLOYMENTS.path(place.name, "leaving"))
    expected = {"pod": 401, "account": 401, "role": 403, "expiring": 401, "deployment": 404}
    # A verdict is remembered for 20 seconds; the API server's own memory of tokens and roles comes on top.
    deadline = time.monotonic() + 40
    while expected:
        for name in [name for name, code in expected.items() if await status(name) == code]:
            del expected[name]
            proof.count("rights taken away")
        assert time.monotonic() < deadline, expected
        await asyncio.sleep(1)
    assert await status("kept") == 200
    for reporter in reporters.values():
        await reporter.__aexit__()


async def test_no_bad_report_counts(operator: Ingesting, place: Place, proof: Proof) -> None:
    tokens = [place.reporter(f"monitor-{number}") for number in range(8)]
    bad = list(reports().items())

    async def send(token: str, mine: list[Any]) -> None:
        async with by(operator, token) as reporter:
            for what, (body, status) in mine:
                answer = await reporter.send(path(place), body)
                words = answer.body["error"] if isinstance(answer.body, dict) else ""
                if answer.status != status or not words or len(json.dumps(answer.body)) > 4096:
                    wrong.append((what, answer.status, answer.body))
                proof.count("bad reports refused")
                # Ten in a second are taken.
                await asyncio.sleep(0.1)

    wrong: list[Any] = []
    await asyncio.gather(*(send(token, bad[number::8]) for number, token in enumerate(tokens)))
    assert not wrong, "\n".join(str(one)[:1500] for one in wrong)
    async with by(operator, tokens[0]) as reporter:
        await asyncio.sleep(1)
        assert (await reporter.report(place, sample())).status == 200
    assert place.counted() == 1


async def test_no_request_that_is_none_of_http_is_taken(operator: Ingesting, place: Place, proof: Proof) -> None:
    token, wrong = place.reporter(), []
    for number, (what, (data, codes)) in enumerate(requests(path(place), token).items()):
        async with Wire(operator, f"127.0.1.{number}") as wire:
            await wire.send(data)
            answers = await wire.heard(1.5, 1)
        found = statuses(answers)
        # What follows on the connection is not taken for a request of its own.
        if len(found) > 1 or not set(found) <= codes or (codes and not found) or token.encode() in answers:
            wrong.append((what, answers[:500]))
        proof.count("bad requests refused")
    assert not wrong, "\n".join(str(one)[:1500] for one in wrong)
    async with by(operator, token) as reporter:
        await asyncio.sleep(1)
        assert (await reporter.report(place, sample())).status == 200
    assert place.counted() == 1
