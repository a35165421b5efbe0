"""Prometheus metrics: controller-runtime's vocabulary for the engine, and the domain's own figures.

Existing dashboards for controller-runtime work unchanged with the first group. The kinds stay pure: what they decide is
told to the second group by the plain functions at the end.
"""

from prometheus_client import Counter, Gauge, Histogram

_LATENCY = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60)
_WAITING = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200)

reconcile_total = Counter(
    "controller_runtime_reconcile_total", "Reconciles by controller and result.", ["controller", "result"]
)
reconcile_errors = Counter("controller_runtime_reconcile_errors_total", "Failed reconciles.", ["controller"])
reconcile_time = Histogram(
    "controller_runtime_reconcile_time_seconds", "Duration of a reconcile.", ["controller"], buckets=_LATENCY
)
workers_busy = Gauge("controller_runtime_active_workers", "Reconciles running now.", ["controller"])

queue_depth = Gauge("workqueue_depth", "Keys that wait to be reconciled.", ["name"])
queue_adds = Counter("workqueue_adds_total", "Keys added to the queue.", ["name"])
queue_duration = Histogram(
    "workqueue_queue_duration_seconds", "How long a key waited before its reconcile.", ["name"], buckets=_LATENCY
)
queue_work_duration = Histogram(
    "workqueue_work_duration_seconds", "How long a reconcile took.", ["name"], buckets=_LATENCY
)
queue_retries = Counter("workqueue_retries_total", "Keys put back with backoff.", ["name"])

rest_requests = Counter(
    "rest_client_requests_total",
    "Requests to the Kubernetes API; code is <error> when no answer came.",
    ["code", "method", "verb", "resource"],
)
leader = Gauge("leader_election_master_status", "1 while this process leads.", ["name"])
cached_objects = Gauge("perennial_cached_objects", "Objects in the operator's cache.", ["resource"])
tasks = Gauge("perennial_event_loop_tasks", "Tasks of the operator's event loop.")
resync_repairs = Counter(
    "perennial_resync_repairs_total", "Objects that a LIST showed and the watch had missed.", ["resource"]
)
events_dropped = Counter("perennial_events_dropped_total", "Kubernetes Events not recorded.", ["cause"])

trainingjobs = Counter("perennial_trainingjobs_total", "Finished TrainingJobs by outcome.", ["outcome"])
job_latency = Histogram(
    "perennial_trainingjob_job_latency_seconds", "From a TrainingJob's creation to its Job's.", buckets=_WAITING
)
running_latency = Histogram(
    "perennial_trainingjob_running_latency_seconds",
    "From a TrainingJob's creation to its running pod.",
    buckets=_WAITING,
)
modelversions = Counter("perennial_modelversions_total", "Verdicts on ModelVersions.", ["verdict"])
retrains = Counter("perennial_retrains_total", "Retrains started, by trigger.", ["trigger"])
runs = Counter(
    "perennial_runs_total",
    "Runs of policies that ended, by what set them off and how.",
    ["namespace", "retrainpolicy", "cause", "outcome"],
)
samples = Counter("perennial_samples_total", "Reported samples, accepted or refused.", ["result"])
ingest_requests = Counter("perennial_ingest_requests_total", "Requests to report metrics, by answer.", ["code"])
