"""Weights of this machine behind a server, which is started, asked and ended here, or runs already.

Prompts go and answers come as tokens. The tokenizer, the chat template, what ends an answer and its text are
the same as with `transformers`. An engine has a server's words (`TokensApi`), starts it, and says what it is.
"""

from __future__ import annotations

import json
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from dsl.engines._served import ServedWeights
from dsl.engines.contract import Decoding, ServerSettings
from dsl.errors import DataError, ServerError, XpError
from dsl.values import Scalar, as_written
from runners.engines._labels_api import LabelAnswer, LabelCall, LabelRequest
from runners.engines._prompts import Prompts, Read
from runners.engines._tokens_api import LogprobsReply, TokensApi, TokensReply, answer_ids
from runners.engines.contract import EngineAnswer, EngineRequest
from runners.http.client import Answered, ApiReply, Client, opened
from runners.http.concurrent import concurrently
from runners.http.failure import Failure
from runners.http.meter import FREE
from runners.http.server import Server
from runners.inference.answer_text import Detokenizer
from runners.inference.stop_strings import cut_at_stop
from runners.serving import servers
from runners.serving.servers import API, Launch, Running
from runners.store import spending

if TYPE_CHECKING:
    from runners.inference.next_token import Sampling
    from runners.inference.scheduler import Request
    from runners.models.loading import Loaded

_SECONDS = 3600.0
"""Patience with an answer: the server queues what it cannot do yet."""
_END_SECONDS = 10.0
"""Time in which a server that does not answer is found to have ended, its children included."""
_ENDS = frozenset({"stop", "length"})
"""Reasons for which an answer ends; others are of the server."""

Form = TypeVar("Form", bound=ApiReply)
Said = TypeVar("Said", EngineAnswer, LabelAnswer)
Row = TypeVar("Row", "Request", LabelRequest)

_Ask = Callable[[Row], Awaitable[Said | XpError]]
"""Asks one request: returns its answer, or the error of all requests."""
_MakeCall = Callable[[Client[Form], str, str], _Ask[Row, Said]]
"""Makes that of a client, the server's name for the model, and the server's fingerprint."""


def resolve(settings: ServedWeights) -> str | None:
    """Return the commit that a name on the hub refers to now; None where the settings name it."""
    from runners.models import weight_files

    return weight_files.commit_of(settings.loaded_here)


@dataclass(frozen=True)
class Served:
    """A server with the model on it."""

    address: ServerSettings
    server: Server
    model: str
    """Its name for the model."""
    n_positions: int | None
    """The most tokens of prompt and answer together that it takes."""
    version: str
    """Its version, and what it says of the weights, for people."""
    started: Running | None
    """The server, where this process has started it."""


Settings = TypeVar("Settings", bound=ServedWeights)


