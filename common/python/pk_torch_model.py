"""The decoder of pk_torch_decode.py, as plain PyTorch modules: needs PyTorch.

Written for batch 1 and a static cache, so that one CUDA graph serves every position: position, token, mask, cache and
the tokens so far live on the device, and a step reads and advances them there. q, k and v come from one matrix, gate
and up from another; the residual stream, the cache and the logits are bf16.
"""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pk_decoder_shapes import Shape, tensors

BF16 = torch.bfloat16
SCORES = 1 << 24  # of as many heads as these are enough for, at once: 128 MB
FILLER = 2.0**13  # in rows of the cache that are not yet written: finite, since a masked NaN would still be NaN


def rope_frequencies(shape: Shape) -> Tensor:
    """Rotations a position, radians: [head_dim / 2] of the pairs (i, i + head_dim / 2), float64. Llama 3's stretch of
    long wavelengths as in transformers, _compute_llama3_parameters."""
    pairs = torch.arange(0, shape.head_dim, 2, dtype=torch.float64)
    frequency = shape.rope_theta ** (-pairs / shape.head_dim)
    if shape.rope_factor == 1:
        return frequency
    turns = shape.rope_original * frequency / (2 * math.pi)
    share = ((turns - shape.rope_low) / (shape.rope_high - shape.rope_low)).clamp(0, 1)  # of what stays as it is
    return frequency * (share + (1 - share) / shape.rope_factor)


def random_weights(shape: Shape, seed: int, where: str) -> dict[str, Tensor]:
    """Seeded, bf16. What one matrix of the decoder holds lies together: q, k, v are parts of `qkv`, gate and up of
    `gate_up`, so that the decoder and its reference read the same memory."""
    generator = torch.Generator(where).manual_seed(seed % (1 << 63))
    weights: dict[str, Tensor] = {}

    def draw(target: Tensor, centre: float, spread: float) -> None:
        for rows in target.split(1 << 14):  # a float copy of an embedding would be gigabytes
            rows.copy_(torch.empty(rows.shape, device=where).uniform_(centre - spread, centre + spread,
                                                                      generator=generator))
    listed = tensors(shape)
    for i in range(shape.layers):
        for whole, parts in (("qkv", "q k v"), ("qkv_bias", "q_bias k_bias v_bias"), ("gate_up", "gate up")):
            names = [f"{i}.{part}" for part in parts.split() if f"{i}.{part}" in listed]
            if names:
                rows = [listed[name][0][0] for name in names]
                joint = torch.empty((sum(rows), *listed[names[0]][0][1:]), dtype=BF16, device=where)
                weights[f"{i}.{whole}"] = joint
                weights.update(zip(names, joint.split(rows)))
    for name, (dimensions, centre, spread) in listed.items():
        if name not in weights:
            weights[name] = torch.empty(dimensions, dtype=BF16, device=where)
        draw(weights[name], centre, spread)
    return weights


def _kept(tensor: Tensor | None) -> nn.Parameter | None:
    return None if tensor is None else nn.Parameter(tensor, requires_grad=False)


def project(x: Tensor, matrix: Tensor, bias: Tensor | None) -> Tensor:
    """x [n][in] times a matrix [out][in]. Inductor makes its own matrix-vector kernel of a product, and none of a
    product with a bias inside."""
    if bias is not None and torch.compiler.is_compiling():
        return F.linear(x, matrix) + bias
    return F.linear(x, matrix, bias)


