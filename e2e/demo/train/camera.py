"""The world of the demo: images come in, the served model is asked, people label some of them, accuracy is reported.

It records labelled images (of the half that it never asks about) for training, asks the served model about images of
the other half, one request each, and reports to Perennial how many answers were right. ROTATION turns what comes in.
"""

import json
import os
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
from digits import halves, turned

ROTATION = float(os.environ.get("ROTATION", "0"))
MODEL = os.environ.get("MODEL", "digits")
SERVED = os.environ.get("SERVED", f"http://{MODEL}/v2/models/{MODEL}/infer")
REPORT = os.environ["REPORT"]
RECORDED = Path(os.environ.get("RECORDED", "/recorded"))
TOKEN = Path("/var/run/secrets/perennial/token")
CA = Path("/var/run/perennial/ca.crt")
KEPT = 600  # labelled images that training sees: the newest
PER_BATCH = 40
LABELLED = 60  # in each batch
EVERY = 2.0  # seconds

(recorded_images, recorded_labels), (live_images, live_labels) = halves()
random = np.random.default_rng()
totals = {"requests": 0, "failures": 0}


def say(**words: object) -> None:
    print(json.dumps({"time": time.strftime("%H:%M:%S"), **words}), flush=True)


def record(many: int) -> None:
    """Add so many newly labelled images to the file that training reads, and let the oldest go."""
    chosen = random.integers(0, len(recorded_images), many)
    images, labels, source = turned(recorded_images[chosen], ROTATION), recorded_labels[chosen], chosen
    file = RECORDED / "images.npz"
    if file.exists():
        with np.load(file) as old:
            images = np.concatenate([old["images"], images])[-KEPT:]
            labels = np.concatenate([old["labels"], labels])[-KEPT:]
            source = np.concatenate([old["source"], source])[-KEPT:]
    part = RECORDED / "images.part.npz"
    np.savez(part, images=images, labels=labels, source=source)
    part.replace(file)


def ask(image: np.ndarray) -> tuple[int, str]:
    """The served model's answer to one image, and the revision that gave it."""
    tensor = {"name": "image", "shape": [1, 64], "datatype": "FP64", "data": image.reshape(-1).tolist()}
    request = urllib.request.Request(
        SERVED, json.dumps({"inputs": [tensor]}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        body = json.load(answer)
        return int(body["outputs"][0]["data"][0]), answer.headers["Perennial-Revision"]


def report(right: dict[str, list[bool]]) -> None:
    """Accuracy of this batch by revision, as one sample that stands for so many answers."""
    samples = [
        {"name": "accuracy", "value": sum(answers) / len(answers), "count": len(answers), "revision": revision}
        for revision, answers in right.items()
    ]
    headers = {"Authorization": f"Bearer {TOKEN.read_text()}", "Content-Type": "application/json"}
    request = urllib.request.Request(REPORT, json.dumps({"samples": samples}).encode(), headers)
    context = ssl.create_default_context(cafile=str(CA))
    with urllib.request.urlopen(request, timeout=10, context=context):
        pass


def batch() -> None:
    """Ask about some images and report how many were right."""
    right: dict[str, list[bool]] = {}
    failed = 0
    for index in random.integers(0, len(live_images), PER_BATCH):
        image = turned(live_images[index : index + 1], ROTATION)[0]
        try:
            answer, revision = ask(image)
        except (OSError, ValueError) as error:
            failed += 1
            say(failed=str(error))
            continue
        right.setdefault(revision, []).append(bool(answer == live_labels[index]))
    count(PER_BATCH, failed)
    for revision, answers in right.items():
        say(revision=revision, asked=len(answers), right=sum(answers), accuracy=round(sum(answers) / len(answers), 3))
    if right:
        try:
            report(right)
        except (OSError, ValueError) as error:
            words = error.read().decode(errors="replace") if isinstance(error, urllib.error.HTTPError) else str(error)
            say(not_reported=words)


def count(asked: int, failed: int) -> None:
    """Keep the running totals where they can be read."""
    totals["requests"] += asked
    totals["failures"] += failed
    (RECORDED / "counts.json").write_text(json.dumps(totals))


def show(many: int) -> None:
    """Ask about some images and print each answer beside its label."""
    chosen = random.integers(0, len(live_images), many)
    answers = [(ask(turned(live_images[i : i + 1], ROTATION)[0])[0], int(live_labels[i])) for i in chosen]
    print(json.dumps(answers))


def keep_recording() -> None:
    while True:
        record(LABELLED)
        time.sleep(EVERY)


def served() -> bool:
    try:
        return ask(live_images[0])[1] != ""
    except (OSError, ValueError):
        return False


if __name__ == "__main__":
    if sys.argv[1:2] == ["--ask"]:
        show(int(sys.argv[2]))
        sys.exit()
    RECORDED.mkdir(exist_ok=True)
    if not (RECORDED / "images.npz").exists():
        record(KEPT)
    threading.Thread(target=keep_recording, daemon=True).start()
    say(rotation=ROTATION, watching=SERVED)
    while not served():
        time.sleep(1)
    while True:
        started = time.monotonic()
        batch()
        time.sleep(max(0.0, EVERY - (time.monotonic() - started)))
