"""What people read of where a served model comes from, for each state that the records can be in."""

from typing import Any

import pytest

from perennial.cli import lineage, tree
from perennial.cli.problem import Problem
from perennial.plan import Body

DIGEST = "sha256:" + "a" * 64
DATA = "sha256:" + "d" * 64
CAUSE = {
    "trigger": "accuracy",
    "type": "Metric",
    "message": "accuracy is 0.83 (Average of 120 samples in 1h), below 0.9",
    "metric": "accuracy",
    "value": 0.83,
    "limit": 0.9,
    "samples": 120,
    "window": "1h",
    "revision": "churn-1111111111",
}


def promotion(revision: str, time: str, version: int | None = None) -> Body:
    named = {"model": "churn", "version": version} if version else {}
    return named | {
        "revision": revision,
        "digest": DIGEST,
        "uri": f"s3://acme/{revision}",
        "format": "sklearn",
        "time": time,
    }


def deployment(*promotions: Body, **status: Any) -> Body:
    """One that serves the newest of its promotions."""
    stable = {"stableRevision": promotions[0]["revision"], "promotions": list(promotions)} if promotions else {}
    return {"metadata": {"name": "churn"}, "spec": {"model": {"name": "churn"}}, "status": stable | status}


TWO = deployment(
    promotion("churn-2222222222", "2026-11-21T10:07:30Z", 2), promotion("churn-1111111111", "2026-11-14T08:00:00Z", 1)
)


EVALUATION = {
    "rows": 1797,
    "digest": DATA,
    "metrics": [
        {"name": "Accuracy", "rows": 1797, "value": 0.951, "champion": 0.912, "atLeast": 0.02},
        {"name": "RocAuc", "segment": "country=FR", "rows": 310, "value": 0.88, "champion": 0.9, "gap": 0.04},
    ],
}


def version(**spec: Any) -> Body:
    """churn-2, which run 7 of a policy trained, and all that there is to know of it."""
    whole = {
        "model": "churn",
        "version": 2,
        "uri": "s3://acme/models/churn/2",
        "digest": DIGEST,
        "format": "sklearn",
        "metrics": {"accuracy": 0.93, "champion.accuracy": 0.88, "f1": 0.9},
        "evaluation": "holdout-47",
        "champion": {"deployment": "churn", "version": 1, "uri": "s3://acme/1", "digest": DIGEST},
        "parameters": {"depth": 6, "kind": "gbdt"},
        "inputs": [
            {"name": "dataset", "uri": "s3://acme/latest/", "digest": DATA},
            {"name": "labels", "uri": "pvc://labels/all"},
        ],
        "code": {"repository": "https://git.acme.dev/churn", "revision": "4f2c1d0"},
        "image": "ghcr.io/acme/train@" + DIGEST,
        "trainingJob": {"name": "churn-fresh-7", "uid": "u-7"},
        "retrain": {"policy": "churn-fresh", "run": 7, "cause": CAUSE},
        "approval": "Approved",
        "approvedBy": "lead",
    }
    return {"spec": {field: value for field, value in (whole | spec).items() if value is not None}}


JOB = {
    "metadata": {"name": "churn-fresh-7", "uid": "u-7"},
    "status": {"phase": "Succeeded", "completionTime": "2026-11-21T10:05:00Z", "attempt": 2},
}
RUN = {
    "number": 7,
    "cause": CAUSE,
    "phase": "Promoted",
    "trainingJob": "churn-fresh-7",
    "startTime": "2026-11-21T09:55:00Z",
}
POLICY = {"metadata": {"name": "churn-fresh"}, "status": {"runs": [RUN]}}


def traced(
    spec: Body | None = None, *, served: Body | None = TWO, job: Body | None = JOB, policy: Body | None = POLICY
) -> list[str]:
    """The lines of the tree for churn-2, the spec laid over what is plain."""
    found = lineage.trace(
        "team",
        revision=lineage.revision_of(served) if served else None,
        name="churn-2",
        version=version(**spec or {}),
        job=job,
        policy=policy,
        deployment=served,
    )
    return tree.text(found).splitlines()


def said(lines: list[str], label: str) -> list[str]:
    """What the tree says beside a label, line by line."""
    texts = [line.lstrip("│├└─ ") for line in lines]
    start = next(index for index, text in enumerate(texts) if text.startswith(f"{label} "))
    column = lines[start].index(label)
    rest = [line[column:] for line in lines[start + 1 :]]
    more = []
    for line in rest:
        if not line.startswith((" ", "│")) or line[:1] == "│":
            break
        more.append(line.strip())
    return [texts[start].removeprefix(label).strip(), *more]


