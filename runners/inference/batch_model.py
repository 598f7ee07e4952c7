"""How a model reads rows: packed behind shared prefixes, else padded, else one by one: the first that gives
what reading alone does (`trial`).

A reader is kept for as long as its model: the next steps that ask the same model find its prefixes read and
its weights laid out.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from runners.inference import trial
from runners.inference.cpu.fused_modules import patch_modules
from runners.inference.cpu.screened_lm_head import screened_head
from runners.inference.packed import PackedModel, PackedRows
from runners.inference.padded import PaddedRows
from runners.inference.prefix_cache import PrefixNode
from runners.inference.thinking import special_marks
from runners.models import memory
from runners.models.loading import Loaded, sharing_copy

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_PREFIX_SHARE = 8
"""Kept prefixes may take one part in so many of the memory that is free when a model is first asked."""

_MOST_ROWS = {"cpu": 128, "cuda": 256}
"""Rows decoded together at most, by device: more bring next to nothing."""

_BATCH_MODELS: WeakKeyDictionary[PreTrainedModel, BatchModel] = WeakKeyDictionary()


def batch_model_of(loaded: Loaded) -> BatchModel:
    """The reader kept for a model, made now if there is none."""
    if loaded.model not in _BATCH_MODELS:
        _BATCH_MODELS[loaded.model] = BatchModel(loaded)
    return _BATCH_MODELS[loaded.model]


def forget_batch_models() -> None:
    """Let go of all prefixes and laid-out weights, which are made again when they are asked for."""
    _BATCH_MODELS.clear()


class BatchModel:
    """Reads rows with a model, which stays as it is: what is exchanged is exchanged in a twin over the same
    tensors."""

    def __init__(self, loaded: Loaded, *, shares: bool = True) -> None:
        """Raises TypeError for a model that keeps no key-value cache, or that is not causal."""
        model = loaded.model
        if "past_key_values" not in inspect.signature(model.forward).parameters:
            raise TypeError(f"{type(model).__name__} keeps no key-value cache: it cannot be decoded here")
        if trial.sees_ahead(model):
            raise TypeError(
                f"{type(model).__name__} is not causal as it is configured (a token sees those behind it): it"
                " cannot be decoded here"
            )
        self.tokenizer, self.eos_ids, self._pad_id = loaded.tokenizer, loaded.eos_ids, loaded.pad_id
        self._marks = special_marks(loaded.tokenizer)
        self._special = {at for at, token in loaded.tokenizer.added_tokens_decoder.items() if token.special}
        self._packed: PackedModel | None = None
        self.model = self._alone = sharing_copy(model)
        self.not_shared_because = "it was told not to" if not shares else _looks_unlike(model)
        """Why rows do not share what they begin with; None where they do."""
        self.one_by_one_because: str | None = None
        """Why rows are not even read beside each other; None where they may be."""
        if self.not_shared_because is None:
            free = memory.free_bytes(model.device.type)
            self.model = sharing_copy(model)
            patch_modules(self.model, free)
            self._packed = PackedModel(self.model, free // _PREFIX_SHARE, screened_head(self.model, free))
        self._try(trial.SHORT)
        self._reaches = trial.reaches(model.config)
        """Lengths of text with which reading has yet to be tried."""

    def decode(self, token_ids: Sequence[int]) -> str:
        """New tokens as text, without special tokens, but with those that mark thinking."""
        if not self._marks:
            return self.tokenizer.decode(
                token_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        kept = [token for token in token_ids if token in self._marks or token not in self._special]
        return self.tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False)

    def place(self, prompts: Sequence[tuple[int, ...]], n_new: int = 0) -> list[PrefixNode]:
        """Of each prompt the last stretch of prefix that is kept; an empty one where nothing is shared.

        Where a prompt with `n_new` tokens more reaches beyond a window of the model, reading such texts is
        tried first.
        """
        longest = max(map(len, prompts)) + n_new
        if reached := [reach for reach in self._reaches if reach < longest]:
            self._reaches = self._reaches[len(reached) :]
            self._try(trial.beyond(reached[-1]))
        return self._packed.tree.place(prompts) if self._packed else [PrefixNode()] * len(prompts)

    def batch_size(self, n_tokens: int, wanted: int | None = None) -> int:
        """Rows of so many tokens of their own that are decoded together: as many as wanted, else as fit with
        their keys, values and logits into half of the free memory; one where the model reads rows beside each
        other otherwise than alone."""
        if self.one_by_one_because is not None:
            return 1
        if wanted is not None:
            return wanted
        a_row, a_token = self._cache_bytes
        logits = (
            4 * self.model.config.get_text_config(decoder=True).vocab_size * 4
        )  # in float32, and what is made of them on the way to a token
        device = self.model.device.type
        return max(
            1,
            min(
                _MOST_ROWS.get(device, 128),
                memory.free_bytes(device) // 2 // (a_row + a_token * n_tokens + logits),
            ),
        )

    @cached_property
    def _cache_bytes(self) -> tuple[int, int]:
        """Bytes kept of a row whatever its length, and of each of its tokens, as two short texts show."""
        few, more = (self._n_cache_bytes(n) for n in (trial.SHORT, 2 * trial.SHORT))
        a_token = (more - few) // trial.SHORT
        return few - trial.SHORT * a_token, a_token

    def _n_cache_bytes(self, n_tokens: int) -> int:
        import torch

        rows = PaddedRows(self._alone, self._pad_id)
        with torch.inference_mode():
            rows.add([(PrefixNode(), [0] * n_tokens)])
        return rows.n_cache_bytes()

    def _try(self, n_tokens: int) -> None:
        """Read rows packed, else padded, else one by one: the first that gives the logits of reading alone,
        for texts up to so many tokens."""
        import torch

        with torch.inference_mode():
            if self._packed is not None:
                self.not_shared_because = trial.packed_differs(
                    self._packed, self._alone, self._pad_id, n_tokens
                )
            if self.not_shared_because is not None:
                self._packed, self.model = None, self._alone
            if self._packed is None and self.one_by_one_because is None:
                self.one_by_one_because = trial.padded_differs(self._alone, self._pad_id, n_tokens)

    def rows(self, argmax_only: bool = False) -> PackedRows | PaddedRows:
        """A new batch; of its logits only each row's largest need be right if `argmax_only`."""
        return PackedRows(self._packed, argmax_only) if self._packed else PaddedRows(self.model, self._pad_id)


