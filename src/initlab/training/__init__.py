"""TRAINING MANY RUNS: optimizers, losses, the task that runs share, and the engines that train them."""