def test_the_whole_way_back_is_a_tree() -> None:
    assert (
        traced()
        == f"""\
ModelDeployment churn  in namespace team
└─ revision  churn-2222222222, serves since 2026-11-21T10:07:30Z
   └─ version  churn-2
      ├─ model       s3://acme/models/churn/2  (sklearn)
      │              {DIGEST}
      ├─ metrics     accuracy 0.93 (champion 0.88), f1 0.9, measured on holdout-47; the champion was churn-1
      ├─ parameters  depth=6, kind=gbdt
      ├─ approval    Approved by lead
      ├─ data        dataset  s3://acme/latest/
      │              {"":7}  {DATA}
      │              labels   pvc://labels/all
      │              {"":7}  digest not known: none was given, and a claim is mounted without being read
      ├─ code        https://git.acme.dev/churn @ 4f2c1d0
      ├─ image       ghcr.io/acme/train@{DIGEST}
      ├─ training    TrainingJob churn-fresh-7, Succeeded at 2026-11-21T10:05:00Z, attempt 2
      └─ cause       accuracy is 0.83 (Average of 120 samples in 1h), below 0.9
                     measured on churn-1111111111 (churn-1)
                     RetrainPolicy churn-fresh, run 7, trigger accuracy: Promoted""".splitlines()
    )


def test_what_it_had_to_show_beside_the_one_before() -> None:
    new, before = TWO["status"]["promotions"]
    lines = traced(served=deployment(new | {"evaluation": EVALUATION}, before))
    assert lines[2:6] == [
        "   ├─ evaluation  Accuracy 0.951 (champion 0.912), of 1797 rows",
        "   │              RocAuc 0.88 (champion 0.9) where country=FR, of 310 rows, 0.04 between the best and the"
        " worst",
        f"   │              {DATA}",
        "   └─ version     churn-2",
    ]


def test_that_a_person_let_it_in() -> None:
    new, before = TWO["status"]["promotions"]
    words = "version 2 does not pass spec.gate: accuracy 0.8 is below the minimum 0.9; let in by hand: agreed with risk"
    lines = traced(served=deployment(new | {"gateSkipped": words}, before))
    assert lines[2:4] == [f"   ├─ gate     {words}", "   └─ version  churn-2"]


@pytest.mark.parametrize(
    ("spec", "label", "words"),
    [
        ({"code": None}, "code", ["not recorded: the TrainingJob has no spec.code"]),
        ({"code": {"revision": "v3"}}, "code", ["repository not recorded @ v3"]),
        ({"image": None}, "image", ["not recorded"]),
        (
            {"inputs": None},
            "data",
            ["not recorded: the TrainingJob has no spec.inputs; what the training read by itself is not known"],
        ),
        ({"approval": "Rejected", "approvedBy": None}, "approval", ["Rejected by somebody"]),
        (
            {"retrain": None},
            "cause",
            ["not known: the TrainingJob was made by hand; no RetrainPolicy is on record"],
        ),
        (
            {"retrain": None, "trainingJob": None},
            "training",
            ["not by Perennial: the ModelVersion was applied by hand"],
        ),
        ({"metrics": {"loss": 0.25}, "evaluation": None, "champion": None}, "metrics", ["loss 0.25"]),
    ],
)
def test_what_is_not_recorded_is_said_plainly(spec: Body, label: str, words: list[str]) -> None:
    assert said(traced(spec), label) == words


@pytest.mark.parametrize(
    ("cause", "first"),
    [
        ({"trigger": "weekly", "type": "Schedule", "message": "scheduled for 2026-11-15T03:00:00Z"}, "scheduled for"),
        ({"trigger": "request", "type": "Request", "message": "asked for by hand (7)"}, "asked for by hand (7)"),
        ({"trigger": "a", "type": "Metric", "metric": "f1", "value": 0.5, "limit": 0.9}, "f1 is 0.5, limit 0.9"),
        ({"trigger": "a", "type": "Metric"}, "trigger a (Metric)"),
    ],
)
def test_every_kind_of_cause_has_words(cause: Body, first: str) -> None:
    lines = said(traced({"retrain": {"policy": "churn-fresh", "run": 7, "cause": cause}}), "cause")
    assert lines[0].startswith(first)
    assert lines[-1] == f"RetrainPolicy churn-fresh, run 7, trigger {cause['trigger']}: Promoted"


