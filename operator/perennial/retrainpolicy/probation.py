"""Probation: a version that was promoted is watched for a while, and rolled back when a metric relapses."""

from perennial.api.modeldeployment import ModelDeploymentStatus
from perennial.api.retrainpolicy import Cause, Run, RunPhase
from perennial.retrainpolicy.book import Book
from perennial.retrainpolicy.look import stable


def end(serving: ModelDeploymentStatus, book: Book) -> None:
    """One that lasted long enough was a success; one that something else took over from was none, nor a failure."""
    for run in [one for one in book.runs if one.watched_until]:
        if run.watched_until and book.now >= run.watched_until:
            book.unwatch(run, lasted=True)
        elif not serves(serving, run):
            book.unwatch(run, lasted=False)


def relapsed(serving: ModelDeploymentStatus, book: Book, cause: Cause) -> Run | None:
    """The run whose version is on probation and serves, if this is a cause to roll it back."""
    if cause.type != "Metric":
        return None
    watched = (run for run in book.runs if run.phase is RunPhase.PROMOTED and run.watched_until)
    return next((run for run in watched if serves(serving, run)), None)


def serves(serving: ModelDeploymentStatus, run: Run) -> bool:
    """Whether the version of a run is the one that is served."""
    served = stable(serving)
    return served is not None and run.model_version == f"{served.model}-{served.version}"
