"""Models of libraries beyond transformers, timm and torchvision: diffusers, x-transformers, vit-pytorch, smp."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from benchmarks.zoo.families import BATCH, CLASSES, LENGTH, VOCABULARY, Family, pictures, tokens

HEADS = {"attention_head_dim": 8, "num_attention_heads": 4, "num_layers": 2}


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


def diffusion_models() -> Iterator[Family]:
    """What predicts noise, and what makes codes of pictures, of diffusers."""
    import diffusers as library

    sides = {"sample_size": 16, "patch_size": 2, "in_channels": 4}
    unet = {"sample_size": 16, "block_out_channels": (16, 32), "layers_per_block": 1, "norm_num_groups": 8}
    made: dict[str, tuple[str, dict[str, Any], Callable[[], Any]]] = {
        "unet": (
            "UNet2DModel", {**unet, "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
            "up_block_types": ("AttnUpBlock2D", "UpBlock2D")},
            lambda: {"sample": noise(3, 16, 16), "timestep": steps()},
        ),
        "unet-of-text": (
            "UNet2DConditionModel", {**unet, "cross_attention_dim": 32, "attention_head_dim": 8,
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D")},
            lambda: {"sample": noise(4, 16, 16), "timestep": steps(), "encoder_hidden_states": noise(6, 32)},
        ),
        "dit": (
            "DiTTransformer2DModel", {**HEADS, **sides, "norm_num_groups": 8},
            lambda: {"hidden_states": noise(4, 16, 16), "timestep": steps(), "class_labels": torch.arange(BATCH)},
        ),
        "pixart": (
            "PixArtTransformer2DModel", {**HEADS, **sides, "cross_attention_dim": 32, "caption_channels": 32,
            "norm_num_groups": 8, "use_additional_conditions": False},
            lambda: {"hidden_states": noise(4, 16, 16), "timestep": steps(), "encoder_hidden_states": noise(6, 32)},
        ),
        "sd3": (
            "SD3Transformer2DModel", {**HEADS, **sides, "joint_attention_dim": 32, "caption_projection_dim": 32,
            "pooled_projection_dim": 32, "out_channels": 4},
            lambda: {"hidden_states": noise(4, 16, 16), "timestep": steps(), "encoder_hidden_states": noise(6, 32),
                     "pooled_projections": noise(32)},
        ),
        "flux": (
            "FluxTransformer2DModel", {"in_channels": 8, "num_layers": 1, "num_single_layers": 1,
            "attention_head_dim": 16, "num_attention_heads": 2, "joint_attention_dim": 32,
            "pooled_projection_dim": 32, "axes_dims_rope": (4, 4, 8)},
            lambda: {"hidden_states": noise(16, 8), "timestep": steps() / 1000, "encoder_hidden_states": noise(6, 32),
                     "pooled_projections": noise(32), "img_ids": torch.zeros(16, 3), "txt_ids": torch.zeros(6, 3)},
        ),
        "autoencoder": (
            "AutoencoderKL", {"block_out_channels": (16, 32), "norm_num_groups": 8,
            "down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2},
            lambda: {"sample": noise(3, 32, 32)},
        ),
        "vq": ("VQModel", {"block_out_channels": (16,), "norm_num_groups": 8}, lambda: {"sample": noise(3, 16, 16)}),
        "unet-of-sound": (
            "UNet1DModel", {"sample_size": 64, "in_channels": 2, "out_channels": 2, "extra_in_channels": 0,
            "block_out_channels": (16, 16, 32)}, lambda: {"sample": noise(2, 64), "timestep": steps()},
        ),
        "prior": (
            "PriorTransformer", {**HEADS, "embedding_dim": 32, "num_embeddings": 6},
            lambda: {"hidden_states": noise(32), "timestep": steps(), "proj_embedding": noise(32),
                     "encoder_hidden_states": noise(6, 32)},
        ),
    }  # fmt: skip
    for name, (kind, sizes, inputs) in made.items():
        build = lambda kind=kind, sizes=sizes: Sample(getattr(library, kind)(**sizes))  # noqa: E731
        yield Family(f"diffusers/{name}", build, inputs, 0)


VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {}, "rms": {"use_rmsnorm": True, "ff_glu": True, "rotary_pos_emb": True},
    "post-norm": {"pre_norm": False}, "sandwich": {"sandwich_norm": True}, "alibi": {"alibi_pos_bias": True},
    "t5-bias": {"rel_pos_bias": True}, "scale-norm": {"use_scalenorm": True}, "no-bias": {"ff_no_bias": True},
    "qk-norm": {"attn_qk_norm": True, "attn_qk_norm_dim_scale": True}, "gated": {"attn_gate_values": True},
    "talking": {"attn_pre_talking_heads": True}, "memory": {"attn_num_mem_kv": 4}, "relu2": {"ff_relu_squared": True},
    "macaron": {"macaron": True}, "residual-gate": {"gate_residual": True}, "scaled": {"scale_residual": True},
    "shift": {"shift_tokens": 1}, "post-act": {"ff_post_act_ln": True},
    "one-kv": {"attn_one_kv_head": True}, "hyper": {"num_residual_streams": 2}, "dynamic": {"dynamic_pos_bias": True},
    "simple-rms": {"use_simple_rmsnorm": True}, "softclamp": {"attn_softclamp_logits": True},
}  # fmt: skip


def decoders() -> Iterator[Family]:
    """x-transformers: one decoder for each of its switches."""
    from x_transformers import Decoder, TransformerWrapper

    for name, more in VARIANTS.items():

        def build(more: dict[str, Any] = more) -> nn.Module:
            layers = Decoder(dim=64, depth=2, heads=4, attn_dim_head=16, **more)
            made: nn.Module = TransformerWrapper(num_tokens=VOCABULARY, max_seq_len=LENGTH, attn_layers=layers)
            return made

        yield Family(f"x-transformers/{name}", build, tokens, VOCABULARY)


VIT = {"num_classes": CLASSES, "dim": 64, "depth": 2, "heads": 4, "mlp_dim": 128, "image_size": 32, "patch_size": 8}
LESS: dict[str, tuple[str, ...]] = {"mlp_mixer": ("heads", "mlp_dim")}


def vit_kinds() -> Iterator[Family]:
    """vit-pytorch: every module of it whose ViT takes the usual sizes."""
    import importlib
    import pkgutil

    import vit_pytorch

    for item in pkgutil.iter_modules(vit_pytorch.__path__):

        def build(name: str = item.name) -> nn.Module:
            kind: Any = importlib.import_module(f"vit_pytorch.{name}")
            words = name.replace("_", "")
            held = [value for key, value in vars(kind).items() if isinstance(value, type)
                    and issubclass(value, nn.Module) and (key.lower() == words or key == "ViT")]  # fmt: skip
            if not held:
                raise RuntimeError("no class of the module's name")
            made: nn.Module = held[0](**{key: size for key, size in VIT.items() if _takes(held[0], key)})
            return made

        yield Family(f"vit-pytorch/{item.name}", build, lambda: pictures(3, 32), CLASSES)


def _takes(kind: type, key: str) -> bool:
    import inspect

    return key in inspect.signature(kind.__init__).parameters


def segmenters() -> Iterator[Family]:
    """segmentation-models-pytorch: every architecture over a small encoder."""
    import segmentation_models_pytorch as library

    for name in ("Unet", "UnetPlusPlus", "MAnet", "Linknet", "FPN", "PSPNet", "PAN", "DeepLabV3", "DeepLabV3Plus",
                 "UPerNet", "Segformer"):  # fmt: skip
        build = lambda name=name: getattr(library, name)(  # noqa: E731
            encoder_name="resnet18", encoder_weights=None, classes=CLASSES
        )
        yield Family(f"smp/{name.lower()}", build, lambda: pictures(3, 64), 0)


def others() -> Iterator[Family]:
    """All of them; a library that is not installed is left out."""
    from importlib.util import find_spec

    parts = {"x_transformers": decoders, "vit_pytorch": vit_kinds, "diffusers": diffusion_models,
             "segmentation_models_pytorch": segmenters}  # fmt: skip
    for module, models in parts.items():
        if find_spec(module) is not None:
            yield from models()
