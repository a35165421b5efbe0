"""What a TrainingJob's spec says: its identity, whether it was edited, and where the run publishes."""

import hashlib
import json

from perennial.api.meta import ANNOTATION_SPEC, DEFAULT_CLAIM
from perennial.api.trainingjob import TrainingJobSpec
from perennial.config import Config
from perennial.plan import Body
from perennial.subject import read_json, read_spec
from perennial.trainingjob.snapshot import MUTABLE, Snapshot


class InvalidSpec(Exception):
    """The spec cannot be rendered; the message names the field and the fix."""


def spec_hash(body: Body) -> str:
    """Identity of all of a spec that a Job is made from."""
    return _hash(_fixed(body))


def edited(job: Body | None, rendered: str, body: Body) -> bool:
    """Whether an object's spec says another thing than the one with the hash `rendered`, which its Job was made from.

    The schema of another release may fill in defaults: they change the hash, and not what is said.
    """
    now = _fixed(body)
    if _hash(now) == rendered:
        return False
    noted = read_json(((job or {}).get("metadata", {}).get("annotations") or {}).get(ANNOTATION_SPEC, ""))
    if not isinstance(noted, dict):
        return True
    then = noted | {field: now[field] for field in ("template",) if field in now}
    # With this hash the note is what was rendered, and the template, which it leaves out, is as it was.
    said = read_spec(TrainingJobSpec, then)
    return _hash(then) != rendered or said[0] is None or said != read_spec(TrainingJobSpec, now)


def _hash(fixed: Body) -> str:
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()[:16]


def _fixed(body: Body) -> Body:
    return {field: value for field, value in (body.get("spec") or {}).items() if field not in MUTABLE}


def note(body: Body, spec: TrainingJobSpec) -> str:
    """What a spec says but for the template, as `edited` reads it; without what may be secret in its addresses."""
    told = {field: value for field, value in _fixed(body).items() if field != "template"}
    if spec.inputs:
        told["inputs"] = [one.public().body() for one in spec.inputs]
    if spec.code:
        told["code"] = spec.code.public().body()
    return json.dumps(told, sort_keys=True)


def destination(snapshot: Snapshot, spec: TrainingJobSpec, config: Config) -> str:
    """Where the run publishes, but for the attempt."""
    base = spec.output.uri or config.defaults.output or f"pvc://{DEFAULT_CLAIM}"
    return f"{base.rstrip('/')}/{spec.model.name}/{snapshot.uid}"
