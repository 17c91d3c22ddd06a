"""Whisper's architecture in PyTorch, at a size that a laptop trains in an hour.

Same graph as openai/whisper (two GELU convolutions, pre-norm encoder and decoder, tied output
embedding, key projections without bias), so CTranslate2 runs it as it runs large-v3.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    """The sizes of a model; the first three are large-v3's."""

    n_mels: int = 128
    n_frames: int = 1500
    n_text: int = 448
    width: int = 128
    heads: int = 4
    encoder_layers: int = 3
    decoder_layers: int = 2
    vocab: int = 2134


def sinusoids(length: int, channels: int) -> Tensor:
    """(length, channels) position encodings: sines in the first half, cosines in the second."""
    scale = torch.exp(-torch.arange(channels // 2) * (torch.log(torch.tensor(1e4)) / (channels // 2 - 1)))
    angle = torch.arange(length)[:, None] * scale[None]
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class Attention(nn.Module):
    """Multi-head attention of x (batch, L, width) to itself or to a memory (batch, T, width)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def _split(self, x: Tensor) -> Tensor:
        """(batch, L, width) -> (batch, heads, L, width / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x: Tensor, memory: Tensor | None = None, causal: bool = False) -> Tensor:
        memory = x if memory is None else memory
        q, k, v = self._split(self.query(x)), self._split(self.key(memory)), self._split(self.value(memory))
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return self.out(y.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """One layer; with `cross` a decoder's, which is causal and reads the encoder's memory."""

    def __init__(self, width: int, heads: int, cross: bool) -> None:
        super().__init__()
        self.attn_ln, self.attn = nn.LayerNorm(width), Attention(width, heads)
        self.cross_ln = nn.LayerNorm(width) if cross else None
        self.cross = Attention(width, heads) if cross else None
        self.mlp_ln = nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, memory: Tensor | None = None) -> Tensor:
        x = x + self.attn(self.attn_ln(x), causal=self.cross is not None)
        if self.cross is not None:
            x = x + self.cross(self.cross_ln(x), memory)
        return x + self.fc2(functional.gelu(self.fc1(self.mlp_ln(x))))


class Whisper(nn.Module):
    """Encoder and decoder with the tied output embedding."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.conv1 = nn.Conv1d(shape.n_mels, shape.width, 3, padding=1)
        self.conv2 = nn.Conv1d(shape.width, shape.width, 3, stride=2, padding=1)
        self.register_buffer("audio_positions", sinusoids(shape.n_frames, shape.width))
        self.encoder = nn.ModuleList(Block(shape.width, shape.heads, cross=False) for _ in range(shape.encoder_layers))
        self.encoder_ln = nn.LayerNorm(shape.width)
        self.embedding = nn.Embedding(shape.vocab, shape.width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.text_positions = nn.Parameter(0.01 * torch.randn(shape.n_text, shape.width))
        self.decoder = nn.ModuleList(Block(shape.width, shape.heads, cross=True) for _ in range(shape.decoder_layers))
        self.decoder_ln = nn.LayerNorm(shape.width)

    def encode(self, mel: Tensor, first: int = 0) -> Tensor:
        """(batch, n_mels, 2 T) log-mel, its first frame at position `first` -> (batch, T, width)."""
        x = functional.gelu(self.conv2(functional.gelu(self.conv1(mel)))).transpose(1, 2)
        x = x + self.audio_positions[first : first + x.shape[1]]
        for block in self.encoder:
            x = block(x)
        return self.encoder_ln(x)

    def decode(self, tokens: Tensor, memory: Tensor, first: int = 0) -> Tensor:
        """(batch, L) ids, the first at position `first` -> (batch, L, vocab) logits."""
        x = self.embedding(tokens) + self.text_positions[first : first + tokens.shape[1]]
        for block in self.decoder:
            x = block(x, memory)
        return self.decoder_ln(x) @ self.embedding.weight.T


def load(checkpoint: Path) -> Whisper:
    """The model of a checkpoint, which holds its `Shape` beside the weights: load only your own."""
    saved = torch.load(checkpoint, weights_only=False)
    model = Whisper(saved["shape"])
    model.load_state_dict(saved["state"])
    return model