def _looks_unlike(model: PreTrainedModel) -> str | None:
    """Why this model's rows cannot share prefixes, as far as its configuration tells."""
    from transformers import DynamicCache, PreTrainedModel
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    config = model.config.get_text_config(decoder=True)
    if not model._can_set_attn_implementation():
        return "its attention cannot be exchanged"
    if (
        len(
            {
                part.config._attn_implementation
                for part in model.modules()
                if isinstance(part, PreTrainedModel)
            }
        )
        > 1
    ):
        return "its parts use different attention implementations"
    kinds = {type(layer) for layer in DynamicCache(config=model.config).layers} - {
        DynamicLayer,
        DynamicSlidingWindowLayer,
    }
    if kinds:
        return f"its cache has layers of kind {', '.join(sorted(kind.__name__ for kind in kinds))}"
    if "chunked_attention" in (getattr(config, "layer_types", None) or ()):
        return "it attends in chunks"
    if rope := _rope_types(config) & {"dynamic", "longrope"}:
        return f"its rotary positions depend on the length of the whole text ({', '.join(sorted(rope))})"
    return None


def _rope_types(config: Any) -> set[str]:
    """The kinds of rotary positions in a model's configuration, which names one for all layers or one for
    each type of layer."""
    parameters = getattr(config, "rope_parameters", None) or {}
    each = [parameters, *(value for value in parameters.values() if isinstance(value, dict))]
    return {one["rope_type"] for one in each if isinstance(one.get("rope_type"), str)}
