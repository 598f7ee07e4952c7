"""`recorded`: existing answers, read from a file and matched by item or by instruction text."""

import json
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from dsl.data.examples import instruction_of
from dsl.data.files import Row
from dsl.data.selectors import language_at, language_in_file, text_at
from dsl.data.source import FileSource
from dsl.engines.contract import Decoding
from dsl.engines.recorded import Settings
from dsl.errors import XpError
from runners.engines.contract import EngineAnswer, EngineRequest
from runners.prompting.source_rows import rows_of


class Engine:
    """Holds the recorded answers. The request's key is the item; its prompt's text is the instruction."""

    def __init__(self, settings: Settings, tuned: Path | None, cache: Path) -> None:
        """Read the answers.

        Raises:
            DataError: the file is not the one that was planned, or a row lacks a named column.
            XpError: a tuned model is named: what was recorded cannot be tuned afterwards.
        """
        if tuned is not None:
            raise XpError("recorded answers cannot be given by a tuned model")
        began = time.perf_counter()
        self._by_item = settings.columns.item is not None
        self._source = (
            Path(settings.answers.path).name
            if isinstance(settings.answers, FileSource)
            else settings.answers.hub
        )
        self._recorded: dict[str, list[str | None]] = {}
        """Match key -> its distinct recorded answers."""
        self._unasked: Counter[str] = Counter()
        """Match key -> its rows, for keys without a request so far."""
        rows, commit = rows_of(settings.answers)
        for key, answer in _answers(rows, settings, self._source):
            answers = self._recorded.setdefault(key, [])
            if answer not in answers:
                answers.append(answer)
            self._unasked[key] += 1
        self.load_seconds = time.perf_counter() - began
        self._n_unasked = self._unasked.total()
        self.facts: dict[str, str | int | float | bool | None] = {
            "n_recorded_rows": self._n_unasked,
            "n_rows_without_example": self._n_unasked,
            "commit": commit,
        }

    def identify(self, request: EngineRequest) -> str:
        """Return the match key with its recorded answers, which does not depend on other rows of the file."""
        key = self._ask(request)
        return json.dumps([key, self._recorded.get(key)])

    def generate(self, requests: Sequence[EngineRequest], decoding: Decoding) -> Iterator[EngineAnswer]:
        for request in requests:
            yield self._answer(request, self._recorded.get(self._ask(request), []))

    def _ask(self, request: EngineRequest) -> str:
        key = request.key if self._by_item else _normalised(request.prompt.text or "")
        self._n_unasked -= self._unasked.pop(key, 0)
        self.facts["n_rows_without_example"] = self._n_unasked
        return key

    def _answer(self, request: EngineRequest, answers: list[str | None]) -> EngineAnswer:
        finish_reason, error = "recorded", None
        if len(answers) > 1:
            finish_reason, error = (
                "error",
                f"two different recorded answers for item {request.key} in {self._source}",
            )
        elif not answers:
            how = "" if self._by_item else " (matched by its instruction)"
            finish_reason, error = (
                "missing",
                f"no recorded answer for item {request.key}{how} in {self._source}",
            )
        elif answers[0] is None:
            finish_reason, error = (
                "missing",
                f"the recorded answer for item {request.key} in {self._source} is null",
            )
        raw = None if error else answers[0]
        return EngineAnswer(
            key=request.key,
            prompt_text=request.prompt.text or "",
            text=None if raw is None else raw.strip(),
            raw_text=raw,
            finish_reason=finish_reason,
            error=error,
        )


def _answers(rows: Iterable[Row], settings: Settings, source: str) -> Iterator[tuple[str, str | None]]:
    """Yield (match key, answer or null) of every row in the study's language."""
    columns = settings.columns
    assert columns.response is not None, "the check of a spec asks for `response`"
    for number, row in enumerate(rows, 1):
        at = f"{source}: row {number}"
        if columns.language is not None and settings.language is not None:
            found = language_at(row, columns.language, number, at)
            if found != language_in_file(columns.language, settings.language):
                continue
        item = None if columns.item is None else text_at(row, columns.item, number, at) or ""
        key = _normalised(instruction_of(row, columns, number, at)) if item is None else item
        yield key, text_at(row, columns.response, number, at)


def _normalised(instruction: str) -> str:
    """Normalise Unicode composition and white space of an instruction."""
    return " ".join(unicodedata.normalize("NFC", instruction).split())
