"""What is known of the fields besides their schemas: a sensible manifest of each kind, values that mean something in
the world that the proof makes, and misuse that no schema sees.

That world is a namespace with the ModelDeployment `served`, which follows the model `churn`, and its ModelVersion.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from tests.prove.fields import ABSENT, Body, Known, Leaf, Operation, Sort, Wrong, kinds, leaves, operations

DIGEST = "sha256:" + "0" * 64
MODEL, SERVED = "churn", "served"
TRAIN = {"name": "train", "image": "example.org/train:1", "command": ["python", "train.py"]}
SERVER = {"name": "mine", "image": "example.org/serve:1"}
TRAINING = {
    "model": {"name": MODEL},
    "template": {"spec": {"containers": [TRAIN]}},
    "output": {"uri": "s3://acme/models"},
}
EMBEDDED = "spec.trainingJobTemplate."

# A manifest of each kind that says little more than it must, all of it right.
PLAIN: Mapping[str, Body] = {
    "TrainingJob": {"spec": TRAINING},
    "ModelDeployment": {"spec": {"model": {"name": MODEL}, "template": {"spec": {"containers": [SERVER]}}}},
    "RetrainPolicy": {
        "spec": {
            "deployment": {"name": SERVED},
            "trainingJobTemplate": {"spec": TRAINING},
            "triggers": [{"name": "accuracy", "metric": {"name": "accuracy", "below": 0.9}}],
        }
    },
    "ModelVersion": {
        "spec": {"model": MODEL, "version": 1, "uri": "s3://acme/models/1", "digest": DIGEST, "format": "sklearn"}
        | {"metrics": {"accuracy": 0.9}}
    },
    "Model": {"status": {}},
    "MetricSeries": {"status": {}},
}

_NO_SECRET = (Wrong("Not A Name"), Wrong("a..b"))
_URI = (
    Wrong("pvc://"),
    Wrong("pvc:///path"),
    Wrong("pvc://My Claim/path"),
    Wrong("pvc://a..b/path"),
    Wrong("pvc://" + "c" * 254),
    Wrong("pvc://claim/../path"),
    Wrong("s3:///path"),
    Wrong("s3://bucket/../other"),
    Wrong("s3://key@bucket/path"),
    Wrong("file:///etc/passwd"),
)
_PARAMETERS = (
    Wrong({"x" * 64: 1}, "spec.parameters"),
    Wrong({"a-b": 1, "a_b": 2}, "spec.parameters"),
    Wrong({"text": "x" * 300_000}, "spec.parameters"),
)
_DURATION = (Wrong("99999999999999999999h"), Wrong("5 minutes"), Wrong("1d"), Wrong("-1h"), Wrong("1.5h"))
_NO_RUNTIME = (Wrong("nosuch"), Wrong("x" * 63))

# A right value of something in a pod template, and what is wrong there. What a path begins with is left out.
_POD: Mapping[str, tuple[Any, tuple[Any, ...]]] = {
    "": ({"spec": {}}, ()),
    "metadata": ({"labels": {"team": "ml"}}, ("text", ["team"])),
    "metadata.labels": (
        {"team": "ml"},
        (
            "text",
            ["team"],
            {"team": 7},
            Wrong({"team": "two words"}, "template.labels"),
            Wrong({"not a key": "ml"}, "template.labels"),
        ),
    ),
    "metadata.annotations": (
        {"team": "ml"},
        ("text", ["team"], {"team": 7}, Wrong({"not a key": "ml"}, "template.annotations")),
    ),
    "metadata.lables": (ABSENT, ({"team": "ml"},)),
    "spec.containers[].imagePullPolicy": ("Always", ("always", 7)),
    "spec.containers[].imagePulPolicy": (ABSENT, ("Always",)),
    "spec.containers[].env": (
        [{"name": "A", "value": "1"}],
        ("A=1", {"A": "1"}, ["A=1"], [{"value": "1"}], [{"name": "A", "value": 1}], [{"name": ""}]),
    ),
    "spec.containers[].ports": (
        [{"containerPort": 8080}],
        ("8080", [8080], [{"containerPort": 0}], [{"containerPort": "http"}], [{}]),
    ),
    "spec.containers[].volumeMounts": (
        [],
        ("data", ["data"], [{"name": "nosuch", "mountPath": "/data"}], [{"mountPath": "/data"}]),
    ),
    "spec.containers[].resources": (
        {"requests": {"cpu": "1"}},
        ("1", {"requests": {"cpu": "much"}}, {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}),
    ),
    "spec.containers[].securityContext": ({"runAsUser": 1000}, ("root", ["root"], {"runAsUser": -1})),
    "spec.initContainers": (
        [{"name": "first", "image": "example.org/first:1"}],
        ("first", ["first"], [{"image": "i"}], [{"name": "first"}], [{"name": "Not A Name", "image": "i"}]),
    ),
    "spec.volumes": (
        [{"name": "scratch", "emptyDir": {}}],
        (
            "scratch",
            ["scratch"],
            [{"emptyDir": {}}],
            [{"name": "perennial-tmp", "emptyDir": {}}],
            [{"name": "s", "emptyDir": {}, "hostPath": {"path": "/"}}],
        ),
    ),
    "spec.securityContext": ({"runAsUser": 1000}, ("root", ["root"], {"runAsUser": -1}, {"runAsUsr": 1})),
    "spec.restartPolicy": (ABSENT, ("OnFailure", "Sometimes")),
    "spec.nodeSelector": ({"pool": "gpu"}, ("gpu", ["gpu"], {"pool": 7}, {"not a key": "gpu"})),
    "spec.tolerations": ([{"operator": "Exists"}], ("all", [{"operator": "exists"}])),
    "spec.serviceAccountName": ("default", ("Not A Name", 7)),
    "spec.terminationGracePeriodSeconds": (60, ("60", 1.5)),
    "spec.hostNetwrk": (ABSENT, (True,)),
    "containers": (ABSENT, ([TRAIN],)),
}


_ALSO_OF_JOBS = (
    "metadata.labels", "metadata.annotations", "metadata.lables", "spec.containers[].imagePullPolicy",
    "spec.containers[].env", "spec.initContainers", "spec.nodeSelector", "spec.serviceAccountName", "spec.hostNetwrk",
)  # fmt: skip


def _training(prefix: str) -> dict[str, Known]:
    """The fields of a TrainingJob's spec."""
    wrong = {"spec.output.uri": _URI, "spec.inputs[].uri": (*_URI, Wrong("http:///x"), Wrong("gs://a/b"))}
    rule = {"action": "FailJob", "exitCodes": [3]}
    of_codes = {f"{prefix}spec.failureRules[].exitCodes": [3]}
    torch, jax = ({f"{prefix}spec.distribution.framework": name} for name in ("torch", "jax"))
    elastic = torch | {f"{prefix}spec.distribution.elastic": {"minNodes": 1, "maxNodes": 2}}
    containers = [TRAIN, *({"name": f"c{number}", "image": "i"} for number in range(15))]
    found = {path: Known(wrong=values) for path, values in wrong.items()} | {
        "spec.runtime": Known(good=("sklearn",), wrong=(*_NO_RUNTIME, Wrong(""))),
        "spec.parameters": Known(wrong=_PARAMETERS),
        "spec.storage.secretName": Known(wrong=_NO_SECRET),
        # So many pods are too many to play.
        "spec.distribution.nodes": Known(good=(1, 2), unrun=(512,), wrong=(Wrong(2, also=elastic),)),
        "spec.distribution.elastic.minNodes": Known(
            good=(1, 2), also=elastic, wrong=(Wrong(3, "elastic.minNodes"), Wrong(1, "only torchrun", jax))
        ),
        "spec.distribution.elastic.maxNodes": Known(good=(1, 2), unrun=(512,), also=torch),
        "spec.distribution.processesPerNode": Known(also=torch, wrong=(Wrong(2, "only torchrun", jax),)),
        "spec.failureRules": Known(
            good=([rule], [rule] * 32), wrong=(Wrong([{"action": "FailJob"}], "failureRules[0]"),)
        ),
        "spec.failureRules[].action": Known(also=of_codes),
        "spec.failureRules[].exitCodes": Known(needed="spec.failureRules[0]"),
        "spec.failureRules[].reasons": Known(needed="spec.failureRules[0]"),
        "spec.failureRules[].message": Known(needed="spec.failureRules[0]"),
        "spec.template.spec.containers": Known(
            good=([TRAIN], containers),
            needed="spec.template",
            wrong=(
                Wrong([], "spec.template"),
                Wrong([TRAIN, TRAIN], "spec.template.spec.containers[1]"),
                Wrong([TRAIN | {"name": "a"}, TRAIN | {"name": "b"}], "spec.template"),
            ),
        ),
        "spec.template.spec.containers[].name": Known(
            good=("a", "x" * 63), wrong=(Wrong("Not A Name"), Wrong("agent"), Wrong("prepare"), Wrong(""))
        ),
        "spec.template.spec.containers[].image": Known(
            needed="spec.template.spec.containers[0].image: Required", wrong=(Wrong(" example.org/train:1"), Wrong(""))
        ),
        "spec.template.spec.containers[].command": Known(needed="`command`", wrong=(Wrong([], "`command`"),)),
        "spec.template.spec.containers[].command[]": Known(good=("python",), unrun=("x" * 131072,)),
        # A pod that nobody runs is pending for longer than that at once.
        "spec.pendingDeadlineSeconds": Known(good=(3600, 31_536_000), unrun=(1,)),
    }
    if prefix:
        # What the deployment does not serve is not to be trained.
        found["spec.model.name"] = Known(good=(MODEL,), wrong=(Wrong("a"), Wrong("a" * 40)))
    return {prefix + path: known for path, known in found.items()}


