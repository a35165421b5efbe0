"""What keeps a run from starting, with real samples, real requests and an outage that many policies see."""

import json
from pathlib import Path
from typing import Any

import pytest

from e2e.lab import SYSTEM, Body, Lab
from e2e.reporter import SERVICE, monitor, reporting
from e2e.served import mended, odd_server, tried
from e2e.space import Space, policy, serving
from e2e.store import Store

# On the API server each rule is played each time.
pytestmark = pytest.mark.full

NAME = "calm"
# Of the same model. Nothing was reported of it before.
FRESH = "fresh"
ALWAYS: Body = {"name": "always", "cron": "* * * * *", "duration": "1h"}


@pytest.fixture(scope="module")
def space(lab: Lab, store: Store) -> Space:
    space = Space(lab, "e2e-calm", labels={"pod-security.kubernetes.io/enforce": "restricted"})
    space.use(store)
    monitor(space)
    space.apply(tried(store, NAME, 1), serving(NAME, template=odd_server()))
    space.apply(serving(FRESH, template=odd_server(), model={"name": NAME, "version": 1}))
    space.serves(NAME, 1)
    space.says("mdep", FRESH, "Ready", "True")
    return space


def watching(name: str, metric: Body | None = None, deployment: str = NAME, **spec: Any) -> Body:
    """A policy that looks at what is reported."""
    asked = {"name": "accuracy", "below": 0.9, "minSamples": 5} | (metric or {})
    body = policy(name, mended(NAME), triggers=[{"name": "accuracy", "metric": asked}], cooldown="1h", **spec)
    body["spec"]["deployment"]["name"] = deployment
    return body


def status(space: Space, name: str) -> Body:
    return dict((space.get("rp", name) or {}).get("status") or {})


def skipped(space: Space, name: str) -> set[str]:
    return {one["reason"] for one in status(space, name).get("skipped") or ()}


def revision(space: Space, deployment: str = NAME) -> str:
    return str((space.get("mdep", deployment) or {})["status"]["stableRevision"])


def trained(space: Space) -> int:
    return len(space.every("trainingjobs", "perennial.dev/retrainpolicy"))


def ask(space: Space, folder: Path, path: str, body: Body, kind: str = "application/json") -> tuple[int, Body]:
    """A program POSTs, as the monitor's account."""
    service = space.lab.get("service", SERVICE, SYSTEM) or {}
    host, port = f"{SERVICE}.{SYSTEM}.svc", service["spec"]["ports"][0]["port"]
    authorities = folder / "ca.crt"
    trusted = space.until("there is a CA", lambda: space.get("configmap", "perennial-ca"), 60)
    authorities.write_text(trusted["data"]["ca.crt"])
    token = space.kubectl("create", "token", "monitor", "--audience=perennial").strip()
    resolve = f"{host}:{port}:{service['spec']['clusterIP']}"
    command = [
        "curl",
        "-sS",
        "--cacert",
        str(authorities),
        "--resolve",
        resolve,
        "-H",
        f"Authorization: Bearer {token}",
    ]
    url = f"https://{host}:{port}/v1/namespaces/{space.name}/retrainpolicies/{path}"
    command += ["-w", "\n%{http_code}", "-H", f"Content-Type: {kind}", "-d", json.dumps(body), url]
    answer, _, code = space.lab.run(*space.lab.cluster.exec_command(command)).stdout.rpartition("\n")
    return int(code), json.loads(answer)


def test_a_program_asks_for_one_run_however_often(space: Space, tmp_path: Path) -> None:
    space.apply(watching("asked"))
    rule = ["--verb=create", "--resource=retrainpolicies.perennial.dev/runs"]
    code, said = ask(space, tmp_path, "asked/runs", {"id": "load-1"})
    assert code == 403, said
    space.kubectl("create", "role", "starter", *rule)
    space.kubectl("create", "rolebinding", "starter", "--role=starter", f"--serviceaccount={space.name}:monitor")
    space.until("it may", lambda: ask(space, tmp_path, "asked/runs", {"id": "load-1"})[0] in (200, 202), 60)
    space.serves(NAME, 2)
    code, said = ask(space, tmp_path, "asked/runs", {"id": "load-1"})
    assert (code, said["run"]) == (200, 1)
    event = {"specversion": "1.0", "type": "dev.acme.loaded", "source": "airflow", "id": "load-2"}
    code, said = ask(space, tmp_path, "asked/runs", event, "application/cloudevents+json")
    assert code == 202, said
    space.until("it is held", lambda: "Cooldown" in skipped(space, "asked"), 60)
    (run,) = status(space, "asked")["runs"]
    print(run["cause"]["message"])
    assert run["cause"]["type"] == "Event"
    assert trained(space) == 1
    space.kubectl("delete", "rp", "asked")


def test_each_rule_holds_one_back(space: Space, tmp_path: Path) -> None:
    before = trained(space)
    space.apply(
        watching("quiet", quietHours=[ALWAYS]),
        watching("suspended", suspend=True),
        watching("dry", dryRun=True),
        watching("late", {"labelDelay": "1m"}, dryRun=True),
    )
    with reporting(space, tmp_path, NAME, revision(space), 0.5):
        space.until("it keeps the quiet hours", lambda: "QuietHours" in skipped(space, "quiet"), 120)
        space.until("it is suspended", lambda: "Suspended" in skipped(space, "suspended"), 120)
        (run,) = space.until("it would have run", lambda: status(space, "dry").get("runs"), 120)
        assert run["phase"] == "DryRun"
        begun = status(space, "late")
        assert not begun.get("runs"), "what came of late is not yet known to be true"
        (run,) = space.until("it is late enough", lambda: status(space, "late").get("runs"), 180)
        assert run["cause"]["value"] == 0.5
        print(status(space, "quiet")["triggers"][0]["message"])
    assert trained(space) == before
    space.kubectl("delete", "rp", "quiet", "suspended", "dry", "late")


def test_an_outage_that_fifty_see_starts_nothing(space: Space, tmp_path: Path) -> None:
    before = trained(space)
    names = [f"p{number}" for number in range(50)]
    space.apply(*(watching(name, deployment=FRESH) for name in names))
    with reporting(space, tmp_path, FRESH, revision(space, FRESH), 0.5) as acknowledged:

        def held() -> bool:
            found = space.every("rp")
            reasons = [{one["reason"] for one in one["status"].get("skipped") or ()} for one in found]
            return sum("Storm" in one for one in reasons) == len(names)

        space.until("all are held", held, 180)
        count = len(acknowledged()["times"])
        space.until("and stay so", lambda: len(acknowledged()["times"]) > count + 100, 60)
    assert trained(space) == before
    print(status(space, "p0")["triggers"][0]["message"])
    space.kubectl("delete", "rp", *names)
