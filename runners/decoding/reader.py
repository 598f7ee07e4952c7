"""How a model reads rows: packed behind shared prefixes where its attention allows it, padded otherwise, with the reason.

A reader is kept for as long as its model: the next steps that ask the same model find its prefixes read and its weights laid out.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from runners import memory, models
from runners.decoding.packed import PackedModel, PackedRows
from runners.decoding.padded import PaddedRows
from runners.decoding.prefix_tree import Stretch
from runners.decoding.screened_head import screened_head
from runners.decoding.shared_attention import NotShareable
from runners.decoding.stand_ins import exchange
from runners.decoding.thinking import special_marks
from runners.models import Loaded

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_PREFIX_SHARE = 8
"""Kept prefixes may take one part in so many of the memory that is free when a model is first asked."""

_MOST_ROWS = {"cpu": 128, "cuda": 256}
"""Rows decoded together at most, by device: more bring next to nothing."""

_READERS: WeakKeyDictionary[PreTrainedModel, Reader] = WeakKeyDictionary()


def reader_of(loaded: Loaded) -> Reader:
    """The reader kept for a model, made now if there is none."""
    if loaded.model not in _READERS:
        _READERS[loaded.model] = Reader(loaded)
    return _READERS[loaded.model]


def forget_readers() -> None:
    """Let go of all prefixes and laid-out weights, which are made again when they are asked for."""
    _READERS.clear()


class Reader:
    """Reads rows with a model, which stays as it is: what is exchanged is exchanged in a twin over the same tensors."""

    def __init__(self, loaded: Loaded, *, shares: bool = True) -> None:
        """Raises TypeError for a model that keeps no key-value cache."""
        model = loaded.model
        if "past_key_values" not in inspect.signature(model.forward).parameters:
            raise TypeError(f"{type(model).__name__} keeps no key-value cache: it cannot be decoded here")
        self.tokenizer, self.eos_ids, self._pad_id = loaded.tokenizer, loaded.eos_ids, loaded.pad_id
        self._marks = special_marks(loaded.tokenizer)
        self._special = {at for at, token in loaded.tokenizer.added_tokens_decoder.items() if token.special}
        self._packed: PackedModel | None = None
        self.model = models.twin(model)
        self.not_shared_because = "it was told not to" if not shares else _looks_unlike(model)
        """Why rows do not share what they begin with; None where they do."""
        if self.not_shared_because is None:
            free = memory.free_bytes(model.device.type)
            exchange(self.model, free)
            self._packed = PackedModel(self.model, free // _PREFIX_SHARE, screened_head(self.model, free))
            self.not_shared_because = _reads_unlike(self._packed, model)
        if self.not_shared_because is not None:
            self._packed, self.model = None, models.twin(model)

    def decode(self, token_ids: Sequence[int]) -> str:
        """New tokens as text, without special tokens, but with those that mark thinking."""
        if not self._marks:
            return self.tokenizer.decode(token_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        kept = [token for token in token_ids if token in self._marks or token not in self._special]
        return self.tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False)

    def place(self, prompts: Sequence[tuple[int, ...]]) -> list[Stretch]:
        """Of each prompt the last stretch of prefix that is kept; an empty one where nothing is shared."""
        return self._packed.tree.place(prompts) if self._packed else [Stretch()] * len(prompts)

    def rows_that_fit(self, n_tokens: int) -> int:
        """How many rows of so many tokens of their own may be decoded together: their keys, values and logits take half of what is free."""
        config = self.model.config.get_text_config(decoder=True)
        heads_kv = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        a_token = 2 * config.num_hidden_layers * heads_kv * head_dim * self.model.dtype.itemsize
        logits = 4 * config.vocab_size * 4  # in float32, and what is made of them on the way to a token
        device = self.model.device.type
        return max(1, min(_MOST_ROWS.get(device, 128), memory.free_bytes(device) // 2 // (a_token * n_tokens + logits)))

    def rows(self, likeliest_only: bool = False) -> PackedRows | PaddedRows:
        """A new batch; of its logits only each row's largest need be right if `likeliest_only`."""
        return PackedRows(self._packed, likeliest_only) if self._packed else PaddedRows(self.model, self._pad_id)


def _looks_unlike(model: PreTrainedModel) -> str | None:
    """Why this model's rows cannot share prefixes, as far as its configuration tells."""
    from transformers import DynamicCache, PreTrainedModel
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    config = model.config.get_text_config(decoder=True)
    if not model._can_set_attn_implementation():
        return "its attention cannot be exchanged"
    if len({part.config._attn_implementation for part in model.modules() if isinstance(part, PreTrainedModel)}) > 1:
        return "its parts use different attention implementations"
    kinds = {type(layer) for layer in DynamicCache(config=model.config).layers} - {DynamicLayer, DynamicSlidingWindowLayer}
    if kinds:
        return f"its cache has layers of kind {', '.join(sorted(kind.__name__ for kind in kinds))}"
    if "chunked_attention" in (getattr(config, "layer_types", None) or ()):
        return "it attends in chunks"
    if rope := _rope_types(config) & {"dynamic", "longrope"}:
        return f"its rotary positions depend on the length of the whole text ({', '.join(sorted(rope))})"
    return None


def _reads_unlike(packed: PackedModel, model: PreTrainedModel) -> str | None:
    """Why not, by trial: rows of different length behind a shared prefix must give the logits that each gives alone."""
    import torch

    shared, rows = (11, 13, 17, 19, 23, 29), [(31, 37, 41, 43), (47, 53)]
    with torch.inference_mode():
        try:
            prefix = packed.stretch(Stretch(), shared)
            batch = PackedRows(packed)
            batch.add([(prefix, shared + row[:-1]) for row in rows])
            together = batch.step([row[-1] for row in rows])
        except NotShareable as reason:
            return str(reason)
        except (AttributeError, TypeError, ValueError) as error:  # it needs what it is not given: a cache, a mask
            return f"it cannot read packed rows: {error}"
        alone = torch.cat([model(input_ids=torch.tensor([shared + row], device=model.device)).logits[:, -1] for row in rows])
        # Rounding stays far below the square root of the precision; a prefix that is not seen, or seen wrongly, is far above.
        error = ((together - alone).float().norm() / (alone - alone.mean(-1, keepdim=True)).float().norm()).item()
    tolerance = torch.finfo(model.dtype).eps ** 0.5
    return None if error < tolerance else f"its logits change by {error:.2g} of their spread when a prefix is shared"


def _rope_types(config: Any) -> set[str]:
    """The kinds of rotary positions in a model's configuration, which names one for all layers or one for each type of layer."""
    parameters = getattr(config, "rope_parameters", None) or {}
    each = [parameters, *(value for value in parameters.values() if isinstance(value, dict))]
    return {one["rope_type"] for one in each if isinstance(one.get("rope_type"), str)}
