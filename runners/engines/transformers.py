"""`transformers`: weights loaded on this machine, answering in batches. Its settings are
`dsl.engines.transformers.Weights`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from dsl.engines.contract import Decoding
from dsl.engines.transformers import Weights as Settings
from dsl.errors import DataError
from runners.engines.contract import EngineAnswer, EngineRequest

__all__ = ["Engine", "Settings", "resolve"]


def resolve(settings: Settings) -> str | None:
    """Return the commit that a name on the hub refers to now; None where the settings name it."""
    from runners.models import weight_files

    return weight_files.commit_of(settings)


class Engine:
    """Holds the model; tokenises whole prompts, since pieces of text may give other tokens."""

    def __init__(self, settings: Settings, tuned: Path | None, cache: Path) -> None:
        """Load the weights, with a training step's result on top if `tuned` names its folder. Raises
        DataError where they cannot be."""
        # here, because the spec's own classes are made from this file's settings
        from runners.models import loading

        self._loaded = loading.load(settings, tuned, cache)
        self._batch_size, self._source = settings.batch_size, settings.source
        self.load_seconds = self._loaded.load_seconds
        self.facts = self._loaded.facts
        self._last: tuple[object, list[int]] = (None, [])
        """The last prompt, without its stop strings, and its tokens: it may be identified with others."""

    def identify(self, request: EngineRequest) -> str:
        """Return the token ids, the stop strings and whether a fence stops the answer."""
        return (
            f"{self._token_ids(request)} {list(request.prompt.stop_strings)} {request.prompt.ends_at_fence}"
        )

    def generate(self, requests: Sequence[EngineRequest], decoding: Decoding) -> Iterator[EngineAnswer]:
        """Yield answers as they finish. A prompt that leaves no room for an answer, or has a token without an
        embedding, is an error of its row.

        Raises DataError where the model cannot be asked through its chat template.
        """
        from runners.inference import scheduler
        from runners.inference.batch_model import batch_model_of
        from runners.inference.sampling import sampling_of
        from runners.inference.thinking import without_thinking
        from runners.prompting import tokens

        chats = {request.key for request in requests if request.prompt.text is None}
        if self._loaded.no_chat is not None and chats:
            raise DataError(
                f"{self._source} cannot be asked through its chat template: {self._loaded.no_chat}"
            )
        texts = {request.key: tokens.render(self._loaded.tokenizer, request.prompt) for request in requests}
        ready: list[scheduler.Request] = []
        for request in requests:
            ids = tuple(self._token_ids(request))
            if (why := self._unanswerable(ids)) is not None:
                yield EngineAnswer(
                    key=request.key,
                    prompt_text=texts[request.key],
                    text=None,
                    raw_text=None,
                    finish_reason="error",
                    error=why,
                    n_prompt_tokens=len(ids),
                )
            else:
                room = None if self._loaded.n_positions is None else self._loaded.n_positions - len(ids)
                ready.append(
                    scheduler.Request(
                        request.key,
                        ids,
                        request.prompt.stop_strings,
                        request.seed,
                        request.prompt.ends_at_fence,
                        room,
                    )
                )
        sampling = sampling_of(decoding, self._loaded.model)
        self.facts["decoding"] = str(sampling)
        batch_model = batch_model_of(self._loaded)
        for row in scheduler.generate(batch_model, ready, sampling, self._batch_size):
            self.facts |= {
                "prefix_not_shared_because": batch_model.not_shared_because,
                "one_by_one_because": batch_model.one_by_one_because,
            }
            self.facts["n_shared_tokens"] = max(
                row.n_shared_tokens, int(self.facts.get("n_shared_tokens") or 0)
            )
            self.facts["batch_size"] = max(row.batch_size, int(self.facts.get("batch_size") or 0))
            yield EngineAnswer(
                key=row.key,
                prompt_text=texts[row.key],
                text=without_thinking(row.text, texts[row.key]) if row.key in chats else row.text,
                raw_text=row.raw_text,
                finish_reason=row.finish_reason,
                stop_string=row.stop_string,
                n_prompt_tokens=row.n_prompt_tokens,
                n_new_tokens=row.n_new_tokens,
                seconds=row.seconds,
                batch_size=row.batch_size,
            )

    def _token_ids(self, request: EngineRequest) -> list[int]:
        from runners.prompting import tokens

        prompt = request.prompt.model_copy(update={"stop_strings": ()})
        if self._last[0] != prompt:
            self._last = (prompt, tokens.token_ids(self._loaded.tokenizer, request.prompt))
        return self._last[1]

    def _unanswerable(self, token_ids: Sequence[int]) -> str | None:
        """Return why a prompt cannot be answered, or None."""
        room = self._loaded.n_positions
        if room is not None and len(token_ids) >= room:
            return (
                f"the prompt has {len(token_ids)} tokens; the model's {room} positions leave no room for an"
                " answer"
            )
        return self._loaded.missing_embeddings(token_ids)
