"""`reward`: a reward model gives each answer one number, as those trained on preferences do (a sequence
classifier with one label).

The instruction and the answer are put through the model's own chat template as two turns. The number has no
fixed scale: it orders answers to the same instruction, and says nothing across models.
"""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dsl.data.records import Verdict
from dsl.errors import DataError
from dsl.judges.contract import Reads
from dsl.judges.reward import Settings
from runners.judges.contract import Answer, Tools

if TYPE_CHECKING:
    from runners.models.loading import Loaded

READS: tuple[Reads, ...] = ("text", "instruction")

_BATCH_SIZE = 8


def judge(answers: Iterable[Answer], settings: Settings, tools: Tools) -> Iterator[Verdict]:
    """Judge each answer by the model's one logit.

    Raises DataError where the model has another number of labels than one, or no chat template.
    """
    from jinja2 import TemplateError

    from runners.models.loading import load
    from runners.prompting.tokens import chat_token_ids

    loaded = load(settings.model, None, tools.cache, head="classification")
    tools.load_seconds += loaded.load_seconds
    tools.facts |= loaded.facts
    config: Any = loaded.model.config
    if config.num_labels != 1:
        raise DataError(f"{settings.model.source} has {config.num_labels} labels; a reward model has one")
    if not getattr(loaded.tokenizer, "chat_template", None):
        raise DataError(
            f"{settings.model.source} has no chat template, so how it is shown an answer is not known"
        )
    if loaded.no_chat is not None:
        raise DataError(
            f"{settings.model.source} cannot be shown an answer through its chat template: {loaded.no_chat}"
        )

    longest = getattr(config.get_text_config(), "max_position_embeddings", None) or math.inf
    rows: list[tuple[Answer, list[int]]] = []
    for answer in answers:
        before = [(one.role, one.content) for one in answer.example.turns]
        turns = (*before, ("user", answer.example.instruction), ("assistant", answer.text))
        try:
            token_ids = chat_token_ids(loaded.tokenizer, turns, add_generation_prompt=False)
        except TemplateError as error:
            yield answer.unscored("reward", f"the chat template refuses the conversation: {error}")
            continue
        if len(token_ids) > longest:
            why = f"{len(token_ids)} tokens are more than the judge can read ({longest})"
            yield answer.unscored("reward", why, n_prompt_tokens=len(token_ids))
        else:
            rows.append((answer, token_ids))
    # rows of similar length need little padding, and the largest batch comes first
    rows.sort(key=lambda row: len(row[1]), reverse=True)
    size = settings.model.batch_size or _BATCH_SIZE
    for start in range(0, len(rows), size):
        batch = rows[start : start + size]
        began = time.perf_counter()
        scores = _scores(loaded, [token_ids for _, token_ids in batch])
        seconds = (time.perf_counter() - began) / len(batch)
        for (answer, token_ids), score in zip(batch, scores, strict=True):
            if math.isfinite(score):
                yield answer.scored("reward", score, n_prompt_tokens=len(token_ids), seconds=seconds)
            else:
                yield answer.unscored(
                    "reward", f"the model's logit is {score}", n_prompt_tokens=len(token_ids), seconds=seconds
                )


def _scores(loaded: "Loaded", rows: Sequence[list[int]]) -> list[float]:
    """Return one logit a row.

    Padding is on the right, where no token of a causal model attends to it and positions stay as they are
    alone.
    """
    import torch

    model: Any = loaded.model
    config = model.config.get_text_config()
    width = max(map(len, rows))
    pad = _pad(config.pad_token_id, rows, config.vocab_size)
    config.pad_token_id = pad  # causal models read their number at the last token that is not this one
    token_ids = torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows], device=loaded.device)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=loaded.device)
    with torch.inference_mode():
        return model(input_ids=token_ids, attention_mask=mask).logits[:, 0].float().tolist()


def _pad(own: int | None, rows: Sequence[list[int]], n_tokens: int) -> int:
    """Return the model's own padding token or, where a row ends with it, one that no row of the batch
    holds."""
    if own is not None and all(row[-1] != own for row in rows):
        return own
    used = {token for row in rows for token in row}
    return next(token for token in range(n_tokens) if token not in used)
