"""The ConfigMap of what clients trust, as several replicas write it."""

from datetime import UTC, datetime

import pytest

from perennial.api.resources import CONFIGMAPS
from perennial.ingest.ca import BUNDLE, copy, publish
from perennial.ingest.tls import LIFETIME, OwnCertificate
from perennial.kube.errors import AlreadyExists, Conflict, NameTaken
from perennial.plan import Body
from tests.fakes import FakeClient

NOW = datetime.now(UTC)


def authority(at: datetime = NOW) -> str:
    return OwnCertificate(["localhost"], clock=lambda: at).authorities()


@pytest.fixture
def client() -> FakeClient:
    return FakeClient()


async def data(client: FakeClient, namespace: str = "perennial") -> Body:
    found: Body = (await client.get(CONFIGMAPS, namespace, "perennial-ca"))["data"]
    return found


async def test_each_replica_has_an_entry_and_all_are_in_the_bundle(client: FakeClient) -> None:
    first, second = authority(), authority()
    await publish(client, "perennial", "a", first, NOW)
    bundle = await publish(client, "perennial", "b", second, NOW)
    assert bundle == first + second
    assert await data(client) == {"a.pem": first, "b.pem": second, BUNDLE: first + second}


async def test_nothing_is_written_when_nothing_changed(client: FakeClient) -> None:
    mine = authority()
    bundle = await publish(client, "perennial", "a", mine, NOW)
    await copy(client, "team", bundle, NOW)
    writes = len(client.writes)
    assert await publish(client, "perennial", "a", mine, NOW) == bundle
    await copy(client, "team", bundle, NOW)
    assert len(client.writes) == writes


async def test_a_restarted_replica_takes_the_place_of_its_old_certificate(client: FakeClient) -> None:
    await publish(client, "perennial", "a", authority(), NOW)
    new = authority()
    assert await publish(client, "perennial", "a", new, NOW) == new


async def test_entries_of_replicas_that_are_gone_expire(client: FakeClient) -> None:
    await publish(client, "perennial", "gone", authority(NOW - LIFETIME), NOW)
    await publish(client, "perennial", "broken", "no certificate", NOW)
    await publish(client, "perennial", "there", authority(), NOW)
    await publish(client, "perennial", "a", authority(), NOW)
    assert sorted(await data(client)) == ["a.pem", BUNDLE, "there.pem"]


async def test_one_authority_given_to_all_replicas_is_there_once(client: FakeClient) -> None:
    given = authority()
    await publish(client, "perennial", "a", given, NOW)
    assert await publish(client, "perennial", "b", given, NOW) == given


async def test_without_an_authority_there_is_no_bundle(client: FakeClient) -> None:
    assert await publish(client, "perennial", "a", "", NOW) == ""
    assert client.writes == []


@pytest.mark.parametrize("verb", ["create", "patch"])
async def test_another_replica_that_came_first_is_not_overwritten(client: FakeClient, verb: str) -> None:
    if verb == "patch":
        await publish(client, "perennial", "b", authority(), NOW)
    error = AlreadyExists if verb == "create" else Conflict
    client.fail(verb, CONFIGMAPS, error("came first", code=409))
    await publish(client, "perennial", "a", authority(), NOW)
    assert "a.pem" in await data(client)


async def test_a_configmap_of_somebody_else_is_not_touched(client: FakeClient) -> None:
    metadata = {"name": "perennial-ca", "namespace": "team"}
    client.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"mine": "yes"}})
    with pytest.raises(NameTaken, match="the ConfigMap perennial-ca in team is not of this operator"):
        await copy(client, "team", "bundle", NOW)
    assert client.writes == []


async def test_another_operators_ca_is_left_to_it_as_long_as_it_lives(client: FakeClient) -> None:
    theirs = authority()
    await publish(client, "team", "theirs-0", theirs, NOW)
    with pytest.raises(NameTaken, match="another operator runs in team"):
        await copy(client, "team", "bundle", NOW)
    assert (await data(client, "team"))[BUNDLE] == theirs
    await copy(client, "team", "bundle", NOW + LIFETIME)
    assert await data(client, "team") == {BUNDLE: "bundle"}
