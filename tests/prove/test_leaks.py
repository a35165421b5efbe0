"""Leaks: secrets that people put where they may are told nowhere: not in logs, Events, statuses, notes or metrics."""

import asyncio
import base64
import json
import re
import signal
import socket
import ssl
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.apiserver import ApiServer
from e2e.cluster.ports import free_ports
from perennial.api.resources import (
    CHILD_KINDS,
    CONFIGMAPS,
    DEPLOYMENTS,
    EVENTS,
    JOBS,
    MODELDEPLOYMENTS,
    MODELVERSIONS,
    OWN_KINDS,
    PODS,
    RETRAINPOLICIES,
    TRAININGJOBS,
)
from perennial.api.task import Artifact, FetchTask, PrepareTask
from perennial.plan import Body
from tests.apiserver.kubelet import Kubelet
from tests.apiserver.operators import USER, Perennial, eventually
from tests.apiserver.reporting import Place, Reporter, sample
from tests.apiserver.space import Space
from tests.prove.report import Proof, scaled
from tests.unit.agent.conftest import launcher, layout, pod, prepared, s3, s3_server, web
from tests.unit.server.conftest import ServerProcess, iris, iris_dir

__all__ = ["iris", "iris_dir", "launcher", "layout", "pod", "prepared", "s3", "s3_server", "web"]

# Each is found wherever it comes up, in whatever words around it.
CANARY = re.compile(r"canary-[a-z]+-[0-9a-f]{8}")


def canary(where: str) -> str:
    return f"canary-{where}-{zlib.crc32(where.encode()):08x}"


def url(path: str = "data.csv", host: str = "data.example") -> str:
    """With a password and a signature."""
    return f"https://user:{canary('password')}@{host}/{path}?X-Amz-Signature={canary('signature')}#{canary('fragment')}"


def training(**spec: Any) -> Body:
    secret = {"name": "STORED", "valueFrom": {"secretKeyRef": {"name": "perennial-storage", "key": "STORED"}}}
    env = [{"name": "PASSWORD", "value": canary("env")}, secret]
    container = {"name": "main", "image": "train:1", "command": ["train", canary("command")], "env": env}
    return {
        "model": {"name": "churn"},
        "template": {"metadata": {"annotations": {"a": canary("note")}}, "spec": {"containers": [container]}},
        "inputs": [{"name": "data", "uri": url()}],
        "code": {"repository": url("repository.git"), "revision": "1"},
        "output": {"uri": "s3://acme/models"},
        "backoffLimit": 0,
        **spec,
    }


@pytest.fixture
def talkative(controlled: ApiServer, config: Path, perennial: Perennial) -> Iterator[Perennial]:
    """The operator with its endpoint for metrics, telling all that it ever tells."""
    # Told to, they give up the lease at once.
    perennial.signal(signal.SIGTERM)
    perennial.exit_code()
    operator = Perennial(controlled, "perennial-loud", config)
    operator.ingest_port = free_ports(1)[0]  # type: ignore[attr-defined]
    operator._command += ["--log-level", "DEBUG", "--ingest-port", str(operator.ingest_port)]  # type: ignore[attr-defined]
    with operator:
        operator.started()
        yield operator
        operator.signal(signal.SIGTERM)
        operator.exit_code()
    perennial.restart()


def told(space: Space) -> str:
    """All that the operator writes where people read who may not read what it was made from."""
    parts: list[Any] = space.every(EVENTS)
    for resource in (*OWN_KINDS, *CHILD_KINDS):
        for body in space.every(resource):
            notes = body["metadata"].get("annotations") or {}
            # Those of a template are on the pods as their author wrote them.
            parts += [value for name, value in notes.items() if name.startswith("perennial.dev/")]
            parts += [body["metadata"].get("labels"), body.get("status")]
            parts += [body["spec"]] if resource == MODELVERSIONS else []
    return json.dumps(parts)


@pytest.mark.proof("Leaks")
async def test_the_operator_tells_no_secret(talkative: Perennial, controlled: ApiServer, proof: Proof) -> None:
    space = Space(controlled)
    kubelet = Kubelet(space)
    await asyncio.to_thread(_loop, space, kubelet)
    answers = await _report(space, talkative.ingest_port)  # type: ignore[attr-defined]
    places = {
        "objects and Events": told(space),
        "the log": talkative.log.read_text(),
        "metrics": talkative.get("/metrics"),
        "answers to reports": answers,
    }
    assert '"level": "debug"' in places["the log"]
    planted = {match for body in _planted(space) for match in CANARY.findall(json.dumps(body))}
    assert len(planted) >= 7, planted
    secrets = {canary(name) for name in ("header", "query", "path")} | planted | {controlled.token(USER)}
    leaks = []
    for where, text in places.items():
        for secret in {secret for secret in secrets if secret in text} | set(CANARY.findall(text)):
            at = text.find(secret)
            leaks.append(f"{where}: {text[max(0, at - 300) : at + 60]}")
        proof.count("places searched")
    assert not leaks, "\n".join(leaks)
    proof.count("secrets planted", len(secrets))


