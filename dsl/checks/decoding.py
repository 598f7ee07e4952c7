"""Checks of a repetition penalty: its effect on stop strings, and the engines that have it."""

from collections.abc import Iterator

from dsl.checks.context import Context
from dsl.checks.fault import Fault
from dsl.checks.prompts import prompt_file, prompt_text


def decoding_faults(context: Context) -> Iterator[Fault]:
    """Check that a repetition penalty leaves stop strings alone and is one that the engines have."""
    experiment = context.experiment
    decoding = experiment.decoding
    if decoding.repetition_penalty == 1:
        return
    if not decoding.penalize_prompt:
        for name, model in experiment.models.items():
            if any(weights.engine in ("openai", "vllm", "llama_cpp") for weights in model.weights()):
                yield Fault(
                    ("decoding", "penalize_prompt"),
                    f"`{name}` is served, and a server's penalty counts the prompt's tokens too. Write"
                    " `penalize_prompt: true`, or ask it with `engine: transformers`",
                )
    elif decoding.repetition_penalty > 1 and (stops := _stop_strings(context)):
        tags = ", ".join(f"`{stop}`" for stop in stops[:3])
        yield Fault(
            ("decoding", "repetition_penalty"),
            (
                f"it counts the prompt's tokens too: the tags that stop an answer ({tags}) and the fence that"
                " closes it become less likely, so that answers may run on. `penalize_prompt: false` counts"
                " those of the answer alone"
            ),
            "warning",
        )


def _stop_strings(context: Context) -> tuple[str, ...]:
    """The stop strings of the study's text prompts, as far as these can be read."""
    found: dict[str, None] = {}
    for name, languages in context.needs.prompts.items():
        prompt: object = getattr(context.experiment.methods[name], "prompt", None)
        for language in languages:
            text = prompt_text(prompt_file(prompt, language, context.folder))
            found |= dict.fromkeys(() if text is None else text.stop_strings)
    return tuple(found)
