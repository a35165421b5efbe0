"""The client against a real API server: every method, and the type of every failure."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from e2e.cluster.apiserver import ApiServer
from perennial.api.resources import CONFIGMAPS, JOBS, SERVICES, SUBJECTACCESSREVIEWS
from perennial.kube import errors, login
from perennial.kube.client import list_all
from perennial.kube.http import HttpClient
from perennial.plan import Body, Event
from perennial.receivers import Recorder
from perennial.receivers.events import Events
from tests.apiserver.operators import eventually


def a_configmap(namespace: str, name: str = "one", **data: str) -> Body:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": namespace, "name": name, "labels": {"app": "test"}},
        "data": data,
    }


async def test_the_life_of_an_object(client: HttpClient, namespace: str) -> None:
    made = await client.create(a_configmap(namespace, a="1"))
    assert await client.get(CONFIGMAPS, namespace, "one") == made
    patched = await client.patch(CONFIGMAPS, namespace, "one", {"data": {"a": None, "b": "2"}})
    assert patched["data"] == {"b": "2"}
    applied = await client.apply(a_configmap(namespace, c="3"))
    assert applied["data"] == {"b": "2", "c": "3"}
    applied = await client.apply(a_configmap(namespace, d="4"))
    assert applied["data"] == {"b": "2", "d": "4"}, "what an apply does not name any more goes"
    await client.delete(CONFIGMAPS, namespace, "one", uid=made["metadata"]["uid"])
    with pytest.raises(errors.NotFound):
        await client.get(CONFIGMAPS, namespace, "one")


async def test_lists_come_in_pages_of_one_version(client: HttpClient, namespace: str) -> None:
    for number in range(7):
        await client.create(a_configmap(namespace, f"cm-{number}"))
    first = await client.list(CONFIGMAPS, namespace, labels="app=test", limit=5)
    second = await client.list(CONFIGMAPS, namespace, labels="app=test", limit=5, more=first.more)
    assert (len(first.items), len(second.items), second.more) == (5, 2, "")
    assert first.resource_version == second.resource_version
    assert first.items[0]["kind"] == "ConfigMap"
    assert (await client.list(CONFIGMAPS, namespace, labels="app=other")).items == []
    pages = [page async for page in list_all(client, CONFIGMAPS, labels="app=test", metadata_only=True)]
    assert "data" not in pages[0].items[0]
    assert pages[0].items[0]["metadata"]["resourceVersion"]


async def test_cluster_scoped_reviews_are_creates(client: HttpClient, namespace: str) -> None:
    attributes = {"namespace": namespace, "verb": "create", "resource": "pods"}
    review = await client.create(
        {
            "apiVersion": SUBJECTACCESSREVIEWS.api_version,
            "kind": SUBJECTACCESSREVIEWS.kind,
            "spec": {"user": "nobody", "resourceAttributes": attributes},
        }
    )
    assert review["status"]["allowed"] is False


async def test_failures_have_types(client: HttpClient, namespace: str) -> None:
    made = await client.create(a_configmap(namespace, a="1"))
    metadata = made["metadata"]
    await client.patch(CONFIGMAPS, namespace, "one", {"data": {"a": "2"}})
    calls: dict[Any, type[errors.ApiError]] = {
        client.get(CONFIGMAPS, namespace, "none"): errors.NotFound,
        client.create(a_configmap(namespace)): errors.AlreadyExists,
        client.create(a_configmap(namespace, "Not-A-Name")): errors.Invalid,
        client.create({**a_configmap(namespace, "two"), "data": "text"}): errors.BadRequest,
        client.patch(
            CONFIGMAPS,
            namespace,
            "one",
            {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "data": {"b": "1"}},
        ): errors.Conflict,
        client.patch(CONFIGMAPS, namespace, "one", {"metadata": {"uid": "other"}}): errors.Conflict,
        client.apply({**a_configmap(namespace), "metadata": {**metadata, "managedFields": None, "uid": "other"}}): (
            errors.Conflict
        ),
        client.delete(CONFIGMAPS, namespace, "one", uid="other"): errors.Conflict,
        client.list(CONFIGMAPS, more="nonsense"): errors.BadRequest,
    }
    for call, expected in calls.items():
        with pytest.raises(errors.ApiError) as caught:
            await call
        assert type(caught.value) is expected, caught.value
        assert caught.value.message


async def test_an_invalid_object_is_refused_in_the_servers_words(client: HttpClient, namespace: str) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": namespace, "name": "svc"},
        "spec": {"ports": [{"port": 99999}]},
    }
    with pytest.raises(errors.Invalid, match=r"spec\.ports\[0\]\.port.*must be between 1 and 65535"):
        await client.create(service)
    with pytest.raises(errors.Invalid, match="must be between 1 and 65535"):
        await client.apply(service)
    with pytest.raises(errors.NotFound):
        await client.get(SERVICES, namespace, "svc")


async def test_pod_security_is_a_refusal_and_missing_rights_are_not(
    client: HttpClient, apiserver: ApiServer, namespace: str
) -> None:
    enforce = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    path = f"/api/v1/namespaces/{namespace}"
    apiserver.request("PATCH", path, enforce, "application/merge-patch+json")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": "root"},
        "spec": {"containers": [{"name": "x", "image": "x", "securityContext": {"privileged": True}}]},
    }
    with pytest.raises(errors.Forbidden, match="violates PodSecurity"):
        await client.create(pod)
    nobody = apiserver.write_kubeconfig("nobody", "not-a-token")
    async with HttpClient(login.load(str(nobody))) as stranger:
        with pytest.raises(errors.Unavailable):
            await stranger.get(JOBS, namespace, "x")


@pytest_asyncio.fixture
async def powerless(toy_server: ApiServer) -> AsyncIterator[HttpClient]:
    """A client without any rights."""
    account = {"metadata": {"name": "powerless"}}
    toy_server.request("POST", "/api/v1/namespaces/default/serviceaccounts", account)
    token = toy_server.service_account_token("default", "powerless")
    kubeconfig = toy_server.write_kubeconfig("powerless", token)
    async with HttpClient(login.load(str(kubeconfig)), timeout=1.0) as client:
        yield client


async def test_what_passes_by_itself_is_retryable(toy_server: ApiServer, powerless: HttpClient) -> None:
    with pytest.raises(errors.Denied) as denied:
        await powerless.get(JOBS, "default", "x")
    assert denied.value.meaning is errors.Meaning.RETRY
    toy_server.apiserver.signal(signal.SIGSTOP)
    # It takes a moment until the last of its threads stands still.
    status = Path(f"/proc/{toy_server.apiserver.pid}/status")
    eventually(lambda: "State:\tT" in status.read_text())
    started = time.monotonic()
    with pytest.raises(errors.Unavailable):
        await powerless.get(JOBS, "default", "x")
    assert time.monotonic() - started < 3, "a request has a time-out"
    toy_server.apiserver.signal(signal.SIGCONT)
    await asyncio.to_thread(toy_server.stop_apiserver, kill=True)
    with pytest.raises(errors.Unavailable):
        await powerless.get(JOBS, "default", "x")


async def test_kubectl_describe_shows_an_event_and_its_count(
    client: HttpClient, apiserver: ApiServer, namespace: str
) -> None:
    made = await client.create(a_configmap(namespace))
    recorder = Recorder(Events(client))
    task = asyncio.create_task(recorder.run())
    for _ in range(3):
        recorder.record(made, Event("Warning", "Sour", "the milk is sour"))
        await asyncio.sleep(0.3)
    task.cancel()
    described = await asyncio.to_thread(apiserver.kubectl, "describe", "-n", namespace, "configmap", "one")
    assert "the milk is sour" in described
    assert "(x3 over" in described
    assert "perennial" in described
