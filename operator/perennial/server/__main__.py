"""`python -m perennial.server`: serve the model in `PERENNIAL_MODEL_DIR` until told to stop."""

import logging
import os
from typing import NoReturn


def main() -> NoReturn:
    """Run the server and end the process: 0 after a drain, 78 for settings or a model that cannot be used."""
    # Requests run side by side in threads; BLAS and OpenMP pools inside each of them would fight for the same cores.
    # They read this once, when numpy is first imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from perennial.server.run import run

    code = run(os.environ)
    logging.shutdown()
    # Not sys.exit: a prediction stuck in native code would be joined there and hold the pod until it is killed.
    os._exit(code)


if __name__ == "__main__":
    main()
