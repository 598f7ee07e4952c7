"""`transformers`: weights loaded on this machine, answering in batches. Its settings are
`dsl.engines.transformers.Weights`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from dsl.engines.contract import Decoding
from dsl.engines.transformers import Weights as Settings
from runners.engines._prompts import Prompts
from runners.engines.contract import EngineAnswer, EngineRequest

__all__ = ["Engine", "Settings", "resolve"]


def resolve(settings: Settings) -> str | None:
    """Return the commit that a name on the hub refers to now; None where the settings name it."""
    from runners.models import weight_files

    return weight_files.commit_of(settings)


class Engine:
    """Holds the model."""

    def __init__(self, settings: Settings, tuned: Path | None, cache: Path) -> None:
        """Load the weights, with a training step's result on top if `tuned` names its folder. Raises
        DataError where they cannot be."""
        # here, because the spec's own classes are made from this file's settings
        from runners.models import loading

        self._loaded = loading.load(settings, tuned, cache)
        self._prompts = Prompts(self._loaded, settings.source)
        self._batch_size = settings.batch_size
        self.load_seconds = self._loaded.load_seconds
        self.facts = self._loaded.facts

    def identify(self, request: EngineRequest) -> str:
        return self._prompts.identify(request)

    def generate(self, requests: Sequence[EngineRequest], decoding: Decoding) -> Iterator[EngineAnswer]:
        """Yield answers as they finish. A prompt that leaves no room for an answer, or has a token without an
        embedding, is an error of its row.

        Raises DataError where the model cannot be asked through its chat template.
        """
        from runners.inference import scheduler
        from runners.inference.batch_model import batch_model_of
        from runners.inference.sampling import sampling_of

        read = self._prompts.read(requests, self._loaded.n_positions)
        yield from read.refused
        sampling = sampling_of(decoding, self._loaded.model)
        self.facts["decoding"] = str(sampling)
        batch_model = batch_model_of(self._loaded)
        for row in scheduler.generate(batch_model, read.ready, sampling, self._batch_size):
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
                prompt_text=read.text(row.key),
                text=read.answer(row.key, row.text),
                raw_text=row.raw_text,
                finish_reason=row.finish_reason,
                stop_string=row.stop_string,
                n_prompt_tokens=row.n_prompt_tokens,
                n_new_tokens=row.n_new_tokens,
                seconds=row.seconds,
                batch_size=row.batch_size,
            )
