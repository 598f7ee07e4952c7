"""Trials of a way to read rows together against reading each alone, which is what `generate` of transformers
does.

Whether a model allows it cannot be told from its configuration: a sliding window may stand in the mask alone,
a state may forget which tokens were padding, positions may depend on the longest row. So rows of unlike
length are read both ways, and their logits compared; and once more, with a text that reaches further than the
model's windows, before a text that does so is read.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from runners.inference.packed import PackedModel, PackedRows
from runners.inference.padded import PaddedRows
from runners.inference.prefix_attention import NotShareable
from runners.inference.prefix_cache import PrefixNode

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

SHORT = 10
"""Tokens of the longer text where nothing in the configuration asks for more."""

_BEYOND = 32
"""Tokens of the longer text beyond a window."""

_SHARED = 6
"""Tokens that the texts have in common."""

_NEW = 2
"""Last tokens of each text, which are read one by one."""

_REACHES = ("window", "chunk", "local_attention", "index_topk", "original_max_position_embeddings")
"""Words in the names of settings that say how far back a token sees, or from which length on positions
change."""

Text = tuple[int, ...]
Rows = PackedRows | PaddedRows


def reaches(config: Any) -> list[int]:
    """Lengths of text, in tokens, at which a model of this configuration may begin to read otherwise,
    shortest first."""
    return sorted(set(_reaches(config.get_text_config(decoder=True).to_dict())))


def _reaches(settings: dict[str, Any]) -> Iterable[int]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _reaches(value)
        elif (
            type(value) is int
            and value > 0
            and "layers" not in name
            and any(word in name for word in _REACHES)
        ):
            yield value


def beyond(reach: int) -> int:
    """Tokens of a text that reaches further."""
    return reach + _BEYOND


def sees_ahead(model: PreTrainedModel) -> bool:
    """Whether what follows a token changes its logits, as in a masked language model (BERT) that is loaded to
    write."""
    import torch

    text, half = _texts(model, SHORT)[0], SHORT // 2
    with torch.inference_mode():
        one, other = (
            model(torch.tensor([ids], device=model.device)).logits[0, :half]
            for ids in (text, text[:half] + text[: SHORT - half])
        )
    return _error(other, one) >= _tolerance(model)


def packed_differs(packed: PackedModel, model: PreTrainedModel, pad_id: int, n_tokens: int) -> str | None:
    """Why rows packed behind a prefix that they share are not read as each alone, or None."""
    texts = _texts(model, n_tokens)
    below = texts[0][: max(_SHARED, n_tokens // 2)] if n_tokens > SHORT else texts[0][:_SHARED]
    texts = [
        (*below, *text[len(below) :]) if len(text) > len(below) + _NEW else (*below, *text[-_NEW - 1 :])
        for text in texts
    ]
    try:
        prefix = packed.stretch(PrefixNode(), below)
        together = _read(lambda: PackedRows(packed), texts, prefix)
    except NotShareable as reason:
        return str(reason)
    except (AttributeError, TypeError, ValueError) as error:  # it needs what it is not given: a cache, a mask
        return f"it cannot read packed rows: {error}"
    return _compared(together, model, pad_id, texts, "when a prefix is shared")


def padded_differs(model: PreTrainedModel, pad_id: int, n_tokens: int) -> str | None:
    """Why rows padded to one length are not read as each alone, or None."""
    texts = _texts(model, n_tokens)
    try:
        together = _read(lambda: PaddedRows(model, pad_id), texts)
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        return f"it cannot read padded rows: {error}"
    return _compared(together, model, pad_id, texts, "beside a longer row")


def _texts(model: PreTrainedModel, n_tokens: int) -> list[Text]:
    """Three texts: one of so many tokens, one a little shorter, so that padding stands before a text that
    reaches far, and one of a few."""
    n_vocabulary = model.get_input_embeddings().weight.shape[0]
    draw = random.Random(0)
    first = min(3, n_vocabulary - 1)  # special tokens come first, or far behind
    return [
        tuple(draw.choices(range(first, min(n_vocabulary, 300)), k=n))
        for n in (n_tokens, n_tokens - min(n_tokens // 4, 5), _SHARED + _NEW)
    ]


def _read(make: Callable[[], Rows], texts: Sequence[Text], below: PrefixNode | None = None) -> list[Tensor]:
    """Logits after each text but its last token, then without the first text after the last token too."""
    rows = make()
    rows.add([(below or PrefixNode(), text[:-_NEW]) for text in texts])
    found = list(rows.step([text[-2] for text in texts]))
    order = rows.drop({0})
    if order:
        found += [
            row
            for _, row in sorted(
                zip(order, rows.step([texts[at][-1] for at in order]), strict=True), key=lambda one: one[0]
            )
        ]
    return found


def _compared(
    together: Sequence[Tensor], model: PreTrainedModel, pad_id: int, texts: Sequence[Text], when: str
) -> str | None:
    import torch

    each = [_alone(model, pad_id, text) for text in texts]
    alone = [first for first, _ in each] + [last for _, last in each[1:]]
    error = _error(torch.stack(list(together)), torch.stack(alone))
    return None if error < _tolerance(model) else f"its logits change by {error:.2g} of their spread {when}"


def _error(logits: Tensor, alone: Tensor) -> float:
    """The largest change of a row's logits (rows, vocabulary), as a share of their spread; NaN where any
    is."""
    logits, alone = logits.float(), alone.float()
    return ((logits - alone).norm(dim=-1) / (alone - alone.mean(-1, keepdim=True)).norm(dim=-1)).max().item()


def _tolerance(model: PreTrainedModel) -> float:
    """Rounding stays far below the square root of the precision; what is not seen, or seen wrongly, is far
    above."""
    import torch

    return torch.finfo(model.dtype).eps ** 0.5


def _alone(model: PreTrainedModel, pad_id: int, text: Text) -> tuple[Tensor, Tensor]:
    """Logits after all but the last token, and after all."""
    rows = PaddedRows(model, pad_id)
    rows.add([(PrefixNode(), text[:-_NEW])])
    return rows.step([text[-2]])[0], rows.step([text[-1]])[0]
