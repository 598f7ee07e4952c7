"""Rounds of SIGKILLs over a study with training, a served model, judges by rule and by a model. What is there
afterwards is compared, row for row, with a run that nobody disturbed.
"""

import contextlib
import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb

from tests.fixtures.tiny_study import TINY
from tests.kills.kept import KeptRound, write_budgeted_study
from tests.runners.engines.fake_server import Asked, Said, chat, completion, serving
from tests.xp.small_study import apply_to_end, begin_apply, workers_of
from xp.studies import diff_for

KINDS = ("aimed", "applied", "kept")
"""Kinds of rounds, in turn."""

_TABLES = ("examples", "completions", "verdicts", "train_metrics", "contrast_tests", "cell_scores")
_UNLIKE = {"seconds", "batch_size", "usd", "run_id"}
"""Columns that differ between two undisturbed runs."""


@dataclasses.dataclass(frozen=True)
class Round:
    """Result of one round."""

    number: int
    is_aimed: bool
    n_kills: int
    """Those that met an apply at work."""
    seconds: float
    faults: tuple[str, ...]
    is_kept: bool = False
    """Lock, saved plans, budget and bundle were killed, too."""

    def as_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))


class Rounds:
    """The studies, what an undisturbed run gives, and the server that both ask."""

    def __init__(
        self, work: Path, seed: int, seconds: float, write: Callable[[Path, str], Path] | None = None
    ) -> None:
        self._work, self._seed, self._seconds = work, seed, seconds
        self._write = write or write_study
        self._server = contextlib.ExitStack()

    def __enter__(self) -> Self:
        url = self._server.enter_context(serving(_answer)).url
        self._studies: dict[str, tuple[Path, dict[str, list[Any]], float]] = {}
        for kind, write in zip(KINDS, (write_small_study, self._write, write_budgeted_study), strict=True):
            folder = self._work / f"study-{kind}"
            shutil.rmtree(folder, ignore_errors=True)
            spec = write(folder, url)
            store, began = folder / "undisturbed", time.monotonic()
            finished = apply_to_end(spec, store, seconds=self._seconds)
            assert finished.returncode == 0, finished.stdout + finished.stderr
            self._studies[kind] = (spec, tables(store), time.monotonic() - began)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()

    def run(self, number: int) -> Round:
        """Kill one to six applies of a new store, let one more end, and compare. Of every three rounds one is
        aimed at the warehouse's creation, and one kills the other commands, too."""
        chance, kind = random.Random(f"{self._seed} {number}"), KINDS[number % 3]
        is_aimed, is_kept = kind == "aimed", kind == "kept"
        spec, undisturbed, whole = self._studies[kind]
        store, began = self._work / "store", time.monotonic()
        shutil.rmtree(store, ignore_errors=True)
        faults: list[str] = []
        n_kills = 0
        if is_kept:
            kept = KeptRound(spec, store, chance, self._seconds)
            kept.run()
            n_kills, faults = kept.n_kills, kept.faults
        for _ in range(0 if is_kept else 1 if is_aimed else chance.randint(1, 6)):
            process = begin_apply(spec, store, "--jobs", str(chance.choice([1, 2])))
            if is_aimed:
                _wait_for_warehouse(store, process)
                time.sleep(chance.choice([0.0, 0.0, 0.001, 0.01, 0.05]))
            else:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(chance.uniform(0.3, whole * 0.6))
            n_kills += process.poll() is None
            _kill(
                process, store, "apply" if is_aimed else chance.choice(["apply", "worker", "both", "group"])
            )
            faults += self._ended(process)
        try:
            finished = apply_to_end(spec, store, seconds=self._seconds)
            if finished.returncode:
                faults.append(
                    f"the last apply ended with {finished.returncode}:"
                    f" {(finished.stdout + finished.stderr)[-500:]}"
                )
            faults += [f"{name} differs" for name, rows in tables(store).items() if rows != undisturbed[name]]
            faults += [f"left: {name}" for name in left_beside(spec, store)]
            if todo := diff_for(spec, None, None, store).todo:
                faults.append(f"still to do: {', '.join(todo)}")
        except (subprocess.TimeoutExpired, duckdb.Error) as error:
            faults.append(f"{type(error).__name__}: {error}")
        if faults:
            shutil.copytree(store, self._work / f"failed-{self._seed}-{number}", dirs_exist_ok=True)
        return Round(number, is_aimed, n_kills, round(time.monotonic() - began, 1), tuple(faults), is_kept)

    def _ended(self, process: "subprocess.Popen[str]") -> list[str]:
        try:
            out, err = process.communicate(timeout=self._seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return [f"an apply whose worker was killed did not end within {self._seconds:g} s"]
        return ["a traceback in a killed apply: " + (out + err)[-500:]] if "Traceback" in out + err else []


def left_beside(spec: Path, store: Path) -> list[str]:
    """Name what killed commands left in a store and beside its spec (`killed.yaml.lock.tmp`) that those after
    them have not taken up."""
    patterns = ("steps/*.tmp", "runs/*.begun", "*.new", "*.tmp", "experiments/**/*.tmp")
    in_store = [path for pattern in patterns for path in store.glob(pattern)]
    return sorted(path.name for path in (*in_store, *spec.parent.glob("*.tmp")))


def tables(store: Path) -> dict[str, list[Any]]:
    """The rows of the warehouse's tables and views, without what differs from run to run, in order."""
    found: dict[str, list[Any]] = {}
    with duckdb.connect(str(store / "warehouse.duckdb"), read_only=True) as connection:
        for name in _TABLES:
            described = connection.execute(f"describe {name}").fetchall()
            columns = ", ".join(f'"{column}"' for column, *_ in described if column not in _UNLIKE)
            where = "where name <> 'seconds'" if name == "train_metrics" else ""
            found[name] = connection.execute(f"select {columns} from {name} {where} order by all").fetchall()
    return found


def write_study(folder: Path, url: str) -> Path:
    """SFT, DPO, prompting and a served model, judged by rules and by a model."""
    columns = {"item": "item", "instruction": "instruction"}
    training = {
        "max_steps": 12,
        "save_steps": 3,
        "per_device_train_batch_size": 4,
        "learning_rate": 1.0e-3,
        "max_length": 96,
    }
    study = {
        "experiment": "killed",
        "languages": ["en", "fr"],
        "models": {
            "tiny": {"base": {"path": str(TINY)}},
            "served": {"base": {"engine": "openai", "name": "served", "base_url": url}, "parameters": 1},
        },
        "data": {
            "questions": {
                "rows": {"path": str(TINY / "questions_{language}.jsonl")},
                "columns": {**columns, "answers": "answers"},
            },
            "instructions": {
                "rows": {"path": str(TINY / "instructions_{language}.jsonl")},
                "columns": {**columns, "response": "response"},
            },
        },
        "evaluate": ["questions"],
        "methods": {
            "zero_shot": {"method": "icl", "num_fewshot": 0},
            "sft": {
                "method": "sft",
                "train": "instructions",
                "train_languages": "all",
                "adapter": {"r": 4},
                "training": training,
            },
        },
        "only": [{"model": "tiny"}, {"model": "served", "method": "zero_shot"}],
        "decoding": {"max_new_tokens": 12, "temperature": 0.8},
        "judges": {
            "correct": {"judge": "contains"},
            "loop": {"judge": "loop"},
            "duel": {"judge": "pairwise", "against": "zero_shot", "model": {"path": str(TINY)}, "limit": 3},
        },
        "contrasts": {"gain": {"of": "sft", "against": "zero_shot"}},
    }
    return _written(folder, study)


def write_small_study(folder: Path, url: str) -> Path:
    """Two answers of a served model: nearly all of its time goes into the store and the warehouse."""
    folder.mkdir(parents=True)
    rows = [{"item": f"q{n}", "instruction": f"{n} + {n}?", "answers": [str(2 * n)]} for n in range(2)]
    (folder / "en.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    columns = {"item": "item", "instruction": "instruction", "answers": "answers"}
    study = {
        "experiment": "killed",
        "languages": ["en"],
        "models": {
            "served": {"base": {"engine": "openai", "name": "served", "base_url": url}, "parameters": 1}
        },
        "data": {"sums": {"rows": {"path": "{language}.jsonl"}, "columns": columns}},
        "evaluate": ["sums"],
        "methods": {"zero_shot": {"method": "icl", "num_fewshot": 0}},
        "judges": {"correct": {"judge": "contains"}},
    }
    return _written(folder, study)


def _written(folder: Path, study: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "killed.yaml").write_text(json.dumps(study), "utf-8")  # JSON is YAML
    return folder / "killed.yaml"


def _answer(asked: Asked) -> Said:
    """The same to the same question, after a while."""
    said = chat if "chat" in asked.path else completion
    return dataclasses.replace(said(f"{len(asked.prompt)} letters"), seconds=0.02)


def _wait_for_warehouse(store: Path, process: "subprocess.Popen[str]") -> None:
    while process.poll() is None and not any(
        (store / name).exists() for name in ("warehouse.duckdb", "warehouse.duckdb.new")
    ):
        pass  # no pause: the file is made within milliseconds


def _kill(process: "subprocess.Popen[str]", store: Path, victims: str) -> None:
    workers = workers_of(store)
    with contextlib.suppress(ProcessLookupError):
        if victims == "group":
            os.killpg(process.pid, signal.SIGKILL)
        elif victims != "worker":
            process.kill()
    if victims in ("worker", "both"):
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
