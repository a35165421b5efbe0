FROM registry.acme.dev/perennial/server:0.1.0
# The model's own, with `mlflow-skinny` and `pandas` in place of `mlflow`, which would bring much that serving does not need.
COPY requirements.txt /tmp/requirements.txt
USER 0
RUN --mount=from=python:3.13-slim,source=/usr/local/lib/python3.13/site-packages,target=/pip \
    PYTHONPATH=/pip python -m pip install --no-cache-dir -r /tmp/requirements.txt
USER 65532:65532
