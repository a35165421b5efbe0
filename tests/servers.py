"""Stand-ins for model servers whose images do not run in tests: they speak what these say of their health and of what
they count, at the ports that these have by themselves. Each has an address of loopback of its own.
"""

import random
import threading
from abc import ABC, abstractmethod
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar, Self

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class StandIn(ABC):
    """A server that has loaded its model while it is entered; before and after, nobody listens there."""

    # Ports, and what is answered with 200 there.
    health: ClassVar[frozenset[tuple[int, str]]]
    metrics: ClassVar[tuple[int, str] | None] = None

    def __init__(self) -> None:
        self.address = f"127.{random.randint(1, 254)}.{random.randint(0, 255)}.{random.randint(1, 254)}"
        self._stack = ExitStack()
        self._lock = threading.Lock()

    @abstractmethod
    def answers(self, number: int, failed: int = 0, seconds: float = 0.1) -> None:
        """It is asked so often, of which so many fail, and takes so long for each that does not."""

    def page(self) -> str:
        """Its metrics."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        for port in {port for port, _ in self.health | ({self.metrics} if self.metrics else set())}:
            server = self._stack.enter_context(ThreadingHTTPServer((self.address, port), self._handler(port)))
            self._stack.callback(server.shutdown)
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _handler(self, port: int) -> type[BaseHTTPRequestHandler]:
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = (port, self.path) in stand_in.health
                with stand_in._lock:
                    page = stand_in.page() if (port, self.path) == stand_in.metrics else ""
                self.send_response(200 if known or page else 404)
                self.end_headers()
                self.wfile.write(page.encode())

            def log_message(self, *_: object) -> None:
                pass

        return Handler


class Mlflow(StandIn):
    """As mlflow/pyfunc/scoring_server/__init__.py of 3.16 has it."""

    health = frozenset({(8080, "/ping"), (8080, "/health"), (8080, "/version")})

    def answers(self, number: int, failed: int = 0, seconds: float = 0.1) -> None:
        """It does not count."""


class Triton(StandIn):
    """One model. Every series is there from the beginning; durations are of requests that did not fail.

    https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/metrics.html
    https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
    """

    health = frozenset({(8000, "/v2/health/live"), (8000, "/v2/health/ready")})
    metrics = (8002, "/metrics")

    def __init__(self) -> None:
        super().__init__()
        self._good = self._failed = self._microseconds = 0

    def answers(self, number: int, failed: int = 0, seconds: float = 0.1) -> None:
        with self._lock:
            self._good += number - failed
            self._failed += failed
            self._microseconds += round((number - failed) * seconds * 1_000_000)

    def page(self) -> str:
        one = 'model="churn",version="1"'
        reasons = {"OTHER": 0, "BACKEND": self._failed, "CANCELED": 0, "REJECTED": 0}
        failures = "".join(
            f'nv_inference_request_failure{{model="churn",reason="{reason}",version="1"}} {count}\n'
            for reason, count in reasons.items()
        )
        return (
            "# HELP nv_inference_request_success Number of successful inference requests, all batch sizes\n"
            "# TYPE nv_inference_request_success counter\n"
            f"nv_inference_request_success{{{one}}} {self._good}\n"
            "# HELP nv_inference_request_failure Number of failed inference requests, all batch sizes\n"
            "# TYPE nv_inference_request_failure counter\n"
            f"{failures}"
            "# HELP nv_inference_count Number of inferences performed (does not include cached requests)\n"
            "# TYPE nv_inference_count counter\n"
            f"nv_inference_count{{{one}}} {8 * self._good}\n"
            "# HELP nv_inference_request_duration_us Cumulative inference request duration in microseconds "
            "(includes cached requests)\n"
            "# TYPE nv_inference_request_duration_us counter\n"
            f"nv_inference_request_duration_us{{{one}}} {self._microseconds}\n"
            "# HELP nv_inference_queue_duration_us Cumulative inference queuing duration in microseconds "
            "(includes cached requests)\n"
            "# TYPE nv_inference_queue_duration_us counter\n"
            f"nv_inference_queue_duration_us{{{one}}} {self._microseconds // 10}\n"
            "# HELP nv_cpu_utilization CPU utilization rate [0.0 - 1.0]\n"
            "# TYPE nv_cpu_utilization gauge\n"
            "nv_cpu_utilization 0.25\n"
        )


class Vllm(StandIn):
    """Made by the client library that vLLM itself has. What it counts by HTTP begins with the first request; health and
    metrics are left out there.

    https://docs.vllm.ai/en/stable/design/metrics/
    vllm/v1/metrics/loggers.py, vllm/entrypoints/serve/instrumentator/metrics.py
    """

    health = frozenset({(8000, "/health"), (8000, "/ping"), (8000, "/version"), (8000, "/v1/models")})
    metrics = (8000, "/metrics")
    _BUCKETS = (0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0)

    def __init__(self) -> None:
        super().__init__()
        self._registry = CollectorRegistry()
        own = {"labelnames": ("model_name", "engine"), "registry": self._registry}
        series = {"model_name": "churn", "engine": "0"}
        Gauge("vllm:num_requests_running", "Number of requests in model execution batches.", **own).labels(**series)
        reasons = Counter(
            "vllm:request_success",
            "Count of successfully processed requests.",
            ("model_name", "engine", "finished_reason"),
            registry=self._registry,
        )
        self._finished = {
            reason: reasons.labels(**series, finished_reason=reason) for reason in ("stop", "length", "abort", "error")
        }
        self._first_token, self._whole = (
            Histogram(f"vllm:{name}", words, buckets=self._BUCKETS, **own).labels(**series)
            for name, words in (
                ("time_to_first_token_seconds", "Histogram of time to first token in seconds."),
                ("e2e_request_latency_seconds", "Histogram of e2e request latency in seconds."),
            )
        )
        self._http = Counter(
            "http_requests_total",
            "Total number of requests by method, status and handler.",
            ("method", "status", "handler"),
            registry=self._registry,
        )

    def answers(self, number: int, failed: int = 0, seconds: float = 0.1) -> None:
        handler = {"method": "POST", "handler": "/v1/chat/completions"}
        with self._lock:
            for _ in range(number - failed):
                self._http.labels(status="2xx", **handler).inc()
                self._finished["stop"].inc()
                self._first_token.observe(seconds / 4)
                self._whole.observe(seconds)
            for _ in range(failed):
                self._http.labels(status="5xx", **handler).inc()

    def page(self) -> str:
        return generate_latest(self._registry).decode()