@pytest.mark.parametrize("job", [None, {"metadata": {"name": "churn-fresh-7", "uid": "another"}}])
def test_a_training_that_is_gone_costs_only_its_end(job: Body | None) -> None:
    lines = traced(job=job)
    assert said(lines, "training") == [
        "TrainingJob churn-fresh-7, which is gone; all of this was recorded on the version"
    ]
    assert said(lines, "code") == ["https://git.acme.dev/churn @ 4f2c1d0"]


def test_a_policy_that_is_gone_leaves_the_cause() -> None:
    assert said(traced(policy=None), "cause")[-1] == "RetrainPolicy churn-fresh (gone), run 7, trigger accuracy"


def test_the_run_of_a_policy_that_was_made_again_is_another_one() -> None:
    other = POLICY | {"status": {"runs": [RUN | {"trainingJob": "churn-fresh-9", "phase": "Failed"}]}}
    assert said(traced(policy=other), "cause")[-1] == "RetrainPolicy churn-fresh, run 7, trigger accuracy"


def test_a_version_can_be_traced_without_a_deployment() -> None:
    lines = traced(served=None)
    assert lines[0] == "ModelVersion churn-2  in namespace team"
    assert said(lines, "cause")[1] == "measured on churn-1111111111"


def the_revision(served: Body, wanted: str | None = None) -> list[str]:
    """The lines on a revision whose ModelVersion is gone."""
    revision = lineage.revision_of(served, wanted)
    return tree.text(lineage.trace("team", revision=revision, name=revision.version)).splitlines()[1:]


def test_a_revision_that_served_before_says_from_when_to_when() -> None:
    assert the_revision(TWO, "churn-1111111111") == [
        "└─ revision  churn-1111111111, served from 2026-11-14T08:00:00Z to 2026-11-21T10:07:30Z",
        "   └─ version  churn-1",
        "               is gone, and what was recorded on it with it",
    ]


def test_a_revision_that_is_rolled_out_is_known_too() -> None:
    rolling = deployment(revisions=[{"name": "churn-3333333333", "version": 3, "modelState": "Loading"}])
    assert the_revision(rolling, "churn-3333333333")[:2] == [
        "└─ revision  churn-3333333333, has not taken over",
        "   └─ version  churn-3",
    ]


def test_files_by_their_address_have_no_version() -> None:
    assert the_revision(deployment(promotion("churn-2222222222", "2026-11-21T10:07:30Z"))) == [
        "└─ revision  churn-2222222222, serves since 2026-11-21T10:07:30Z",
        f"   │         s3://acme/churn-2222222222  {DIGEST}",
        "   └─ version  none: files are served by their address (spec.model.uri); where they come from is not recorded",
    ]


WAITS = {
    "type": "Ready",
    "status": "False",
    "reason": "WaitingForVersion",
    "message": "no version yet",
    "lastTransitionTime": "2026-11-21T10:07:30Z",
}


@pytest.mark.parametrize(
    ("served", "wanted", "words"),
    [
        (deployment(conditions=[WAITS]), None, "modeldeployment churn serves nothing yet: no version yet"),
        (deployment(), None, "modeldeployment churn serves nothing yet: it has no status yet"),
        (
            TWO,
            "churn-9999999999",
            "modeldeployment churn does not know revision churn-9999999999: of those that served it remembers "
            "churn-2222222222, churn-1111111111",
        ),
    ],
)
def test_what_is_not_served_is_named(served: Body, wanted: str | None, words: str) -> None:
    with pytest.raises(Problem) as problem:
        lineage.revision_of(served, wanted)
    assert str(problem.value) == words


def test_what_somebody_wrote_does_not_command_the_terminal() -> None:
    lines = traced({"code": {"revision": "v1\x1b[2J\nroot"}})
    assert said(lines, "code") == ["repository not recorded @ v1�[2J�root"]


def test_as_data_it_has_the_fields_of_the_api_and_what_is_not_known() -> None:
    found = lineage.trace("team", name="churn-2", version=version(code=None, image=None), job=JOB, policy=POLICY).body()
    assert found["version"]["inputs"][0] == {"name": "dataset", "uri": "s3://acme/latest/", "digest": DATA}
    assert found["training"]["status"]["phase"] == "Succeeded"
    assert found["cause"]["retrain"]["cause"]["value"] == 0.83
    assert found["unknown"].keys() == {"code", "image"}
