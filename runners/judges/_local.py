"""A rubric judged by weights loaded here, through transformers' decision pipeline: the probability of each level from one forward pass."""

import copy
import math
import time
from collections.abc import Iterator, Mapping, Sequence

from dsl.models import Weights
from dsl.records import Verdict
from runners.judges._rubric import Aspect
from runners.judging import Answer, Tools


def judge_locally(answers: Sequence[Answer], weights: Weights, aspects: Mapping[str, Aspect], tools: Tools) -> Iterator[Verdict]:
    """A `score` question for each aspect; the score is the expected level."""
    from transformers import pipeline
    from transformers.decision.configuration_utils import DecisionConfig
    from transformers.decision.template_utils import DECISION_PROMPT

    from runners.models import load

    loaded = load(weights, None, tools.cache)
    tools.load_seconds += loaded.load_seconds
    tools.facts |= {"n_parameters": loaded.n_parameters, "dtype": loaded.dtype}
    tokenizer = copy.deepcopy(loaded.tokenizer)  # the pipeline adds tokens that the model has no embeddings for
    # Without a chat template the question is plain text, asked by the pipeline's own prompt.
    plain = None if tokenizer.chat_template else DecisionConfig(chat_template=DECISION_PROMPT)
    decide = pipeline("decision", model=loaded.model, tokenizer=tokenizer, decision_config=plain)
    longest = getattr(loaded.model.config, "max_position_embeddings", None) or math.inf

    for answer in answers:
        for aspect in answer.keys:
            began = time.perf_counter()
            inputs = decide.preprocess({"state": _state(answer), "questions": {aspect: _question(aspects[aspect])}})
            n_tokens = max(tokens["input_ids"].shape[-1] for tokens, _ in inputs["prompts"])
            if n_tokens > longest:
                yield answer.unscored(aspect, f"{n_tokens} tokens are more than the judge can read ({longest})", n_prompt_tokens=n_tokens)
                continue
            found = decide.postprocess(decide.forward(inputs))[aspect]
            distribution = {str(int(level) + 1): float(p) for level, p in found["probabilities"].items()}
            told = {"distribution": distribution, "n_prompt_tokens": n_tokens, "seconds": time.perf_counter() - began}
            if math.isfinite(found["score"]):
                yield answer.scored(aspect, found["score"] + 1, **told)
            else:
                yield answer.unscored(aspect, "the judge's probabilities are not numbers", n_prompt_tokens=n_tokens)


def _state(answer: Answer) -> dict[str, str]:
    """The material as JSON, so that the answer cannot pass for the question."""
    parts = {"instruction": answer.example.instruction, "reference answer": answer.example.reference, "answer": answer.text}
    return {name: text for name, text in parts.items() if text is not None}


def _question(aspect: Aspect) -> dict[str, object]:
    return {"type": "score", "instructions": aspect.question, "criteria": list(aspect.levels)}
