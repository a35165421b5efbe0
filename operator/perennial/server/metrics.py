"""Prometheus metrics of one server, on a registry of its own, labelled with what it serves."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from perennial.server.settings import Settings

_LABELS = ("deployment", "model", "version", "revision")
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Counts prediction requests only: probes would drown them, and answer 503 by design."""

    def __init__(self, settings: Settings) -> None:
        # A second series for every counter, which nobody asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._labels = dict(
            zip(
                _LABELS,
                (settings.deployment, settings.model_name, settings.model_version, settings.revision),
                strict=True,
            )
        )
        self._requests = Counter(
            "perennial_server_requests",
            "Prediction requests answered, by HTTP status.",
            (*_LABELS, "endpoint", "code"),
            registry=self._registry,
        )
        self._errors = Counter(
            "perennial_server_errors",
            "Prediction requests answered with an error, by its reason.",
            (*_LABELS, "endpoint", "reason"),
            registry=self._registry,
        )
        self._duration = Histogram(
            "perennial_server_request_duration_seconds",
            "Time from the request's head to the end of the answer.",
            (*_LABELS, "endpoint"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self.model_loaded = Gauge(
            "perennial_server_model_loaded", "1 when the model is in memory.", _LABELS, registry=self._registry
        ).labels(**self._labels)
        self.in_flight = Gauge(
            "perennial_server_predictions_in_flight",
            "Predictions that run or wait for a thread.",
            _LABELS,
            registry=self._registry,
        ).labels(**self._labels)

    def answered(self, endpoint: str, code: int, seconds: float) -> None:
        """Count an answer to a prediction request."""
        self._requests.labels(**self._labels, endpoint=endpoint, code=str(code)).inc()
        self._duration.labels(**self._labels, endpoint=endpoint).observe(seconds)

    def failed(self, endpoint: str, reason: str) -> None:
        """Count the reason of an error answer."""
        self._errors.labels(**self._labels, endpoint=endpoint, reason=reason).inc()

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)
