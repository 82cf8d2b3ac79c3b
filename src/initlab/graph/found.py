"""The uses of every parameter, as a walk finds them."""

from __future__ import annotations

from initlab.graph.uses import Use
from initlab.graph.views import ParameterView


class Found:
    """What the walk notes of each parameter, by its name."""

    def __init__(self) -> None:
        self.uses: dict[str, list[Use]] = {}
        self.views: dict[str, list[ParameterView]] = {}

    def add(self, name: str, use: Use, view: ParameterView | None = None) -> None:
        self.uses.setdefault(name, []).append(use)
        if view is not None and use.role == "weight":
            self.views.setdefault(name, []).append(view)

    def is_for_each(self, beside: ParameterView, output: int) -> bool:
        """Whether what is added to a stack of weights' output has a vector for each of them, as experts' biases are."""
        sizes = [size for size in beside.whole if size != 1]
        stacks = (
            view.whole for name, views in self.views.items() for view in views
            if any(use.output == output for use in self.uses[name])
        )  # fmt: skip
        return any(len(w) > len(sizes) and [n for n in w if n in sizes][: len(sizes)] == sizes for w in stacks)
