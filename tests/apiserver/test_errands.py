"""Jobs that look for a policy, on a real API server with its Job controller."""

from typing import Any

import pytest

from perennial.api.detect import Change, Detected
from perennial.api.meta import LABEL_CHECK, LABEL_RETRAINPOLICY
from perennial.api.resources import JOBS, NETWORKPOLICIES, RETRAINPOLICIES, TRAININGJOBS
from perennial.api.task import Drifted, DriftedColumn, Failure, Looked
from perennial.plan import Body
from tests.apiserver.operators import Perennial, eventually
from tests.apiserver.serving import Serving
from tests.apiserver.space import Space

TRAINING: Body = {
    "model": {"name": "churn"},
    "template": {"spec": {"containers": [{"name": "main", "image": "train:1", "command": ["python", "train.py"]}]}},
    "output": {"uri": "s3://acme/models"},
}
DATA: Body = {"name": "new-data", "data": {"uri": "s3://acme/churn/", "every": "1m"}}
DIGEST = "sha256:" + "0" * 64


@pytest.fixture
def serving(space: Space) -> Serving:
    return Serving(space)


def watch(space: Space, *triggers: Body, **spec: Any) -> None:
    plain = {"deployment": {"name": "churn"}, "trainingJobTemplate": {"spec": TRAINING}, "triggers": list(triggers)}
    space.make(RETRAINPOLICIES, "churn", plain | spec)


def row(space: Space) -> Body:
    rows = ((space.get(RETRAINPOLICIES, "churn") or {}).get("status") or {}).get("triggers") or [{}]
    return dict(rows[0])


def scored(container: Body, **metric: Any) -> Body:
    job = {"template": {"spec": {"containers": [container]}}, "every": "24h"}
    return {"name": "held-out", "metric": {"name": "f1", "below": 0.9, "source": {"job": job}, **metric}}


def drifted(columns: int) -> str:
    farthest = (DriftedColumn(name="age", score=0.41),)
    report = "s3://acme/reports/report.html"
    return Drifted(
        rows=500, reference_rows=9000, columns=14, drifted=columns, farthest=farthest, report=report
    ).to_json()


def looked(objects: int) -> str:
    return Looked(objects=objects, bytes=objects * 10, digest=DIGEST[:-1] + str(objects)).to_json()


def test_an_evaluator_says_that_it_is_time(serving: Serving, perennial: Perennial) -> None:
    space = serving.space
    revision = serving.serve_first(network={"allowFrom": []})
    watch(space, scored({"name": "score", "image": "score:1"}))
    pod = serving.asker(LABEL_RETRAINPOLICY)
    env = {one["name"]: one.get("value") for one in pod["spec"]["containers"][0]["env"]}
    assert env["PERENNIAL_URL"] == f"http://churn.{space.name}.svc"
    assert env["PERENNIAL_REVISION"] == revision
    entry = eventually(lambda: space.there(NETWORKPOLICIES, "churn")["spec"].get("ingress"))[0]
    assert entry["from"] == [{"podSelector": {"matchLabels": {LABEL_CHECK: "churn"}}}], "it may call the servers"
    perennial.kill()
    serving.asked(pod, 0, '{"value": 0.7, "count": 250}')
    perennial.restart()
    training = space.there(TRAININGJOBS, "churn-1")
    assert "f1 is 0.7 (250 samples by a Job at" in training["metadata"]["annotations"]["perennial.dev/cause"]
    eventually(lambda: len(space.every(JOBS)) == 2)  # One that looked, and one that trains.
    assert row(space)["state"] == "Firing"
    assert row(space)["nextLookTime"] > row(space)["lastLookTime"]


def test_data_that_grows_is_trained_on(serving: Serving) -> None:
    space = serving.space
    serving.serve_first()
    watch(space, DATA)
    serving.asked(serving.asker(LABEL_RETRAINPOLICY), 0, looked(3))
    eventually(lambda: row(space).get("state") == "Ok")
    assert row(space)["knownData"]["objects"] == 3
    assert not space.every(TRAININGJOBS)

    def next_one() -> Body:
        eventually(lambda: len(space.every(JOBS)) >= 2, 70)
        return serving.asker(LABEL_RETRAINPOLICY)

    serving.asked(next_one(), 0, looked(5))
    training = space.there(TRAININGJOBS, "churn-1")
    assert (
        "has 5 objects of 50 bytes: +2 objects and +20 bytes"
        in training["metadata"]["annotations"]["perennial.dev/cause"]
    )
    eventually(lambda: row(space)["knownData"]["objects"] == 5)


