"""Typed questions as prompts, in the form of transformers' decision pipeline, and decisions read from the
scores of the options' labels."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dsl.errors import DataError
from runners.judges._model_judges.question import Decided, Question, probabilities_of
from runners.judges.contract import VerdictDetails

if TYPE_CHECKING:
    from runners.models.loading import Loaded


def labels_config(loaded: "Loaded") -> Any:
    """Return transformers' `DecisionConfig` for a model without a decision head: its own, else one that asks
    it through its chat template or, without one, in plain text."""
    from transformers.decision import configuration_utils
    from transformers.decision.template_utils import DECISION_PROMPT

    decision, tokenizer = configuration_utils, loaded.tokenizer
    made: Any = decision.DecisionConfig
    config = made.from_pretrained(loaded.model.name_or_path, local_files_only=True)
    if config.chat_template is None and not getattr(tokenizer, "chat_template", None):
        config.chat_template = DECISION_PROMPT  # a base model is asked in plain text
    return config


def prompts_of(
    config: Any, tokenizer: Any, questions: Sequence[Question], longest: float
) -> tuple[dict[int, Any], list[Decided]]:
    """Return place -> the one prompt of a question (its tensors, and the question in transformers' own form),
    and what becomes of those that are longer than the model reads.

    The tokenizer is given tokens that the model has no embeddings for.
    """
    prompts, too_long = dict[int, Any](), list[Decided]()
    for place, question in enumerate(questions):
        asked = {"state": dict(question.state), "questions": {"asked": question.as_request()}}
        [prompt] = config.prepare_inputs(asked, tokenizer)
        if (n_tokens := n_tokens_of(prompt)) > longest:
            why = f"{n_tokens} tokens are more than the judge can read ({longest})"
            too_long.append(Decided(place, None, why, VerdictDetails(n_prompt_tokens=n_tokens)))
        else:
            prompts[place] = prompt
    return prompts, too_long


def n_tokens_of(prompt: Any) -> int:
    return prompt[0]["input_ids"].shape[-1]


def before_mark(prompt: Any) -> tuple[int, ...]:
    """Return the tokens after which a label is read."""
    inputs, _ = prompt
    return tuple(inputs["input_ids"][0, : inputs["marks"][0]].tolist())


def label_ids(tokenizer: Any, prompt: Any, source: str) -> list[int]:
    """Return the tokens of a question's labels. Raises DataError where they are no single tokens of the
    model, which `source` names."""
    from transformers.decision import template_utils

    decision: Any = template_utils
    try:
        return decision.label_token_ids(tokenizer, tuple(prompt[1][0].labels))
    except ValueError as error:
        raise DataError(f"{source} cannot answer such a question: {error}") from error


def scores_of(config: Any, prompt: Any, scores: Any) -> Any:
    """Return the scores of a question's options, of the logits or log-probabilities of its labels."""
    from transformers.decision import modeling_utils

    decision: Any = modeling_utils
    inputs, questions = prompt
    [found] = decision.process_scores(config, inputs["input_ids"], inputs["marks"], questions, [scores])
    return found


def decided(place: int, question: Question, prompt: Any, scores: Any, details: VerdictDetails) -> Decided:
    """Return the decision that the scores of a question's options are."""
    answer: Mapping[str, object] = prompt[1][0].answer(scores.softmax(-1).tolist())
    try:
        return Decided(place, probabilities_of(question, answer), details=details)
    except ValueError as error:
        return Decided(place, None, f"the judge's answer cannot be used: {error}", details)
