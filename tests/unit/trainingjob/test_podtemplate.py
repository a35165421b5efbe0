"""The training pod that is rendered: the run contract around the user's container, nothing else changed."""

import json
from typing import Any

import pytest

from perennial.api.task import PrepareTask, PublishTask
from perennial.config import Config
from perennial.plan import Body
from tests.unit.trainingjob.builders import DIGEST, Team, a_run


def rendered(run: Body, config: Config | None = None, *others: Body) -> Body:
    team = Team(run, config)
    team.world.add(*others)
    spec: Body = team.started().job["spec"]["template"]["spec"]
    return spec


def by_name(items: list[Body], name: str) -> Body:
    return next(item for item in items if item["name"] == name)


def task(container: Body) -> str:
    # As the kubelet hands it over: `$$` stands for `$`.
    value: str = by_name(container["env"], "PERENNIAL_TASK")["value"]
    return value.replace("$$", "$")


def test_the_training_runs_under_the_launcher_beside_the_agent() -> None:
    pod = rendered(a_run())
    assert [c["name"] for c in pod["initContainers"]] == ["prepare"]
    training, agent = pod["containers"]
    assert training["command"] == ["/perennial/bin/launch", "--", "python", "t.py"]
    assert training["image"] == "train:1"
    assert agent["args"] == ["publish"]
    published = PublishTask.model_validate_json(task(agent))
    assert published.destination == "s3://acme/models/churn/uid-churn-1"
    assert pod["restartPolicy"] == "Never"


def test_parameters_reach_the_training_as_they_are() -> None:
    parameters: dict[str, Any] = {
        "max-depth": 6,
        "rate": 0.1,
        "kind": "gbdt",
        "price": "$(HOME) $5",
        "deep": {"a": [1]},
    }
    pod = rendered(a_run(parameters=parameters))
    env = {one["name"]: one["value"].replace("$$", "$") for one in pod["containers"][0]["env"]}
    assert env["PERENNIAL_PARAM_MAX_DEPTH"] == "6"
    assert env["PERENNIAL_PARAM_RATE"] == "0.1"
    assert env["PERENNIAL_PARAM_KIND"] == "gbdt"
    assert env["PERENNIAL_PARAM_PRICE"] == "$(HOME) $5"
    assert json.loads(env["PERENNIAL_PARAM_DEEP"]) == {"a": [1]}
    assert PrepareTask.model_validate_json(task(pod["initContainers"][0])).parameters == parameters


def test_what_the_user_says_of_a_variable_is_all_that_is_said_of_it() -> None:
    container = {"name": "train", "image": "x", "command": ["run"], "env": [{"name": "HOME", "value": "/home/me"}]}
    env = rendered(a_run(template={"spec": {"containers": [container]}}))["containers"][0]["env"]
    assert [one["value"] for one in env if one["name"] == "HOME"] == ["/home/me"]


def test_a_variable_of_the_users_may_be_made_of_ours_of_that_name() -> None:
    container = {"name": "train", "image": "x", "command": ["run"], "env": [{"name": "HOME", "value": "$(HOME)/me"}]}
    env = rendered(a_run(template={"spec": {"containers": [container]}}))["containers"][0]["env"]
    assert [one["value"] for one in env if one["name"] == "HOME"] == ["/perennial-home", "$(HOME)/me"]


def test_a_value_that_is_no_text_is_left_to_the_api_server_to_refuse() -> None:
    container = {"name": "train", "image": "x", "command": ["run"], "env": [{"name": "HOME", "value": 1}]}
    env = rendered(a_run(template={"spec": {"containers": [container]}}))["containers"][0]["env"]
    assert {"name": "HOME", "value": 1} in env


def test_a_claims_input_is_mounted_and_a_stores_is_fetched() -> None:
    inputs = [{"name": "old", "uri": "pvc://data/a/b"}, {"name": "new", "uri": "s3://x/y", "digest": DIGEST}]
    pod = rendered(a_run(inputs=inputs))
    mount = next(m for m in pod["containers"][0]["volumeMounts"] if m["mountPath"] == "/perennial/inputs/old")
    assert (mount["subPath"], mount["readOnly"]) == ("a/b", True)
    assert by_name(pod["volumes"], mount["name"])["persistentVolumeClaim"] == {"claimName": "data"}
    fetched = PrepareTask.model_validate_json(task(pod["initContainers"][0]))
    assert [(one.name, one.digest) for one in fetched.inputs] == [("old", None), ("new", DIGEST)]


def test_only_the_agent_writes_to_the_claim_that_is_published_to() -> None:
    pod = rendered(a_run(output={"uri": "pvc://models/team"}))
    assert not any("claim-models" in m["name"] for m in pod["containers"][0]["volumeMounts"])
    agent = pod["containers"][1]
    assert {"name": "claim-models", "mountPath": "/perennial-volumes/models"} in agent["volumeMounts"]