def _planted(space: Space) -> list[Body]:
    """Where they surely are: with whom wrote them, and in the pods that need them."""
    secret = space.server.request("GET", f"/api/v1/namespaces/{space.name}/secrets/perennial-storage")
    pods = space.every(PODS)
    assert any(url() in json.dumps(one) for one in pods), "the agent gets the whole address"
    return [*space.every(TRAININGJOBS), *space.every(RETRAINPOLICIES), *pods, _decoded(secret)]


def _decoded(secret: Body) -> Body:
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


def _loop(space: Space, kubelet: Kubelet) -> None:
    """Train well, badly and not at all; serve; retrain; with secrets wherever one may put them."""
    data = {"STORED": canary("stored"), "AWS_SECRET_ACCESS_KEY": canary("key")}
    secrets = f"/api/v1/namespaces/{space.name}/secrets"
    space.server.request("POST", secrets, {"metadata": {"name": "perennial-storage"}, "stringData": data})
    for name in ("good", "bad", "noted"):
        space.train(name, **training())
    space.train("refused", **_refused(training()))
    template = {"spec": {"containers": [{"name": "server", "image": "serve:1", "env": _env()}]}}
    for name, pods in (("shop", template), ("refused", _refused({"template": template})["template"])):
        metadata = {"name": name, "namespace": space.name}
        spec = {"model": {"name": "churn"}, "template": pods}
        space.create(
            {"apiVersion": "perennial.dev/v1alpha1", "kind": "ModelDeployment", "metadata": metadata, "spec": spec}
        )
    metadata = {"name": "policy", "namespace": space.name, "annotations": {"perennial.dev/run-request": "1"}}
    spec = {"deployment": {"name": "shop"}, "trainingJobTemplate": {"spec": training()}}
    space.create({"apiVersion": "perennial.dev/v1alpha1", "kind": "RetrainPolicy", "metadata": metadata, "spec": spec})
    kubelet.publishes("good")
    assert space.reaches("good", "Succeeded", 60)["modelVersion"] == "churn-1"
    kubelet.fails("bad", 3)
    space.reaches("bad", "Failed", 60)
    # What others break, errors must not quote; the note itself is theirs.
    broken = json.dumps({"deployment": [canary("note")], "uri": canary("note")})
    space.patch(JOBS, "noted", {"metadata": {"annotations": {"perennial.dev/champion": broken}}})
    kubelet.runs("noted")
    space.reaches("noted", "Running", 60)
    space.patch(JOBS, "noted", {"metadata": {"annotations": {"perennial.dev/champion": None}}})
    space.says("refused", "Stalled", "Invalid", 60)
    eventually(lambda: [one for one in space.every(DEPLOYMENTS) if one["metadata"]["name"].startswith("shop-")], 60)
    eventually(lambda: space.get(TRAININGJOBS, "policy-1"), 60)

    def stalled() -> bool:
        body = space.get(MODELDEPLOYMENTS, "refused") or {}
        return any(one["type"] == "Stalled" for one in (body.get("status") or {}).get("conditions") or ())

    eventually(stalled, 60)


def _env() -> list[Body]:
    return [{"name": "PASSWORD", "value": canary("env")}]


