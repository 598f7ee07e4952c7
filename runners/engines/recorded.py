"""`recorded`: existing answers, read from a file and matched by item or by instruction text."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from dsl.data.recorded_answers import NoColumn, Recorded, RecordedAnswers
from dsl.data.source import FileSource
from dsl.engines.contract import Decoding
from dsl.engines.recorded import Settings
from dsl.errors import DataError, XpError
from runners.engines.contract import EngineAnswer, EngineRequest
from runners.prompting.source_rows import rows_of


class Engine:
    """Holds the recorded answers. The request's key is the item; its prompt's text is the instruction."""

    def __init__(self, settings: Settings, tuned: Path | None, cache: Path) -> None:
        """Read the answers.

        Raises:
            DataError: the file is not the one that was planned, or no row has a named column.
            XpError: a tuned model is named: what was recorded cannot be tuned afterwards.
        """
        if tuned is not None:
            raise XpError("recorded answers cannot be given by a tuned model")
        began = time.perf_counter()
        self._source = (
            Path(settings.answers.path).name
            if isinstance(settings.answers, FileSource)
            else settings.answers.hub
        )
        rows, commit = rows_of(settings.answers)
        try:
            self._recorded = RecordedAnswers(rows, settings.columns, settings.language)
        except NoColumn as error:
            raise DataError(f"{self._source}: {error}") from error
        self.load_seconds = time.perf_counter() - began
        read = self._recorded.rows
        self._unasked = Counter(row.key for row in read if row.key is not None)
        """Match key -> its rows, for keys without a request so far."""
        self._n_without_example, self._n_refused = len(read), 0
        self.facts: dict[str, str | int | float | bool | None] = {
            "n_recorded_rows": len(read),
            "n_rows_without_example": len(read),
            "n_rows_without_answer": sum(row.missing is not None for row in read),
            "n_rows_of_another_instruction": 0,
            "commit": commit,
        }

    def identify(self, request: EngineRequest) -> str:
        """Return the match key with its recorded answers, which does not depend on other rows of the file."""
        key, found = self._ask(request)
        return json.dumps([key, found.answers, [row.missing for row in found.rows if row.missing]])

    def generate(self, requests: Sequence[EngineRequest], decoding: Decoding) -> Iterator[EngineAnswer]:
        for request in requests:
            yield self._answer(request, self._ask(request)[1])

    def _ask(self, request: EngineRequest) -> tuple[str, Recorded]:
        instruction = request.prompt.text or ""
        key = self._recorded.key(request.key, instruction)
        found = self._recorded.of(request.key, instruction)
        if n := self._unasked.pop(key, 0):
            self._n_without_example -= n
            self._n_refused += len(found.refused)
            self.facts["n_rows_without_example"] = self._n_without_example
            self.facts["n_rows_of_another_instruction"] = self._n_refused
        return key, found

    def _answer(self, request: EngineRequest, found: Recorded) -> EngineAnswer:
        raw, error = None, found.why_none(request.key, self._source, self._recorded.by_item)
        if error is None:
            (raw,) = found.answers
        finish_reason = "recorded" if error is None else "error" if found.answers else "missing"
        return EngineAnswer(
            key=request.key,
            prompt_text=request.prompt.text or "",
            text=None if raw is None else raw.strip(),
            raw_text=raw,
            finish_reason=finish_reason,
            error=error,
        )