def test_what_the_model_sees_drifts_from_what_it_was_trained_on(serving: Serving, perennial: Perennial) -> None:
    space = serving.space
    serving.version(1, inputs=[{"name": "train", "uri": "s3://acme/train.parquet"}])
    serving.deploy()
    serving.ready(serving.rolling(), 1)
    watch(space, {"name": "moved", "drift": {"reference": {"input": "train"}, "current": {"uri": "s3://acme/now/"}}})
    pod = serving.asker(LABEL_RETRAINPOLICY)
    (container,) = pod["spec"]["containers"]
    assert container["image"].endswith("perennial/drift:0.1.0")
    assert '"uri":"s3://acme/train.parquet"' in container["env"][0]["value"]
    perennial.kill()
    serving.asked(pod, 0, drifted(3))
    perennial.restart()
    training = space.there(TRAININGJOBS, "churn-1")
    cause = training["metadata"]["annotations"]["perennial.dev/cause"]
    assert "3 of 14 columns drifted (PSI above 0.2); farthest: age 0.41" in cause
    assert '"report": "s3://acme/reports/report.html"' in cause
    assert row(space)["drift"]["drifted"] == 3
    assert len([one for one in space.every(JOBS) if "-look-" in one["metadata"]["name"]]) == 1


def test_a_metric_that_fell_is_trained_for(serving: Serving, perennial: Perennial) -> None:
    space = serving.space
    serving.serve_first()
    watch(space, {"name": "worse", "conceptDrift": {"metric": "f1", "direction": "Down"}})
    eventually(lambda: row(space).get("message", "").startswith("0 of at least 200 samples"))
    space.measured("churn", "f1", 0.8, count=300)
    pod = serving.asker(LABEL_RETRAINPOLICY)
    (container,) = pod["spec"]["containers"]
    assert container["args"] == ["detect"]
    assert '"count":300,"mean":0.8' in container["env"][0]["value"]
    # What comes in the meantime is for the next look.
    space.measured("churn", "f1", 0.7, count=300)
    perennial.kill()
    last = Change(start=1_790_000_000, before=0.91, after=0.74)
    said = Detected(samples=300, changes=1, last=last)
    serving.asked(pod, 0, said.to_json())
    perennial.restart()
    training = space.there(TRAININGJOBS, "churn-1")
    cause = training["metadata"]["annotations"]["perennial.dev/cause"]
    assert "f1 fell from 0.91 to 0.74 at 2026-09-21T14:13:20Z (ADWIN, significance 0.002; 300 samples)" in cause
    assert row(space)["conceptDrift"]["changes"] == 1
    assert len([one for one in space.every(JOBS) if "-look-" in one["metadata"]["name"]]) == 1


def test_what_cannot_be_looked_at_is_said(serving: Serving) -> None:
    serving.serve_first()
    watch(serving.space, DATA)
    denied = Failure(reason="AccessDenied", message="cannot read s3://acme/churn: access denied").to_json()
    for _ in range(3):
        serving.asked(serving.asker(LABEL_RETRAINPOLICY), 1, denied)
    eventually(lambda: row(serving.space).get("state") == "Unavailable", 60)
    assert (
        row(serving.space)["message"]
        == "s3://acme/churn/ cannot be looked at: cannot read s3://acme/churn: access denied"
    )
    conditions = serving.space.there(RETRAINPOLICIES, "churn")["status"]["conditions"]
    assert {"Ready": "SourceUnavailable"}.items() <= {one["type"]: one["reason"] for one in conditions}.items()


def test_a_job_that_no_cluster_would_take_is_told_of_at_once(serving: Serving) -> None:
    space = serving.space
    serving.version(1)
    serving.deploy()
    watch(space, scored({"name": "score", "image": "score:1", "imagePullPolicy": "sometimes"}))
    eventually(lambda: row(space).get("state") == "Invalid")
    assert "metric.source.job.template.spec.containers[0].imagePullPolicy: Unsupported value" in row(space)["message"]
    spec = {"triggers": [scored({"name": "score", "image": "score:1"})]}
    space.patch(RETRAINPOLICIES, "churn", {"spec": spec})
    eventually(lambda: row(space).get("state") == "Waiting")
    assert not [job for job in space.every(JOBS) if "-look-" in job["metadata"]["name"]], "nothing is served yet"