_FILES = {
    "spec.model.name": ABSENT,
    "spec.model.uri": "s3://acme/1",
    "spec.model.digest": DIGEST,
    "spec.model.format": "onnx",
}
_GATE = {"spec.gate.metrics": [{"name": "accuracy", "min": 0.5}]}
_EVALUATED = {
    "spec.gate.evaluation": {
        "uri": "s3://acme/holdout.csv",
        "label": "churned",
        "metrics": [{"name": "Accuracy", "min": 0.5, "segment": "country"}],
    }
}
_COLUMN = (Wrong(""), Wrong("c" * 257))
_EVALUATION = {
    "uri": Known(
        good=("s3://acme/holdout", "https://acme.dev/holdout.csv", "pvc://claim/h.parquet"),
        also=_EVALUATED,
        needed="uri",
        wrong=_URI,
    ),
    "digest": Known(good=(DIGEST,), also=_EVALUATED),
    "label": Known(good=("churned", "Änderung %"), also=_EVALUATED, needed="label", wrong=_COLUMN),
    "columns": Known(good=(["age"],), also=_EVALUATED),
    "columns[]": Known(good=("age",), also=_EVALUATED, wrong=(Wrong(""),)),
    "path": Known(good=("/", "/v1/score"), also=_EVALUATED, wrong=(Wrong("invocations"), Wrong("/a b"))),
    "minRows": Known(also=_EVALUATED),
    "confidence": Known(good=(0.5, 0.9999), also=_EVALUATED, wrong=(Wrong(1), Wrong(0.4), Wrong(0))),
    "metrics": Known(good=([{"name": "Accuracy", "min": 0.5}],), also=_EVALUATED, wrong=(Wrong([]),)),
    "metrics[].name": Known(
        good=("F1", "RocAuc"),
        also=_EVALUATED,
        needed="name",
        wrong=(Wrong("accuracy"), Wrong("Latency", "spec.gate.evaluation")),
    ),
    "metrics[].segment": Known(good=("country",), also=_EVALUATED, wrong=_COLUMN),
    "metrics[].minRows": Known(also=_EVALUATED),
    "metrics[].min": Known(good=(0.5, -1e300), also=_EVALUATED, needed="min"),
    "metrics[].max": Known(good=(0.9, 1e300), also=_EVALUATED, wrong=(Wrong(0.4, "spec.gate.evaluation"),)),
    "metrics[].noWorseThanChampionBy": Known(also=_EVALUATED),
    "metrics[].betterThanChampionBy": Known(also=_EVALUATED),
    "metrics[].maxGap": Known(
        good=(0, 0.1),
        also=_EVALUATED,
        wrong=(Wrong(0.1, "maxGap", {"spec.gate.evaluation.metrics[].segment": ABSENT}),),
    ),
}
_LOOK = {"name": "accuracy", "min": 0.5, "noWorseThanStableBy": 0.1}
_CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
_ERRORS = {"metric": "errors_total", "labels": {"code": "5*"}}
_PODS = {"pods": {"numerator": _ERRORS, "denominator": {"metric": "requests_total"}}}
_PROMETHEUS = {"prometheus": {"query": "up"}}
_RUN = {"name": "smoke", "image": "example.org/smoke:1"}
_JOB = {"job": {"template": {"spec": {"containers": [_RUN]}}}}
_CHECK = {"name": "smoke", "source": _JOB}
_COUNTER = (Wrong("no name"), Wrong("1st"), Wrong(""))


