"""The least time a job can take on a machine, from what it must compute and what it must read.

Work is counted in phases that cannot overlap, because each needs the one before:

1. the common prefix is read once;
2. all requests' own prompt tokens are read at once, and each request's last one gives logits;
3. each decoding step reads one new token of every request that is not finished, and gives its logits.

A phase takes at least its arithmetic at the rate of large matrix products, and at least the reading of its
weights and of the keys and values it attends to at the rate of memory, whichever is more. Arithmetic: 2 for
each weight of the layers and token, 2 for each weight of the output matrix and logits, and in each layer 4 ·
heads · head size for each token and each position it attends to (scores and sums). Looking up an embedding,
norms, activations, softmax and choosing a token count nothing; nor does writing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks._in_context.rates import Rates


@dataclass(frozen=True)
class Shape:
    """A decoder with as many heads in every layer."""

    layer_weights: int
    """Sum over all layers."""
    output_weights: int
    """hidden size × vocabulary."""
    attention: int
    """layers × heads × head size: queries."""
    keys_and_values: int
    """2 × layers × key-value heads × head size: numbers kept for each position."""


@dataclass(frozen=True)
class Request:
    n_own: int
    """Prompt tokens behind the common prefix."""
    n_steps: int
    """Decoding steps behind the prompt: one for each new token that is read in turn."""


def read_shape(folder: Path) -> Shape:
    """Counted in the weights themselves: `model.safetensors` and `config.json` of a Llama-like model."""
    from safetensors import safe_open

    config = json.loads((folder / "config.json").read_text("utf-8"))
    layers, heads = config["num_hidden_layers"], config["num_attention_heads"]
    head_size = config.get("head_dim") or config["hidden_size"] // heads
    counts: dict[str, int] = {}
    with safe_open(folder / "model.safetensors", framework="numpy") as weights:
        for name in weights.keys():  # noqa: SIM118  (it is no mapping)
            size = 1
            for length in weights.get_slice(name).get_shape():
                size *= length
            counts[name] = size
    return Shape(
        layer_weights=sum(size for name, size in counts.items() if ".layers." in name),
        output_weights=config["hidden_size"] * config["vocab_size"],
        attention=layers * heads * head_size,
        keys_and_values=2 * layers * config["num_key_value_heads"] * head_size,
    )


def floor_seconds(
    shape: Shape, n_shared: int, requests: Sequence[Request], rates: Rates, number_bytes: int = 4
) -> float:
    """Seconds for these requests; `number_bytes` is the size of a weight, 4 in float32."""

    def phase(n_tokens: int, n_attended: int, n_logits: int, n_kept: int) -> float:
        """`n_attended`: pairs of a token and a position it attends to; `n_kept`: positions whose keys and
        values are read."""
        flops = (
            2 * shape.layer_weights * n_tokens
            + 4 * shape.attention * n_attended
            + 2 * shape.output_weights * n_logits
        )
        numbers = (
            shape.layer_weights + (shape.output_weights if n_logits else 0) + shape.keys_and_values * n_kept
        )
        return max(flops / rates.flops, numbers * number_bytes / rates.bytes)

    seconds = phase(n_shared, n_shared * (n_shared + 1) // 2, 0, 0) if n_shared else 0.0
    own = sum(one.n_own for one in requests)
    attended = sum(one.n_own * n_shared + one.n_own * (one.n_own + 1) // 2 for one in requests)
    seconds += phase(own, attended, len(requests), n_shared)
    for step in range(1, 1 + max(one.n_steps for one in requests)):
        kept = [one.n_own + step for one in requests if one.n_steps >= step]
        seconds += phase(len(kept), len(kept) * n_shared + sum(kept), len(kept), n_shared + sum(kept))
    return seconds
