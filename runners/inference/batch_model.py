"""A model's way to process batches: packed behind shared prefixes, else padded, else one row at a time, the
first that gives the logits of each row alone (`trial`).

A batch model is kept as long as its model: the next steps that ask the same model find its prefixes cached
and its weights prepacked.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from runners.inference import trial
from runners.inference.answer_text import Detokenizer
from runners.inference.packed import ArgmaxHead, PackedModel, PackedRows
from runners.inference.padded import PaddedRows
from runners.inference.prefix_cache import PrefixNode
from runners.models import memory
from runners.models.load_checks import text_config
from runners.models.loading import Loaded, sharing_copy

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CPU_SWITCH = "XP_CPU_FUSED"
"""Environment variable: 0 leaves the fused modules of `runners.inference.cpu` out."""

_PREFIX_SHARE = 8
"""Divisor: cached prefixes may take this part of the memory that is free when a model is first asked."""

_MAX_ROWS = {"cpu": 128, "cuda": 256}
"""Rows of a batch at most, by device: more bring next to nothing."""

_BATCH_MODELS: WeakKeyDictionary[PreTrainedModel, BatchModel] = WeakKeyDictionary()


def batch_model_of(loaded: Loaded) -> BatchModel:
    """Return the batch model of a model, made now if there is none."""
    if loaded.model not in _BATCH_MODELS:
        _BATCH_MODELS[loaded.model] = BatchModel(loaded)
    return _BATCH_MODELS[loaded.model]


def forget_batch_models() -> None:
    """Free all cached prefixes and prepacked weights, which are made again when they are needed."""
    _BATCH_MODELS.clear()


class BatchModel:
    """Processes batches with a model, which stays as it is: modules are patched in a copy that shares its
    tensors."""

    def __init__(self, loaded: Loaded, *, shares: bool = True) -> None:
        """Raises TypeError for a model that has no KV cache, or that is not causal."""
        model = loaded.model
        if "past_key_values" not in inspect.signature(model.forward).parameters:
            raise TypeError(f"{type(model).__name__} keeps no key-value cache: it cannot be decoded here")
        if trial.attends_ahead(model):
            raise TypeError(
                f"{type(model).__name__} is not causal as it is configured (a token sees those behind it): it"
                " cannot be decoded here"
            )
        self.eos_ids, self._pad_id = loaded.eos_ids, loaded.pad_id
        self.detokenize = Detokenizer(loaded.tokenizer)
        self._packed: PackedModel | None = None
        self.model = self._unpatched = sharing_copy(model)
        self.not_shared_because = "it was told not to" if not shares else _why_not_packable(model)
        """The reason why rows do not share prefixes; None where they do."""
        self.one_by_one_because: str | None = None
        """The reason why even a padded batch holds one row; None where it may hold more."""
        if self.not_shared_because is None:
            free = memory.free_bytes(model.device.type)
            self.model = sharing_copy(model)
            self._packed = PackedModel(self.model, free // _PREFIX_SHARE, _optimized(self.model, free))
        self._verify(trial.SHORT)
        self._unverified = trial.window_lengths(model.config)
        """Lengths of text beyond which batches are yet to be verified."""

    def prefixes(self, prompts: Sequence[tuple[int, ...]], n_new: int = 0) -> list[PrefixNode]:
        """Return each prompt's cached prefix, an empty one where nothing is shared.

        Where a prompt with `n_new` more tokens is longer than a window of the model, batches of such texts
        are verified first.
        """
        longest = max(map(len, prompts)) + n_new
        if exceeded := [length for length in self._unverified if length < longest]:
            self._unverified = self._unverified[len(exceeded) :]
            self._verify(trial.beyond(exceeded[-1]))
        return self._packed.prefix_cache.prefixes(prompts) if self._packed else [PrefixNode()] * len(prompts)

    def batch_size(self, n_tokens: int, wanted: int | None = None) -> int:
        """Return the rows of a batch, with `n_tokens` tokens of their own each: as many as wanted, else as
        fit with keys, values and logits into half of the free memory.

        One where a row's logits would change with the rows beside it.
        """
        if self.one_by_one_because is not None:
            return 1
        if wanted is not None:
            return wanted
        per_row, per_token = self._cache_bytes
        # in float32, and what sampling computes from them
        logits = 4 * text_config(self.model).vocab_size * 4
        device = self.model.device.type
        n_fit = memory.free_bytes(device) // 2 // (per_row + per_token * n_tokens + logits)
        return max(1, min(_MAX_ROWS.get(device, 128), n_fit))

    @cached_property
    def _cache_bytes(self) -> tuple[int, int]:
        """Cached bytes of a row whatever its length, and of each of its tokens, measured on two short
        texts."""
        shorter, longer = (self._n_cache_bytes(n) for n in (trial.SHORT, 2 * trial.SHORT))
        per_token = (longer - shorter) // trial.SHORT
        return shorter - trial.SHORT * per_token, per_token

    def _n_cache_bytes(self, n_tokens: int) -> int:
        import torch

        rows = PaddedRows(self._unpatched, self._pad_id)
        with torch.inference_mode():
            rows.prefill([(PrefixNode(), [0] * n_tokens)])
        return rows.n_cache_bytes()

    def _verify(self, n_tokens: int) -> None:
        """Choose packed, else padded batches, else single rows: the first with the logits of each row alone,
        for texts of up to so many tokens."""
        import torch

        with torch.inference_mode():
            if self._packed is not None:
                self.not_shared_because = trial.packed_differs(
                    self._packed, self._unpatched, self._pad_id, n_tokens
                )
            if self.not_shared_because is not None:
                self._packed, self.model = None, self._unpatched
            if self._packed is None and self.one_by_one_because is None:
                self.one_by_one_because = trial.padded_differs(self._unpatched, self._pad_id, n_tokens)

    def rows(self, argmax_only: bool = False) -> PackedRows | PaddedRows:
        """Return an empty batch; only the largest of each row's logits need be exact if `argmax_only`."""
        return PackedRows(self._packed, argmax_only) if self._packed else PaddedRows(self.model, self._pad_id)


