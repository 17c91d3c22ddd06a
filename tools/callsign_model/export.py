"""Turn the trained checkpoint into a CTranslate2 Whisper folder.

    python export.py --tiktoken multilingual.tiktoken --checkpoint WORK/checkpoint.pt --out MODEL_DIR

The folder holds what faster-whisper loads: model.bin, config.json, vocabulary.json,
tokenizer.json, preprocessor_config.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from ctranslate2.specs import LayerSpec, WhisperSpec, attention_spec, common_spec, transformer_spec
from model import Attention, Block, Whisper, load
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokens import LANGUAGES, NEVER_FIRST, NEVER_WRITTEN, build_tokenizer, read_ranks, vocabulary
from torch import nn

Array = NDArray[np.float32]


def array(parameter: torch.Tensor) -> Array:
    """A parameter's values in float32."""
    return np.ascontiguousarray(parameter.detach().float().numpy())


def fill_norm(spec: common_spec.LayerNormSpec, norm: nn.LayerNorm) -> None:
    """Gain and bias of a layer norm."""
    spec.gamma, spec.beta = array(norm.weight), array(norm.bias)


def fill_linear(spec: common_spec.LinearSpec, *layers: nn.Linear) -> None:
    """One linear layer, or several fused along the output (a missing bias counts as zeros)."""
    spec.weight = np.concatenate([array(layer.weight) for layer in layers])
    biases = [layer.bias if layer.bias is not None else torch.zeros(layer.out_features) for layer in layers]
    spec.bias = np.concatenate([array(bias) for bias in biases])


def fill_self_attention(spec: attention_spec.MultiHeadAttentionSpec, norm: nn.LayerNorm, attention: Attention) -> None:
    """Self-attention, with query, key and value in one linear layer."""
    fill_norm(spec.layer_norm, norm)
    fill_linear(spec.linear[0], attention.query, attention.key, attention.value)
    fill_linear(spec.linear[1], attention.out)


def fill_block(spec: LayerSpec, block: Block) -> None:
    """One layer of the encoder or the decoder."""
    fill_self_attention(spec.self_attention, block.attn_ln, block.attn)
    if block.cross is not None:
        fill_norm(spec.attention.layer_norm, block.cross_ln)
        fill_linear(spec.attention.linear[0], block.cross.query)
        fill_linear(spec.attention.linear[1], block.cross.key, block.cross.value)
        fill_linear(spec.attention.linear[2], block.cross.out)
    fill_norm(spec.ffn.layer_norm, block.mlp_ln)
    fill_linear(spec.ffn.linear_0, block.fc1)
    fill_linear(spec.ffn.linear_1, block.fc2)


def fill_encoder(spec: transformer_spec.TransformerEncoderSpec, model: Whisper) -> None:
    """Convolutions, positions and layers of the encoder."""
    for target, conv in ((spec.conv1, model.conv1), (spec.conv2, model.conv2)):
        target.weight, target.bias = array(conv.weight), array(conv.bias)
    spec.position_encodings.encodings = array(model.audio_positions)
    fill_norm(spec.layer_norm, model.encoder_ln)
    for layer, block in zip(spec.layer, model.encoder, strict=True):
        fill_block(layer, block)


def fill_decoder(spec: transformer_spec.TransformerDecoderSpec, model: Whisper) -> None:
    """Embedding, positions and layers of the decoder."""
    spec.embeddings.weight = array(model.embedding.weight)
    spec.projection.weight = spec.embeddings.weight
    spec.position_encodings.encodings = array(model.text_positions)
    fill_norm(spec.layer_norm, model.decoder_ln)
    for layer, block in zip(spec.layer, model.decoder, strict=True):
        fill_block(layer, block)


def to_spec(model: Whisper) -> WhisperSpec:
    """The model as CTranslate2 has it."""
    shape = model.shape
    spec = WhisperSpec(shape.encoder_layers, shape.heads, shape.decoder_layers, shape.heads)
    fill_encoder(spec.encoder, model)
    fill_decoder(spec.decoder, model)
    return spec


def preprocessor_config(n_mels: int) -> dict[str, object]:
    """preprocessor_config.json, as large-v3 has it."""
    return {
        "chunk_length": 30,
        "feature_extractor_type": "WhisperFeatureExtractor",
        "feature_size": n_mels,
        "hop_length": 160,
        "n_fft": 400,
        "n_samples": 480000,
        "nb_max_frames": 3000,
        "padding_side": "right",
        "padding_value": 0.0,
        "processor_class": "WhisperProcessor",
        "return_attention_mask": False,
        "sampling_rate": 16000,
    }


def configure(spec: WhisperSpec, names: list[str], alignment_heads: list[list[int]]) -> None:
    """Vocabulary, suppressed tokens, languages and the (layer, head) pairs that word times come from."""
    position = {token: i for i, token in enumerate(names)}
    spec.register_vocabulary(names)
    spec.config.suppress_ids = [position[token] for token in NEVER_WRITTEN]
    spec.config.suppress_ids_begin = [position[token] for token in NEVER_FIRST]
    spec.config.lang_ids = [position[f"<|{language}|>"] for language in LANGUAGES]
    spec.config.alignment_heads = alignment_heads


def save(spec: WhisperSpec, tokenizer: Tokenizer, n_mels: int, quantization: str, out: Path) -> None:
    """Write the whole folder."""
    spec.validate()
    spec.optimize(quantization=quantization)
    out.mkdir(parents=True, exist_ok=True)
    spec.save(str(out))
    tokenizer.save(str(out / "tokenizer.json"))
    (out / "preprocessor_config.json").write_text(json.dumps(preprocessor_config(n_mels), indent=2) + "\n")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiktoken", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--alignment-heads", default="[[1, 0], [1, 1], [1, 2], [1, 3]]")
    parser.add_argument("--quantization", default="float16")
    args = parser.parse_args()

    model = load(args.checkpoint)
    tokenizer = build_tokenizer(read_ranks(args.tiktoken))
    spec = to_spec(model)
    configure(spec, vocabulary(tokenizer), json.loads(args.alignment_heads))
    save(spec, tokenizer, model.shape.n_mels, args.quantization, args.out)


if __name__ == "__main__":
    main()
