"""Somebody who edits everything in a namespace as fast as he can, so that the operator's writes meet his."""

import asyncio
import contextlib
import itertools
from typing import Any

from e2e.lab import Body
from e2e.space import Space, policy, serving, shell, training, version
from perennial.api.resources import (
    DEPLOYMENTS,
    MODELDEPLOYMENTS,
    MODELS,
    MODELVERSIONS,
    RETRAINPOLICIES,
    TRAININGJOBS,
    Resource,
)
from perennial.kube import login
from perennial.kube.client import Client
from perennial.kube.errors import ApiError
from perennial.kube.http import HttpClient

NAME = "jostled"
FILES = {"uri": "s3://nowhere/jostled", "digest": "sha256:" + "0" * 64}
SERVER: Body = {"template": {"spec": {"containers": [{"name": "server", "image": "localhost/none:1"}]}}}


def world(space: Space) -> None:
    """What is edited: nothing of it runs."""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "no-pods"}}
    dry = {"dryRun": True, "cooldown": "0s"}
    space.apply({**quota, "spec": {"hard": {"pods": "0"}}})
    space.apply(
        training(NAME, shell("true"), runtime="none", suspend=True),
        version(NAME, 1, FILES, format="files"),
        serving(NAME, replicas=1, **SERVER),
        policy(NAME, training(NAME, shell("true")), **dry),
    )


async def jostle(space: Space, seconds: float) -> None:
    """Edit, so that there is always something to be written, and annotate what is written."""
    async with HttpClient(login.load(str(space.lab.cluster.kubeconfig))) as client:
        edits = (_turn(client, space.name, round_) for round_ in itertools.count())
        names = [(resource, NAME) for resource in (TRAININGJOBS, RETRAINPOLICIES, MODELS)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                group.create_task(_repeat(edits))
                group.create_task(_annotate_all(client, space.name, MODELVERSIONS))
                group.create_task(_annotate_all(client, space.name, DEPLOYMENTS))
                for resource, name in names:
                    group.create_task(_annotate(client, space.name, resource, name))


async def _repeat(edits: Any) -> None:
    for edit in edits:
        await edit
        await asyncio.sleep(0.2)


async def _turn(client: Client, namespace: str, round_: int) -> None:
    request = {"metadata": {"annotations": {"perennial.dev/run-request": f"{round_}"}}}
    odd = bool(round_ % 2)
    number = round_ + 2
    made = version(NAME, number, FILES, format="files")
    made["metadata"]["namespace"] = namespace
    with contextlib.suppress(ApiError):
        await client.patch(TRAININGJOBS, namespace, NAME, {"spec": {"suspend": odd}})
        await client.patch(RETRAINPOLICIES, namespace, NAME, request)
        await client.patch(MODELDEPLOYMENTS, namespace, NAME, {"spec": {"replicas": 1 + odd}})
        await client.create(made)


async def _annotate_all(client: Client, namespace: str, resource: Resource) -> None:
    while True:
        page = await client.list(resource, namespace)
        for item in page.items[-3:]:
            await _touch(client, namespace, resource, item["metadata"]["name"])
        await asyncio.sleep(0)


async def _annotate(client: Client, namespace: str, resource: Resource, name: str) -> None:
    while True:
        await _touch(client, namespace, resource, name)


async def _touch(client: Client, namespace: str, resource: Resource, name: str) -> None:
    now = f"{asyncio.get_running_loop().time()}"
    with contextlib.suppress(ApiError):
        await client.patch(resource, namespace, name, {"metadata": {"annotations": {"jostled": now}}})