def _canary(look: Body) -> Body:
    return {"spec.strategy.canary": {"steps": [{"setWeight": 10}], "analysis": {"metrics": [look]}}}


_CANARY = _canary(_LOOK)


def _job(also: Body) -> dict[str, Known]:
    """The fields of a Job that somebody wants to be run, in a manifest that has one."""
    return {
        **{
            f"template.{path}": Known(also=also, form=True)
            for path in (
                *(f"metadata.{field}" for field in ("labels", "labels.*", "annotations", "annotations.*")),
                *(
                    f"spec.{containers}[].{field}"
                    for containers in ("containers", "initContainers")
                    for field in ("name", "image", "env", "env[].name", "env[].value", "securityContext")
                ),
                "spec.initContainers",
                "spec.securityContext",
            )
        },
        "template.spec.containers": Known(
            good=([_RUN], [{"name": f"c{number}", "image": "i"} for number in range(16)]), also=also
        ),
        "template.spec.restartPolicy": Known(also=also),
        "activeDeadlineSeconds": Known(also=also),
    }


def _pods(also: Body) -> dict[str, Known]:
    """The fields of counters of pods, in a manifest that has some."""
    return {
        **{
            f"{counter}.{field}": known
            for counter in ("numerator", "denominator")
            for field, known in {
                "metric": Known(also=also, needed=counter, wrong=_COUNTER),
                "labels": Known(also=also, wrong=(Wrong({"a-b": "1"}, "labels"),)),
                "labels.*": Known(also=also),
                "plus": Known(also=also),
                "plus[]": Known(also=also, wrong=_COUNTER),
            }.items()
        },
        "path": Known(good=("/metrics", "/v2/a.b"), also=also, wrong=(Wrong("metrics"), Wrong("/a?b"))),
        "port": Known(also=also),
        "mean.times": Known(good=(0.000001, 1000, 1000000), also=also, wrong=(Wrong(0), Wrong(-1), Wrong(1000001))),
    }


def _analysis(place: Callable[[Body], Body]) -> dict[str, Known]:
    """The fields of an analysis that is there already, with one metric, in a manifest."""
    also, pods, prometheus = (place(_LOOK | more) for more in ({}, {"source": _PODS}, {"source": _PROMETHEUS}))
    job = place(_CHECK)
    return {
        **{f"metrics[].source.job.{path}": known for path, known in _job(job).items()},
        "metrics": Known(
            good=([_LOOK], [_LOOK | {"name": f"m{number}"} for number in range(16)]),
            also=also,
            wrong=(Wrong([]), Wrong([{"name": "accuracy"}]), Wrong([_LOOK, _LOOK])),
        ),
        "metrics[].name": Known(also=also),
        "metrics[].source.reported": Known(also=also),
        "metrics[].source.runtime": Known(also=also),
        **{f"metrics[].source.pods.{path}": known for path, known in _pods(pods).items()},
        "metrics[].source.prometheus.server": Known(good=("main",), also=prometheus, wrong=(Wrong("http://evil"),)),
        "metrics[].source.prometheus.query": Known(also=prometheus, needed="query"),
        "metrics[].source.prometheus.samples": Known(also=prometheus),
        "metrics[].source.webhook.name": Known(
            good=("truth",),
            also=place(_LOOK | {"source": {"webhook": {"name": "truth"}}}),
            wrong=(Wrong("http://evil"),),
        ),
        "metrics[].min": Known(also=also),
        "metrics[].max": Known(also=also, good=(0.5, 1e300), wrong=(Wrong(0.4, "metrics[0].min"),)),
        "metrics[].noWorseThanStableBy": Known(
            also=also, wrong=(Wrong(0.1, "metrics[0].noWorseThanStableBy", {**job}),)
        ),
        "metrics[].lowerIsBetter": Known(also=also),
        "metrics[].minSamples": Known(also=also),
        "interval": Known(good=("1s", "24h"), also=also, wrong=(*_DURATION, Wrong("0s"), Wrong("25h"))),
        "confidence": Known(good=(0.5, 0.9999), also=also, wrong=(Wrong(0.4), Wrong(1), Wrong(95))),
        "failureLimit": Known(also=also),
        "inconclusiveLimit": Known(also=also),
        "consecutiveErrorLimit": Known(also=also),
        "onInconclusive": Known(also=also),
    }


def _blue_green(which: str, look: Body) -> Body:
    return {"spec.strategy.blueGreen": {which: {"metrics": [look]}}}


_ROUTE = {"spec.route": {"parentRefs": [{"name": "public"}]}}
_UNROUTED = {"spec.route": ABSENT}
_GOLDEN = {"spec.golden": {"uri": "s3://acme/golden.jsonl", "maxDifference": 1}}
_HEADER = {"name": "x-beta", "value": "yes"}
_MATCH = {"headers": [_HEADER]}
_COOKIE = {"cookie": {"name": "group", "value": "b"}}

_KEYED = {"spec.strategy.abTest": {"hashedKey": {"header": "x-user", "percent": 50}}} | _ROUTE


def _ab_test(look: Body) -> Body:
    return {"spec.strategy.abTest": {"match": [_MATCH], "analysis": {"metrics": [look]}}} | _ROUTE


def _shadow(look: Body) -> Body:
    return {"spec.strategy.shadow": {"analysis": {"metrics": [look]}}} | _ROUTE


def _step(step: Body) -> Body:
    return {"spec.strategy.canary": {"steps": [step]}} | _ROUTE


