"""Statistics of every layer while it trains: read by hooks, which change nothing."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from initlab.guest.inputs import tensors_in
from initlab.guest.modules import modules_of
from initlab.sampling import canonical_name


class LayerWatch:
    """Reads the outputs of a model's leaves and the gradients of its parameters.

    Args:
        model: the model that trains.
        prefix: what stands before every name.
    """

    def __init__(self, model: nn.Module, prefix: str = "initlab") -> None:
        self._prefix = prefix
        self._model = model
        self._found: dict[str, float] = {}
        leaves = [(path, module) for path, module in modules_of(model).values() if path and not module._modules]
        self._handles = [module.register_forward_hook(self._hook(canonical_name(path))) for path, module in leaves]

    def read_gradients(self) -> None:
        """Take the root mean square of every parameter and of its gradient; to be called before they are used."""
        for name, parameter in self._model.named_parameters():
            self._put(canonical_name(name), "rms", parameter)
            if parameter.grad is not None:
                self._put(canonical_name(name), "grad_rms", parameter.grad)

    def taken(self) -> dict[str, float]:
        """What was read since the last call: {"initlab/std/fc1": …}."""
        found, self._found = self._found, {}
        return found

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _hook(self, name: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            tensor = next((t for t in tensors_in(output) if t.is_floating_point()), None)
            if tensor is None or not tensor.numel():
                return
            with torch.no_grad():
                self._found[f"{self._prefix}/mean/{name}"] = float(tensor.detach().float().mean())
                self._found[f"{self._prefix}/std/{name}"] = float(tensor.detach().float().std(correction=0))

        return hook

    def _put(self, name: str, what: str, tensor: torch.Tensor) -> None:
        with torch.no_grad():
            values = tensor.detach()
            values = values.coalesce().values() if values.is_sparse else values
            self._found[f"{self._prefix}/{what}/{name}"] = float(values.float().square().mean().sqrt())
