"""Memory of steps that load a model: weights, optimiser, activations, KV cache."""

from dataclasses import dataclass

from dsl.engines.transformers import Weights
from xp.estimates.machine import Machine
from xp.estimates.model_sizes import BYTES, ModelSize
from xp.estimates.work import Work

PROCESS_BYTES = 10**9
"""Python, torch and transformers."""

ADAPTER_SHARE = 0.02
"""Part of the parameters that an adapter adds: r 8 on all linear modules of a model of 135M."""

ACTIVATION_BYTES = 34
"""Bytes of a layer's activations, for each token and unit of its width, in half precision (Korthikanti et al.
2022, arXiv 2205.05198, equation 2, without attention scores, which are not kept)."""

LOGIT_COPIES = 6
"""Logits, their gradients and what the loss makes of them, in float32; without gradients half of them."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that a step needs at its most."""

    weights: int
    optimizer: int = 0
    """Gradients and the two moments of AdamW, in float32."""
    activations: int = 0
    kv_cache: int = 0
    kv_cache_of_one: int = 0
    """KV cache of the longest row alone: an engine that picks its batch size takes as many rows as fit."""

    @property
    def total(self) -> int:
        return PROCESS_BYTES + self.weights + self.optimizer + self.activations + self.kv_cache

    @property
    def least(self) -> int:
        """Bytes without which the step cannot be done."""
        return self.total - self.kv_cache + self.kv_cache_of_one


def needed_bytes(work: Work, size: ModelSize, machine: Machine) -> Memory:
    """Estimate the memory of a step that loads weights here."""
    assert isinstance(work.model, Weights)
    each = BYTES[work.model.dtype]
    if work.train_steps:
        # weights that are all trained are float32 ones
        weights = size.n_parameters * (4 if work.trains_all_weights else each)
        n_trained = size.n_parameters * (1 if work.trains_all_weights else ADAPTER_SHARE)
        width = size.n_layers * size.hidden_size * ACTIVATION_BYTES * each / 2
        each_token = width + size.vocabulary * 4 * LOGIT_COPIES
        return Memory(weights, int(n_trained * 12), int(work.rows_at_once * work.longest * each_token))
    weights = size.n_parameters * each
    # fused modules have a second, prepacked copy of the weights
    activations = weights if machine.device == "cpu" else 0
    if work.kind == "reference_logps":
        from runners.steps.reference_logps import TOKENS_ON_CPU, TOKENS_ON_GPU  # and all that trains

        at_once = TOKENS_ON_GPU if machine.device == "cuda" else TOKENS_ON_CPU
        return Memory(weights, 0, activations + at_once * size.vocabulary * 4 * LOGIT_COPIES // 2)
    if not work.new_tokens:
        return Memory(weights, 0, activations)
    each_token = size.n_layers * 2 * size.kv_size * each
    n_requests = max(1, work.n_requests)  # a part of them is rounded
    at_once = n_requests if work.model.batch_size is None else min(n_requests, work.model.batch_size)
    shared = work.shared_tokens / n_requests  # kept once for all rows
    one = int(work.longest * each_token)
    return Memory(
        weights, 0, activations, one + int((at_once - 1) * (work.longest - shared) * each_token), one
    )
