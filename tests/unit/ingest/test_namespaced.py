"""Of which objects a token of one namespace must speak, so that it counts there."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from perennial.api.base import format_time
from perennial.api.resources import MODELDEPLOYMENTS
from perennial.ingest.auth import Right
from perennial.ingest.namespaced import NamespaceReviewer
from perennial.plan import Body
from perennial.view import Name
from tests.fakes import FakeClient

NOW = datetime(2026, 11, 21, tzinfo=UTC)
ACCOUNT, POD = {"name": "monitor", "uid": "account-uid"}, {"name": "monitor-1", "uid": "pod-uid"}
NODE = {"name": "node", "uid": "node-uid"}


class Keys:
    """Takes claims as they are for the token that says them."""

    async def claims(self, token: Any) -> Any:
        return token


def token(account: str = "monitor", **bound: Any) -> Any:
    plain = {"namespace": "team", "serviceaccount": ACCOUNT, "warnafter": 1}
    return {"sub": f"system:serviceaccount:team:{account}", "jti": "id", "kubernetes.io": plain | bound}


def thing(kind: str, name: str, uid: str, **metadata: Any) -> Body:
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"namespace": "team", "name": name, "uid": uid, **metadata},
    }


@pytest.fixture
def client() -> FakeClient:
    client = FakeClient()
    client.put(thing("ServiceAccount", **ACCOUNT))
    client.put(thing("Pod", **POD))
    return client


@pytest.fixture
def reviewer(client: FakeClient) -> NamespaceReviewer:
    return NamespaceReviewer(client, Keys(), "team", now=lambda: NOW)


async def test_an_account_is_named_as_the_api_server_names_it(reviewer: NamespaceReviewer) -> None:
    assert await reviewer.user(token(pod=POD, node=NODE)) == {
        "username": "system:serviceaccount:team:monitor",
        "uid": "account-uid",
        "groups": ["system:serviceaccounts", "system:serviceaccounts:team", "system:authenticated"],
        "extra": {
            "authentication.kubernetes.io/pod-name": ["monitor-1"],
            "authentication.kubernetes.io/pod-uid": ["pod-uid"],
            "authentication.kubernetes.io/node-name": ["node"],
            "authentication.kubernetes.io/node-uid": ["node-uid"],
            "authentication.kubernetes.io/credential-id": ["JTI=id"],
        },
    }


STRANGERS = {
    "not signed": None,
    "of no account": {"sub": "someone"},
    "of another account than it says": token("admin"),
    "of another namespace": token(namespace="other"),
    "of an account that is gone": token("gone", serviceaccount={"name": "gone", "uid": "x"}),
    "of an earlier account of the name": token(serviceaccount=ACCOUNT | {"uid": "x"}),
    "of a pod that is gone": token(pod={"name": "gone", "uid": "x"}),
    "of an earlier pod of the name": token(pod=POD | {"uid": "x"}),
    "bound to a Secret": token(secret={"name": "s", "uid": "x"}),
    "bound to a node": token(node=NODE),
    "of an account without a name": token("", serviceaccount={"name": "", "uid": "x"}),
}


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS.keys())
async def test_others_are_strangers(reviewer: NamespaceReviewer, stranger: Any) -> None:
    assert await reviewer.user(stranger) is None


@pytest.mark.parametrize(("ago", "counts"), [(30, True), (90, False)])
async def test_what_was_to_be_gone_a_minute_ago_counts_as_gone(
    client: FakeClient, reviewer: NamespaceReviewer, ago: int, counts: bool
) -> None:
    client.put(thing("Pod", **POD, deletionTimestamp=format_time(NOW - timedelta(seconds=ago))))
    assert bool(await reviewer.user(token(pod=POD))) is counts


async def test_nobody_is_asked_about_rights_elsewhere(client: FakeClient, reviewer: NamespaceReviewer) -> None:
    assert not await reviewer.may({"username": "someone"}, Right(MODELDEPLOYMENTS, "metrics", Name("other", "churn")))
    assert client.calls == []
