"""Tries to gain by what Perennial's own fields name: claims, Secrets, stores, and what lies in another namespace."""

from dataclasses import dataclass

from perennial.api.resources import MODELDEPLOYMENTS, MODELVERSIONS, RETRAINPOLICIES, TRAININGJOBS, Resource
from perennial.plan import Body
from perennial.pods import overlay
from tests.prove.places import DIGEST, KINDS, retraining, serving, training, version
from tests.prove.tries import MAIN, PLAIN

# What the fields of Perennial's own name: each is refused to who may not create pods, and taken from who may.
WRITTEN: tuple[tuple[Resource, Body], ...] = (
    *(
        (TRAININGJOBS, KINDS[TRAININGJOBS]({"spec": PLAIN}, **change))
        for change in (
            {"inputs": [{"name": "data", "uri": "pvc://robot/data"}]},
            {"inputs": [{"name": "data", "uri": "s3://acme/data"}]},
            {"output": {"uri": "pvc://robot"}},
            {"output": {}},
            {"output": {"mode": "External"}},
            {"storage": {"secretName": "robot"}},
            {"parameters": {"command": "id"}},
            {"code": {"revision": "1", "repository": "http://169.254.169.254/latest"}},
            {"runtime": "any"},
            {"suspend": True},
            {"activeDeadlineSeconds": 1},
        )
    ),
    (MODELDEPLOYMENTS, {"model": {"name": "churn"}}),
    (MODELDEPLOYMENTS, {"model": {"name": "churn", "version": 1}, "storage": {"secretName": "robot"}}),
    (MODELDEPLOYMENTS, {"model": {"name": "churn"}, "runtime": "sklearn"}),
    (MODELDEPLOYMENTS, {"model": {"name": "churn"}, "replicas": 0}),
    (MODELDEPLOYMENTS, {"model": {"uri": "pvc://robot/model", "digest": DIGEST, "format": "sklearn"}}),
    (RETRAINPOLICIES, KINDS[RETRAINPOLICIES]({"spec": PLAIN}, suspend=True)),
    (RETRAINPOLICIES, KINDS[RETRAINPOLICIES]({"spec": PLAIN}, dryRun=True)),
    (
        RETRAINPOLICIES,
        {"deployment": {"name": "kept"}, "trainingJobTemplate": {"spec": {"model": {"name": "m"}, "runtime": "any"}}},
    ),
    (MODELVERSIONS, version()),
    (MODELVERSIONS, version(uri="pvc://robot/model")),
    (MODELVERSIONS, version(storage={"secretName": "robot"})),
    (MODELVERSIONS, version(trainingJob={"name": "kept", "uid": "kept"})),
)


@dataclass(frozen=True)
class Case:
    """What names something that is not the user's, and a part of what it is refused with, at once or on the status.
    `harmless`: what is theirs, by the same field; `shown`: what is then to be read in what was made of it."""

    resource: Resource
    spec: Body
    words: str
    harmless: Body
    shown: str
    name: str | None = None


def _job(change: Body, words: str, harmless: Body, shown: str) -> Case:
    plain = training({"spec": PLAIN})
    return Case(TRAININGJOBS, overlay(plain, change), words, overlay(plain, harmless), shown)


def _deployment(change: Body, words: str, harmless: Body, shown: str) -> Case:
    plain = serving({"spec": PLAIN})
    return Case(MODELDEPLOYMENTS, {**plain, **change}, words, {**plain, **harmless}, shown)


def _pod(change: Body) -> Body:
    return {"template": {"spec": overlay(PLAIN, change)}}


_INPUT = {"inputs": [{"name": "data", "uri": "pvc://robot/data"}]}
_OUTPUT = {"output": {"uri": "pvc://robot/models"}}
_STORE = {"storage": {"secretName": "robot"}}
_HELPER = {"name": "helper", "image": "helper:1"}
_FILES = {"digest": DIGEST, "format": "sklearn"}
_CLAIM = {"model": {"uri": "pvc://robot/model", **_FILES}}
_POLICY = retraining({"spec": PLAIN})

