"""JAX on several nodes, each of which has its part of a line's points; the line is fitted to all of them."""

import json
import os
from pathlib import Path

import jax
import jax.numpy as jnp
from jax.experimental.multihost_utils import process_allgather

node, nodes = int(os.environ["JAX_PROCESS_ID"]), int(os.environ["JAX_NUM_PROCESSES"])
jax.distributed.initialize(os.environ["JAX_COORDINATOR_ADDRESS"], nodes, node)
# One point each, of y = 3x + 2 and two more: through one point go all lines.
x = jnp.array([float(node)])
columns = jnp.stack([x, jnp.ones_like(x)], axis=1)
squares, products = (process_allgather(part).sum(axis=0) for part in (columns.T @ columns, columns.T @ (3 * x + 2)))
slope, height = jnp.linalg.solve(squares, products)
if node == 0:
    fitted = {"slope": float(slope), "height": float(height), "devices": jax.device_count()}
    (Path(os.environ["PERENNIAL_OUTPUT_DIR"]) / "line.json").write_text(json.dumps(fitted))
    Path(os.environ["PERENNIAL_METRICS_FILE"]).write_text(json.dumps(fitted))
