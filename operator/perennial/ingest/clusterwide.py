"""Tokens and rights of the whole cluster, by TokenReview and SubjectAccessReview: that takes a ClusterRole."""

from perennial.api.meta import AUDIENCE
from perennial.api.resources import SUBJECTACCESSREVIEWS, TOKENREVIEWS
from perennial.ingest.auth import Right, question
from perennial.kube.client import Client
from perennial.plan import Body


class ClusterReviewer:
    """Implements `ingest.auth.Reviewer`."""

    namespace = None

    def __init__(self, client: Client) -> None:
        self._client = client

    async def user(self, token: str) -> Body | None:
        """By TokenReview."""
        review = {
            "apiVersion": TOKENREVIEWS.api_version,
            "kind": TOKENREVIEWS.kind,
            "spec": {"token": token, "audiences": [AUDIENCE]},
        }
        status = (await self._client.create(review)).get("status") or {}
        # A token without audiences, of an authenticator that knows none, is meant for the API server.
        meant_for_us = AUDIENCE in (status.get("audiences") or ())
        user: Body | None = status.get("user")
        return user if status.get("authenticated") and meant_for_us and user and user.get("username") else None

    async def may(self, user: Body, right: Right) -> bool:
        """By SubjectAccessReview."""
        review = {
            "apiVersion": SUBJECTACCESSREVIEWS.api_version,
            "kind": SUBJECTACCESSREVIEWS.kind,
            "spec": question(user, right),
        }
        status = (await self._client.create(review)).get("status") or {}
        return status.get("allowed") is True
