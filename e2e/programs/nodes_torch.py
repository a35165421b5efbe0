"""PyTorch's DistributedDataParallel on several processes, each of which sees one feature of a linear model: alone it
learns one weight."""

import json
import os
import signal
import time
from pathlib import Path

import torch
import torch.distributed
from torch.nn.parallel import DistributedDataParallel

node, job = os.environ["PERENNIAL_NODE_INDEX"], os.environ["PERENNIAL_JOB_NAME"]
if os.environ.get("PERENNIAL_PARAM_HANGS") == node:
    time.sleep(3600)
torch.distributed.init_process_group("gloo")
rank, size = torch.distributed.get_rank(), torch.distributed.get_world_size()
torch.manual_seed(rank)
inputs = torch.zeros(64, size)
inputs[:, rank] = torch.randn(64)
truth = torch.arange(1.0, size + 1)
model = DistributedDataParallel(torch.nn.Linear(size, 1, bias=False))
optimizer = torch.optim.SGD(model.parameters(), lr=0.5 * size)
for step in range(100):
    if step == 50 and os.environ.get("PERENNIAL_PARAM_KILLED") == f"{job}-{node}":
        os.kill(os.getpid(), signal.SIGKILL)
    optimizer.zero_grad()
    ((model(inputs)[:, 0] - inputs @ truth) ** 2).mean().backward()
    optimizer.step()
weights = model.module.weight.detach()[0]
if rank == 0:
    torch.save(weights, Path(os.environ["PERENNIAL_OUTPUT_DIR"]) / "weights.pt")
    told = {"error": float((weights - truth).abs().max()), "processes": size}
    Path(os.environ["PERENNIAL_METRICS_FILE"]).write_text(json.dumps(told))
