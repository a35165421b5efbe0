"""What counts as a bearer token, and as one of ours."""

import pytest

from perennial.api.meta import AUDIENCE
from perennial.ingest.auth import bearer, party
from perennial.ingest.clusterwide import ClusterReviewer
from perennial.plan import Body
from tests.fakes import FakeClient


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc.def-ghi_jkl", "abc.def-ghi_jkl"),
        ("bearer  abc==", "abc=="),
        ("Basic abc", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("Bearer a b", None),
        ("Bearer tökén", None),
        ("Bearer " + "a" * 9000, None),
        ("", None),
        (None, None),
    ],
    ids=lambda value: str(value)[:20],
)
def test_the_token_of_a_header(header: str | None, token: str | None) -> None:
    assert bearer(header) == token


@pytest.mark.parametrize(
    ("user", "counts_as"),
    [("system:serviceaccount:team:churn", "system:serviceaccount:team"), ("anne", "anne"), ("x:y", "x:y")],
)
def test_the_service_accounts_of_a_namespace_are_one_party(user: str, counts_as: str) -> None:
    assert party({"username": user}) == counts_as


@pytest.mark.parametrize(
    ("audiences", "ours"),
    [([AUDIENCE], True), (["https://kubernetes.default.svc"], False), ([], False), (None, False)],
    ids=str,
)
async def test_a_token_counts_when_the_authenticator_knew_our_audience(audiences: list[str] | None, ours: bool) -> None:
    class Authenticator(FakeClient):
        async def create(self, body: Body) -> Body:
            assert body["spec"]["audiences"] == [AUDIENCE]
            user = {"username": "system:serviceaccount:team:monitor"}
            return {"status": {"authenticated": True, "user": user, "audiences": audiences}}

    assert bool(await ClusterReviewer(Authenticator()).user("token")) is ours
