"""What predicts noise, and what makes codes of pictures and films, of diffusers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from benchmarks.zoo.families import BATCH, Family

HEADS = {"attention_head_dim": 8, "num_attention_heads": 4, "num_layers": 2}
SIDES = {"sample_size": 16, "patch_size": 2, "in_channels": 4}
UNET = {"sample_size": 16, "block_out_channels": (16, 32), "layers_per_block": 1, "norm_num_groups": 8}
CODES = {"block_out_channels": (16, 32), "norm_num_groups": 8}


class Sample(nn.Module):
    """A diffusers model whose output is its sample alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, **kwargs: Any) -> torch.Tensor:
        made: torch.Tensor = self.model(**kwargs, return_dict=False)[0]
        return made


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(BATCH, *shape, generator=torch.Generator().manual_seed(0))


def steps() -> torch.Tensor:
    return torch.arange(BATCH) * 100


def _given(*shape: int, words: int = 32, **more: Any) -> Callable[[], dict[str, Any]]:
    """A noisy signal, its step and six words."""

    def inputs() -> dict[str, Any]:
        made = {name: value() if callable(value) else value for name, value in more.items()}
        return {"hidden_states": noise(*shape), "timestep": steps(), "encoder_hidden_states": noise(6, words), **made}

    return inputs


def _all() -> torch.Tensor:
    """Every word counts."""
    return torch.ones(BATCH, 6)


def _films() -> dict[str, Any]:
    return {"sample": noise(3, 5, 16, 16)}


