"""Trials of batches: their logits against those of each row alone, which is how transformers generates.

A configuration does not show whether a model allows batches: a sliding window may be in the mask alone, a
state may forget which tokens were padding, positions may depend on the longest row. So rows of different
lengths are computed both ways and their logits compared; and once more with a text longer than the model's
windows, before such a text is generated.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from runners.inference.packed import PackedModel, PackedRows
from runners.inference.padded import PaddedRows
from runners.inference.prefix_attention import UnsupportedAttention
from runners.inference.prefix_cache import PrefixNode
from runners.inference.tensors import row_norms
from runners.models.load_checks import n_embeddings

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

SHORT = 10
"""Tokens of the longest text where no window is tried."""

_BEYOND = 32
"""Tokens of the longest text beyond a window."""

_SHARED = 6
"""Tokens of the texts' common prefix."""

_NEW = 2
"""Last tokens of each text, which are decoded one by one."""

_WINDOWS = ("window", "chunk", "local_attention", "index_topk", "original_max_position_embeddings")
"""Words in the names of settings for how far back a token attends, or the length at which positions
change."""

Text = tuple[int, ...]
Rows = PackedRows | PaddedRows


def window_lengths(config: Any) -> list[int]:
    """Return the lengths of text, in tokens, beyond which a model of this configuration may behave otherwise,
    shortest first."""
    return sorted(set(_window_lengths(config.get_text_config(decoder=True).to_dict())))


def _window_lengths(settings: dict[str, Any]) -> Iterable[int]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _window_lengths(cast("dict[str, Any]", value))
        elif (
            type(value) is int
            and value > 0
            and "layers" not in name
            and any(word in name for word in _WINDOWS)
        ):
            yield value


def beyond(length: int) -> int:
    """Return the length of a text for trials beyond a window."""
    return length + _BEYOND


def attends_ahead(model: PreTrainedModel) -> bool:
    """Do the tokens after a token change its logits, as in a masked language model (BERT) that is loaded to
    generate?"""
    import torch

    text, half = _texts(model, SHORT)[0], SHORT // 2
    with torch.inference_mode():
        one, other = (
            model(torch.tensor([ids], device=model.device)).logits[0, :half]
            for ids in (text, text[:half] + text[: SHORT - half])
        )
    return _error(other, one) >= _tolerance(model)


def packed_differs(packed: PackedModel, model: PreTrainedModel, pad_id: int, n_tokens: int) -> str | None:
    """Return why packed rows with a shared prefix get other logits than each alone, or None."""
    texts = _texts(model, n_tokens)
    shared = texts[0][: max(_SHARED, n_tokens // 2)] if n_tokens > SHORT else texts[0][:_SHARED]
    texts = [
        (*shared, *text[len(shared) :]) if len(text) > len(shared) + _NEW else (*shared, *text[-_NEW - 1 :])
        for text in texts
    ]
    try:
        prefix = packed.prefill_prefix(PrefixNode(), shared)
        batched = _run(PackedRows(packed), texts, prefix)
    except UnsupportedAttention as reason:
        return str(reason)
    except (AttributeError, TypeError, ValueError) as error:  # it requires a cache or a mask
        return f"it cannot read packed rows: {error}"
    return _compared(batched, model, pad_id, texts, "when a prefix is shared")


def padded_differs(model: PreTrainedModel, pad_id: int, n_tokens: int) -> str | None:
    """Return why padded rows get other logits than each alone, or None."""
    texts = _texts(model, n_tokens)
    try:
        batched = _run(PaddedRows(model, pad_id), texts, PrefixNode())
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        return f"it cannot read padded rows: {error}"
    return _compared(batched, model, pad_id, texts, "beside a longer row")


def _texts(model: PreTrainedModel, n_tokens: int) -> list[Text]:
    """Return three random texts: one of so many tokens, one a little shorter, so that a long text is padded,
    and one of a few."""
    n_vocabulary = n_embeddings(model)
    draw = random.Random(0)
    first = min(3, n_vocabulary - 1)  # special tokens are the first, or far behind
    return [
        tuple(draw.choices(range(first, min(n_vocabulary, 300)), k=n))
        for n in (n_tokens, n_tokens - min(n_tokens // 4, 5), _SHARED + _NEW)
    ]


def _run(rows: Rows, texts: Sequence[Text], prefix: PrefixNode) -> list[Tensor]:
    """Return the logits after each text but its last token; then, with the first row released, those after
    the last token of the others."""
    rows.prefill([(prefix, text[:-_NEW]) for text in texts])
    found = list(rows.decode([text[-2] for text in texts]))
    if order := rows.release({0}):
        logits = rows.decode([texts[at][-1] for at in order])
        found += [logits[order.index(at)] for at in sorted(order)]
    return found


def _compared(
    batched: Sequence[Tensor], model: PreTrainedModel, pad_id: int, texts: Sequence[Text], when: str
) -> str | None:
    import torch

    each = [_alone(model, pad_id, text) for text in texts]
    alone = [first for first, _ in each] + [last for _, last in each[1:]]
    error = _error(torch.stack(list(batched)), torch.stack(alone))
    return None if error < _tolerance(model) else f"its logits change by {error:.2g} of their spread {when}"


def _error(logits: Tensor, alone: Tensor) -> float:
    """Return the largest change of a row's logits (rows, vocabulary), as a share of their spread; NaN where
    any is."""
    logits, alone = logits.float(), alone.float()
    spread = row_norms(alone - alone.mean(-1, keepdim=True))
    return float((row_norms(logits - alone) / spread).amax())


def _tolerance(model: PreTrainedModel) -> float:
    """Return the square root of the precision: rounding stays far below it, wrong attention far above."""
    import torch

    return torch.finfo(model.dtype).eps ** 0.5


def _alone(model: PreTrainedModel, pad_id: int, text: Text) -> tuple[Tensor, Tensor]:
    """Return the logits after all but the last token, and after all, of a text alone."""
    rows = PaddedRows(model, pad_id)
    rows.prefill([(PrefixNode(), text[:-_NEW])])
    return rows.decode([text[-2]])[0], rows.decode([text[-1]])[0]
