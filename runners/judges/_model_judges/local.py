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
from runners.judges._model_judges.labels import (
    before_mark,
    decided,
    label_ids,
    labels_config,
    n_tokens_of,
    prompts_of,
    scores_of,
)
from runners.judges._model_judges.question import Decided, Question
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
    prompts, too_long = prompts_of(pipeline.decision_config, pipeline.tokenizer, questions, longest)
    yield from too_long
    for place, scores, seconds in (
        _by_head(pipeline, prompts) if has_head else _by_labels(pipeline, loaded, prompts, weights)
    ):
        prompt = prompts[place]
        details = VerdictDetails(n_prompt_tokens=n_tokens_of(prompt), seconds=seconds)
        yield decided(place, questions[place], prompt, scores, details)


def _pipeline(loaded: "Loaded", has_head: bool) -> Any:
    import transformers

    # the pipeline adds tokens that the model has no embeddings for
    tokenizer: Any = copy.deepcopy(loaded.tokenizer)
    config = None if has_head else labels_config(loaded)
    make: Any = transformers.pipeline
    return make("decision", model=loaded.model, tokenizer=tokenizer, decision_config=config)


def _by_head(pipeline: Any, prompts: dict[int, Any]) -> Iterator[tuple[int, Any, float]]:
    """Yield place, scores of the options and seconds of each question."""
    for place, prompt in prompts.items():
        began = time.perf_counter()
        [[scores]] = pipeline.forward({"prompts": [prompt]})["scores"]
        yield place, scores, time.perf_counter() - began


def _by_labels(
    pipeline: Any, loaded: "Loaded", prompts: dict[int, Any], weights: Weights
) -> Iterator[tuple[int, Any, float]]:
    """Yield place, scores of the options and seconds of each question.

    The scores are the logits of the labels before the question's mark.
    """
    from runners.inference.batch_model import batch_model_of
    from runners.inference.next_logits import next_logits

    places = list(prompts)
    texts = [before_mark(prompt) for prompt in prompts.values()]
    for at, logits, seconds in next_logits(batch_model_of(loaded), texts, weights.batch_size):
        prompt = prompts[places[at]]
        labels = label_ids(pipeline.tokenizer, prompt, weights.source)
        yield places[at], scores_of(pipeline.decision_config, prompt, logits[labels]), seconds