MADE: dict[str, tuple[str, dict[str, Any], Callable[[], Any]]] = {
    "unet": (
        "UNet2DModel", {**UNET, "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D")},
        lambda: {"sample": noise(3, 16, 16), "timestep": steps()},
    ),
    "unet-of-text": (
        "UNet2DConditionModel", {**UNET, "cross_attention_dim": 32, "attention_head_dim": 8,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D")},
        lambda: {"sample": noise(4, 16, 16), "timestep": steps(), "encoder_hidden_states": noise(6, 32)},
    ),
    "unet-of-films": (
        "UNet3DConditionModel", {**UNET, "cross_attention_dim": 32, "attention_head_dim": 8,
        "down_block_types": ("CrossAttnDownBlock3D", "DownBlock3D"),
        "up_block_types": ("UpBlock3D", "CrossAttnUpBlock3D")},
        lambda: {"sample": noise(4, 3, 16, 16), "timestep": steps(), "encoder_hidden_states": noise(6, 32)},
    ),
    "dit": (
        "DiTTransformer2DModel", {**HEADS, **SIDES, "norm_num_groups": 8},
        lambda: {"hidden_states": noise(4, 16, 16), "timestep": steps(), "class_labels": torch.arange(BATCH)},
    ),
    "pixart": (
        "PixArtTransformer2DModel", {**HEADS, **SIDES, "cross_attention_dim": 32, "caption_channels": 32,
        "norm_num_groups": 8, "use_additional_conditions": False}, _given(4, 16, 16),
    ),
    "sd3": (
        "SD3Transformer2DModel", {**HEADS, **SIDES, "joint_attention_dim": 32, "caption_projection_dim": 32,
        "pooled_projection_dim": 32, "out_channels": 4}, _given(4, 16, 16, pooled_projections=lambda: noise(32)),
    ),
    "flux": (
        "FluxTransformer2DModel", {"in_channels": 8, "num_layers": 1, "num_single_layers": 1,
        "attention_head_dim": 16, "num_attention_heads": 2, "joint_attention_dim": 32,
        "pooled_projection_dim": 32, "axes_dims_rope": (4, 4, 8)},
        _given(16, 8, timestep=lambda: steps() / 1000, pooled_projections=lambda: noise(32),
               img_ids=torch.zeros(16, 3), txt_ids=torch.zeros(6, 3)),
    ),
    "chroma": (
        "ChromaTransformer2DModel", {"in_channels": 8, "num_layers": 1, "num_single_layers": 1,
        "attention_head_dim": 16, "num_attention_heads": 2, "joint_attention_dim": 32,
        "axes_dims_rope": (4, 4, 8), "approximator_num_channels": 8, "approximator_hidden_dim": 32,
        "approximator_layers": 1},
        _given(16, 8, timestep=lambda: steps() / 1000, img_ids=torch.zeros(16, 3), txt_ids=torch.zeros(6, 3)),
    ),
    "auraflow": (
        "AuraFlowTransformer2DModel", {"sample_size": 16, "num_mmdit_layers": 1, "num_single_dit_layers": 1,
        "attention_head_dim": 8, "num_attention_heads": 4, "joint_attention_dim": 32, "caption_projection_dim": 32,
        "pos_embed_max_size": 64}, _given(4, 16, 16),
    ),
    "sana": (
        "SanaTransformer2DModel", {**HEADS, "in_channels": 4, "out_channels": 4, "num_cross_attention_heads": 4,
        "cross_attention_head_dim": 8, "cross_attention_dim": 32, "caption_channels": 32, "sample_size": 16},
        _given(4, 16, 16),
    ),
    "lumina2": (
        "Lumina2Transformer2DModel", {"sample_size": 16, "in_channels": 4, "hidden_size": 32, "num_layers": 2,
        "num_refiner_layers": 1, "num_attention_heads": 4, "num_kv_heads": 2, "multiple_of": 16,
        "axes_dim_rope": (4, 2, 2), "axes_lens": (32, 32, 32), "cap_feat_dim": 32},
        _given(4, 16, 16, encoder_attention_mask=lambda: _all().bool()),
    ),
    "cogview4": (
        "CogView4Transformer2DModel", {**HEADS, "in_channels": 4, "out_channels": 4, "text_embed_dim": 32,
        "time_embed_dim": 32, "condition_dim": 8, "pos_embed_max_size": 16, "sample_size": 16,
        "rope_axes_dim": (16, 16)},
        _given(4, 16, 16, original_size=torch.full((BATCH, 2), 16.0), target_size=torch.full((BATCH, 2), 16.0),
               crop_coords=torch.zeros(BATCH, 2)),
    ),
    "cogvideox": (
        "CogVideoXTransformer3DModel", {**HEADS, "in_channels": 4, "out_channels": 4, "time_embed_dim": 32,
        "text_embed_dim": 32, "sample_width": 8, "sample_height": 8, "sample_frames": 9, "max_text_seq_length": 6},
        _given(3, 4, 8, 8),
    ),
    "allegro": (
        "AllegroTransformer3DModel", {**HEADS, "attention_head_dim": 12, "num_attention_heads": 4,
        "cross_attention_dim": 48, "sample_height": 8, "sample_width": 8, "sample_frames": 2,
        "caption_channels": 32}, _given(4, 2, 8, 8),
    ),
    "latte": (
        "LatteTransformer3DModel", {**HEADS, "in_channels": 4, "out_channels": 4, "cross_attention_dim": 32,
        "attention_bias": True, "sample_size": 8, "patch_size": 2, "activation_fn": "gelu-approximate",
        "num_embeds_ada_norm": 1000, "norm_type": "ada_norm_single", "norm_elementwise_affine": False,
        "caption_channels": 32, "video_length": 3}, _given(4, 3, 8, 8),
    ),
    "mochi": (
        "MochiTransformer3DModel", {**HEADS, "pooled_projection_dim": 16, "in_channels": 4, "text_embed_dim": 32,
        "time_embed_dim": 16, "max_sequence_length": 6}, _given(4, 2, 8, 8, encoder_attention_mask=_all),
    ),
    "ltx-video": (
        "LTXVideoTransformer3DModel", {**HEADS, "in_channels": 8, "out_channels": 8, "cross_attention_dim": 32,
        "caption_channels": 32},
        _given(32, 8, encoder_attention_mask=_all, num_frames=2, height=4, width=4),
    ),
    "wan": (
        "WanTransformer3DModel", {**HEADS, "attention_head_dim": 12, "in_channels": 4, "out_channels": 4,
        "text_dim": 32, "freq_dim": 64, "ffn_dim": 96, "rope_max_seq_len": 32}, _given(4, 2, 8, 8),
    ),
    "autoencoder": (
        "AutoencoderKL", {**CODES, "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2}, lambda: {"sample": noise(3, 32, 32)},
    ),
    "autoencoder-tiny": (
        "AutoencoderTiny", {"encoder_block_out_channels": (16, 16), "decoder_block_out_channels": (16, 16),
        "num_encoder_blocks": (1, 2), "num_decoder_blocks": (2, 1)}, lambda: {"sample": noise(3, 32, 32)},
    ),
    "autoencoder-dc": (
        "AutoencoderDC", {"latent_channels": 4, "attention_head_dim": 8,
        "encoder_block_types": ("ResBlock", "EfficientViTBlock"),
        "decoder_block_types": ("ResBlock", "EfficientViTBlock"), "encoder_block_out_channels": (16, 32),
        "decoder_block_out_channels": (16, 32), "encoder_layers_per_block": (1, 1),
        "decoder_layers_per_block": (1, 1), "encoder_qkv_multiscales": ((), (5,)),
        "decoder_qkv_multiscales": ((), (5,))}, lambda: {"sample": noise(3, 32, 32)},
    ),
    "autoencoder-consistency": (
        "ConsistencyDecoderVAE", {"encoder_block_out_channels": (16, 32), "encoder_norm_num_groups": 8,
        "encoder_down_block_types": ("DownEncoderBlock2D",) * 2, "encoder_layers_per_block": 1,
        "decoder_block_out_channels": (16, 32), "decoder_norm_num_groups": 8, "decoder_layers_per_block": 1,
        "decoder_down_block_types": ("ResnetDownsampleBlock2D",) * 2,
        "decoder_up_block_types": ("ResnetUpsampleBlock2D",) * 2}, lambda: {"sample": noise(3, 16, 16)},
    ),
    "autoencoder-wan": (
        "AutoencoderKLWan", {"base_dim": 8, "z_dim": 16, "dim_mult": [1, 2], "num_res_blocks": 1,
        "temperal_downsample": [False]}, _films,
    ),
    "autoencoder-cogvideox": (
        "AutoencoderKLCogVideoX", {**CODES, "down_block_types": ("CogVideoXDownBlock3D",) * 2,
        "up_block_types": ("CogVideoXUpBlock3D",) * 2, "latent_channels": 4, "layers_per_block": 1,
        "temporal_compression_ratio": 2}, _films,
    ),
    "vq": ("VQModel", {"block_out_channels": (16,), "norm_num_groups": 8}, lambda: {"sample": noise(3, 16, 16)}),
    "unet-of-sound": (
        "UNet1DModel", {"sample_size": 64, "in_channels": 2, "out_channels": 2, "extra_in_channels": 0,
        "block_out_channels": (16, 16, 32)}, lambda: {"sample": noise(2, 64), "timestep": steps()},
    ),
    "prior": (
        "PriorTransformer", {**HEADS, "embedding_dim": 32, "num_embeddings": 6},
        _given(32, proj_embedding=lambda: noise(32)),
    ),
}  # fmt: skip


def diffusion_models() -> Iterator[Family]:
    """Each of `MADE`."""
    import diffusers as library

    for name, (kind, sizes, inputs) in MADE.items():
        build = lambda kind=kind, sizes=sizes: Sample(getattr(library, kind)(**sizes))  # noqa: E731
        yield Family(f"diffusers/{name}", build, inputs, 0)
