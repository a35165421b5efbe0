"""`make profile`: where the operator's CPU goes in a burst, by layer and by function, sampled by py-spy."""

import argparse
import asyncio
import os
import re
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.bench import measure
from tests.bench.scene import scene

_FRAME = re.compile(r"(?P<function>.*) \((?P<file>.*?)(:\d+)?\)")
# The first that a stack passes through, from the inside, has the sample.
LAYERS = {
    "decide and gather": r"perennial/(trainingjob|model|modelversion|modeldeployment|retrainpolicy|api|subject|pods)\b",
    "cache": r"perennial/runtime/(cache|projection|dispatch|refusals)",
    "parse JSON": r"perennial/kube/decode",
    "write JSON": r"json/encoder",
    "requests (aiohttp)": r"aiohttp/client|perennial/kube/(http|client)",
    "watches (kopf)": r"kopf/|perennial/patience",
    "engine": r"perennial/runtime/",
    "metrics and logs": r"prometheus_client/|logging/|perennial/telemetry/",
    "TLS": r"sslproto|ssl\.py",
}


def table(stacks: Path, shown: int) -> str:
    """For people: shares of all samples, of layers, and of functions with what they call and by themselves."""
    layers, inclusive, own = Counter[str](), Counter[str](), Counter[str]()
    for line in stacks.read_text().splitlines():
        stack, number = line.rsplit(" ", 1)
        frames = [_short(frame) for frame in stack.split(";")]
        layers[_layer(frames)] += int(number)
        own[frames[-1]] += int(number)
        for frame in set(frames):
            inclusive[frame] += int(number)
    total = layers.total()
    parts = [("layer", layers, len(layers)), ("with what it calls", inclusive, shown), ("by itself", own, shown)]
    return "\n".join(
        "\n".join([f"\n{title}", *(f"{n / total * 100:6.1f} %  {name}" for name, n in counted.most_common(most))])
        for title, counted, most in parts
    )


def _short(frame: str) -> str:
    found = _FRAME.fullmatch(frame)
    return f"{found['function']} ({found['file']})" if found else frame


def _layer(frames: list[str]) -> str:
    for frame in reversed(frames):
        for layer, pattern in LAYERS.items():
            if re.search(pattern, frame):
                return layer
    return "event loop and the rest"


async def main(size: int, folder: Path, stacks: Path) -> None:
    async with scene(folder) as stage:
        stage.start()
        assert stage.operator.process
        # Without stopping the operator for each sample: it would cost more than what is measured.
        command = ["record", "--nonblocking", "--rate", "200", "--duration", "3600", "--format", "raw"]
        py_spy = Path(sys.executable).with_name("py-spy")
        quiet = {"stdout": asyncio.subprocess.DEVNULL, "stderr": asyncio.subprocess.DEVNULL}
        pid = str(stage.operator.process.pid)
        spy = await asyncio.create_subprocess_exec(py_spy, *command, "--output", stacks, "--pid", pid, **quiet)
        result = await measure.trainings(stage, size)
        spy.send_signal(signal.SIGINT)
        assert await spy.wait() == 0, "py-spy failed: may this user trace processes?"
        print(f"{size} runs: {result['operator CPU per run (ms)']:.1f} ms of CPU each, on {os.cpu_count()} cores")


if __name__ == "__main__":
    parser = argparse.ArgumentParser("profile", description=__doc__)
    parser.add_argument("--size", type=int, default=500, help="TrainingJobs at once (%(default)s)")
    parser.add_argument("--shown", type=int, default=40, help="functions that are shown (%(default)s)")
    parser.add_argument("--raw", type=Path, help="keep the stacks here, as flame graph tools read them")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="perennial-profile-") as scratch:
        raw = given.raw or Path(scratch) / "stacks"
        asyncio.run(main(given.size, Path(scratch) / "server", raw))
        print(table(raw, given.shown))