def _match(place: Callable[[Body], Body], needed: str = "") -> dict[str, Known]:
    """The fields of requests that are told by what they carry."""
    header, cookie = place(_MATCH), place(_COOKIE)
    return {
        "match": Known(
            good=([_MATCH], [_MATCH] * 8), also=header, needed=needed, wrong=(Wrong([{}]), Wrong([_MATCH] * 9))
        ),
        "match[].headers": Known(
            good=([_HEADER],), also=header, needed="match[0]", wrong=(Wrong([], "match[0]"), Wrong([{"name": "a"}]))
        ),
        "match[].headers[].name": Known(good=("x-beta", "X" * 256), also=header, wrong=(Wrong("a b"), Wrong("a:"))),
        "match[].headers[].value": Known(good=("yes", "v" * 4096), also=header, wrong=(Wrong(""),)),
        "match[].headers[].type": Known(also=header),
        "match[].cookie.name": Known(good=("group", "g" * 256), also=cookie, wrong=(Wrong("a b"), Wrong("a=b"))),
        "match[].cookie.value": Known(good=("b", "v" * 1024), also=cookie, wrong=(Wrong("a b"), Wrong("a;b"))),
    }


_STRATEGIES = {
    **{
        f"abTest.{path}": known
        for path, known in _match(lambda one: {"spec.strategy.abTest": {"match": [one]}} | _ROUTE, "match").items()
    },
    "abTest.hashedKey.header": Known(good=("x-user", "X" * 256), also=_KEYED, wrong=(Wrong("a b"), Wrong("a:"))),
    "abTest.hashedKey.percent": Known(
        also=_KEYED,
        wrong=(
            Wrong(0),
            Wrong(100),
            Wrong(50, "spec.strategy.abTest", {"spec.strategy.abTest.match": [_MATCH]}),
        ),
    ),
    "abTest.replicas": Known(good=(1, 2), unrun=(10_000,), also=_ab_test(_LOOK)),
    "abTest.duration": Known(good=("0s", "720h"), also=_ab_test(_LOOK), wrong=_DURATION),
    **{f"abTest.analysis.{path}": known for path, known in _analysis(_ab_test).items()},
    "shadow.percent": Known(
        good=(1, 100), also=_shadow(_LOOK), wrong=(Wrong(0), Wrong(101), Wrong(50, "spec.strategy", _UNROUTED))
    ),
    "shadow.replicas": Known(good=(1, 2), unrun=(10_000,), also=_shadow(_LOOK)),
    "shadow.duration": Known(good=("0s", "720h"), also=_shadow(_LOOK), wrong=_DURATION),
    **{f"shadow.analysis.{path}": known for path, known in _analysis(_shadow).items()},
    **{
        f"canary.steps[].setHeaderRoute.{path}": known
        for path, known in _match(lambda one: _step({"setHeaderRoute": {"match": [one]}})).items()
    },
    "canary.steps[].setCanaryScale.replicas": Known(
        also=_step({"setCanaryScale": {"replicas": 1}}),
        needed="setCanaryScale",
        wrong=(Wrong(1, "spec.strategy", {"spec.route": ABSENT}),),
    ),
    "canary.steps[].setCanaryScale.weight": Known(
        also=_step({"setCanaryScale": {"weight": 1}}), needed="setCanaryScale"
    ),
    "canary.steps[].setCanaryScale.matchTrafficWeight": Known(
        also=_step({"setCanaryScale": {"matchTrafficWeight": True}}), needed="setCanaryScale"
    ),
    "canary.steps": Known(
        good=([{"setWeight": 10}], [{"setWeight": number} for number in range(32)]),
        wrong=(Wrong([]), Wrong([{}]), Wrong([{"setWeight": 1, "pause": {}}])),
    ),
    "canary.steps[].setWeight": Known(also=_CANARY, needed="steps[0]"),
    "canary.steps[].pause": Known(),
    "canary.steps[].analysis": Known(also={"spec.strategy.canary": {"steps": [], "analysis": {"metrics": [_LOOK]}}}),
    "canary.maxWeightError": Known(also=_CANARY),
    "canary.stableScale": Known(
        also=_CANARY | _ROUTE, wrong=(Wrong("MatchTrafficWeight", "spec.strategy", {"spec.route": ABSENT}),)
    ),
    "canary.bakeTime": Known(good=("0s", "720h"), also=_CANARY, wrong=_DURATION),
    **{f"canary.analysis.{path}": known for path, known in _analysis(_canary).items()},
    **{
        f"blueGreen.{which}.{path}": known
        for which in ("prePromotionAnalysis", "postPromotionAnalysis")
        for path, known in _analysis(partial(_blue_green, which)).items()
    },
}
_SCHEDULE = {"spec.triggers[]": {"name": "yearly", "schedule": {"cron": "0 3 1 1 *"}}}
_ABOVE = {"spec.triggers[].metric": {"name": "accuracy", "above": 0.9}}
_QUERIED = {"spec.triggers[].metric": {"name": "accuracy", "below": 0.9, "source": {"prometheus": {"query": "up"}}}}
_LOGGED = {"spec.triggers[].metric": {"name": "accuracy", "below": 0.9, "source": {"mlflow": {"experiment": "held"}}}}
_COUNTED = {"spec.triggers[].metric": {"name": "errors", "above": 0.1, "source": _PODS}}
_CALLED = {"spec.triggers[].metric": {"name": "accuracy", "below": 0.9, "source": {"webhook": {"name": "truth"}}}}
_EVALUATED = {"spec.triggers[].metric": {"name": "accuracy", "below": 0.9, "source": _JOB}}
_DATA = {"spec.triggers[]": {"name": "new-data", "data": {"uri": "s3://acme/churn/"}}}
_REQUEST_LOG = {"spec.requestLog": {"uri": "s3://acme/requests"}}
_ASKED = {
    "spec.triggers[]": {
        "name": "moved",
        "drift": {"reference": {"uri": "s3://acme/train.csv"}, "current": {"requests": {}}},
    }
}
_DRIFT = {
    "spec.triggers[]": {
        "name": "moved",
        "drift": {"reference": {"uri": "s3://acme/train.csv"}, "current": {"uri": "s3://acme/now/"}},
    }
}
_TESTED = {
    "spec.triggers[]": {
        **_DRIFT["spec.triggers[]"],
        "drift": _DRIFT["spec.triggers[]"]["drift"] | {"method": "ChiSquared"},
    }
}
_CONCEPT = {"spec.triggers[]": {"name": "worse", "conceptDrift": {"metric": "accuracy"}}}
_PAGE_HINKLEY = {
    "spec.triggers[]": {"name": "worse", "conceptDrift": {"metric": "accuracy", "detector": "PageHinkley"}}
}
_BY_INPUT = {
    "spec.triggers[]": {
        **_DRIFT["spec.triggers[]"],
        "drift": _DRIFT["spec.triggers[]"]["drift"] | {"reference": {"input": "train"}},
    }
}
_OUTSIDE = {"spec.triggers[].metric": {"name": "accuracy", "outside": {"below": 0.5, "above": 0.9}}}
_LONG_BREACHES = {"spec.triggers[].metric.breaches": {"atLeast": 1, "of": 20}, "spec.triggers[].metric.window": "3m"}
_RECORDED = {"spec.triggers[].metric.relativeTo": {"baseline": "Recorded"}}
_SHOWN = {"spec.triggers[].metric.relativeTo": {"baseline": "Promotion"}}
_QUIET = {"spec.quietHours[]": {"name": "nights", "cron": "0 3 1 1 *", "duration": "1h"}}
_NO_CRON = (
    Wrong("@daily"),
    Wrong("61 * * * *"),
    Wrong("0 3 * *"),
    Wrong("0 0 31 2 *"),
    Wrong("a b c d e"),
    Wrong("0\u30003 1 1 * *"),
)
_NO_ZONE = (Wrong("Europe/Berlim"), Wrong("../../etc/passwd"), Wrong("Europe"), Wrong("x" * 64), Wrong("\x00"))
_BREACHES = {"spec.triggers[].metric": {"name": "accuracy", "below": 0.9, "breaches": {"atLeast": 1, "of": 2}}}

