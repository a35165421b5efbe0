"""Bugs of reports and of what runs in pods: samples, tokens, models and metrics on their way."""

from tests.mutants.mutant import Mutant

AGENT, INGEST, SERVER = ("tests/unit/agent",), ("tests/unit/ingest",), ("tests/unit/server",)
SERIES = ("tests/unit/metricseries",)

REPORTS = (
    Mutant(
        "counted-twice",
        "a sample stays in the finer bucket when it moves to the coarser one",
        "metricseries/book.py",
        "bucket = self.tiers[level].pop(start)",
        "bucket = self.tiers[level][start]",
        SERIES,
    ),
    Mutant(
        "mean-of-means",
        "a sample of a hundred measurements weighs as much as one of one",
        "metricseries/book.py",
        "value * sample.count",
        "value",
        SERIES,
    ),
    Mutant(
        "report-overwrites-report",
        "two replicas that write at once lose one of two reports",
        "ingest/writer.py",
        'for key in ("uid", "resourceVersion")}',
        'for key in ("uid",)}',
        (*INGEST, "tests/apiserver/test_ingest.py"),
    ),
    Mutant(
        "acknowledged-before-written",
        "who reports is told that it is durable before it is",
        "ingest/writer.py",
        "        if series is None:\n            await self._client.create({**body, **_frame(deployment, owner)})\n",
        "        for report in folded:\n            report.done.set_result(None)\n"
        "        if series is None:\n            await self._client.create({**body, **_frame(deployment, owner)})\n",
        (*INGEST, "tests/apiserver/test_ingest.py"),
    ),
    Mutant(
        "audience-unchecked",
        "a token that was meant for another is taken",
        "ingest/clusterwide.py",
        'meant_for_us = AUDIENCE in (status.get("audiences") or ())',
        "meant_for_us = True",
        (*INGEST, "tests/apiserver/test_ingest.py"),
    ),
    Mutant(
        "right-of-another-name",
        "the right to report for one deployment is one for all of the namespace",
        "ingest/auth.py",
        '            "name": right.of.name,\n',
        "",
        (*INGEST, "tests/apiserver/test_ingest.py"),
    ),
    Mutant(
        "earlier-account",
        "in one namespace, a token of an account that was deleted counts for the next of its name",
        "ingest/namespaced.py",
        'metadata["uid"] == one.uid and not (',
        "not (",
        INGEST,
    ),
    Mutant(
        "key-for-ever",
        "in one namespace, a key that the API server took back goes on counting",
        "ingest/published.py",
        "age > _TRUSTED or (key_id not in self._keys and age > _PATIENCE)",
        "key_id not in self._keys and age > _PATIENCE",
        INGEST,
    ),
    Mutant(
        "rate-off-by-one",
        "a sender may ask once more than is allowed",
        "ingest/limits.py",
        "deque(maxlen=self._most)",
        "deque(maxlen=self._most + 1)",
        INGEST,
    ),
)

PODS = (
    Mutant(
        "digest-unchecked",
        "a model that is not the one that was promoted is served",
        "agent/transfer.py",
        '    check(f"{what} ({source.shown})", found, artifact.digest)\n',
        "",
        ("tests/unit/agent/test_fetch.py", *AGENT),
    ),
    Mutant(
        "not-a-number-passes",
        "a metric that is NaN is recorded, and passes every gate",
        "agent/metrics.py",
        "if not math.isfinite(number):",
        "if math.isinf(number):",
        ("tests/unit/agent/test_metrics.py", *AGENT),
    ),
    Mutant(
        "secret-in-a-message",
        "the signature of a pre-signed URL is shown to everybody who may read a status",
        "agent/storage.py",
        'query="", fragment=""',
        'fragment=""',
        ("tests/unit/agent/test_storage.py", *AGENT),
    ),
    Mutant(
        "stop-not-heard",
        "a training that was told to stop is published all the same",
        "agent/__main__.py",
        "        self.told = True\n",
        "",
        ("tests/unit/agent/test_main.py", *AGENT),
    ),
    Mutant(
        "end-before-the-start",
        "a training that has not begun counts as ended",
        "agent/training.py",
        "            if running and _at_end(fifo):\n",
        "            if _at_end(fifo):\n",
        ("tests/unit/agent/test_training.py", *AGENT),
    ),
    Mutant(
        "published-before-uploaded",
        "the marker of a model that is there comes before its files",
        "agent/publish.py",
        "    _upload(result, files, layout.output, target, until)\n",
        "    patiently(lambda: target.write(RESULT, result.to_json().encode()), until, BEAR)\n"
        "    _upload(result, files, layout.output, target, until)\n",
        ("tests/unit/agent/test_publish.py", *AGENT),
    ),
    Mutant(
        "pickle-by-itself",
        "a pickle is loaded, and its code run, though nobody asked for that",
        "agent/formats.py",
        '    ("*.onnx", "onnx"),\n',
        '    ("*.onnx", "onnx"),\n    ("*.pkl", "sklearn-pickle"),\n',
        ("tests/unit/agent/test_formats.py", *AGENT),
    ),
    Mutant(
        "every-type-trusted",
        "who trusts one type in a model's file trusts them all",
        "server/formats/skops_file.py",
        "    def read(path: Path) -> Any:\n",
        "    def read(path: Path) -> Any:\n        if trusted_types:\n"
        "            return skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))\n",
        ("tests/unit/server/formats/test_skops_file.py", *SERVER),
    ),
    Mutant(
        "pickle-by-way-of-mlflow",
        "a pickle is opened because it lies in a folder of MLflow's",
        "server/formats/mlflow_folder.py",
        ' or flavors[flavor].get("serialization_format") == "skops"',
        " or True",
        ("tests/unit/server/formats/test_mlflow_folder.py", *SERVER),
    ),
    Mutant(
        "reports-to-its-vendor",
        "a library that the server loads tells its vendor of what is served",
        "server/formats/__init__.py",
        'ORT_DISABLE_TELEMETRY="1", ',
        "",
        ("tests/unit/server/formats/test_onnx_file.py", *SERVER),
    ),
    Mutant(
        "dropped-in-flight",
        "a server that is told to stop ends at once, under its requests",
        "server/process.py",
        "            self._served.draining = True\n",
        "            self.should_exit = True\n",
        ("tests/unit/server/test_process.py", *SERVER),
    ),
)

MUTANTS = (*REPORTS, *PODS)
