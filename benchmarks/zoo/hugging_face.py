"""Models of transformers that read tokens, pictures, sound or several of them, each family made tiny."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from benchmarks.zoo.families import CLASSES, VOCABULARY, Family, Logits, both, pictures, shrunk, sound, tokens


def _text(kind: str, loader: Any, **inputs: bool) -> Family:
    from transformers import AutoConfig

    def build() -> nn.Module:
        config = shrunk(AutoConfig.for_model(kind))
        return Logits(loader.from_config(config, attn_implementation="eager"))

    def given() -> Any:
        ids = tokens()
        return {"input_ids": ids, "decoder_input_ids": ids} if inputs.get("decoder") else {"input_ids": ids}

    return Family(f"transformers/{kind}", build, given, VOCABULARY)


def language_models() -> Iterator[Family]:
    """Every causal family, and the encoders and encoder-decoders of transformers that read plain tokens."""
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM
    from transformers.models.auto import modeling_auto as auto

    causal = list(auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    masked = [name for name in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES if name not in causal]
    pairs = [name for name in auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES if name not in (*causal, *masked)]
    for name in causal:
        yield _text(name, AutoModelForCausalLM)
    for name in masked:
        yield _text(name, AutoModelForMaskedLM)
    for name in pairs:
        yield _text(name, AutoModelForSeq2SeqLM, decoder=True)


def classifiers() -> Iterator[Family]:
    """The picture classifiers of transformers."""
    from transformers import AutoModelForImageClassification
    from transformers.models.auto import modeling_auto as auto

    for kind in auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES:
        yield _other(
            "vision", kind, AutoModelForImageClassification, lambda: {"pixel_values": pictures(3, 32)}, CLASSES
        )


def perceivers() -> Iterator[Family]:
    """Sound, pictures beside text, detection and segmentation, videos and series."""
    import transformers as library
    from transformers.models.auto import modeling_auto as auto

    for part, loader, kinds, inputs in (
        ("audio", library.AutoModelForAudioClassification, auto.MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES, sound),
        ("speech", library.AutoModelForCTC, auto.MODEL_FOR_CTC_MAPPING_NAMES, sound),
        ("pictures-and-text", library.AutoModelForZeroShotImageClassification,
         auto.MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING_NAMES, both),
        ("text-of-pictures", library.AutoModelForImageTextToText,
         auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES, lambda: {"input_ids": tokens()}),
        ("detection", library.AutoModelForObjectDetection, auto.MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES,
         lambda: {"pixel_values": pictures(3, 64)}),
        ("segmentation", library.AutoModelForSemanticSegmentation,
         auto.MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES, lambda: {"pixel_values": pictures(3, 64)}),
    ):  # fmt: skip
        for kind in kinds:
            yield _other(part, kind, loader, inputs, 0 if part in ("pictures-and-text", "detection") else CLASSES)


def _other(part: str, kind: str, loader: Any, inputs: Any, outputs: int) -> Family:
    from transformers import AutoConfig

    def build() -> nn.Module:
        return Logits(loader.from_config(shrunk(AutoConfig.for_model(kind))))

    return Family(f"transformers-{part}/{kind}", build, inputs, outputs)