def test_our_containers_meet_pod_security_restricted() -> None:
    pod = rendered(a_run())
    for container in (pod["initContainers"][0], pod["containers"][1]):
        security = container["securityContext"]
        assert security["runAsNonRoot"]
        assert security["readOnlyRootFilesystem"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize(("said", "expected"), [({}, 65532), ({"runAsUser": 1000}, 1000)])
def test_the_users_security_context_wins_over_the_default(said: Body, expected: int) -> None:
    template = a_run()["spec"]["template"]
    template["spec"]["securityContext"] = said
    pod = rendered(a_run(template=template))
    assert pod["securityContext"]["runAsUser"] == expected
    assert pod["containers"][0]["securityContext"] == {"allowPrivilegeEscalation": False}


@pytest.mark.parametrize("asked", [{"privileged": True}, {"capabilities": {"add": ["SYS_ADMIN"]}}])
def test_a_default_that_kubernetes_refuses_beside_what_the_user_asks_for_is_left_out(asked: Body) -> None:
    template = a_run()["spec"]["template"]
    template["spec"]["containers"][0]["securityContext"] = asked
    assert rendered(a_run(template=template))["containers"][0]["securityContext"] == asked


def test_storage_is_the_named_secret_or_the_default_one_if_it_is_there() -> None:
    named = rendered(a_run(storage={"secretName": "acme"}))["containers"][1]["envFrom"]
    assert named == [{"secretRef": {"name": "acme"}}]
    default = rendered(a_run())["containers"][1]["envFrom"]
    assert default == [{"secretRef": {"name": "perennial-storage", "optional": True}}]
    assert "envFrom" not in rendered(a_run(storage={"secretName": "acme"}))["containers"][0]


def test_a_runtime_fills_what_the_template_leaves_out() -> None:
    preset = {
        "spec": {
            "containers": [
                {"name": "train", "image": "preset:1", "command": ["run"], "env": [{"name": "A", "value": "1"}]}
            ]
        }
    }
    config = Config.model_validate({"trainingRuntimes": {"py": {"template": preset}}})
    own = {"spec": {"containers": [{"name": "train", "image": "mine:2", "env": [{"name": "B", "value": "2"}]}]}}
    training = rendered(a_run(runtime="py", template=own), config)["containers"][0]
    assert training["image"] == "mine:2"
    assert training["command"][2:] == ["run"]
    assert {"name": "A", "value": "1"} in training["env"]
    assert {"name": "B", "value": "2"} in training["env"]
    bare = rendered(a_run(runtime="py", template={}), config)["containers"][0]
    assert bare["image"] == "preset:1"


def deployment(name: str, version: int) -> Body:
    served = {"version": version, "uri": f"s3://m/{version}", "digest": "sha256:" + str(version) * 64}
    took_over = {"revision": f"{name}-{version}", "format": "sklearn", "time": "2026-11-21T12:00:00Z"}
    return {
        "apiVersion": "perennial.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": "team"},
        "spec": {"model": {"name": "churn"}},
        "status": {"promotions": [served | took_over]},
    }


@pytest.mark.parametrize(("labels", "version"), [({}, 1), ({"perennial.dev/modeldeployment": "prod"}, 2)])
def test_the_champion_is_what_is_served_when_the_run_starts(labels: dict[str, str], version: int) -> None:
    run = a_run()
    run["metadata"]["labels"] = labels
    pod = rendered(run, None, deployment("canary", 1), deployment("prod", 2))
    champion = PrepareTask.model_validate_json(task(pod["initContainers"][0])).champion
    assert champion
    assert champion.uri == f"s3://m/{version}"
    assert any(one["name"] == "PERENNIAL_CHAMPION_DIR" for one in pod["containers"][0]["env"])


def test_with_no_champion_there_is_no_folder_for_one() -> None:
    pod = rendered(a_run())
    assert not any(one["name"] == "PERENNIAL_CHAMPION_DIR" for one in pod["containers"][0]["env"])


def test_disruptions_are_ignored_by_the_job_and_nothing_else() -> None:
    job = Team(a_run(backoffLimit=5)).started().job
    assert job["spec"]["backoffLimit"] == 5
    rules = job["spec"]["podFailurePolicy"]["rules"]
    assert [(r["action"], [c["type"] for c in r["onPodConditions"]]) for r in rules] == [
        ("Ignore", ["DisruptionTarget"])
    ]


def test_owners_are_named_without_a_right_on_their_finalizers() -> None:
    """Blocking an owner's deletion needs one where OwnerReferencesPermissionEnforcement is on."""
    (owner,) = Team(a_run()).started().job["metadata"]["ownerReferences"]
    assert owner["controller"]
    assert "blockOwnerDeletion" not in owner


TRAIN = {"name": "main", "image": "train:1", "command": ["python", "t.py"]}


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"parameters": {"table": "x" * 65_536}}, "spec.parameters: more than 64 KiB"),
        (
            {"template": {"spec": {"containers": [TRAIN], "restartPolicy": "OnFailure"}}},
            "spec.template.spec.restartPolicy",
        ),
        ({"template": {"spec": {"containers": [TRAIN | {"name": "agent"}]}}}, "spec.template.spec.containers[0].name"),
        (
            {"distribution": {"nodes": 2}, "template": {"spec": {"containers": [TRAIN], "subdomain": "mine"}}},
            "spec.template.spec.subdomain: the nodes of a run have names of their own; leave it out",
        ),
    ],
)
def test_what_makes_no_training_pod_is_told_by_the_name_of_the_field(spec: Body, field: str) -> None:
    team = Team(a_run(**spec))
    assert not team.settle().actions
    assert field in team.status["conditions"][0]["message"]
