"""A run's life after its decision: what its TrainingJob, its ModelVersion and the deployment say of it."""

from collections.abc import Iterable
from dataclasses import replace

from perennial.api.base import parse_duration
from perennial.api.conditions import find, is_true
from perennial.api.resources import TRAININGJOBS
from perennial.api.retrainpolicy import RetrainPolicySpec, Run, RunPhase
from perennial.jobs import job_condition
from perennial.plan import Action, Body, Create, Delete
from perennial.retrainpolicy.book import Book
from perennial.retrainpolicy.children import training_job
from perennial.retrainpolicy.outcome import outcome
from perennial.retrainpolicy.snapshot import Snapshot, job_name

# The API server will never take this TrainingJob: the template must change, and so it is another run.
_FINAL = ("Invalid", "BadRequest")


def advance(snapshot: Snapshot, spec: RetrainPolicySpec, book: Book) -> None:
    """Bring every run under way to where it stands, oldest first."""
    for run in reversed(book.under_way):
        _STEPS[run.phase](snapshot, spec, book, run)


def actions(snapshot: Snapshot, spec: RetrainPolicySpec, book: Book, *, counted: bool) -> list[Action]:
    """What the runs that are already in the status ask for: an end to what was replaced, and their TrainingJobs.

    counted: only so many may be under way at once, so there is one beginning in a plan, and nothing before it.
    """
    decided = {(run.number, run.phase) for run in snapshot.status.runs}
    runs = [run for run in reversed(book.runs) if (run.number, run.phase) in decided]
    ends: list[Action] = [*_ends(snapshot, runs)]
    beginnings = list(_beginnings(snapshot, spec, book, runs))
    if not counted:
        return [*ends, *beginnings]
    return ends or [replace(one, alone="retraining") for one in beginnings[:1]]


def _ends(snapshot: Snapshot, runs: Iterable[Run]) -> Iterable[Delete]:
    for run in runs:
        job = snapshot.job_of(run) if run.phase is RunPhase.REPLACED else None
        if job and not job_condition(job, "Complete", "Failed") and "deletionTimestamp" not in job["metadata"]:
            metadata = job["metadata"]
            yield Delete(TRAININGJOBS, snapshot.namespace, metadata["name"], metadata["uid"])


def _beginnings(snapshot: Snapshot, spec: RetrainPolicySpec, book: Book, runs: Iterable[Run]) -> Iterable[Create]:
    for run in runs:
        if run.phase is RunPhase.PENDING and not spec.suspend and run.number not in book.waits:
            yield Create(training_job(snapshot, spec, run))


def _pending(snapshot: Snapshot, spec: RetrainPolicySpec, book: Book, run: Run) -> None:
    if snapshot.job_of(run) or snapshot.version_of(run):
        _training(snapshot, spec, book, run)
        return
    if run.training_job in snapshot.jobs:
        number = snapshot.next_number(book.last_run)
        book.renumber(run, number, job_name(snapshot.name, number))
        return
    refusal, wait = snapshot.refusal, book.waits.get(run.number)
    if wait and not spec.suspend:
        book.change(run, RunPhase.PENDING, wait)
    elif refusal is None or refusal.resource != TRAININGJOBS:
        book.change(run, RunPhase.PENDING, "spec.suspend is true" if spec.suspend else "")
    elif refusal.reason in _FINAL and refusal.name == run.training_job:
        book.change(run, RunPhase.FAILED, f"its TrainingJob was refused: {refusal.message}")
    else:
        book.change(run, RunPhase.PENDING, f"TrainingJob {refusal.name}: {refusal.message}")


def _training(snapshot: Snapshot, spec: RetrainPolicySpec, book: Book, run: Run) -> None:
    job = snapshot.job_of(run)
    if job is None:
        if version := snapshot.version_of(run):
            _judged(snapshot, spec, book, run, version["metadata"]["name"])
        else:
            book.change(run, RunPhase.FAILED, f"TrainingJob {run.training_job} was deleted before it finished")
        return
    status = job.get("status") or {}
    conditions = status.get("conditions")
    if is_true(conditions, "Failed"):
        words = (status.get("failure") or find(conditions, "Failed") or {}).get("message", "")
        book.change(run, RunPhase.FAILED, f"TrainingJob {run.training_job} failed: {words}")
    elif is_true(conditions, "Complete") and status.get("modelVersion"):
        _judged(snapshot, spec, book, run, status["modelVersion"])
    else:
        book.change(run, RunPhase.TRAINING, _hindrance(job))


def _deciding(snapshot: Snapshot, spec: RetrainPolicySpec, book: Book, run: Run) -> None:
    _judged(snapshot, spec, book, run, run.model_version or "")


def _judged(snapshot: Snapshot, spec: RetrainPolicySpec, book: Book, run: Run, model_version: str) -> None:
    version = snapshot.version_of(run)
    if version is None and run.phase in (RunPhase.DECIDING, RunPhase.AWAITING_APPROVAL, RunPhase.ROLLING_OUT):
        book.change(run, RunPhase.REJECTED, f"ModelVersion {model_version} was deleted")
    elif version is None:
        book.change(run, RunPhase.DECIDING, "waits for the deployment to look at it", model_version)
    else:
        phase, words = outcome(version, snapshot.deployment, snapshot.serving)
        probation = parse_duration(spec.watch.period) if spec.watch else None
        book.change(run, phase, words, model_version, probation)


def _hindrance(job: Body) -> str:
    """What keeps a training from getting on, in its own words. Its phases are not repeated: each would be a write."""
    name = job["metadata"]["name"]
    if job["spec"].get("suspend"):
        return f"TrainingJob {name} is suspended"
    stalled = find((job.get("status") or {}).get("conditions"), "Stalled")
    return f"TrainingJob {name} cannot go on: {stalled['message']}" if stalled and stalled["status"] == "True" else ""


_STEPS = {
    RunPhase.PENDING: _pending,
    RunPhase.TRAINING: _training,
    RunPhase.DECIDING: _deciding,
    RunPhase.AWAITING_APPROVAL: _deciding,
    RunPhase.ROLLING_OUT: _deciding,
}
