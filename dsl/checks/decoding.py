"""Checks of a repetition penalty: its effect on stop strings, and the engines that have it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path as FilePath

from dsl.checks.context import Context
from dsl.checks.fault import Fault
from dsl.data.fingerprints import PROMPT_TEXTS
from dsl.data.prompt_text import parse_prompt_text
from dsl.data.regular_files import read_regular
from dsl.errors import DataError
from dsl.methods.parts import PromptPath
from dsl.spec.experiment import Experiment


def decoding_faults(context: Context) -> Iterator[Fault]:
    """Check that a repetition penalty leaves stop strings alone and is one that the engines have."""
    experiment, folder = context.experiment, context.folder
    decoding = experiment.decoding
    if decoding.repetition_penalty == 1:
        return
    if not decoding.penalize_prompt:
        for name, model in experiment.models.items():
            if any(
                weights is not None and weights.engine == "openai" for weights in (model.base, model.instruct)
            ):
                yield Fault(
                    ("decoding", "penalize_prompt"),
                    f"`{name}` is served, and a server's penalty counts the prompt's tokens too",
                )
    elif decoding.repetition_penalty > 1 and (stops := _stop_strings(experiment, folder)):
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


def _stop_strings(experiment: Experiment, folder: FilePath) -> tuple[str, ...]:
    """The stop strings of the study's text prompts, as far as these can be read."""
    found: dict[str, None] = {}
    for method in experiment.methods.values():
        prompt: object = getattr(method, "prompt", None)
        for language in experiment.languages if prompt not in (None, "chat") else ():
            shipped = PROMPT_TEXTS / f"{language}.yaml"
            path = prompt.of(language, folder) if isinstance(prompt, PromptPath) else shipped
            with contextlib.suppress(UnicodeDecodeError, DataError):  # the prompt's own check tells
                found |= dict.fromkeys(parse_prompt_text(read_regular(path).decode(), path).stop_strings)
    return tuple(found)
