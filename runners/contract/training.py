"""Training rows as the model reads them."""

from collections.abc import Iterator

from dsl.steps.training_steps import TuningStep
from runners.contract.findings import Finding, among
from runners.contract.generation import N_SAMPLED
from runners.models.loading import Loaded
from runners.prompting.prompts import Prompter
from runners.prompting.tokens import token_ids
from runners.store.step_io import StepContext
from runners.training.rows import Counts, Drawn, Row, draw, tokenise


def training_findings(step: TuningStep, context: StepContext, loaded: Loaded) -> Iterator[Finding]:
    """Check the rows that a step trains on. They are tokenised as the step does it, which finds them in the
    cache then.

    Raises DataError where the step could not begin.
    """
    drawn, found = rows_of_training(step, context, loaded, counts := Counts())
    rows = list(found)
    n = len(drawn)
    if counts.n_truncated:
        yield _warning(
            f"{counts.n_truncated} of {n} training rows are longer than `max_length` ({counts.max_length}"
            " tokens): their answers are cut, or nothing of them is left, and the model learns no end there"
        )
    if counts.n_unlike_template:
        yield _warning(
            f"{counts.n_unlike_template} of {n} training rows are dropped: the chat template renders their"
            " prompt otherwise once it is answered"
        )
    if counts.n_border_merges:
        yield _warning(
            f"in {counts.n_border_merges} of {n} training rows the prompt's last token would merge with the"
            " answer's first: they are tokenised apart, as in generation"
        )
    if counts.n_equal:
        yield _warning(f"{counts.n_equal} of {n} training rows are dropped: their answers are equal")
    yield from _ends(rows, counts, loaded)
    prompters = {form: Prompter(form, context, step.seed) for form in step.prompts}
    asked = {(row.item, row.language): prompters[form].prompt(row) for row, form in drawn}
    sample = rows[:: max(1, len(rows) // N_SAMPLED)]
    unlike = [
        row.item
        for row in sample
        if token_ids(loaded.tokenizer, asked[row.item, row.language]) != row.prompt_ids
    ]
    if unlike:
        message = "have a prompt that generation would put otherwise; delete `cache/tokens` in the store"
        yield among(unlike, len(sample), "training rows", message).model_copy(update={"level": "error"})


def rows_of_training(
    step: TuningStep, context: StepContext, loaded: Loaded, counts: Counts
) -> tuple[list[Drawn], Iterator[Row]]:
    """Return the rows that a step trains on, as they are drawn and as tokens."""
    answers = step.ANSWERS
    drawn, _ = draw(step.data, step.prompts, answers, context, step.rows, step.seed, counts, step.validation)
    limit, learns_all = step.training.max_length, step.training.assistant_only_loss
    return drawn, tokenise(drawn, answers, loaded, context, step.seed, limit, counts, learns_all)


def _ends(rows: list[Row], counts: Counts, loaded: Loaded) -> Iterator[Finding]:
    """Find out whether labels hold an end of the answer at which generation stops."""
    without = [row.item for row in rows if any(ids[-1] not in loaded.eos_ids for ids in row.answers)]
    if len(without) == len(rows):
        yield Finding(
            level="error",
            message=(
                "the labels of no training row hold the end of an answer, so the model would learn never to"
                f" stop: all are longer than `max_length` ({counts.max_length} tokens)"
            ),
        )
    elif len(without) > counts.n_truncated:
        message = f"have no end of the answer in their labels, as `{counts.answer_end}`"
        yield among(without, len(rows), "training rows", message).model_copy(update={"level": "error"})


def _warning(message: str) -> Finding:
    return Finding(level="warning", message=message)
