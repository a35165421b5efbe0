"""The TrainingJob of a run: the user's template with what it may say of the run, and the run's marks."""

import json
import re
from collections.abc import Mapping
from typing import Any

from perennial.api.meta import (
    ANNOTATION_CAUSE,
    ANNOTATION_RETRAINPOLICY_UID,
    LABEL_MODELDEPLOYMENT,
    LABEL_RETRAINPOLICY,
    LABEL_RUN,
)
from perennial.api.resources import TRAININGJOBS
from perennial.api.retrainpolicy import RetrainPolicySpec, Run
from perennial.plan import Body
from perennial.retrainpolicy.snapshot import Snapshot

_WORD = re.compile(r"(\$?)\$\(run\.([A-Za-z0-9_.]*)\)")
WORDS = ("number", "trigger", "cause", "value")


def training_job(snapshot: Snapshot, spec: RetrainPolicySpec, run: Run) -> Body:
    """The TrainingJob of a run. It has no owner reference: it outlives its policy."""
    value = run.cause.value
    words = {
        "number": str(run.number),
        "trigger": run.cause.trigger,
        "cause": run.cause.message,
        "value": "" if value is None else f"{value:g}",
    }
    return {
        "apiVersion": TRAININGJOBS.api_version,
        "kind": TRAININGJOBS.kind,
        "metadata": {
            "name": run.training_job,
            "namespace": snapshot.namespace,
            "labels": {
                LABEL_RETRAINPOLICY: snapshot.name,
                LABEL_RUN: str(run.number),
                LABEL_MODELDEPLOYMENT: spec.deployment.name,
            },
            "annotations": {
                ANNOTATION_RETRAINPOLICY_UID: snapshot.uid,
                ANNOTATION_CAUSE: json.dumps(run.cause.body(), sort_keys=True),
            },
        },
        "spec": _filled(snapshot.template, words),
    }


def unknown_words(template: Any) -> list[str]:
    """What the template wants to know of a run that there is not, in the order of the template."""
    if isinstance(template, str):
        return [word for escape, word in _WORD.findall(template) if not escape and word not in WORDS]
    if isinstance(template, Mapping):
        return [word for child in template.values() for word in unknown_words(child)]
    if isinstance(template, list):
        return [word for child in template for word in unknown_words(child)]
    return []


def _filled(template: Any, words: Mapping[str, str]) -> Any:
    """A copy of the template with the words of the run in its strings."""
    if isinstance(template, str):
        return _WORD.sub(lambda found: found[0][1:] if found[1] else words.get(found[2], found[0]), template)
    if isinstance(template, Mapping):
        return {key: _filled(child, words) for key, child in template.items()}
    if isinstance(template, list):
        return [_filled(child, words) for child in template]
    return template
