"""`reference_logps`: a frozen model's log-probabilities of both answers of every pair, as TRL's DPO computes
them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dsl.data.records import RefLogps
from dsl.steps.training_steps import PreferenceStep, ReferenceLogpsStep
from runners.models.loading import Loaded, load_to_train
from runners.models.startup_time import importing
from runners.store import provenance, spending
from runners.store.reusable_rows import reuse_rows
from runners.store.step_io import RowWriter, StepContext, StepResult, rewrite_rows
from runners.training.reference_logps import FILE, model_key, row_key
from runners.training.rows import Counts, Row, draw, tokenise
from runners.training.trainer import memory_given_back, uses_bf16

TOKENS_ON_CPU, TOKENS_ON_GPU = 2048, 32768
"""Tokens read together, padding included."""


def run(step: ReferenceLogpsStep, context: StepContext, out: Path) -> StepResult:
    """Write `ref_logps.jsonl`, one `RefLogps` a pair, as they are computed; reuse those that are cached."""
    with memory_given_back():
        return _run(step, context, out)


def _run(step: ReferenceLogpsStep, context: StepContext, out: Path) -> StepResult:
    policy = context[step.policy] if step.policy is not None else None
    loaded = load_to_train(step.weights, policy, context.cache, is_frozen=True)
    bf16 = uses_bf16(loaded.device, wanted=step.bf16)
    counts, seed = Counts(), step.seed or 0
    drawn, evaluated = draw(
        step.pairs, step.prompts, PreferenceStep.ANSWERS, context, step.rows, seed, counts, step.validation
    )
    model = model_key(step.weights, policy, bf16=bf16)
    wanted = {
        row_key(model, row): row
        for row in tokenise(
            [*drawn, *evaluated], PreferenceStep.ANSWERS, loaded, context, seed, step.max_length, counts
        )
    }
    places = {key: [key] for key in wanted}
    cached = {
        key: row.model_copy(update={"item": wanted[key].item, "language": wanted[key].language})
        for key, row in reuse_rows(RefLogps, FILE, places, out, context)
    }
    rewrite_rows(out / FILE, cached.values())
    context.report(len(cached), len(wanted))
    missing = [(key, row) for key, row in wanted.items() if key not in cached]
    with RowWriter(out / FILE) as writer:
        row_provenance = provenance.of(
            step, device=loaded.device, dtype="bfloat16" if bf16 else loaded.dtype, commit=loaded.commit
        )
        for done, row in enumerate(_computed(missing, loaded, bf16) if missing else (), len(cached) + 1):
            writer.write(row.model_copy(update={"provenance": row_provenance}))
            context.report(done, len(wanted))
            spending.check()
    return StepResult(
        n_rows=len(wanted),
        n_reused=len(cached),
        n_of_other_code=provenance.n_of_other_code(cached.values(), step),
        load_seconds=loaded.load_seconds,
        facts={
            "n_truncated": counts.n_truncated,
            "n_dropped": counts.n_dropped,
            "n_equal": counts.n_equal,
            "n_without_answer": counts.n_without_answer,
            "n_tokens": counts.n_tokens,
            "bf16": bf16,
            **loaded.facts,
        },
    )


def _computed(rows: Sequence[tuple[str, Row]], loaded: Loaded, bf16: bool) -> Iterator[RefLogps]:
    """The longest pairs first, each with others of its length."""
    with importing():
        import torch
        from trl.trainer.dpo_trainer import DataCollatorForPreference
        from trl.trainer.utils import add_fused_lm_head

    add_fused_lm_head(loaded.model)
    collate: Any = DataCollatorForPreference(pad_token_id=loaded.pad_id)
    for batch in _batches(rows, TOKENS_ON_GPU if loaded.device == "cuda" else TOKENS_ON_CPU):
        collated: dict[str, torch.Tensor] = collate(
            [
                {"prompt_ids": row.prompt_ids, "chosen_ids": row.answers[0], "rejected_ids": row.answers[1]}
                for _, row in batch
            ]
        )
        tensors = {name: tensor.to(loaded.device) for name, tensor in collated.items()}
        labels = tensors["input_ids"].masked_fill(tensors.pop("completion_mask") == 0, -100)
        with torch.no_grad(), torch.autocast(loaded.device, torch.bfloat16, enabled=bf16):
            per_token = loaded.model(**tensors, labels=labels, use_cache=False, fused_lm_head=True).log_probs
        chosen, rejected = per_token.sum(dim=1).chunk(2)
        for (key, row), of_chosen, of_rejected in zip(batch, chosen.tolist(), rejected.tolist(), strict=True):
            yield RefLogps(
                row_key=key,
                item=row.item,
                language=row.language,
                ref_chosen_logps=of_chosen,
                ref_rejected_logps=of_rejected,
                n_tokens=row.n_tokens,
            )


def _batches(rows: Sequence[tuple[str, Row]], n_tokens: int) -> Iterator[list[tuple[str, Row]]]:
    left = sorted(rows, key=lambda pair: -pair[1].length)
    while left:
        n_pairs = max(1, n_tokens // (2 * left[0][1].length))
        yield left[:n_pairs]
        left = left[n_pairs:]
