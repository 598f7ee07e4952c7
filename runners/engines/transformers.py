"""`transformers`: weights loaded on this machine, answering in batches. Its settings are `dsl.models.Weights`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from dsl.models import Decoding
from dsl.models import Weights as Settings
from runners.engine import EngineAnswer, EngineRequest

__all__ = ["Engine", "Settings", "resolve"]


def resolve(settings: Settings) -> str | None:
    """The commit that a name on the hub stands for now; None where the settings name it."""
    from runners import weight_files

    return weight_files.commit_of(settings)


class Engine:
    """Holds the model; tokenises whole prompts, so that no seam is cut in text."""

    def __init__(self, settings: Settings, tuned: Path | None, cache: Path) -> None:
        """Load the weights, with a training step's result on top if `tuned` names its folder. Raises DataError where they cannot be."""
        from runners import models  # here, because the spec's own classes are made from this file's settings

        self._loaded = models.load(settings, tuned, cache)
        self._batch_size = settings.batch_size
        self.load_seconds = self._loaded.load_seconds
        self.facts: dict[str, str | int | float | bool | None] = {
            "n_parameters": self._loaded.n_parameters,
            "device": self._loaded.device,
            "dtype": self._loaded.dtype,
            "commit": self._loaded.commit,
        }

    def identify(self, request: EngineRequest) -> str:
        """The token ids and the stop strings."""
        return f"{self._token_ids(request)} {list(request.prompt.stop_strings)}"

    def generate(self, requests: Sequence[EngineRequest], decoding: Decoding) -> Iterator[EngineAnswer]:
        """Answers as they are finished. A prompt that leaves no room for the answer is an error of its row."""
        from runners import prompting
        from runners.decoding import decode
        from runners.decoding.next_token import Sampling
        from runners.decoding.reader import reader_of

        texts = {request.key: prompting.render(self._loaded.tokenizer, request.prompt) for request in requests}
        room = self._context_length()
        ready: list[decode.Request] = []
        for request in requests:
            ids = tuple(self._token_ids(request))
            if room is not None and len(ids) + decoding.max_new_tokens > room:
                too_long = (
                    f"the prompt has {len(ids)} tokens; with max_new_tokens {decoding.max_new_tokens} the model's {room} do not hold it"
                )
                yield EngineAnswer(
                    key=request.key,
                    prompt_text=texts[request.key],
                    text=None,
                    raw_text=None,
                    finish_reason="error",
                    error=too_long,
                    n_prompt_tokens=len(ids),
                )
            else:
                ready.append(decode.Request(request.key, ids, request.prompt.stop_strings, request.seed))
        sampling = Sampling(
            max_new_tokens=decoding.max_new_tokens,
            temperature=decoding.temperature,
            top_p=decoding.top_p,
            top_k=decoding.top_k,
            repetition_penalty=decoding.repetition_penalty,
        )
        reader = reader_of(self._loaded)
        self.facts["prefix_not_shared_because"] = reader.not_shared_because
        for row in decode.generate(reader, ready, sampling, self._batch_size):
            self.facts["n_shared_tokens"] = max(row.n_shared_tokens, int(self.facts.get("n_shared_tokens") or 0))
            self.facts["batch_size"] = max(row.batch_size, int(self.facts.get("batch_size") or 0))
            yield EngineAnswer(
                key=row.key,
                prompt_text=texts[row.key],
                text=row.text,
                raw_text=row.raw_text,
                finish_reason=row.finish_reason,
                stop_string=row.stop_string,
                n_prompt_tokens=row.n_prompt_tokens,
                n_new_tokens=row.n_new_tokens,
                seconds=row.seconds,
                batch_size=row.batch_size,
            )

    def _token_ids(self, request: EngineRequest) -> list[int]:
        from runners import prompting

        return prompting.token_ids(self._loaded.tokenizer, request.prompt)

    def _context_length(self) -> int | None:
        return getattr(self._loaded.model.config.get_text_config(decoder=True), "max_position_embeddings", None)