class ServedEngine(ABC, Generic[Settings]):
    """Engine that holds the tokenizer. A server is started when there is something to ask, and stays for the
    next steps."""

    API: TokensApi
    """Words of the server."""
    MAX_CONCURRENCY: int
    """Requests in flight where the settings name no number."""

    def __init__(self, settings: Settings, cache: Path) -> None:
        """Load tokenizer and configuration. Raises DataError where they cannot be."""
        from runners.models import loading
        from runners.models.weight_files import commit_of

        self._settings, self._cache = settings, cache
        self._weights = settings.loaded_here
        self._loaded = loading.load_without_weights(self._weights, cache)
        self._prompts = Prompts(self._loaded, settings.source)
        self.load_seconds = 0.0
        self.facts: dict[str, str | int | float | bool | None] = {
            "n_parameters": self._loaded.n_parameters,
            "dtype": settings.dtype,
            "args": json.dumps(settings.counted_args, sort_keys=True),
            "remedies": "; ".join(self._loaded.remedies) or None,
            "commit": commit_of(self._weights),
        }

    @abstractmethod
    def _launch(self) -> Launch:
        """Return the start of the server."""

    @abstractmethod
    async def _described(self, server: Server, address: ServerSettings) -> tuple[str, int | None, str]:
        """Return the server's name for the model, its positions and its version. Raises ServerError where it
        does not say which models it has."""

    def _named(
        self, served: Served
    ) -> tuple[str, Callable[[Client[ApiReply]], AbstractAsyncContextManager[None]]]:
        """Return the name to ask for, and what is done around the requests of one call."""
        return served.model, lambda client: nullcontext()

    def identify(self, request: EngineRequest) -> str:
        """Return the prompt's tokens and where its answer stops, as text to be hashed."""
        return self._prompts.identify(request)

    def generate(self, requests: Sequence[EngineRequest], decoding: Decoding) -> Iterator[EngineAnswer]:
        """Yield answers as they come. A prompt that leaves no room for an answer, or has a token without an
        embedding, is an error of its row, and so is one that the server refuses.

        A server that was started here and ends is started once more.

        Raises:
            DataError: the model cannot be asked through its chat template, or its decoding is none of the
                server's.
            ServerError: the server does not start, ends twice, or refuses any prompt. What was answered
                before that has been yielded.
        """
        from runners.inference.sampling import sampling_of

        sampling = sampling_of(decoding, self._loaded.model)
        if sampling.repetition_penalty != 1 and not sampling.penalize_prompt:
            raise DataError(
                f"`penalize_prompt: false`: {self._settings.SERVER}'s repetition penalty counts the prompt's"
                " tokens, too. Ask with `engine: transformers`"
            )
        self.facts["decoding"] = str(sampling)
        served = self._serve()
        read = self._prompts.read(requests, self._room(served))
        yield from read.refused

        def call(client: Client[TokensReply], model: str, version: str) -> _Ask[Request, EngineAnswer]:
            return _Call(client, self.API, model, version, read, sampling, self._loaded).ask

        yield from self._asked(served, read.ready, self.API.Reply, call, sampling.max_new_tokens)

    @property
    def loaded(self) -> Loaded:
        """The tokenizer and the configuration."""
        return self._loaded

    def n_positions(self) -> int | None:
        """Return the most tokens of prompt and answer together, for which the server is started; None where
        nothing sets a limit."""
        return self._room(self._serve())

    def label_logprobs(self, requests: Sequence[LabelRequest]) -> Generator[LabelAnswer]:
        """Yield the log-probabilities of the labels after each prompt, as they come.

        Raises ServerError as `generate`, or where the server gives none of certain tokens.
        """

        def call(client: Client[LogprobsReply], model: str, version: str) -> _Ask[LabelRequest, LabelAnswer]:
            return LabelCall(client, self.API, model, version).ask

        return self._asked(self._serve(), requests, self.API.LabelReply, call, 1)

    def _room(self, served: Served) -> int | None:
        limits = (self._loaded.n_positions, served.n_positions)
        return min((limit for limit in limits if limit is not None), default=None)

    def _asked(
        self,
        served: Served,
        rows: Iterable[Row],
        form: type[Form],
        call: _MakeCall[Form, Row, Said],
        max_new_tokens: int,
    ) -> Generator[Said]:
        """Yield the answers to requests as they come. A server that was started here and ends is started once
        more."""
        # prompts that begin alike follow each other, so that the server finds what it has computed
        left = {row.key: row for row in sorted(rows, key=lambda row: row.token_ids)}
        try:
            yield from self._answers(served, left, form, call, max_new_tokens)
        except ServerError as error:
            if served.started is None or not served.started.has_ended(_END_SECONDS):
                raise
            logging.getLogger(__name__).warning("%s; it is started again", served.started.why_ended())
            again = self._serve()
            try:
                yield from self._answers(again, left, form, call, max_new_tokens)
            except ServerError:
                if again.started is None or not again.started.has_ended(_END_SECONDS):
                    raise
                raise ServerError(f"for the second time, {again.started.why_ended()}") from error

    def _serve(self) -> Served:
        """Return the server, started now if it does not run."""
        import anyio

        from runners.models.weight_files import check_unchanged

        settings, named = self._settings, self._settings.server_named()
        if named is None:
            began = time.perf_counter()
            started = servers.running(self._launch(), self._cache / "servers")
            check_unchanged(self._weights, self._cache)
            self.load_seconds += time.perf_counter() - began
            address, server = started.settings, started.server
        else:
            started, address, server = None, named, Server(named)
            self.facts["server_address"] = server.host
        most = settings.batch_size or self.MAX_CONCURRENCY
        address = address.model_copy(update={"max_concurrency": most, "timeout": _SECONDS})
        model, n_positions, version = anyio.run(self._described, server, address)
        self.facts |= {"server": version, "max_model_len": n_positions}
        told = {**_own_quantization(self._loaded), **settings.counted_args}
        args = [f"{name}={as_written(value)}" for name, value in sorted(told.items())]
        version = ", ".join((version, settings.dtype, *args))
        return Served(address, server, model, n_positions, version, started)

    def _answers(
        self,
        served: Served,
        left: dict[str, Row],
        form: type[Form],
        call: _MakeCall[Form, Row, Said],
        max_new_tokens: int,
    ) -> Generator[Said]:
        """Yield the answers to the requests of `left`, which are taken out of it.

        A row's seconds are those since the answer before it, so that rows add up to the time they took. A
        server that runs already is paid by its tokens, and one that was started by its time.
        """
        name, around = self._named(served)

        @asynccontextmanager
        async def calls() -> AsyncGenerator[_Ask[Row, Said]]:
            is_own = served.started is not None
            meter = FREE if is_own else spending.meter(served.address, max_new_tokens)
            async with (
                opened(served.server, served.address, API, ApiReply) as other,
                around(other),
                opened(served.server, served.address, API, form, meter) as client,
            ):
                yield call(client, name, served.version)

        last = time.perf_counter()
        for answer in concurrently(list(left.values()), calls, served.address.max_concurrency):
            last, before = time.perf_counter(), last
            del left[answer.key]
            yield answer.model_copy(update={"seconds": last - before})