def _refused(spec: Body) -> Body:
    """With a variable that no pod may have: a secret with two sources."""
    twice = [{"name": "TWICE", "value": canary("env"), "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    body: Body = json.loads(json.dumps(spec))
    body["template"]["spec"]["containers"][0]["env"] = twice
    return body


async def _report(space: Space, port: int) -> str:
    """Everything that the endpoint answers, to good and bad senders."""
    place = Place.__new__(Place)
    place.server, place.name = space.server, space.name
    token = await asyncio.to_thread(place.reporter)
    bundle = await asyncio.to_thread(lambda: space.server.request("GET", CONFIGMAPS.path("default", "perennial-ca")))
    answers = []
    trust = bundle["data"]["ca.crt"]
    async with Reporter(port, trust, token) as good, Reporter(port, trust, canary("header")) as stranger:
        taken = await good.report(place, sample(revision="shop-1"), name="shop")
        assert taken.status == 200, "the token is a good one"
        where = f"/v1/namespaces/{space.name}/modeldeployments/shop/metrics?token={canary('query')}"
        answers += [taken, await stranger.report(place, sample(), name="shop"), await stranger.send(where, b"{")]
        answers += [await good.send(where, b"{" + canary("query").encode()), await good.send(f"/{canary('path')}", b"")]
        answers += [await good.report(place, sample(revision=canary("query")), name="none")]
    malformed = [
        f"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {canary('header')}\x00\r\n\r\n",
        f"POST / HTTP/1.1\r\nHost: x\r\nAuthorization Bearer {canary('header')}\r\n\r\n",
        f"POST /{canary('path')} HTTP/9\r\nAuthorization: Bearer {canary('header')}\r\n\r\n",
        f"{canary('path')}\r\n\r\n",
    ]
    answered = [await asyncio.to_thread(_raw, port, trust, text.encode("latin-1")) for text in malformed]
    text = json.dumps([[one.status, one.body] for one in answers]) + "".join(answered)
    assert token not in text
    return text


def _raw(port: int, trust: str, request: bytes) -> str:
    context = ssl.create_default_context(cadata=trust)
    with (
        socket.create_connection(("localhost", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        secured.sendall(request)
        answer = b""
        while chunk := secured.recv(65536):
            answer += chunk
    return answer.decode("latin-1")


AGENT = {"AWS_SECRET_ACCESS_KEY": canary("key"), "AWS_ACCESS_KEY_ID": canary("account"), "SECRET": canary("env")}


HTTP = url(host="{web}").replace("https:", "http:")
# Of an input or a model: where it lies, and the status codes that the store answers with.
ADDRESSES: list[tuple[str, list[int]]] = [
    (HTTP, [403] * 9),
    (HTTP, []),
    (url(host=""), []),
    (url(host="[::1"), []),
    (url(host="127.0.0.1:1").replace("https:", "http:"), []),
    (f"s3://acme/none?{canary('query')}", []),
    (url(host="{web}"), [403] * 9),
    (url(host="{web}"), [404]),
    (HTTP, [404] * 9),
    (HTTP, [301]),
    (url(host="-.-"), []),
    (f"ftp://user:{canary('password')}@host/data", []),
]


@pytest.mark.proof("Leaks")
@pytest.mark.parametrize(("uri", "codes"), ADDRESSES[: scaled(len(ADDRESSES), 4)])
def test_the_agent_tells_no_secret(pod: Any, web: Any, s3: Any, uri: str, codes: list[int], proof: Proof) -> None:
    (web.folder / "data.csv").write_text("1,2")
    web.answers = list(codes)
    uri = uri.format(web=web.url.removeprefix("http://")) if "{web}" in uri else uri
    endpoint = s3.endpoint.replace("http://", f"http://user:{canary('password')}@")
    tasks = [
        ("prepare", PrepareTask(inputs=(Artifact(name="data", uri=uri),), parameters={"p": canary("parameter")})),
        (
            "fetch",
            FetchTask(model=Artifact(name="m-1", uri=uri, digest="sha256:" + "0" * 64), target=str(pod.layout.root)),
        ),
    ]
    for step, task in tasks[:1] if codes else tasks:
        process = pod.agent(step, task, **AGENT, AWS_ENDPOINT_URL=endpoint, PERENNIAL_PATIENCE="0")
        try:
            output = process.communicate(timeout=4)[0].decode()
        except Exception:
            process.terminate()
            output = process.communicate(timeout=10)[0].decode()
        message = pod.layout.termination_log
        _silent(output + (message.read_text() if message.exists() else ""))
        assert output, "it says something"
        proof.count("runs of the agent")


@pytest.mark.proof("Leaks")
def test_the_agent_does_not_repeat_a_task_that_it_does_not_understand(pod: Any, proof: Proof) -> None:
    broken = [
        json.dumps({"inputs": [{"name": "data", "uri": 5, "digest": canary("signature")}]}),
        json.dumps({"destination": {"uri": canary("signature")}}),
        '{"destination": "' + canary("signature"),
    ]
    for task in broken:
        process = pod.agent("prepare", PrepareTask(), PERENNIAL_TASK=task, **AGENT)
        output = process.communicate(timeout=20)[0].decode()
        assert process.returncode == 1
        _silent(output + pod.layout.termination_log.read_text())
        proof.count("runs of the agent")


@pytest.mark.proof("Leaks")
def test_the_server_tells_no_secret(iris_dir: Path, proof: Proof) -> None:
    server = ServerProcess(
        {
            "PERENNIAL_MODEL_DIR": str(iris_dir),
            "PERENNIAL_MODEL_NAME": "iris",
            "PERENNIAL_ACCESS_LOG": "1",
            "PERENNIAL_DRAIN_SECONDS": "0",
            **AGENT,
        }
    )
    try:
        server.logged("model loaded", 120)
        server.wait_ready()
        headers = {"Authorization": f"Bearer {canary('header')}", "Content-Type": "application/json"}
        answers = [
            server.request("POST", f"/v2/models/iris/infer?token={canary('query')}", body, headers).body.decode()
            for body in ("{", json.dumps({"inputs": [{"name": canary("name")}]}), "[" * 3000)
        ]
        answers += [server.request("GET", path, None, headers).body.decode() for path in ("/metrics", "/v2", "/none")]
    finally:
        server.stop()
    _silent(json.dumps(server.logs))
    _silent("".join(answers).replace(canary("name"), ""))
    assert [one for one in server.logs if one["message"] == "request"], "it logs requests"
    proof.count("answers of the server", len(answers))


def _silent(text: str) -> None:
    found = CANARY.search(text)
    assert found is None, text[max(0, found.start() - 600) : found.end() + 200]
