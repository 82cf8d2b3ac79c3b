"""Models of libraries beyond transformers, timm and torchvision: x-transformers, vit-pytorch, smp; and diffusers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from benchmarks.zoo.diffusion import diffusion_models
from benchmarks.zoo.families import CLASSES, LENGTH, VOCABULARY, Family, pictures, tokens

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