def _optimized(model: PreTrainedModel, free_bytes: int) -> ArgmaxHead | None:
    """Patch a model for speed on a CPU, and return its faster LM head if it got one.

    Nothing but speed depends on `runners.inference.cpu`: the switch leaves it out, and so does its absence.
    """
    if os.environ.get(CPU_SWITCH) == "0":
        return None
    try:
        from runners.inference.cpu import optimize
    except ImportError:
        return None
    return optimize(model, free_bytes)


def _why_not_packable(model: Any) -> str | None:
    """Return why this model's rows cannot share prefixes, as far as its configuration says; None if they
    may."""
    from transformers import DynamicCache, PreTrainedModel
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    config = text_config(model)
    if not model._can_set_attn_implementation():
        return "its attention cannot be exchanged"
    parts: list[Any] = [part for part in model.modules() if isinstance(part, PreTrainedModel)]
    if len({part.config._attn_implementation for part in parts}) > 1:
        return "its parts use different attention implementations"
    layers = {type(layer) for layer in DynamicCache(config=model.config).layers}
    if others := layers - {DynamicLayer, DynamicSlidingWindowLayer}:
        return f"its cache has layers of kind {', '.join(sorted(kind.__name__ for kind in others))}"
    if "chunked_attention" in (getattr(config, "layer_types", None) or ()):
        return "it attends in chunks"
    if rope := _rope_types(config) & {"dynamic", "longrope"}:
        return f"its rotary positions depend on the length of the whole text ({', '.join(sorted(rope))})"
    return None


def _rope_types(config: Any) -> set[str]:
    """Return the types of rotary embeddings in a model's configuration, which has one for all layers or one
    for each type of layer."""
    parameters: dict[str, Any] = getattr(config, "rope_parameters", None) or {}
    per_layer_type: list[Any] = [value for value in parameters.values() if isinstance(value, dict)]
    types = [one.get("rope_type") for one in [parameters, *per_layer_type]]
    return {name for name in types if isinstance(name, str)}
