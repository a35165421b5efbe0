"""Write what is generated from the typed models: the CustomResourceDefinitions, for `kubectl apply` and for the chart.

With --check nothing is written: the exit code says whether the files are what would be written.
"""

import sys
from pathlib import Path

import yaml

from perennial.api.crds import crds

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = (ROOT / "crds", ROOT / "charts" / "perennial" / "files" / "crds")
HEADER = "# Made by `make generate` from operator/perennial/api. Do not edit.\n"


def main() -> int:
    wanted = {
        folder / name: HEADER + yaml.safe_dump(crd, sort_keys=True, width=120, allow_unicode=True)
        for folder in FOLDERS
        for name, crd in crds().items()
    }
    found = {path for folder in FOLDERS for path in folder.glob("*.yaml")}
    differing = [path for path, text in wanted.items() if path not in found or path.read_text() != text]
    left_over = found - wanted.keys()
    if "--check" in sys.argv:
        for path in sorted([*differing, *left_over]):
            print(f"{path.relative_to(ROOT)}: not as generated, run `make generate`")
        return 1 if differing or left_over else 0
    for path in differing:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path])
    for path in left_over:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
