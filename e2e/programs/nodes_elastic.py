"""PyTorch on as many nodes as there are: says how many, again and again, until it is let go."""

import json
import os
import time
from pathlib import Path

import torch
import torch.distributed

torch.distributed.init_process_group("gloo")
rank, size = torch.distributed.get_rank(), torch.distributed.get_world_size()
go, leads = Path(os.environ["HOME"]) / "go", os.environ["PERENNIAL_NODE_INDEX"] == "0"
while True:
    told = torch.tensor([float(leads and go.exists()), 1.0])
    torch.distributed.all_reduce(told)
    print(f"{int(told[1])} of us", flush=True)
    if told[0]:
        break
    time.sleep(0.5)
if leads:
    (Path(os.environ["PERENNIAL_OUTPUT_DIR"]) / "size.txt").write_text(str(size))
    Path(os.environ["PERENNIAL_METRICS_FILE"]).write_text(json.dumps({"size": size}))