CASES: tuple[Case, ...] = (
    *(
        _job({"model": {"name": name}}, "spec.model.name", {"model": {"name": "mine"}}, '"perennial.dev/model": "mine"')
        for name in ("victim/churn", "../victim/churn", "victim.churn")
    ),
    *(
        _job({"storage": {"secretName": name}}, "spec.storage.secretName", _STORE, '"name": "robot"')
        for name in ("victim/store", "../victim/store")
    ),
    *(
        _job({"output": {"uri": uri}}, "spec.output.uri", _OUTPUT, '"claimName": "robot"')
        for uri in ("pvc://../victim", "pvc://robot/../../victim", "pvc://VICTIM/models", "file:///var/lib/kubelet")
    ),
    *(
        _job({"inputs": [{"name": "data", "uri": uri}]}, "spec.inputs[0].uri", _INPUT, '"claimName": "robot"')
        for uri in (
            "pvc://robot/../../etc",
            "pvc://../victim/data",
            "file:///var/run/secrets/kubernetes.io/serviceaccount/token",
            "gopher://169.254.169.254/",
            "ftp://127.0.0.1/",
            "data:text/plain,x",
        )
    ),
    _job(
        {"inputs": [{"name": "../../etc", "uri": "pvc://robot"}]},
        "spec.inputs[0].name",
        _INPUT,
        "/perennial/inputs/data",
    ),
    _job({"runtime": "../victim"}, "there is no training runtime", {"runtime": "preset"}, "PRESET"),
    *(
        _job(
            _pod({field: [_HELPER | {"name": name}]}),
            "is Perennial's own",
            _pod({field: [_HELPER]}),
            '"name": "helper"',
        )
        for field, name in (("containers", "agent"), ("containers", "prepare"), ("initContainers", "prepare"))
    ),
    _job(
        _pod({"volumes": [{"name": "perennial", "hostPath": {"path": "/"}}]}),
        "Duplicate value",
        _pod({"volumes": [{"name": "mine", "emptyDir": {}}]}),
        '"name": "mine"',
    ),
    _job(
        _pod({"containers": [{"name": MAIN, "volumeMounts": [{"name": "perennial-tmp", "mountPath": "/perennial"}]}]}),
        "must be unique",
        _pod({"containers": [{"name": MAIN, "volumeMounts": [{"name": "perennial-tmp", "mountPath": "/mine"}]}]}),
        "/mine",
    ),
    *(
        _deployment({"model": {"name": name}}, "spec.model.name", _CLAIM, '"claimName": "robot"')
        for name in ("victim/churn", "../victim/churn")
    ),
    *(
        _deployment({"model": {"uri": uri, **_FILES}}, "spec.model.uri", _CLAIM, '"claimName": "robot"')
        for uri in ("pvc://../victim", "pvc://robot/../..", "https://169.254.169.254/latest", "file:///etc")
    ),
    _deployment({"storage": {"secretName": "victim/store"}}, "spec.storage.secretName", _STORE, '"name": "robot"'),
    _deployment({"runtime": "../victim"}, "there is no serving runtime", {"runtime": "sklearn"}, "perennial/server"),
    _deployment(
        _pod({"initContainers": [_HELPER | {"name": "fetch"}]}),
        "is Perennial's own",
        _pod({"initContainers": [_HELPER]}),
        '"name": "helper"',
    ),
    # What is there already and is somebody else's.
    Case(TRAININGJOBS, training({"spec": PLAIN}), "it is left alone", training({"spec": PLAIN}), "perennial", "backup"),
    Case(
        MODELDEPLOYMENTS,
        serving({"spec": PLAIN}),
        "it is left alone",
        serving({"spec": PLAIN}),
        "perennial",
        "payments",
    ),
    *(
        Case(
            RETRAINPOLICIES,
            _POLICY | {"deployment": {"name": name}},
            "in this namespace",
            _POLICY,
            '"perennial.dev/retrainpolicy": "',
        )
        for name in ("victim/churn", "../victim/modeldeployments/churn", "churn.victim")
    ),
    Case(
        RETRAINPOLICIES,
        overlay(_POLICY, {"trainingJobTemplate": {"spec": {"model": {"name": "victim/churn"}}}}),
        "spec.trainingJobTemplate.spec.model.name",
        _POLICY,
        '"perennial.dev/retrainpolicy": "',
    ),
    Case(
        RETRAINPOLICIES,
        overlay(_POLICY, {"trainingJobTemplate": {"spec": {"parameters": {"x": "$(run.secret)"}}}}),
        "$(run.secret) is unknown",
        overlay(_POLICY, {"trainingJobTemplate": {"spec": {"parameters": {"x": "run-$(run.number)"}}}}),
        "run-1",
    ),
    *(
        Case(MODELVERSIONS, version(uri=uri), "spec.uri", version(version=number), "s3://acme/1", "churn-1")
        for number, uri in enumerate(("http://127.0.0.1/model", "pvc://../victim", "file:///etc/passwd"), 2)
    ),
)