KNOWN: Mapping[str, Mapping[str, Known]] = {
    "TrainingJob": _training(""),
    "ModelDeployment": {
        "spec.model.name": Known(needed="name", wrong=(Wrong("churn", "spec.model", {"spec.model.uri": "s3://a/b"}),)),
        "spec.model.version": Known(
            good=(1,), wrong=(Wrong(2), Wrong(2_147_483_647), Wrong(1, also={"spec.model.name": ABSENT}))
        ),
        "spec.model.uri": Known(also=_FILES, needed="uri", wrong=_URI),
        "spec.model.digest": Known(
            also=_FILES,
            needed="digest",
            wrong=(Wrong(DIGEST, "digest", {"spec.model.name": MODEL, "spec.model.uri": ABSENT}),),
        ),
        "spec.model.format": Known(also=_FILES, needed="format", wrong=(Wrong("nosuch", also={"spec.template": {}}),)),
        "spec.gate.metrics": Known(
            good=([{"name": "accuracy", "min": 0.5}], [{"name": "accuracy", "min": n / 32} for n in range(16)]),
            also=_GATE,
            needed="give metrics, evaluation or both",
            wrong=(Wrong([]),),
        ),
        "spec.gate.metrics[].name": Known(
            good=("accuracy",), also=_GATE, wrong=(Wrong("nosuch", "spec.gate"), Wrong("a" * 63, "spec.gate"))
        ),
        "spec.gate.metrics[].min": Known(
            good=(0.5, -1e300), also=_GATE, needed="min", wrong=(Wrong(1e300, "spec.gate"),)
        ),
        "spec.gate.metrics[].max": Known(
            good=(0.9, 1e300), also=_GATE, wrong=(Wrong(0.4, "spec.gate.metrics[0].min"), Wrong(0.6, "spec.gate"))
        ),
        "spec.gate.metrics[].noWorseThanChampionBy": Known(also=_GATE),
        "spec.gate.metrics[].lowerIsBetter": Known(also=_GATE),
        **{f"spec.gate.evaluation.{field}": known for field, known in _EVALUATION.items()},
        **{f"spec.strategy.{field}": known for field, known in _STRATEGIES.items()},
        "spec.runtime": Known(good=("auto", "sklearn"), wrong=_NO_RUNTIME),
        "spec.storage.secretName": Known(wrong=_NO_SECRET),
        # Nobody wants ten thousand pods of a test.
        "spec.replicas": Known(good=(0, 2), unrun=(10_000,)),
        "spec.autoscaling.minReplicas": Known(
            good=(1, 2),
            unrun=(10_000,),
            also={"spec.autoscaling.maxReplicas": 10_000},
            wrong=(Wrong(2, also={"spec.autoscaling.maxReplicas": 1}),),
        ),
        "spec.autoscaling.metrics": Known(
            good=([], [_CPU] * 16),
            wrong=(Wrong([{}]), Wrong([_CPU | {"type": "Resourse"}], "spec.autoscaling")),
        ),
        "spec.autoscaling.metrics[]": Known(
            good=(_CPU,),
            wrong=(Wrong({}), Wrong({"type": "Resource"}), Wrong(_CPU | {"resorce": {}}, "spec.autoscaling")),
        ),
        "spec.autoscaling.behavior": Known(
            good=({}, {"scaleDown": {"stabilizationWindowSeconds": 60}}),
            wrong=(Wrong({"scaleDwn": {}}), Wrong({"scaleDown": {"stabilizationWindowSeconds": -1}})),
        ),
        "spec.disruption.minAvailable": Known(
            good=(0, 10_000, "0%", "100%"),
            needed="minAvailable",
            wrong=(Wrong("101%"), Wrong(1, "minAvailable", {"spec.disruption.maxUnavailable": 1})),
        ),
        "spec.disruption.maxUnavailable": Known(
            good=(0, 10_000, "0%", "100%"), needed="maxUnavailable", wrong=(Wrong("101%"),)
        ),
        "spec.requestLog.uri": Known(also=_REQUEST_LOG, needed="uri", wrong=(*_URI, Wrong("https://acme.dev/a"))),
        "spec.requestLog.percent": Known(
            good=(0.001, 12.5, 100), also=_REQUEST_LOG, wrong=(Wrong(0), Wrong(100.1), Wrong("10%"))
        ),
        "spec.requestLog.columns": Known(good=(["age"],), also=_REQUEST_LOG),
        "spec.requestLog.columns[]": Known(good=("age", "Änderung %"), also=_REQUEST_LOG, wrong=(Wrong(""),)),
        "spec.requestLog.retention": Known(
            good=("1h", "8760h"), also=_REQUEST_LOG, wrong=(*_DURATION, Wrong("59m"), Wrong("8761h"))
        ),
        "spec.requestLog.storage.secretName": Known(also=_REQUEST_LOG, wrong=_NO_SECRET),
        "spec.network.allowFrom": Known(
            good=([], [{"podSelector": {}}] * 64), wrong=(Wrong([{}], "spec.network"), Wrong(["web"]))
        ),
        "spec.network.allowFrom[]": Known(
            good=({"podSelector": {}}, {"ipBlock": {"cidr": "10.0.0.0/8"}}),
            wrong=(
                Wrong({}, "spec.network"),
                Wrong({"podSelectr": {}}, "spec.network"),
                Wrong({"ipBlock": {"cidr": "10.0.0.0"}}, "spec.network"),
            ),
        ),
        "spec.ingress.className": Known(good=("nginx", "a" * 253), wrong=(Wrong("-"), Wrong(""))),
        "spec.ingress.hosts": Known(good=([], ["*.acme.dev"] * 16), wrong=(Wrong(["a..b"]),)),
        "spec.ingress.hosts[]": Known(good=("a.dev", "*.a.dev"), wrong=(Wrong("*.*.a"), Wrong("A.dev"))),
        "spec.ingress.tlsSecretName": Known(good=("cert", "a" * 253), wrong=(Wrong("-"), Wrong(""))),
        "spec.ingress.annotations": Known(good=({}, {"a": "b"}), wrong=(Wrong({"-": "b"}, "spec.ingress"),)),
        "spec.route.parentRefs": Known(
            good=([{"name": "a"}], [{"name": "a" * 253}, {"name": "b"}]),
            wrong=(Wrong([]), Wrong([{"name": "a"}] * 2, "spec.route")),
        ),
        "spec.route.parentRefs[].name": Known(good=("a", "a" * 253), wrong=(Wrong("-"), Wrong(""))),
        "spec.route.parentRefs[].namespace": Known(good=("a", "a" * 63), wrong=(Wrong("a.b"), Wrong(""))),
        "spec.route.parentRefs[].sectionName": Known(good=("a", "a" * 253), wrong=(Wrong("-"), Wrong(""))),
        "spec.route.parentRefs[].group": Known(
            good=("", "example.org"), wrong=(Wrong("-", "spec.route"), Wrong("a b", "spec.route"))
        ),
        "spec.route.parentRefs[].kind": Known(
            good=("Gateway", "Service"), wrong=(Wrong("-", "spec.route"), Wrong("a b", "spec.route"))
        ),
        "spec.route.hostnames": Known(good=([], ["*.acme.dev"] * 2), wrong=(Wrong(["a..b"]),)),
        "spec.route.hostnames[]": Known(good=("a.dev", "*.a.dev"), wrong=(Wrong("*.*.a"), Wrong("A.dev"))),
        "spec.golden.uri": Known(good=("s3://acme/golden.jsonl", "pvc://claim/golden"), also=_GOLDEN, wrong=_URI),
        "spec.golden.digest": Known(good=(DIGEST,), also=_GOLDEN),
        "spec.golden.path": Known(
            good=("/", "/v2/models/m/infer"), also=_GOLDEN, wrong=(Wrong("invocations"), Wrong("/a b"))
        ),
        "spec.golden.maxDifference": Known(good=(0, 0.5, 1e9), also=_GOLDEN, needed="maxDifference"),
        "spec.golden.meanDifference": Known(good=(0, 0.5), also=_GOLDEN),
        "spec.maxSurge": Known(
            good=(0, 10_000, "0%", "999%"),
            also={"spec.maxUnavailable": 1},
            wrong=(Wrong(0, "spec.maxUnavailable", {"spec.maxUnavailable": "0%"}),),
        ),
        "spec.maxUnavailable": Known(good=(0, 10_000, "0%", "999%"), wrong=(Wrong("00%", also={"spec.maxSurge": 0}),)),
        "spec.scaleDownDelay": Known(good=("0s", "8760h", "1h1m1s"), wrong=(*_DURATION, Wrong("8761h"))),
        "spec.template.spec.containers": Known(
            good=([SERVER], [{"name": f"c{n}", "image": "i"} for n in range(16)]),
            wrong=(Wrong([SERVER, SERVER], "spec.template.spec.containers[1]"),),
        ),
        "spec.template.spec.containers[].name": Known(
            good=("a", "x" * 63), wrong=(Wrong("Not A Name"), Wrong("fetch"), Wrong(""))
        ),
        "spec.template.spec.containers[].image": Known(
            needed="spec.template.spec.containers[0].image: Required", wrong=(Wrong(" example.org/serve:1"), Wrong(""))
        ),
        "spec.template.spec.containers[].command[]": Known(good=("python",), unrun=("x" * 131072,)),
    },
    "RetrainPolicy": _training(EMBEDDED)
    | {
        "spec.deployment.name": Known(good=(SERVED,), wrong=(Wrong("nosuch"), Wrong("Not A Name"), Wrong("x" * 63))),
        EMBEDDED + "spec.inputs[].name": Known(),
        "spec.triggers": Known(
            good=([], [{"name": f"t{n}", "metric": {"name": "accuracy", "below": 0.9}} for n in range(16)]),
            wrong=(Wrong([{"name": "a", "metric": {"name": "b", "below": 1}}] * 2, "spec.triggers[1]"),),
        ),
        "spec.triggers[].name": Known(wrong=(Wrong("request"),)),
        "spec.triggers[].metric.below": Known(
            needed="below", wrong=(Wrong(0.9, "below", {"spec.triggers[].metric.above": 1}),)
        ),
        "spec.triggers[].metric.above": Known(needed="above", also=_ABOVE),
        "spec.triggers[].metric.outside.below": Known(good=(0.5, -1), also=_OUTSIDE, wrong=(Wrong(0.9), Wrong(1))),
        "spec.triggers[].metric.outside.above": Known(good=(0.9, 7), also=_OUTSIDE, wrong=(Wrong(0.5), Wrong(0))),
        "spec.triggers[].metric.recoverAbove": Known(
            good=(0.9, 0.95), wrong=(Wrong(0.8), Wrong(0.95, "recoverAbove", _ABOVE))
        ),
        "spec.triggers[].metric.recoverBelow": Known(
            good=(0.9, 0.8), also=_ABOVE, wrong=(Wrong(0.95), Wrong(0.8, "recoverBelow", _OUTSIDE))
        ),
        "spec.triggers[].metric.breaches.atLeast": Known(good=(1, 2), also=_BREACHES, wrong=(Wrong(3),)),
        "spec.triggers[].metric.breaches.of": Known(
            good=(2, 12),
            also=_BREACHES,
            wrong=(Wrong(13, "breaches"), Wrong(2, "for", {"spec.triggers[].metric.for": "1m"})),
        ),
        "spec.triggers[].metric.source.prometheus.server": Known(
            good=("main",), also=_QUERIED, wrong=(Wrong("http://evil"),)
        ),
        "spec.triggers[].metric.source.prometheus.query": Known(also=_QUERIED, needed="query"),
        "spec.triggers[].metric.source.prometheus.samples": Known(also=_QUERIED),
        "spec.triggers[].metric.source.mlflow.server": Known(
            good=("default", "a.b-c"), also=_LOGGED, wrong=(Wrong("http://evil"), Wrong("../x"))
        ),
        "spec.triggers[].metric.source.mlflow.experiment": Known(
            good=("held out",), also=_LOGGED, needed="experiment", wrong=(Wrong("x' or name like '%"),)
        ),
        "spec.triggers[].metric.source.mlflow.filter": Known(good=("", "tags.x = '1'"), also=_LOGGED),
        "spec.triggers[].metric.source.webhook.name": Known(
            good=("truth",), also=_CALLED, wrong=(Wrong("http://evil"),)
        ),
        **{f"spec.triggers[].metric.source.pods.{path}": known for path, known in _pods(_COUNTED).items()},
        **{f"spec.triggers[].metric.source.job.{path}": known for path, known in _job(_EVALUATED).items()},
        "spec.triggers[].metric.source.job.every": Known(
            good=("1m", "720h"), also=_EVALUATED, wrong=(*_DURATION, Wrong("59s"), Wrong("721h"))
        ),
        "spec.triggers[].data.uri": Known(
            good=("pvc://data", "https://acme.dev/a.csv", "git+https://acme.dev/data.git@main"),
            also=_DATA,
            needed="uri",
            wrong=(*_URI, Wrong("git+https://acme.dev/data"), Wrong("git+https://a@acme.dev/data@main")),
        ),
        "spec.triggers[].data.every": Known(
            good=("1m", "720h"), also=_DATA, wrong=(*_DURATION, Wrong("59s"), Wrong("721h"))
        ),
        "spec.triggers[].data.storage.secretName": Known(also=_DATA, wrong=_NO_SECRET),
        "spec.triggers[].data.minNewObjects": Known(also=_DATA),
        "spec.triggers[].data.minNewBytes": Known(
            good=("1Ki", "999999Ti"), also=_DATA, wrong=(Wrong("0Gi"), Wrong("1G"), Wrong("1.5Gi"), Wrong(1))
        ),
        "spec.triggers[].drift.reference.uri": Known(
            good=("pvc://data", "https://acme.dev/a.csv"),
            also=_DRIFT,
            needed="reference",
            wrong=(*_URI, Wrong("git+https://acme.dev/data@main")),
        ),
        "spec.triggers[].drift.reference.input": Known(
            good=("train",), also=_BY_INPUT, needed="reference", wrong=(Wrong("Train"), Wrong("../x"))
        ),
        "spec.triggers[].drift.current.uri": Known(
            good=("pvc://data", "https://acme.dev/a.csv"),
            also=_DRIFT,
            needed="current",
            wrong=(*_URI, Wrong("git+https://acme.dev/data@main")),
        ),
        "spec.triggers[].drift.current.requests.within": Known(
            good=("5m", "8760h"), also=_ASKED, wrong=(*_DURATION, Wrong("4m"), Wrong("8761h"))
        ),
        "spec.triggers[].drift.columns": Known(good=(["age"],), also=_DRIFT),
        "spec.triggers[].drift.columns[]": Known(good=("age", "Änderung %"), also=_DRIFT, wrong=(Wrong(""),)),
        "spec.triggers[].drift.method": Known(also=_DRIFT),
        "spec.triggers[].drift.above": Known(
            good=(0, 0.25),
            also=_DRIFT,
            wrong=(Wrong(-0.1), Wrong(0.2, "above", {"spec.triggers[].drift.method": "ChiSquared"})),
        ),
        "spec.triggers[].drift.significance": Known(
            good=(0.001,),
            also=_TESTED,
            wrong=(Wrong(0), Wrong(1), Wrong(0.01, "significance", {"spec.triggers[].drift.method": "PSI"})),
        ),
        "spec.triggers[].drift.atLeast": Known(also=_DRIFT),
        "spec.triggers[].drift.minSamples": Known(also=_DRIFT),
        "spec.triggers[].drift.for": Known(good=("0s", "720h"), also=_DRIFT, wrong=(*_DURATION, Wrong("721h"))),
        "spec.triggers[].drift.every": Known(
            good=("1m", "720h"), also=_DRIFT, wrong=(*_DURATION, Wrong("59s"), Wrong("721h"))
        ),
        "spec.triggers[].drift.storage.secretName": Known(also=_DRIFT, wrong=_NO_SECRET),
        "spec.triggers[].drift.report": Known(
            good=("s3://acme/reports", "pvc://data/reports"), also=_DRIFT, wrong=(*_URI, Wrong("https://acme.dev/a"))
        ),
        "spec.triggers[].conceptDrift.metric": Known(good=("f1",), also=_CONCEPT, needed="metric"),
        "spec.triggers[].conceptDrift.detector": Known(also=_CONCEPT),
        "spec.triggers[].conceptDrift.direction": Known(also=_CONCEPT),
        "spec.triggers[].conceptDrift.significance": Known(
            good=(0.0000001, 0.5),
            also=_CONCEPT,
            wrong=(
                Wrong(0),
                Wrong(1),
                Wrong(0.01, "significance", {"spec.triggers[].conceptDrift.detector": "PageHinkley"}),
            ),
        ),
        "spec.triggers[].conceptDrift.threshold": Known(
            good=(1, 12.5),
            also=_PAGE_HINKLEY,
            wrong=(Wrong(0.5), Wrong(50, "threshold", {"spec.triggers[].conceptDrift.detector": "ADWIN"})),
        ),
        "spec.triggers[].conceptDrift.tolerance": Known(
            good=(0, 0.5),
            also=_PAGE_HINKLEY,
            wrong=(Wrong(-0.1), Wrong(0.1, "tolerance", {"spec.triggers[].conceptDrift.detector": "ADWIN"})),
        ),
        "spec.triggers[].conceptDrift.minSamples": Known(also=_CONCEPT, wrong=(Wrong(29),)),
        "spec.triggers[].conceptDrift.every": Known(
            good=("1m", "720h"), also=_CONCEPT, wrong=(*_DURATION, Wrong("59s"), Wrong("721h"))
        ),
        "spec.triggers[].metric.window": Known(
            good=("1s", "720h", "1h1m1s"),
            wrong=(*_DURATION, Wrong("0s"), Wrong("721h"), Wrong("59s", "window", _COUNTED)),
        ),
        "spec.triggers[].metric.for": Known(good=("0s", "720h"), wrong=(*_DURATION, Wrong("721h"))),
        "spec.triggers[].metric.labelDelay": Known(
            good=("0s", "719h"),
            wrong=(
                *_DURATION,
                Wrong("720h"),
                Wrong("1h", "breaches", _LONG_BREACHES),
                Wrong("1s", "labelDelay", _COUNTED),
            ),
        ),
        "spec.triggers[].metric.relativeTo.baseline": Known(needed="baseline"),
        "spec.triggers[].metric.relativeTo.metric": Known(
            good=("accuracy",), also=_RECORDED, wrong=(Wrong("accuracy", "metric", _SHOWN),)
        ),
        "spec.triggers[].metric.relativeTo.by": Known(also=_RECORDED),
        "spec.triggers[].schedule.cron": Known(good=("0 3 1 1 *", "59 23 31 12 7"), also=_SCHEDULE, wrong=_NO_CRON),
        "spec.triggers[].schedule.timeZone": Known(
            good=("UTC", "America/Argentina/ComodRivadavia"), also=_SCHEDULE, wrong=_NO_ZONE
        ),
        "spec.watch.period": Known(
            good=("1s", "8760h"), wrong=(*_DURATION, Wrong("0s"), Wrong("8761h")), needed="period"
        ),
        "spec.quietHours": Known(good=([_QUIET["spec.quietHours[]"]],)),
        "spec.quietHours[].name": Known(also=_QUIET),
        "spec.quietHours[].cron": Known(good=("0 3 1 1 *",), also=_QUIET, wrong=_NO_CRON),
        "spec.quietHours[].timeZone": Known(good=("UTC",), also=_QUIET, wrong=_NO_ZONE),
        "spec.quietHours[].duration": Known(
            good=("1s", "720h"), also=_QUIET, wrong=(*_DURATION, Wrong("0s"), Wrong("721h"))
        ),
        "spec.triggers[].schedule.startingDeadlineSeconds": Known(also=_SCHEDULE),
        "spec.cooldown": Known(good=("0s", "8760h"), wrong=(*_DURATION, Wrong("8761h"))),
        "spec.notify[].events": Known(good=(["Started"], ["Failed", "Replaced"]), wrong=(Wrong(["Failed", "Failed"]),)),
        "spec.notify[].receiver": Known(
            good=("oncall",), also={"spec.notify[].events": ["Failed"]}, wrong=(Wrong("http://evil"), Wrong("../x"))
        ),
        "spec.budget.runs": Known(needed="budget"),
        "spec.budget.acceleratorHours": Known(
            also={"spec.budget": {"runs": 3}},
            # The training asks for none: it would limit nothing.
            wrong=(Wrong(8, "spec.budget.acceleratorHours", {"spec.budget.runs": ABSENT}),),
        ),
        "spec.budget.per": Known(
            good=("0s", "8760h"), also={"spec.budget": {"runs": 3}}, wrong=(*_DURATION, Wrong("8761h"))
        ),
    },
    "ModelVersion": {
        "spec.model": Known(good=("a", "b" * 40)),
        "spec.uri": Known(wrong=_URI),
        "spec.inputs[].uri": Known(wrong=(*_URI, Wrong("http:///x"), Wrong("gs://a/b"))),
        "spec.storage.secretName": Known(wrong=_NO_SECRET),
        "spec.metrics": Known(wrong=(Wrong({"a b": 1}, "spec.metrics"), Wrong({"a" * 64: 1}, "spec.metrics"))),
    },
}


