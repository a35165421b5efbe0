"""What is built on the client alone: lists over pages, and the fence."""

import pytest

from perennial.api.resources import JOBS
from perennial.kube.client import Fenced, list_all
from perennial.kube.errors import Expired, NotLeading, Unavailable
from tests.fakes import FakeClient
from tests.unit.runtime.builders import a_body

NEWER = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"namespace": "ns", "name": "newer"}}


async def test_no_write_passes_the_fence_without_the_lease_and_every_read_does():
    client = FakeClient()
    client.put(a_body(JOBS, "job"))
    holds = False
    fenced = Fenced(client, lambda: holds)
    for write in (
        fenced.create(a_body(JOBS, "new")),
        fenced.apply(NEWER),
        fenced.patch(JOBS, "ns", "job", {}),
        fenced.delete(JOBS, "ns", "job"),
    ):
        with pytest.raises(NotLeading):
            await write
    assert client.calls == []
    assert (await fenced.get(JOBS, "ns", "job"))["metadata"]["name"] == "job"
    assert len((await fenced.list(JOBS)).items) == 1
    holds = True
    await fenced.create(a_body(JOBS, "new"))
    await fenced.apply(NEWER)
    await fenced.patch(JOBS, "ns", "job", {"spec": {"suspend": True}})
    await fenced.delete(JOBS, "ns", "job", uid="uid-job")
    assert [verb for verb, _ in client.writes] == ["create", "apply", "patch", "delete"]


async def test_a_list_that_changes_its_version_in_the_middle_is_not_trusted():
    client = FakeClient()
    for number in range(501):
        client.put(a_body(JOBS, f"job-{number}"))
    assert sum([len(page.items) async for page in list_all(client, JOBS)]) == 501
    pages = list_all(client, JOBS)
    first = await anext(pages)
    # As a server answers that lost the version of the first page.
    object.__setattr__(first, "resource_version", "0")
    object.__setattr__(first, "more", "99999:500")
    with pytest.raises(Expired):
        await anext(pages)


async def test_a_page_that_cannot_be_had_is_asked_for_again_and_one_that_is_too_old_is_not():
    client = FakeClient()
    client.put(a_body(JOBS, "job"))
    client.fail("list", JOBS, Unavailable("starting"))
    client.fail("list", JOBS, Unavailable("starting"))
    assert [len(page.items) async for page in list_all(client, JOBS)] == [1]
    client.fail("list", JOBS, Expired("too old", code=410))
    with pytest.raises(Expired):
        await anext(list_all(client, JOBS))
    client.fail("list", JOBS, Unavailable("down"), always=True)
    with pytest.raises(Unavailable):
        await anext(list_all(client, JOBS))
