"""Typed questions to weights loaded here, in the form that transformers' decision pipeline gives them.

A model with a decision head is asked through the pipeline. Any other is read for the logits of the options'
labels, one forward pass a question, and what questions begin with alike, as those about one answer do, is
read once for all of them.
"""

import copy
import math
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dsl.engines.transformers import Weights
from dsl.errors import DataError
from runners.judges._model_judges.question import Decided, Question, probabilities_of
from runners.judges.contract import Tools, VerdictDetails

if TYPE_CHECKING:
    from runners.models.loading import Loaded


def decide_locally(weights: Weights, questions: Sequence[Question], tools: Tools) -> Iterator[Decided]:
    """Yield exactly one for each question, in any order.

    Raises:
        DataError: the weights are missing, or the model reads no labels for the options.
    """
    from transformers.decision.modeling_utils import DecisionMixin

    from runners.models.loading import load

    loaded = load(weights, None, tools.cache, head="decision")
    tools.load_seconds += loaded.load_seconds
    has_head = isinstance(loaded.model, DecisionMixin)
    tools.facts |= {**loaded.facts, "decision_head": has_head}
    config: Any = loaded.model.config
    longest = getattr(config.get_text_config(), "max_position_embeddings", None) or math.inf
    pipeline = _pipeline(loaded, has_head)
    prompts: dict[int, Any] = {}
    """Place -> the one prompt of a question: its tensors, and the question in transformers' own form."""
    for place, question in enumerate(questions):
        asked = {"state": dict(question.state), "questions": {"asked": question.as_request()}}
        [prompt] = pipeline.preprocess(asked)["prompts"]
        if (n_tokens := _n_tokens(prompt)) > longest:
            yield Decided(
                place,
                None,
                f"{n_tokens} tokens are more than the judge can read ({longest})",
                VerdictDetails(n_prompt_tokens=n_tokens),
            )
        else:
            prompts[place] = prompt
    for place, scores, seconds in (
        _by_head(pipeline, prompts) if has_head else _by_labels(pipeline, loaded, prompts, weights)
    ):
        answer = pipeline.postprocess({"prompts": [prompts[place]], "scores": [scores]})["asked"]
        details = VerdictDetails(n_prompt_tokens=_n_tokens(prompts[place]), seconds=seconds)
        try:
            yield Decided(place, probabilities_of(questions[place], answer), details=details)
        except ValueError as error:
            yield Decided(place, None, f"the judge's answer cannot be used: {error}", details)


def _pipeline(loaded: "Loaded", has_head: bool) -> Any:
    import transformers
    from transformers.decision import configuration_utils
    from transformers.decision.template_utils import DECISION_PROMPT

    # the pipeline adds tokens that the model has no embeddings for
    tokenizer: Any = copy.deepcopy(loaded.tokenizer)
    decision: Any = configuration_utils
    config = None
    if not has_head:
        config = decision.DecisionConfig.from_pretrained(loaded.model.name_or_path, local_files_only=True)
        if config.chat_template is None and not tokenizer.chat_template:
            config.chat_template = DECISION_PROMPT  # a base model is asked in plain text
    make: Any = transformers.pipeline
    return make("decision", model=loaded.model, tokenizer=tokenizer, decision_config=config)


def _n_tokens(prompt: Any) -> int:
    return prompt[0]["input_ids"].shape[-1]


def _by_head(pipeline: Any, prompts: dict[int, Any]) -> Iterator[tuple[int, Any, float]]:
    """Yield place, scores of the options and seconds of each question."""
    for place, prompt in prompts.items():
        began = time.perf_counter()
        [scores] = pipeline.forward({"prompts": [prompt]})["scores"]
        yield place, scores, time.perf_counter() - began


def _by_labels(
    pipeline: Any, loaded: "Loaded", prompts: dict[int, Any], weights: Weights
) -> Iterator[tuple[int, Any, float]]:
    """Yield place, scores of the options and seconds of each question.

    The scores are the logits of the labels before the question's mark.
    """
    from transformers.decision import modeling_utils

    from runners.inference.batch_model import batch_model_of
    from runners.inference.next_logits import next_logits

    decision: Any = modeling_utils
    places = list(prompts)
    texts = [tuple(inputs["input_ids"][0, : inputs["marks"][0]].tolist()) for inputs, _ in prompts.values()]
    for at, logits, seconds in next_logits(batch_model_of(loaded), texts, weights.batch_size):
        inputs, questions = prompts[places[at]]
        try:
            labels = pipeline.label_token_ids(tuple(questions[0].labels))
        except ValueError as error:  # labels that are not single tokens of this model
            raise DataError(f"{weights.source} cannot answer such a question: {error}") from error
        yield (
            places[at],
            decision.process_scores(
                pipeline.decision_config, inputs["input_ids"], inputs["marks"], questions, [logits[labels]]
            ),
            seconds,
        )
