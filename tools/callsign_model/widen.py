"""Widen the call-sign Whisper to the exact shape of a real Whisper, keeping its function.

    python widen.py --tiktoken multilingual.tiktoken --checkpoint checkpoint.pt --shape large-v3 --out MODEL_DIR

The result has every tensor of the real model at its real size, dense with random values, and costs
what the real model costs in time and memory; yet it writes the call-sign model's transcripts, so a
load test can check each answer. No download is needed.

How the function survives:

- The residual stream holds k equal copies of the small one (k = width / 128). LayerNorm sees the
  same mean and variance. What reads it uses W/k plus noise that sums to zero over the copies; what
  writes it writes every copy.
- Spare attention heads, spare head dimensions and spare feed-forward units come in twins: equal
  inputs, opposite outputs. Their sum is zero but their cost is real. Spare layers are all twins.
- Heads are 64 wide instead of 32, so queries are scaled by sqrt(2) to keep the scores.
- The tied output embedding sums k copies: the last LayerNorm is divided by k.
- Tokens that the small vocabulary lacks share the row of `<|startoflm|>`, which is never written.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ctranslate2.specs import LayerSpec, WhisperSpec, attention_spec, common_spec, transformer_spec
from export import Array, array, configure, save
from model import Attention, Block, Whisper, load
from tokens import EMPTY, build_tokenizer, full_tokenizer, full_vocabulary, read_ranks
from torch import nn

HEAD = 64
"""Head width of every Whisper."""


@dataclass(frozen=True)
class Target:
    """The sizes of a real Whisper."""

    width: int
    encoder_layers: int
    decoder_layers: int


TARGETS = {
    "tiny": Target(384, 4, 4),
    "base": Target(512, 6, 6),
    "small": Target(768, 12, 12),
    "medium": Target(1024, 24, 24),
    "large-v3": Target(1280, 32, 32),
    "large-v3-turbo": Target(1280, 32, 4),
}


class Noise:
    """Random arrays of a given scale, cut from one pool: quick, and never two alike."""

    def __init__(self, seed: int = 0, size: int = 1 << 24) -> None:
        self.rng = np.random.default_rng(seed)
        self.pool = self.rng.standard_normal(size, dtype=np.float32)

    def __call__(self, *shape: int, scale: float = 0.02) -> Array:
        count = int(np.prod(shape))
        start = int(self.rng.integers(len(self.pool)))
        repeats = -(-(start + count) // len(self.pool))
        source = np.tile(self.pool, repeats) if repeats > 1 else self.pool
        return (source[start : start + count] * np.float32(scale)).reshape(shape)


class AttentionParts:
    """The weights of an attention, gathered head by head: rows of q, k and v, columns of out."""

    def __init__(self) -> None:
        self.q: list[Array] = []
        self.k: list[Array] = []
        self.v: list[Array] = []
        self.q_bias: list[Array] = []
        self.v_bias: list[Array] = []
        self.out: list[Array] = []

    def add_biases(self, q: Array, v: Array, spare: int) -> None:
        """Those of a head, and zeros for its spare dimensions."""
        self.q_bias += [q, np.zeros(spare, np.float32)]
        self.v_bias += [v, np.zeros(spare, np.float32)]


@dataclass(frozen=True, eq=False)
class WideAttention:
    """Query, key and value weights (width, width) and biases (width), then output weight and bias."""

    q: Array
    k: Array
    v: Array
    q_bias: Array
    k_bias: Array
    v_bias: Array
    out: Array
    out_bias: Array


class Widener:
    """Fills a `WhisperSpec` of the target's shape so that it computes what the small model does."""

    def __init__(self, model: Whisper, target: Target, noise: Noise) -> None:
        self.small, self.target, self.noise = model, target, noise
        self.k = target.width // model.shape.width
        self.heads = target.width // HEAD
        self.small_head = model.shape.width // model.shape.heads

    def copies(self, values: Array, axis: int = 0) -> Array:
        """What writes the residual stream: the same rows k times."""
        return np.concatenate([values] * self.k, axis=axis)

    def reader(self, weight: Array) -> Array:
        """(out, small width) -> (out, width): W/k on each copy, plus noise that sums to zero over copies."""
        out, width = weight.shape
        noise = self.noise(out, self.k, width)
        noise -= noise.mean(axis=1, keepdims=True)
        return (weight[:, None] / self.k + noise).reshape(out, -1)

    def fill_norm(self, spec: common_spec.LayerNormSpec, norm: nn.LayerNorm | None, scale: float = 1.0) -> None:
        """A layer norm of the small model, or one that only normalises."""
        if norm is None:
            spec.gamma = np.ones(self.target.width, np.float32)
            spec.beta = np.zeros(self.target.width, np.float32)
        else:
            spec.gamma = self.copies(array(norm.weight)) * scale
            spec.beta = self.copies(array(norm.bias)) * scale

    def twins(self, count: int, inputs: int) -> tuple[Array, Array]:
        """`count` spare units: rows of input weights, equal in pairs, and the signs of their outputs."""
        rows = np.repeat(self.noise(count // 2, inputs), 2, axis=0)
        signs = np.tile(np.array([1, -1], np.float32), count // 2)
        return rows, signs

    def spare_columns(self, signs: Array) -> Array:
        """Output weights (width, count) of twin units: opposite within a pair."""
        return np.repeat(self.noise(self.target.width, len(signs) // 2, scale=0.005), 2, axis=1) * signs

    def add_real_head(self, parts: AttentionParts, attention: Attention, head: int) -> None:
        """A head of the small model, its spare dimensions filled with twins.

        The twins add q.k - q.k = 0 to the scores; those of the values cancel on the way out.
        """
        width, spare = self.target.width, HEAD - self.small_head
        rows = slice(head * self.small_head, (head + 1) * self.small_head)
        scale = np.float32(np.sqrt(HEAD / self.small_head))
        filler, signs = self.twins(spare, width)
        parts.q += [self.reader(array(attention.query.weight)[rows] * scale), filler]
        parts.k += [self.reader(array(attention.key.weight)[rows]), filler * signs[:, None]]
        parts.v += [self.reader(array(attention.value.weight)[rows]), self.twins(spare, width)[0]]
        parts.add_biases(array(attention.query.bias)[rows] * scale, array(attention.value.bias)[rows], spare)
        parts.out += [self.copies(array(attention.out.weight)[:, rows]), self.spare_columns(signs)]

    def add_twin_heads(self, parts: AttentionParts) -> None:
        """Two spare heads that cancel each other."""
        width = self.target.width
        q, k, v = self.noise(HEAD, width), self.noise(HEAD, width), self.noise(HEAD, width)
        columns = self.noise(width, HEAD, scale=0.005)
        parts.q += [q, q]
        parts.k += [k, k]
        parts.v += [v, v]
        parts.out += [columns, -columns]
        parts.add_biases(np.zeros(HEAD, np.float32), np.zeros(HEAD, np.float32), HEAD)

    def attention(self, attention: Attention | None) -> WideAttention:
        """The small model's attention among twin heads, or only those."""
        parts = AttentionParts()
        real = attention.heads if attention is not None else 0
        for head in range(real):
            self.add_real_head(parts, attention, head)
        for _ in range((self.heads - real) // 2):
            self.add_twin_heads(parts)
        nothing = np.zeros(self.target.width, np.float32)
        return WideAttention(
            q=np.concatenate(parts.q),
            k=np.concatenate(parts.k),
            v=np.concatenate(parts.v),
            q_bias=np.concatenate(parts.q_bias),
            k_bias=nothing,
            v_bias=np.concatenate(parts.v_bias),
            out=np.concatenate(parts.out, axis=1),
            out_bias=self.copies(array(attention.out.bias)) if attention is not None else nothing,
        )

    def fill_self_attention(
        self, spec: attention_spec.MultiHeadAttentionSpec, norm: nn.LayerNorm | None, attention: Attention | None
    ) -> None:
        """Self-attention, with query, key and value in one linear layer."""
        wide = self.attention(attention)
        self.fill_norm(spec.layer_norm, norm)
        spec.linear[0].weight = np.concatenate([wide.q, wide.k, wide.v])
        spec.linear[0].bias = np.concatenate([wide.q_bias, wide.k_bias, wide.v_bias])
        spec.linear[1].weight, spec.linear[1].bias = wide.out, wide.out_bias

    def fill_cross_attention(
        self, spec: attention_spec.MultiHeadAttentionSpec, norm: nn.LayerNorm | None, attention: Attention | None
    ) -> None:
        """Attention to the encoder's memory, with key and value in one linear layer."""
        wide = self.attention(attention)
        self.fill_norm(spec.layer_norm, norm)
        spec.linear[0].weight, spec.linear[0].bias = wide.q, wide.q_bias
        spec.linear[1].weight = np.concatenate([wide.k, wide.v])
        spec.linear[1].bias = np.concatenate([wide.k_bias, wide.v_bias])
        spec.linear[2].weight, spec.linear[2].bias = wide.out, wide.out_bias

    def fill_ffn(self, spec: transformer_spec.FeedForwardSpec, block: Block | None) -> None:
        """The small model's feed-forward units, then twins."""
        width = self.target.width
        real = block.fc1.out_features if block is not None else 0
        twins, signs = self.twins(4 * width - real, width)
        rows, columns, biases = [twins], [self.spare_columns(signs)], [np.zeros(4 * width - real, np.float32)]
        if block is not None:
            rows.insert(0, self.reader(array(block.fc1.weight)))
            columns.insert(0, self.copies(array(block.fc2.weight)))
            biases.insert(0, array(block.fc1.bias))
        self.fill_norm(spec.layer_norm, block.mlp_ln if block is not None else None)
        spec.linear_0.weight, spec.linear_0.bias = np.concatenate(rows), np.concatenate(biases)
        spec.linear_1.weight = np.concatenate(columns, axis=1)
        spec.linear_1.bias = self.copies(array(block.fc2.bias)) if block is not None else np.zeros(width, np.float32)

    def fill_layers(self, specs: Sequence[LayerSpec], blocks: nn.ModuleList, cross: bool) -> None:
        """The small model's layers, spread over the target's from the first to the last; twins between."""
        places = np.linspace(0, len(specs) - 1, len(blocks)).round().astype(int)
        real = dict(zip(places.tolist(), blocks, strict=True))
        for index, spec in enumerate(specs):
            block: Block | None = real.get(index)
            self.fill_self_attention(spec.self_attention, block and block.attn_ln, block and block.attn)
            if cross:
                self.fill_cross_attention(spec.attention, block and block.cross_ln, block and block.cross)
            self.fill_ffn(spec.ffn, block)

    def fill_encoder(self, encoder: transformer_spec.TransformerEncoderSpec) -> None:
        """Convolutions, positions and layers of the encoder."""
        small = self.small
        encoder.conv1.weight = self.copies(array(small.conv1.weight))
        encoder.conv1.bias = self.copies(array(small.conv1.bias))
        conv2 = array(small.conv2.weight)  # (out, in, 3)
        read = np.stack([self.reader(conv2[:, :, tap]) for tap in range(3)], axis=2)
        encoder.conv2.weight = self.copies(read)
        encoder.conv2.bias = self.copies(array(small.conv2.bias))
        encoder.position_encodings.encodings = self.copies(array(small.audio_positions), axis=1)
        self.fill_norm(encoder.layer_norm, small.encoder_ln)
        self.fill_layers(encoder.layer, small.encoder, cross=False)

    def fill_decoder(self, decoder: transformer_spec.TransformerDecoderSpec, small_ids: list[int]) -> None:
        """Embedding, positions and layers of the decoder."""
        small = self.small
        decoder.embeddings.weight = self.copies(array(small.embedding.weight)[small_ids], axis=1)
        decoder.projection.weight = decoder.embeddings.weight
        decoder.position_encodings.encodings = self.copies(array(small.text_positions), axis=1)
        self.fill_norm(decoder.layer_norm, small.decoder_ln, scale=1 / self.k)
        self.fill_layers(decoder.layer, small.decoder, cross=True)

    def spec(self, small_ids: list[int]) -> WhisperSpec:
        """The wide model; `small_ids` names, for each of its tokens, the small model's whose row it takes."""
        spec = WhisperSpec(self.target.encoder_layers, self.heads, self.target.decoder_layers, self.heads)
        self.fill_encoder(spec.encoder)
        self.fill_decoder(spec.decoder, small_ids)
        return spec

    def alignment_heads(self) -> list[list[int]]:
        """The small model's heads of its last decoder layer, where the widened one keeps them."""
        last = self.target.decoder_layers - 1
        return [[last, head] for head in range(self.small.shape.heads)]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiktoken", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--shape", choices=TARGETS, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quantization", default="float16")
    args = parser.parse_args()

    model = load(args.checkpoint)
    ranks = read_ranks(args.tiktoken)
    small = build_tokenizer(ranks).get_vocab()
    names = full_vocabulary(ranks)
    unused = small["<|startoflm|>"]
    widener = Widener(model, TARGETS[args.shape], Noise())
    spec = widener.spec([small.get(name or EMPTY, unused) for name in names])
    configure(spec, names, widener.alignment_heads())
    save(spec, full_tokenizer(ranks), model.shape.n_mels, args.quantization, args.out)
    size = sum(file.stat().st_size for file in args.out.iterdir())
    print(f"{args.shape}: {size / 1e9:.2f} GB in {args.out.name}")


if __name__ == "__main__":
    main()
