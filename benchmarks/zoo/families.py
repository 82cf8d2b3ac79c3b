"""What a model to try is, and how a configuration of transformers is made tiny."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

VOCABULARY, LENGTH, CLASSES, BATCH = 256, 32, 10, 8

# What a tiny model has, by the names that configurations use.
SIZES: dict[str, int] = {
    "vocab_size": VOCABULARY, "hidden_size": 64, "d_model": 64, "n_embd": 64, "dim": 64, "embed_dim": 64,
    "embedding_size": 64, "num_hidden_layers": 2, "n_layer": 2, "n_layers": 2, "num_layers": 2, "encoder_layers": 2,
    "decoder_layers": 2, "num_encoder_layers": 2, "num_decoder_layers": 2, "num_attention_heads": 4, "n_head": 4,
    "n_heads": 4, "num_heads": 4, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
    "num_key_value_heads": 2, "num_kv_heads": 2, "intermediate_size": 128, "d_ff": 128, "n_inner": 128,
    "ffn_dim": 128, "encoder_ffn_dim": 128, "decoder_ffn_dim": 128, "ffn_hidden_size": 128, "head_dim": 16,
    "d_kv": 16, "max_position_embeddings": 128, "n_positions": 128, "n_ctx": 128, "max_seq_len": 128,
    "num_local_experts": 4, "num_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 2,
    "moe_intermediate_size": 64, "shared_expert_intermediate_size": 64, "q_lora_rank": 32, "kv_lora_rank": 32,
    "qk_rope_head_dim": 8, "qk_nope_head_dim": 16, "v_head_dim": 16, "n_group": 1, "topk_group": 1,
    "first_k_dense_replace": 1, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "state_size": 8,
    "time_step_rank": 8, "image_size": 32, "patch_size": 8, "num_labels": CLASSES, "mamba_d_state": 8,
    "mamba_n_heads": 4, "mamba_d_head": 32, "rotary_dim": 8, "type_vocab_size": 2, "sliding_window": 16,
    "attention_window": 16, "axial_pos_embds_dim": 32, "moe_num_experts": 4, "moe_topk": 2, "num_mel_bins": 16,
}  # fmt: skip


@dataclass(frozen=True)
class Family:
    """A model to try.

    Args:
        name: "transformers/gpt2", "timm/resnet18".
        build: () -> the model, as its library starts it.
        inputs: () -> what its forward takes.
        outputs: the number of classes that its logits have; 0 where it gives no logits of one class each.
    """

    name: str
    build: Callable[[], nn.Module]
    inputs: Callable[[], Any]
    outputs: int


class Logits(nn.Module):
    """A transformers model whose output is its logits alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        output = self.model(*args, **kwargs)
        made: torch.Tensor = output[0] if getattr(output, "logits", None) is None else output.logits
        return made


def shrunk(config: Any, depth: int = 0) -> Any:
    """The configuration with every size that it has made tiny."""
    latent = hasattr(config, "qk_rope_head_dim")  # its head_dim is that of the rotated part
    for key, size in SIZES.items():
        if isinstance(_read(config, key), int) or (key == "head_dim" and _read(config, key, 0) is None):
            _write(config, key, SIZES["qk_rope_head_dim"] if latent and key == "head_dim" else size)
    layers = _read(config, "num_hidden_layers", 2) or 2
    _write(config, "use_cache", False)
    for key, value in list(vars(config).items()):
        if depth < 2 and hasattr(value, "to_dict") and key != "generation_config":
            setattr(config, key, shrunk(value, depth + 1))
        elif key in ("layer_types", "layers_block_type", "mlp_layer_types") and isinstance(value, list) and value:
            _write(config, key, [value[0], value[-1]][:layers])
    if getattr(config, "dtype", None) is not None:
        config.dtype = torch.float32
    return config


def _read(config: Any, key: str, otherwise: Any = None) -> Any:
    """A setting; `otherwise` where it has none or refuses to say (sizes that differ by layer)."""
    try:
        return getattr(config, key, otherwise)
    except Exception:
        return otherwise


def _write(config: Any, key: str, value: Any) -> None:
    """Sets it unless it is computed from others."""
    with contextlib.suppress(Exception):
        setattr(config, key, value)


def tokens() -> torch.Tensor:
    return torch.randint(3, VOCABULARY, (BATCH, LENGTH), generator=torch.Generator().manual_seed(0))


def pictures(channels: int, size: int) -> torch.Tensor:
    return torch.randn(BATCH, channels, size, size, generator=torch.Generator().manual_seed(0))


def sound() -> dict[str, torch.Tensor]:
    return {"input_values": torch.randn(BATCH, 4000, generator=torch.Generator().manual_seed(0))}


def both() -> dict[str, torch.Tensor]:
    return {"input_ids": tokens(), "pixel_values": pictures(3, 32)}


def uniform(family: Family) -> float:
    """The loss of a uniform guess."""
    return math.log(max(family.outputs, 1))
