"""A training whose model is many small files."""

import os
from pathlib import Path

for number in range(int(os.environ["PERENNIAL_PARAM_FILES"])):
    (Path(os.environ["PERENNIAL_OUTPUT_DIR"]) / str(number)).write_text(str(number))
