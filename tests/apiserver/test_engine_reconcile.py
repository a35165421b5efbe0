"""The whole engine against a real API server: children, status, refusals, interference, a server that goes away."""

import signal
import time
import urllib.error
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.cluster.apiserver import ApiServer
from perennial.api.resources import EVENTS, JOBS, SERVICES, TRAININGJOBS, Resource
from perennial.plan import Body
from tests.apiserver.operators import Operator, eventually, writes
from tests.apiserver.toy import a_trainingjob

MERGE = "application/merge-patch+json"
QUOTA = "/api/v1/namespaces/{}/resourcequotas"


class Space:
    """A namespace of the toy server, as a person uses it."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        made = server.request("POST", "/api/v1/namespaces", {"metadata": {"generateName": "toy-"}})
        self.name = made["metadata"]["name"]

    def make(self, name: str, **spec: Any) -> Body:
        body = a_trainingjob(self.name, name, **spec)
        return self.server.request("POST", TRAININGJOBS.path(self.name), body)

    def get(self, resource: Resource, name: str) -> Body | None:
        try:
            return self.server.request("GET", resource.path(self.name, name))
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def patch(self, resource: Resource, name: str, patch: Body, subresource: str | None = None) -> Body:
        return self.server.request("PATCH", resource.path(self.name, name, subresource), patch, MERGE)

    def delete(self, resource: Resource, name: str) -> None:
        options = {"propagationPolicy": "Background"}
        self.server.request("DELETE", resource.path(self.name, name), options)

    def status(self, name: str) -> Body:
        body = self.get(TRAININGJOBS, name)
        return (body or {}).get("status", {})

    def reaches(self, name: str, phase: str, seconds: float = 15.0) -> Body:
        eventually(lambda: self.status(name).get("phase") == phase, seconds)
        return self.status(name)


@pytest.fixture(scope="module")
def operator(toy_server: ApiServer) -> Iterator[Operator]:
    with Operator(toy_server, "reconciler", lease_seconds=60.0) as operator:
        operator.started()
        yield operator
        print(operator.log.read_text()[-5000:])


@pytest.fixture
def space(operator: Operator, toy_server: ApiServer) -> Space:
    return Space(toy_server)


def test_a_new_object_gets_its_child_its_status_and_its_event(space: Space) -> None:
    made = space.make("plain")
    space.reaches("plain", "Running")
    job = space.get(JOBS, "plain")
    assert job
    assert job["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
    space.patch(JOBS, "plain", {"status": {"succeeded": 1}}, "status")
    space.reaches("plain", "Succeeded")
    eventually(lambda: len(events(space, "plain")) == 2)
    assert {event["reason"] for event in events(space, "plain")} == {"Running", "Succeeded"}
    described = space.server.kubectl("describe", "-n", space.name, "trainingjob", "plain")
    assert "it is Succeeded" in described


def events(space: Space, name: str) -> list[Body]:
    found = space.server.request("GET", EVENTS.path(space.name))["items"]
    return [event for event in found if event["involvedObject"]["name"] == name]


def test_few_writes_per_object_and_none_when_nothing_changes(space: Space, operator: Operator) -> None:
    # What earlier tests set off may still be on its way.
    time.sleep(2)
    before = writes(space.server)
    for number in range(20):
        space.make(f"many-{number}")
    for number in range(20):
        space.reaches(f"many-{number}", "Running")
    time.sleep(1)
    per_kind = {kind: writes(space.server).count(kind) - before.count(kind) for kind in set(writes(space.server))}
    assert per_kind[("create", "jobs/")] == 20
    assert per_kind[("patch", "trainingjobs/status")] == 20, "a status that was overtaken is not written"
    assert per_kind[("create", "events/")] == 20
    before = writes(space.server)
    # A relabelled child is an event that changes nothing for the toy.
    space.patch(JOBS, "many-1", {"metadata": {"labels": {"x": "y"}}})
    time.sleep(5)
    assert writes(space.server) == before


def test_a_deleted_child_is_made_again(space: Space) -> None:
    space.make("bereft", service=80)
    space.reaches("bereft", "Running")
    lost = space.get(JOBS, "bereft")
    space.delete(JOBS, "bereft")
    space.delete(SERVICES, "bereft")
    eventually(lambda: (space.get(JOBS, "bereft") or lost)["metadata"]["uid"] != lost["metadata"]["uid"])
    eventually(lambda: space.get(SERVICES, "bereft"))


def test_an_applied_child_edited_by_hand_is_put_right_and_other_fields_are_left_alone(space: Space) -> None:
    space.make("edited", service=80)
    eventually(lambda: space.get(SERVICES, "edited"))
    ports = [{"name": "http", "port": 81, "targetPort": "web"}]
    edit = {"spec": {"ports": ports, "sessionAffinity": "ClientIP"}, "metadata": {"labels": {"theirs": "kept"}}}
    space.patch(SERVICES, "edited", edit)
    eventually(lambda: space.get(SERVICES, "edited")["spec"]["ports"][0]["port"] == 80)
    service = space.get(SERVICES, "edited")
    assert service["spec"]["sessionAffinity"] == "ClientIP"
    assert service["metadata"]["labels"]["theirs"] == "kept"
    space.patch(TRAININGJOBS, "edited", {"spec": {"service": 82}})
    eventually(lambda: space.get(SERVICES, "edited")["spec"]["ports"][0]["port"] == 82)


def test_a_refused_child_shows_in_the_servers_words_until_the_spec_is_mended(space: Space) -> None:
    before = writes(space.server)
    space.make("wrong", restartPolicy="Always")
    status = space.reaches("wrong", "Refused")
    assert status["reason"] == "Invalid"
    assert "spec.template.spec.restartPolicy" in status["message"]
    time.sleep(2)
    assert writes(space.server).count(("create", "jobs/")) - before.count(("create", "jobs/")) == 1, "no hot loop"
    space.patch(TRAININGJOBS, "wrong", {"spec": {"restartPolicy": "Never"}})
    space.reaches("wrong", "Running")
    assert "message" not in space.status("wrong")


def test_a_quota_that_frees_up_is_noticed(space: Space) -> None:
    set_quota(space, 0)
    space.make("queued")
    eventually(lambda: space.status("queued").get("reason") == "QuotaExceeded")
    assert "exceeded quota" in space.status("queued")["message"]
    set_quota(space, 5)
    space.reaches("queued", "Running", 30)


def set_quota(space: Space, jobs: int) -> None:
    hard = {"count/jobs.batch": str(jobs)}
    path = QUOTA.format(space.name)
    try:
        space.server.request("POST", path, {"metadata": {"name": "few"}, "spec": {"hard": hard}})
    except urllib.error.HTTPError:
        space.server.request("PATCH", path + "/few", {"spec": {"hard": hard}}, MERGE)
    # No controller manager runs here that would count.
    used = {"count/jobs.batch": "0"}
    space.server.request("PATCH", path + "/few/status", {"status": {"hard": hard, "used": used}}, MERGE)


@pytest.mark.parametrize("labelled", [True, False], ids=["seen by the watch", "unseen"])
@pytest.mark.parametrize("resource", [JOBS, SERVICES], ids=["created", "applied"])
def test_an_object_of_somebody_else_under_the_name_is_left_alone(
    space: Space, resource: Resource, labelled: bool
) -> None:
    specs = {
        JOBS: {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "x", "image": "theirs"}]}}},
        SERVICES: {"ports": [{"port": 1}]},
    }
    theirs = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": "taken", "labels": {"perennial.dev/owned": "x"} if labelled else {}},
        "spec": specs[resource],
    }
    made = space.server.request("POST", resource.path(space.name), theirs)
    time.sleep(0.3)
    space.make("taken", service=80)
    status = space.reaches("taken", "Refused")
    assert status["reason"] == "NameTaken"
    assert resource.kind in status["message"]
    assert space.get(resource, "taken") == made, "not one byte of it changed"
    space.delete(resource, "taken")
    space.reaches("taken", "Running", 30)


def test_one_broken_object_neither_stops_nor_slows_the_others(space: Space) -> None:
    space.make("broken", broken=True)
    space.make("sound")
    space.reaches("sound", "Running")
    eventually(lambda: events(space, "broken"))
    assert "broken on purpose" in events(space, "broken")[0]["message"]
    space.patch(TRAININGJOBS, "broken", {"spec": {"broken": False}})
    space.reaches("broken", "Running")


def test_it_converges_while_others_write_to_the_same_object(space: Space, operator: Operator) -> None:
    space.make("busy")
    for number in range(60):
        space.patch(TRAININGJOBS, "busy", {"metadata": {"labels": {"n": str(number)}}})
        space.patch(TRAININGJOBS, "busy", {"status": {"phase": f"wrong-{number}"}}, "status")
    space.reaches("busy", "Running")


def test_a_status_written_by_hand_is_put_right(space: Space) -> None:
    space.make("vandalised")
    good = space.reaches("vandalised", "Running")
    space.patch(TRAININGJOBS, "vandalised", {"status": {"phase": "Nonsense", "extra": {"a": 1}}}, "status")
    eventually(lambda: space.status("vandalised") == good)


def test_the_same_process_survives_an_api_server_that_is_killed(space: Space, operator: Operator) -> None:
    space.make("before")
    space.reaches("before", "Running")
    space.server.stop_apiserver(kill=True)
    time.sleep(10)
    assert "ok" in operator.get("/healthz")
    space.server.start_apiserver()
    space.make("after")
    space.reaches("after", "Running", 20)
    space.patch(JOBS, "before", {"status": {"succeeded": 1}}, "status")
    space.reaches("before", "Succeeded", 20)


def test_what_was_deleted_unseen_leaves_the_cache(space: Space, operator: Operator) -> None:
    def known() -> float:
        return operator.metric("perennial_cached_objects", resource="trainingjobs")

    space.make("unseen")
    space.reaches("unseen", "Running")
    before = known()
    # The operator sleeps while the object goes, and the server it wakes up to has no history of that: the old
    # resourceVersion gets a 410, and kopf lists again.
    space.server.stop_apiserver(kill=True)
    operator.signal(signal.SIGSTOP)
    space.server.start_apiserver()
    space.delete(TRAININGJOBS, "unseen")
    space.server.stop_apiserver(kill=True)
    space.server.start_apiserver()
    for number in range(3):
        space.make(f"later-{number}")
    operator.signal(signal.SIGCONT)
    space.reaches("later-2", "Running", 20)
    # Sooner than the LISTs that compare.
    eventually(lambda: known() == before + 2, 10)


def test_it_ends_cleanly_when_told_to(toy_server: ApiServer, operator: Operator) -> None:
    operator.signal(signal.SIGTERM)
    assert operator.exit_code(10) == 0
    lease = toy_server.request("GET", "/apis/coordination.k8s.io/v1/namespaces/default/leases/toy")
    assert lease["spec"]["holderIdentity"] == ""