def _own_quantization(loaded: Loaded) -> dict[str, Scalar]:
    """Return the quantisation that a checkpoint names itself, as vLLM's argument would; a server takes it
    from there."""
    named: object = getattr(loaded.model.config, "quantization_config", None)
    method = cast("dict[str, object]", named).get("quant_method") if isinstance(named, dict) else None
    return {"quantization": str(method)} if method else {}


class _Call:
    """State shared by the requests of one call."""

    def __init__(
        self,
        client: Client[TokensReply],
        api: TokensApi,
        model: str,
        version: str,
        read: Read,
        sampling: Sampling,
        loaded: Loaded,
    ) -> None:
        self._client, self._api, self._model, self._version = client, api, model, version
        self._read, self._sampling = read, sampling
        self._eos_ids, self._detokenize = loaded.eos_ids, Detokenizer(loaded.tokenizer)

    async def ask(self, request: Request) -> EngineAnswer | XpError:
        """Return the answer, which may be this row's failure, or the error of all rows."""
        room = self._sampling.max_new_tokens
        most = room if request.room is None else min(room, request.room)
        hello = replace(request, token_ids=request.token_ids[:1])
        outcome = await self._client.ask(lambda: self._post(request, most), lambda: self._post(hello, 1))
        if isinstance(outcome, XpError):
            return outcome
        if isinstance(outcome, Failure):
            return self._failed(request, outcome.describe("prompt"), is_transient=outcome.is_transient)
        reply = outcome.reply
        if reply.ended_by not in _ENDS:
            why = f"the server did not finish the answer ({reply.ended_by})"
            return self._failed(request, why, is_transient=True)
        ids, at_end = answer_ids(reply, request, self._eos_ids, self._detokenize)
        raw_text = self._detokenize(ids)
        text, stop = cut_at_stop(raw_text, request.stop_strings, ends_at_fence=request.ends_at_fence)
        ended = "eos" if at_end else "length" if reply.ended_by == "length" else "stop"
        return EngineAnswer(
            key=request.key,
            prompt_text=self._read.text(request.key),
            text=self._read.answer(request.key, text),
            raw_text=raw_text,
            finish_reason="stop" if stop else ended,
            stop_string=stop,
            n_prompt_tokens=len(request.token_ids),
            n_new_tokens=len(ids),
            system_fingerprint=self._version,
        )

    def _failed(self, request: Request, error: str, *, is_transient: bool) -> EngineAnswer:
        return EngineAnswer(
            key=request.key,
            prompt_text=self._read.text(request.key),
            text=None,
            raw_text=None,
            finish_reason="error",
            error=error,
            is_transient=is_transient,
            n_prompt_tokens=len(request.token_ids),
        )

    async def _post(self, request: Request, max_new_tokens: int) -> Answered[TokensReply] | Failure:
        asked = self._api.body(self._model, request, self._sampling, self._eos_ids, max_new_tokens)
        return await self._client.post(self._api.PATH, asked)
