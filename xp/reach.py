"""External resources of a plan: files outside its folder, servers and their variables, remote code.

A spec may come from a stranger. `plan` lists what it reaches; a variable is sent to a server only after that
pair was allowed once in the store.
"""

import socket
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from dsl.data.files import is_here
from dsl.data.fingerprints import RUNNERS
from dsl.data.source import HubSource, Source
from dsl.engines._served import ServedWeights
from dsl.engines.contract import EngineSettings, ServerSettings
from dsl.engines.recorded import Settings as RecordedAnswers
from dsl.engines.transformers import Weights
from dsl.errors import ServerError, XpError
from dsl.judges.contract import JudgeSettings
from dsl.judges.recorded import Settings as RecordedVerdicts
from dsl.messages import one_line
from dsl.plan.diff import Diff
from dsl.steps.steps import DataStep, GenerateStep, JudgeStep, Step
from dsl.steps.training_settings import Training
from dsl.values import as_written
from runners.http.server import Call, Server, call_of
from runners.serving import llama_cpp, vllm
from runners.training.reports import check_reported

_PROGRAMS = {"vllm": vllm.program, "llama_cpp": llama_cpp.program}
"""Engine -> what finds the program of its server."""
_FEW_FILES = 3
"""Files of one folder that are named one by one."""


def reach(steps: Iterable[Step], files: Iterable[Path], folder: Path) -> Iterator[str]:
    """Lines on the external resources of steps: outside files, servers, remote code, and what they lack."""
    yield from _outside(files, folder)
    steps = tuple(steps)
    used = models(steps)
    for model in used:
        if isinstance(model, Weights) and model.hub is not None:
            yield f"loads {model.hub} from the Hugging Face hub"
    yield from remote_code(used)
    yield from _started(used)
    yield from dict.fromkeys(_reported(steps))
    yield from dict.fromkeys(filter(None, map(_comes_from, sources(steps))))
    yield from dict.fromkeys(map(str, calls(used)))
    for settings in servers(used):
        try:
            Server(settings)
        except ServerError as error:
            yield f"not ready: {error}"
        else:
            if (lacking := _is_not_running(call_of(settings).host)) is not None:
                yield f"not ready: {lacking}"


def remote_code(used: Iterable[EngineSettings]) -> Iterator[str]:
    """Lines on models that run code of their own."""
    for model in used:
        if isinstance(model, Weights) and model.trust_remote_code:
            yield (
                f"runs code that comes with {one_line(model.source)}"
                f" (`trust_remote_code`){_n_code_files(model)}"
            )


def _started(used: Iterable[EngineSettings]) -> Iterator[str]:
    """Lines on servers that are started here, with the arguments that the spec gives them."""
    started = [one for one in used if isinstance(one, ServedWeights) and one.is_started]
    for model in started:
        args = "".join(f" {name}={as_written(value)}" for name, value in sorted(model.args.items()))
        yield one_line(f"starts a {model.SERVER} server of {model.source}{f' with{args}' if args else ''}")
    for program in dict.fromkeys(_PROGRAMS[model.engine] for model in started):
        try:
            program()
        except XpError as error:
            yield f"not ready: {error}"


def _reported(steps: Iterable[Step]) -> Iterator[str]:
    """Lines on the packages that training reports its metrics to."""
    for step in steps:
        training = step.__dict__.get("training")
        if isinstance(training, Training) and training.report_to is not None:
            yield f"reports the metrics of training to {training.report_to}"
            try:
                check_reported(training)
            except XpError as error:
                yield f"not ready: {error}"


def sources(steps: Iterable[Step]) -> Iterator[Source]:
    """Sources whose rows steps read: data sets, references, recorded answers, recorded verdicts."""
    for step in steps:
        if isinstance(step, DataStep):
            yield step.source
            if step.references is not None:
                yield step.references.source
        elif isinstance(step, GenerateStep) and isinstance(step.model, RecordedAnswers):
            yield step.model.answers
        elif isinstance(step, JudgeStep):
            for judge in step.judges.values():
                if isinstance(judge, RecordedVerdicts) and judge.source is not None:
                    yield judge.source


def _comes_from(source: Source) -> str | None:
    """A line on rows that are not on this machine."""
    if isinstance(source, HubSource):
        return f"loads {source.hub} from the Hugging Face hub" if source.sha256 is None else None
    return None if is_here(source) else f"fetches {source.url}"


def calls(used: Iterable[EngineSettings]) -> Iterator[Call]:
    """The servers of models, each with the variable that it is sent, as far as their addresses are known."""
    for settings in servers(used):
        try:
            yield call_of(settings)
        except ServerError:
            continue  # reported as not ready


def to_allow(diff: Diff, allowed: Iterable[tuple[str, str]]) -> tuple[Call, ...]:
    """Calls of the steps that may run which send a variable to a server which it was not yet sent to from
    this store."""
    known = set(allowed)
    found = dict.fromkeys(calls(models(diff.plan.steps[step_id] for step_id in diff.reachable)))
    return tuple(
        call for call in found if call.variable is not None and (call.variable, call.host) not in known
    )


def models(steps: Iterable[Step]) -> tuple[EngineSettings, ...]:
    """Every model that steps use, once.

    Steps share their settings, so that identity is enough and a large plan is quickly through.
    """
    shared: dict[int, object] = {}
    for step in steps:
        fields = step.__dict__  # a field that a kind of step does not have takes `getattr` long
        for settings in (fields.get("model"), fields.get("weights"), *fields.get("judges", {}).values()):
            shared[id(settings)] = settings
    found = (
        model
        for settings in shared.values()
        for model in (settings.models() if isinstance(settings, JudgeSettings) else (settings,))
        if isinstance(model, EngineSettings)
    )
    distinct: Mapping[str, EngineSettings] = {model.model_dump_json(): model for model in found}
    return tuple(distinct.values())


def servers(used: Iterable[EngineSettings]) -> Iterator[ServerSettings]:
    """The settings of every model on a server, once."""
    yield from filter(None, (model.server_named() for model in used))


def _outside(files: Iterable[Path], folder: Path) -> Iterator[str]:
    home = folder.resolve()
    outside = sorted(
        file for file in files if not file.is_relative_to(home) and not file.is_relative_to(RUNNERS)
    )
    n_in = Counter(file.parent for file in outside)
    for parent, n in n_in.items():
        if n > _FEW_FILES:
            yield f"reads {n} files in {one_line(str(parent))}, outside the study's folder"
    yield from (
        f"reads {one_line(str(file))}, outside the study's folder"
        for file in outside
        if n_in[file.parent] <= _FEW_FILES
    )


def _n_code_files(weights: Weights) -> str:
    return "" if weights.path is None else f": {sum(1 for _ in Path(weights.path).glob('*.py'))} files"


def _is_not_running(host: str) -> str | None:
    """Say that a server meant to be on this machine is not running; other machines are not contacted."""
    parts = urlsplit(host)
    if parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        return None
    try:
        socket.create_connection(
            (parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)), timeout=1.0
        ).close()
    except OSError as error:
        return f"no server answers at {host}: {error.strerror or error}"
    return None
