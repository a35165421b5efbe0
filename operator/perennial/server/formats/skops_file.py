"""Format `sklearn`: one `*.skops` file, whose types are checked before anything of it is built."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import skops.io

from perennial.server.errors import ModelLoadError
from perennial.server.formats import the_only_file
from perennial.server.formats.sklearn_model import SklearnModel, load_estimator


def load(folder: Path, trusted_types: Sequence[str]) -> SklearnModel:
    """Load the only skops file in the folder."""
    return load_file(the_only_file(folder, ["*.skops"]), trusted_types)


def load_file(path: Path, trusted_types: Sequence[str]) -> SklearnModel:
    """Load the skops file; ModelLoadError names every type that neither skops nor `trusted_types` trusts."""

    def read(path: Path) -> Any:
        unknown = sorted(set(skops.io.get_untrusted_types(file=path)) - set(trusted_types))
        if unknown:
            names = ",".join(unknown)
            raise ModelLoadError(
                f"{path.name} holds types that are not trusted by default: {names}. "
                f"If you trust where the file comes from, set PERENNIAL_TRUSTED_TYPES={names}"
            )
        return skops.io.load(path, trusted=list(trusted_types))

    return load_estimator(path, read)
