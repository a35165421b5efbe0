"""Where metrics come from: each source is a module, and a field of `MetricSource`."""

from datetime import datetime
from typing import Any, Protocol

from pydantic import Field

from perennial.api.oneof import OneOf, not_in_the_schema
from perennial.sources.asked import Asked, Matter, Unanswerable
from perennial.sources.evidence import Evidence, Summary
from perennial.sources.job import Evaluator, Every, Job
from perennial.sources.mlflow import Mlflow
from perennial.sources.pods import Pods
from perennial.sources.prometheus import Prometheus
from perennial.sources.reported import Reported
from perennial.sources.runtime import Runtime
from perennial.sources.webhook import Webhook

__all__ = [
    "AnalysisSource",
    "Asked",
    "Evaluator",
    "Every",
    "Evidence",
    "Job",
    "Matter",
    "MetricSource",
    "Reported",
    "Source",
    "Summary",
    "Unanswerable",
    "source_field",
]


class MetricSource(OneOf):
    """Where a metric of a policy comes from: exactly one."""

    reported: Reported | None = Field(None, description="Samples that were posted to the operator's ingest endpoint.")
    pods: Pods | None = Field(
        None, description="Counters of the served revision's pods, which the operator reads every 30 s."
    )
    prometheus: Prometheus | None = Field(None, description="A PromQL expression, asked every 30 s.")
    mlflow: Mlflow | None = Field(None, description="What evaluations logged to MLflow, asked every 30 s.")
    webhook: Webhook | None = Field(None, description="What a program of one's own answers, asked every 30 s.")
    job: Evaluator | None = Field(None, description="A Job of one's own, which measures the served revision.")


class AnalysisSource(OneOf):
    """Where a metric of an analysis comes from: exactly one."""

    reported: Reported | None = Field(None, description="Samples that were posted to the operator's ingest endpoint.")
    pods: Pods | None = Field(None, description="Counters of the revision's own pods, which the operator reads.")
    prometheus: Prometheus | None = Field(None, description="A PromQL expression.")
    webhook: Webhook | None = Field(None, description="What a program of one's own answers.")
    job: Job | None = Field(None, description="A Job of one's own, which measures, or decides itself.")
    runtime: Runtime | None = Field(
        None, description="The metric of this name that the revision's serving runtime has, by the chart's values."
    )


def source_field() -> Any:
    """The field for one of them, reported where nothing is said."""
    words = "Where it comes from: exactly one; default: reported."
    return Field(
        default={"reported": {}}, validate_default=True, json_schema_extra=not_in_the_schema, description=words
    )


class Source(Protocol):
    """What a source does whose samples lie in the cluster, without I/O."""

    def summary(self, evidence: Evidence) -> Summary | None:
        """What is known of the metric in the window, of the revision that serves; None when nothing is."""
        ...

    def wakes(self, evidence: Evidence) -> datetime:
        """When time alone may change a summary that is not None."""
        ...