class Block(nn.Module):
    """One layer, with its part of the cache: keys and values [kv_heads][1][room][head_dim]."""

    def __init__(self, shape: Shape, weights: dict[str, Tensor], layer: int, room: int) -> None:
        super().__init__()
        self.shape = shape
        for name in ("attn_norm", "qkv", "qkv_bias", "o", "ffn_norm", "gate_up", "down"):
            setattr(self, name, _kept(weights.get(f"{layer}.{name}")))
        self.qk_norm = None
        if shape.qk_norm:  # a row a head of q, then of k, so that one pass serves both
            q_norm, k_norm = (weights[f"{layer}.{name}"] for name in ("q_norm", "k_norm"))
            self.qk_norm = _kept(torch.cat((q_norm.expand(shape.heads, -1), k_norm.expand(shape.kv_heads, -1))))
        cache = (shape.kv_heads, 1, room, shape.head_dim)
        for name in ("keys", "values"):
            self.register_buffer(name, torch.zeros(cache, dtype=BF16, device=weights["norm"].device))

    def rotated(self, x: Tensor, turn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """q [n][heads][head_dim], k and v [n][kv_heads][head_dim] of x [n][hidden]; turn [n][2][1][head_dim] is the
        cosines, and the sines with the sign that a half-split rotation gives them."""
        shape = self.shape
        normed = F.rms_norm(x, (shape.hidden,), self.attn_norm, shape.rms_eps)
        qkv = project(normed, self.qkv, self.qkv_bias).view(-1, shape.heads + 2 * shape.kv_heads, shape.head_dim)
        qk, v = qkv.split((shape.heads + shape.kv_heads, shape.kv_heads), 1)
        if self.qk_norm is not None:
            qk = F.rms_norm(qk, (shape.head_dim,), None, shape.rms_eps) * self.qk_norm
        qk = torch.addcmul(qk * turn[:, 0], qk.roll(shape.head_dim // 2, -1), turn[:, 1])
        q, k = qk.split((shape.heads, shape.kv_heads), 1)
        return q, k, v

    def fed_forward(self, x: Tensor, attended: Tensor) -> Tensor:
        """What follows attention: [n][hidden]."""
        shape = self.shape
        x = x + F.linear(attended, self.o)
        normed = F.rms_norm(x, (shape.hidden,), self.ffn_norm, shape.rms_eps)
        gate, up = F.linear(normed, self.gate_up).chunk(2, -1)
        return x + F.linear(F.silu(gate) * up, self.down)

    def forward(self, x: Tensor, turn: Tensor, position: Tensor, mask: Tensor, grouped: bool) -> Tensor:
        """One token, x [1][hidden]. `grouped`: let attention share the heads; else the query heads of a key/value head
        are its queries, which needs no sharing."""
        shape = self.shape
        q, k, v = self.rotated(x, turn)
        self.keys.index_copy_(2, position, k.view(shape.kv_heads, 1, 1, shape.head_dim))
        self.values.index_copy_(2, position, v.view(shape.kv_heads, 1, 1, shape.head_dim))
        if grouped:
            out = F.scaled_dot_product_attention(
                q.view(1, shape.heads, 1, shape.head_dim), self.keys.transpose(0, 1), self.values.transpose(0, 1),
                attn_mask=mask, enable_gqa=True)
        else:
            ratio = shape.heads // shape.kv_heads
            out = F.scaled_dot_product_attention(q.view(shape.kv_heads, 1, ratio, shape.head_dim), self.keys,
                                                 self.values, attn_mask=mask)
        return self.fed_forward(x, out.reshape(1, -1))

    def prefill(self, x: Tensor, turn: Tensor) -> Tensor:
        """The prompt, x [n][hidden], into an empty cache."""
        q, k, v = (heads.transpose(0, 1) for heads in self.rotated(x, turn))  # [heads][n][head_dim]
        self.keys[:, 0, :x.shape[0]] = k
        self.values[:, 0, :x.shape[0]] = v
        out = F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True, enable_gqa=True)[0]
        return self.fed_forward(x, out.transpose(0, 1).reshape(x.shape[0], -1))


class Decoder(nn.Module):
    """Weights, which it shares with who gave them, and the state of one sequence, which is its own."""

    def __init__(self, shape: Shape, weights: dict[str, Tensor], room: int, grouped: bool = False) -> None:
        super().__init__()
        self.shape, self.room, self.grouped = shape, room, grouped
        where = weights["norm"].device
        self.embedding, self.norm = _kept(weights["embedding"]), _kept(weights["norm"])
        self.head = self.embedding if shape.tied else _kept(weights["head"])
        self.blocks = nn.ModuleList(Block(shape, weights, i, room) for i in range(shape.layers))
        angle = torch.outer(torch.arange(room, dtype=torch.float64), rope_frequencies(shape))
        sine = torch.cat((-angle.sin(), angle.sin()), 1)
        turns = torch.stack((angle.cos().repeat(1, 2), sine), 1)[:, :, None]
        state = {
            "turns": turns.to(BF16),                              # [room][2][1][head_dim]
            "mask": torch.full((1, 1, 1, room), -math.inf, dtype=BF16),  # added to scores: 0 where a row is written
            "position": torch.zeros(1, dtype=torch.int64),        # of the token to come in
            "token": torch.zeros(1, dtype=torch.int64),           # that token
            "tokens": torch.zeros(room, dtype=torch.int64),       # [i]: chosen from the logits after position i
        }
        for name, tensor in state.items():
            self.register_buffer(name, tensor.to(where))

    def logits(self, x: Tensor) -> Tensor:
        """[n][vocab] of the residual stream [n][hidden]."""
        return F.linear(F.rms_norm(x, (self.shape.hidden,), self.norm, self.shape.rms_eps), self.head)

    def step(self) -> Tensor:
        """Decode one token: logits [1][vocab]. The host needs to know nothing of it."""
        turn = self.turns.index_select(0, self.position)
        self.mask.index_fill_(3, self.position, 0)
        x = F.embedding(self.token, self.embedding)
        for block in self.blocks:
            x = block(x, turn, self.position, self.mask, self.grouped)
        logits = self.logits(x)
        chosen = logits.argmax(-1)
        self.tokens.index_copy_(0, self.position, chosen)
        self.token.copy_(chosen)
        self.position.add_(1)
        return logits

    def prefill(self, prompt: Tensor) -> None:
        """The prompt [n] into the cache; the first token is chosen."""
        x, count = F.embedding(prompt, self.embedding), prompt.shape[0]
        for block in self.blocks:
            x = block.prefill(x, self.turns[:count])
        self.tokens[count - 1] = self.logits(x[-1:]).argmax(-1)[0]
        self.rewind(count)

    def rewind(self, count: int) -> None:
        """To the moment after a prompt of so many tokens. Rows of the cache behind it keep what they hold."""
        self.token.copy_(self.tokens[count - 1:count])
        self.position.fill_(count)
        self.mask.fill_(-math.inf)
        self.mask[..., :count] = 0

    def poison(self, count: int) -> None:
        """What no step has written: rows and tokens behind a prompt."""
        for block in self.blocks:
            block.keys[:, :, count:] = FILLER
            block.values[:, :, count:] = FILLER
        self.tokens[count:] = -1


# ---- the reference ----


class Reference:
    """The forward pass in float64 over a whole sequence, with nothing of the decoder but its weights."""

    def __init__(self, shape: Shape, weights: dict[str, Tensor]) -> None:
        self.shape, self.weights = shape, weights
        self._noise: torch.Generator | None = None

    def _rounded(self, x: Tensor) -> Tensor:
        """Where a kernel's result may be rounded to bf16: here it is not, or moved at random by that much."""
        if self._noise is None:
            return x
        unit = torch.empty(x.shape, dtype=torch.float32, device=x.device).uniform_(-1, 1, generator=self._noise)
        return x * (1 + 2.0**-8 * unit)

    def _wide(self, name: str) -> Tensor:
        return self.weights[name].to(torch.float64)

    def _norm(self, x: Tensor, name: str) -> Tensor:
        scale = torch.rsqrt((x * x).mean(-1, keepdim=True) + self.shape.rms_eps)
        return self._rounded(self._rounded(x * scale) * self._wide(name))

    def _heads(self, x: Tensor, layer: int, part: str, count: int) -> Tensor:
        """[count][n][head_dim]"""
        y = x @ self._wide(f"{layer}.{part}").T
        if self.shape.qkv_bias:
            y = self._rounded(y) + self._wide(f"{layer}.{part}_bias")
        return self._rounded(y).view(-1, count, self.shape.head_dim).transpose(0, 1)

    def _turned(self, x: Tensor, layer: int, part: str) -> Tensor:
        if self.shape.qk_norm:
            x = self._norm(x, f"{layer}.{part}_norm")
        places = torch.arange(x.shape[1], dtype=torch.float64)
        angle = torch.outer(places, rope_frequencies(self.shape)).to(x.device)
        cosine, sine = self._rounded(angle.cos()), self._rounded(angle.sin())
        first, second = x.chunk(2, -1)
        turned = (self._rounded(first * cosine) - self._rounded(second * sine),
                  self._rounded(second * cosine) + self._rounded(first * sine))
        return self._rounded(torch.cat(turned, -1))

    def _attended(self, x: Tensor, layer: int) -> Tensor:
        shape, count = self.shape, x.shape[0]
        q = self._turned(self._heads(x, layer, "q", shape.heads), layer, "q")
        k = self._turned(self._heads(x, layer, "k", shape.kv_heads), layer, "k")
        v = self._heads(x, layer, "v", shape.kv_heads)
        later = torch.ones((count, count), dtype=torch.bool, device=x.device).triu(1)
        ratio = shape.heads // shape.kv_heads
        out = []
        for heads in torch.arange(shape.heads, device=x.device).split(max(1, SCORES // count**2)):
            score = q[heads] @ k[heads // ratio].mT / math.sqrt(shape.head_dim)
            out.append(self._rounded(torch.softmax(score.masked_fill(later, -math.inf), -1)) @ v[heads // ratio])
        return self._rounded(torch.cat(out).transpose(0, 1).reshape(count, -1))

    def logits(self, sequence: Tensor, first: int, noise: torch.Generator | None = None) -> Tensor:
        """After each of the positions first.. of the sequence [n]: [n - first][vocab], float64. `noise`: with a random
        error wherever a kernel may round."""
        self._noise = noise
        x = self.weights["embedding"][sequence].to(torch.float64)
        for i in range(self.shape.layers):
            out = self._attended(self._norm(x, f"{i}.attn_norm"), i)
            x = self._rounded(x + self._rounded(out @ self._wide(f"{i}.o").T))
            normed = self._norm(x, f"{i}.ffn_norm")
            gate, up = (self._rounded(normed @ self._wide(f"{i}.{part}").T) for part in ("gate", "up"))
            inner = self._rounded(self._rounded(gate / (1 + torch.exp(-gate))) * up)
            x = self._rounded(x + self._rounded(inner @ self._wide(f"{i}.down").T))
        x = self._norm(x[first:], "norm")
        head = self.weights["embedding" if self.shape.tied else "head"]
        pieces = [x @ rows.to(torch.float64).T for rows in head.split(1 << 14)]  # all at once would be gigabytes
        return self._rounded(torch.cat(pieces, -1))
