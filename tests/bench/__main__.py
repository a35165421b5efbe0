"""`make bench`: the operator against a real API server, held against the standards. Times are this machine's own."""

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
from pathlib import Path

from tests.bench import measure
from tests.bench.measure import Result
from tests.bench.scene import scene


async def main(arguments: argparse.Namespace, folder: Path) -> Result:
    results: Result = {"machine": {"cores": os.cpu_count(), "python": platform.python_version()}, "bursts": []}
    for size in arguments.sizes:
        _say(f"a burst of {size}")
        async with scene(folder / f"burst-{size}") as stage:
            stage.start()
            results["bursts"].append(await measure.burst(stage, size))
            if size == max(arguments.sizes):
                _say(f"{arguments.idle:g} idle seconds")
                results["idle"] = await measure.idle(stage, arguments.idle)
                _say("all kinds")
                results["all kinds"] = {"runs": size, **await measure.all_kinds(stage, size)}
                _say("a new version for every deployment")
                results["rollouts"] = await measure.rollouts(stage)
                _say("metrics that cross a threshold")
                results["crossings"] = await measure.crossings(stage)
    _say(f"start-up with {arguments.objects} objects")
    results["start-up"] = await measure.start_up(folder / "start-up", arguments.objects)
    return results


def table(results: Result) -> str:
    """For people; burst sizes side by side."""
    bursts = results["bursts"]
    rows = [[name, *(one[name] for one in bursts)] for name in bursts[0] if name != "requests per run"]
    for what in sorted({what for one in bursts for what in one["requests per run"]}):
        rows.append([f"  {what}", *(one["requests per run"].get(what, 0) for one in bursts)])
    for part in ("idle", "all kinds", "rollouts", "crossings", "start-up"):
        rows.append([])
        rows += [[f"{part}: {name}", value] for name, value in results[part].items() if name != "requests"]
    return "\n".join("  ".join([f"{row[0]:42}", *(_number(value) for value in row[1:])]) if row else "" for row in rows)


def held(results: Result) -> list[str]:
    """What falls short of the standards."""
    biggest = max(results["bursts"], key=lambda one: one["size"])
    limits = [
        ("writes per run", max(one["writes per run"] for one in results["bursts"]), 6),
        ("reads per run", max(one["reads per run"] for one in results["bursts"]), 0),
        ("writes when idle", results["idle"]["writes"], 0),
        ("writes after a restart", results["start-up"]["writes"], 0),
        ("time of all Jobs, of bare ones", biggest["ratio of Jobs"], 1.5),
        ("memory with all kinds (MiB)", results["all kinds"]["memory after a restart (MiB)"], 100),
        ("memory at start-up (MiB)", results["start-up"]["memory (MiB)"], 150),
        ("TrainingJob after a crossing (s)", results["crossings"]["longest (s)"], 2),
        ("start-up (s)", results["start-up"]["synced after (s)"], 5),
    ]
    return [f"{what}: {found:.4g}, the standard is {limit}" for what, found, limit in limits if found > limit]


def _number(value: float) -> str:
    return f"{value:10d}" if isinstance(value, int) else f"{value:10.2f}"


def _say(what: str) -> None:
    print(f"== {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser("bench", description=__doc__)
    parser.add_argument("--sizes", type=lambda text: [int(part) for part in text.split(",")], default=[100, 500, 1000])
    parser.add_argument("--idle", type=float, default=60, help="seconds of the idle measurement (%(default)g)")
    parser.add_argument("--objects", type=int, default=5000, help="objects at start-up (%(default)s)")
    parser.add_argument("--json", type=Path, help="write the results here")
    parser.add_argument("--keep", type=Path, help="keep servers' data and logs in this folder")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="perennial-bench-") as scratch:
        found = asyncio.run(main(given, given.keep or Path(scratch)))
    print(table(found))
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")
    short = held(found)
    print("\nheld against the standards:", "all met" if not short else "", *(f"\n  {line}" for line in short))
