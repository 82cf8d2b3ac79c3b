"""Twenty families of transformers, each small: a fresh model as the library itself starts it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import transformers as tf
from torch import nn

_TEXT: dict[str, Any] = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 32, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
_PLAIN = {key: value for key, value in _TEXT.items() if key != "num_key_value_heads"}
_IMAGE: dict[str, Any] = {
    "image_size": 16, "patch_size": 4, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
    "num_attention_heads": 4,
}  # fmt: skip


def _seq(**more: Any) -> dict[str, Any]:
    return {
        "vocab_size": 64, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
        "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "max_position_embeddings": 32,
        "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1, **more,
    }  # fmt: skip


FAMILIES: dict[str, Callable[[], nn.Module]] = {
    "gpt2": lambda: tf.GPT2LMHeadModel(
        tf.GPT2Config(vocab_size=64, n_embd=32, n_layer=3, n_head=4, n_positions=32, bos_token_id=1, eos_token_id=2)
    ),
    "gpt_neox": lambda: tf.GPTNeoXForCausalLM(tf.GPTNeoXConfig(**_PLAIN)),
    "llama": lambda: tf.LlamaForCausalLM(tf.LlamaConfig(**_TEXT)),
    "mistral": lambda: tf.MistralForCausalLM(tf.MistralConfig(**_TEXT)),
    "qwen2": lambda: tf.Qwen2ForCausalLM(tf.Qwen2Config(**_TEXT)),
    "gemma": lambda: tf.GemmaForCausalLM(tf.GemmaConfig(**_TEXT, head_dim=8)),
    "phi": lambda: tf.PhiForCausalLM(tf.PhiConfig(**_TEXT)),
    "opt": lambda: tf.OPTForCausalLM(
        tf.OPTConfig(
            vocab_size=64,
            hidden_size=32,
            ffn_dim=48,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=32,
            word_embed_proj_dim=32,
            pad_token_id=0,
        )
    ),
    "bloom": lambda: tf.BloomForCausalLM(tf.BloomConfig(vocab_size=64, hidden_size=32, n_layer=3, n_head=4)),
    "bert": lambda: tf.BertForMaskedLM(tf.BertConfig(**_PLAIN)),
    "roberta": lambda: tf.RobertaForMaskedLM(tf.RobertaConfig(**{**_PLAIN, "pad_token_id": 1})),
    "distilbert": lambda: tf.DistilBertForMaskedLM(
        tf.DistilBertConfig(vocab_size=64, dim=32, hidden_dim=48, n_layers=3, n_heads=4, max_position_embeddings=32)
    ),
    "albert": lambda: tf.AlbertForMaskedLM(tf.AlbertConfig(**_PLAIN, embedding_size=16)),
    "electra": lambda: tf.ElectraForPreTraining(tf.ElectraConfig(**_PLAIN, embedding_size=16)),
    "deberta": lambda: tf.DebertaV2ForMaskedLM(tf.DebertaV2Config(**_PLAIN)),
    "t5": lambda: tf.T5ForConditionalGeneration(
        tf.T5Config(
            vocab_size=64,
            d_model=32,
            d_kv=8,
            d_ff=48,
            num_layers=2,
            num_heads=4,
            pad_token_id=0,
            decoder_start_token_id=0,
        )
    ),
    "bart": lambda: tf.BartForConditionalGeneration(tf.BartConfig(**_seq())),
    "vit": lambda: tf.ViTForImageClassification(tf.ViTConfig(**_IMAGE)),
    "clip": lambda: tf.CLIPVisionModel(tf.CLIPVisionConfig(**_IMAGE)),
    "mamba": lambda: tf.MambaForCausalLM(
        tf.MambaConfig(vocab_size=64, hidden_size=32, state_size=8, num_hidden_layers=3, pad_token_id=0)
    ),
    "whisper": lambda: tf.WhisperForConditionalGeneration(
        tf.WhisperConfig(
            **{k: v for k, v in _seq().items() if k != "max_position_embeddings"},
            max_source_positions=16,
            max_target_positions=16,
            num_mel_bins=8,
        )
    ),
    "wav2vec2": lambda: tf.Wav2Vec2ForCTC(
        tf.Wav2Vec2Config(
            vocab_size=64,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=48,
            conv_dim=(16, 16),
            conv_stride=(5, 2),
            conv_kernel=(10, 3),
            num_conv_pos_embeddings=8,
            num_conv_pos_embedding_groups=2,
            num_feat_extract_layers=2,
        )
    ),
    "mixtral": lambda: tf.MixtralForCausalLM(tf.MixtralConfig(**_TEXT, num_local_experts=4)),
    "convnext": lambda: tf.ConvNextForImageClassification(
        tf.ConvNextConfig(hidden_sizes=[16, 24, 32, 40], depths=[1, 1, 1, 1], num_channels=3)
    ),
    "swin": lambda: tf.SwinForImageClassification(
        tf.SwinConfig(image_size=32, patch_size=4, embed_dim=16, depths=[1, 1], num_heads=[2, 4], window_size=4)
    ),
}
