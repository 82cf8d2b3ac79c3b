"""Compare beside a DataLoader whose Dataset transforms each sample as torchvision does: to a tensor, normalized."""

from __future__ import annotations

import time

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

import initlab
from benchmarks._engines import compare_seconds, mlp, paired, say

WIDTHS = [784, 100, 100, 100, 100, 10]
SEEDS, STEPS, ROUNDS = 4, 1000, 3


def to_tensor(image: np.ndarray) -> torch.Tensor:
    """What `ToTensor` does to an image: copy, channels first, from bytes to [0, 1]."""
    pixels = torch.from_numpy(np.array(image, copy=True))
    pixels = pixels.view(*image.shape, 1).permute(2, 0, 1).contiguous()
    return pixels.to(torch.float32).div(255)


def normalize(image: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
    """What `Normalize` does to a tensor, its check of the deviation included."""
    result = image.clone()
    means, deviations = torch.as_tensor(mean, dtype=image.dtype), torch.as_tensor(std, dtype=image.dtype)
    if bool((deviations == 0).any()):
        raise ValueError(f"std must not be zero; got {std}")
    return result.sub_(means.view(-1, 1, 1)).div_(deviations.view(-1, 1, 1))


class Images(Dataset[tuple[torch.Tensor, int]]):
    """28x28 grey images held as bytes; each goes through `ToTensor`, `Normalize` and a flattening when it is read."""

    def __init__(self, samples: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.images = torch.randint(0, 256, (samples, 28, 28), dtype=torch.uint8, generator=generator)
        self.labels = torch.randint(0, 10, (samples,), generator=generator)
        self.transforms = (to_tensor, lambda image: normalize(image, (0.1307,), (0.3081,)), torch.flatten)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image, label = self.images[index].numpy(), int(self.labels[index])
        for transform in self.transforms:
            image = transform(image)
        return image, label


def loader_seconds(dataset: Images, steps: int) -> float:
    """Seconds of one step of one run that reads through the DataLoader."""
    model = mlp(WIDTHS)()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    done, start = 0, time.perf_counter()
    while done < steps:
        for x, y in DataLoader(dataset, batch_size=128, shuffle=True, drop_last=True):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            done += 1
            if done == steps:
                break
    return (time.perf_counter() - start) / steps


def main() -> None:
    """Print the share of the goal: at least ten times the DataLoader loop."""
    train, test = Images(20000), Images(1000)
    schemes = ["lecun_normal", "xavier_normal", "he_normal"]

    def call(steps: int) -> None:
        initlab.compare(mlp(WIDTHS), train, test, schemes, seeds=SEEDS, optimizer="sgd", lr=0.01, steps=steps)

    def measure() -> dict[str, float]:
        return {
            "loop": loader_seconds(train, 200),
            "compare": compare_seconds(call, len(schemes) * SEEDS, STEPS),
        }

    call(2)
    print("   the loop reads through the DataLoader; compare reads the Dataset once, that included")
    say(paired(measure, ROUNDS))


if __name__ == "__main__":
    main()