def known(leaf: Leaf) -> Known:
    """What is known of a leaf. Of a pod template the schema says what form it has; the rest says `_POD`."""
    return KNOWN.get(leaf.kind, {}).get(leaf.path, Known(form="spec.template." in leaf.path))


def every_operation() -> dict[Leaf, list[Operation]]:
    """All operations, by leaf: those of the schemas, and those on what is not declared of a pod template."""
    found = {leaf: operations(leaf, known(leaf)) for kind in kinds() for leaf in leaves(kind)}
    for kind, place in (("TrainingJob", ""), ("ModelDeployment", ""), ("RetrainPolicy", EMBEDDED)):
        for path, (good, wrong) in _POD.items():
            leaf = Leaf(kind, f"{place}spec.template.{path}".rstrip("."), {})
            if wrong:
                found.setdefault(leaf, []).extend(_on_pods(leaf, good, wrong))
    # Of those of analyses one stands for all.
    for kind, job, also in (
        ("ModelDeployment", "spec.strategy.canary.analysis.metrics[].source.job", _canary(_CHECK)),
        ("RetrainPolicy", "spec.triggers[].metric.source.job", _EVALUATED),
    ):
        for path in _ALSO_OF_JOBS:
            leaf = Leaf(kind, f"{job}.template.{path}", {})
            found.setdefault(leaf, []).extend(_on_pods(leaf, *_POD[path], also=also))
    return found


def _on_pods(leaf: Leaf, good: Any, wrong: tuple[Any, ...], also: Body | None = None) -> list[Operation]:
    as_known = (value if isinstance(value, Wrong) else Wrong(value) for value in wrong)
    also = also or {}
    made = [Operation(leaf, Sort.WRONG, one.value, True, also, one.names) for one in as_known]
    if good is ABSENT:
        return [*made, Operation(leaf, Sort.ABSENT, ABSENT, False, also)]
    return [*made, Operation(leaf, Sort.BOUNDARY, good, False, also), Operation(leaf, Sort.CHANGED, good, False, also)]
