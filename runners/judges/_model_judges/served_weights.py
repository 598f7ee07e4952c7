"""Typed questions to weights that a server of this machine loads: the prompts are those that weights loaded
here are asked with, and the server gives the log-probabilities of the options' labels."""

import copy
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dsl.data.records import Provenance
from dsl.engines._served import ServedWeights
from dsl.errors import DataError
from runners.engines._labels_api import LabelRequest
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
from runners.judges.contract import NO_REPLY, Tools, VerdictDetails


def decide_by_served_weights(
    model: ServedWeights, questions: Sequence[Question], tools: Tools
) -> Iterator[Decided]:
    """Yield exactly one for each question, in any order.

    Raises:
        DataError: the weights are missing, decide with a head or an adapter of their own, or read no labels
            for the options.
        ServerError: the server does not start, ends twice, or refuses any question.
    """
    import torch

    from runners.engines import find_engine

    if _has_head(model, tools.cache):
        raise DataError(_not_by_labels(model, "a head of its own"))
    engine = find_engine(model.engine).Engine(model, None, tools.cache)
    config, tokenizer = labels_config(engine.loaded), copy.deepcopy(engine.loaded.tokenizer)
    if config.adapter:
        raise DataError(_not_by_labels(model, "an adapter of its own"))
    n_positions = engine.n_positions()
    longest = math.inf if n_positions is None else n_positions - 1  # the server writes a token
    prompts, too_long = prompts_of(config, tokenizer, questions, longest)
    tools.load_seconds += engine.load_seconds
    tools.facts |= {**engine.facts, "decision_head": False}
    yield from too_long
    requests = [
        LabelRequest(str(place), before_mark(prompt), tuple(label_ids(tokenizer, prompt, model.source)))
        for place, prompt in prompts.items()
    ]
    for answer in engine.label_logprobs(requests):
        place = int(answer.key)
        prompt = prompts[place]
        if answer.logprobs is None:
            faults = VerdictDetails(n_faults=int(answer.is_transient))
            yield Decided(place, None, f"{NO_REPLY}{answer.error}", faults)
            continue
        details = VerdictDetails(
            n_prompt_tokens=n_tokens_of(prompt),
            seconds=answer.seconds,
            provenance=Provenance(system_fingerprint=answer.system_fingerprint),
        )
        scores = scores_of(config, prompt, torch.tensor(answer.logprobs))
        yield decided(place, questions[place], prompt, scores, details)


def _has_head(model: ServedWeights, cache: Path) -> bool:
    """Test whether the weights come with a decision head, beside them or as part of them."""
    import transformers

    from runners.models.weight_files import settings_folder

    auto: Any = transformers
    folder, mapping = settings_folder(model.loaded_here, cache), auto.MODEL_FOR_DECISION_MAPPING
    config = auto.AutoConfig.from_pretrained(folder, trust_remote_code=model.trust_remote_code)
    if type(config) not in mapping:
        return False
    found = mapping[type(config)]
    beside, _ = found.checkpoint_config(folder, local_files_only=True)
    return beside is not None or config.model_type == found.config_class.model_type


def _not_by_labels(model: ServedWeights, by: str) -> str:
    return (
        f"{model.source} decides by {by}, which {model.SERVER} does not serve. Ask it with `engine:"
        " transformers`"
    )
