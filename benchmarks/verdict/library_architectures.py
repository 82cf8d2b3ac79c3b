"""Small models of timm and transformers among the held-out architectures; built by their libraries, when asked."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn
from torch.nn import functional as F

from benchmarks.verdict import tasks
from benchmarks.verdict.layouts import Architecture
from benchmarks.verdict.library import Logits
from benchmarks.verdict.tasks import Task

SIZE = 32
KIND = "library model"


def large_digits() -> Task:
    """Digits as three channels of 32 x 32, the smallest that the vision models take."""
    task = tasks.digit_images()
    x = F.interpolate(task.x, SIZE, mode="bilinear").expand(-1, 3, -1, -1).contiguous()
    return Task(x, task.y, task.loss, task.constant)


def _vision(name: str, **sizes: int) -> Architecture:
    def build() -> nn.Module:
        import timm

        return timm.create_model(name, num_classes=10, **sizes)

    return Architecture(f"timm {name}", KIND, build, large_digits)


def _text(family: str, task: Callable[[], Task], **sizes: int) -> Architecture:
    """A causal language model of that family, two layers of 32."""

    def build() -> nn.Module:
        import transformers

        config = getattr(transformers, f"{family}Config")(vocab_size=tasks.VOCABULARY, **sizes)
        return Logits(getattr(transformers, f"{family}ForCausalLM")(config))

    return Architecture(f"transformers {family}", KIND, build, task)


_BODY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
LIBRARY: tuple[Architecture, ...] = (
    _vision("test_resnet"),
    _vision("test_vit", img_size=SIZE),
    _vision("test_convnext"),
    _vision("test_efficientnet"),
    _vision("test_mambaout"),
    _text("GPTNeoX", tasks.chain, **_BODY, max_position_embeddings=32),
    _text("Gemma", tasks.chain, **_BODY, num_key_value_heads=2, head_dim=8),
    _text("OPT", tasks.chain, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=64,
          word_embed_proj_dim=32, max_position_embeddings=32),
    _text("Bloom", tasks.chain, hidden_size=32, n_layer=2, n_head=4),
)  # fmt: skip
