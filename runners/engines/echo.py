"""`echo`: returns the prompt, without a model, for tests and for trying a study's shape in a second."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from dsl.engines.contract import Decoding
from dsl.engines.echo import Settings
from runners.engines.contract import EngineAnswer, EngineRequest


class Engine:
    """Returns the last user message, or the last filled-in line of a text prompt, cut to `max_new_tokens`
    words."""

    def __init__(self, settings: Settings, tuned: Path | None, cache: Path) -> None:
        self._settings = settings
        self.load_seconds = 0.0
        self.facts: dict[str, str | int | float | bool | None] = {"n_parameters": 0}

    def identify(self, request: EngineRequest) -> str:
        return request.prompt.model_dump_json()

    def generate(self, requests: Sequence[EngineRequest], decoding: Decoding) -> Iterator[EngineAnswer]:
        for request in requests:
            time.sleep(self._settings.seconds_per_row)
            prompt = request.prompt.text or "\n".join(text for _, text in request.prompt.messages or ())
            asked = [
                line for line in prompt.splitlines() if line.strip() and not line.startswith(("```", "#"))
            ]
            words = asked[-1].split() if asked else []
            text = " ".join(words[: decoding.max_new_tokens])
            yield EngineAnswer(
                key=request.key,
                prompt_text=prompt,
                text=text,
                raw_text=text,
                finish_reason="length" if len(words) > decoding.max_new_tokens else "eos",
                n_prompt_tokens=len(prompt.split()),
                n_new_tokens=min(len(words), decoding.max_new_tokens),
                seconds=self._settings.seconds_per_row,
                batch_size=1,
            )
