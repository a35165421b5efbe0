"""An S3 store (moto) inside the cluster's network, which tests can take down and bring back."""

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import botocore.exceptions

from e2e.lab import Body, Lab
from perennial.agent import digest

PORT = 9199  # of the first; each has its own
BUCKET = "models"
_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


class Store:
    """One server with one bucket. Its content does not outlive `stop`."""

    def __init__(self, lab: Lab, folder: Path, number: int = 0) -> None:
        self._lab = lab
        self._port = PORT + number
        self._log = folder / "store.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{self._lab.host}:{self._port}"

    def start(self) -> None:
        """Start it, with its bucket, and return when it answers."""
        words = [sys.executable, "-m", "moto.server", "-H", self._lab.host, "-p", str(self._port)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._lab.cluster.exec_command(words), stdout=log, stderr=log)
        self._lab.until("the store answers", self._made, 60, seen=self._log.read_text)

    def stop(self) -> None:
        """End it; connections are refused from now on."""
        if self._process:
            self._process.terminate()
            self._process.wait(10)

    def names(self, prefix: str) -> list[str]:
        """The objects below a prefix."""
        pages = self._client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [one["Key"] for page in pages for one in page.get("Contents", ())]

    def put(self, prefix: str, files: Mapping[str, bytes]) -> Body:
        """Put files below a prefix; returns {uri, digest} of them as one model."""
        for name, content in files.items():
            self._client().put_object(Bucket=BUCKET, Key=f"{prefix}/{name}", Body=content)
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        return {"uri": f"s3://{BUCKET}/{prefix}", "digest": digest.of_lines(hashes)}

    def remove(self, prefix: str) -> None:
        """Take away the objects below a prefix."""
        for name in self.names(prefix):
            self._client().delete_object(Bucket=BUCKET, Key=name)

    def secret(self) -> Body:
        """What a namespace needs for its pods to use it."""
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "perennial-storage"},
            "stringData": {**_KEYS, "AWS_ENDPOINT_URL": self.url},
        }

    def _client(self) -> Any:
        # It is never far away: whatever proxy the environment names is not asked.
        config = botocore.config.Config(
            proxies={}, connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1}
        )
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=_KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=_KEYS["AWS_SECRET_ACCESS_KEY"],
            region_name=_KEYS["AWS_REGION"],
            config=config,
        )

    def _made(self) -> bool:
        try:
            self._client().create_bucket(Bucket=BUCKET)
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
            return False
        return True
