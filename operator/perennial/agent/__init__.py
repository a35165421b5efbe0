"""What runs in training and serving pods: prepare, publish, fetch, recover, and the launcher of the training."""
