"""A change makes only what is missing, as the plan said, and leaves what a store of its own would hold.

Model and judge are served by a real HTTP server, which counts what it is asked.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dsl.plan.diff import Diff
from runners.store.store import Store
from tests.runners.engines.fake_server import Asked, Running, Said, chat, completion, serving
from xp.apply import apply
from xp.plan.overview import Overview, overview_of
from xp.plan.rows import total
from xp.studies import diff_for

PROMPT = {"language": "en", "query_tag": "# Q", "answer_tag": "# A", "stop_strings": ["# Q"]}
CUT, STOPPED = "q1", "q2"
"""Items whose answer reaches the length limit, and whose answer holds the word `halt`."""


def answered(asked: Asked) -> Said:
    """The same answer to a question whatever stands before it; a judge's answer to every aspect it names."""
    if asked.path.endswith("chat/completions"):
        aspects = [name for name in ("clarity", "depth") if f"{name}:" in asked.prompt]
        return chat(json.dumps({name: {"reason": "read", "score": 4} for name in aspects}))
    question = re.findall(r"question (\w+)", asked.prompt)[-1]
    if question == CUT:
        return completion(f"{question} goes on", "length")
    return completion(f"{question} is a halt" if question == STOPPED else f"{question} is settled")


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with serving(answered) as running:
        yield running


def study(server: Running) -> dict[str, Any]:
    served = {"engine": "openai", "name": "tiny", "base_url": server.url, "max_retries": 0}
    return {
        "experiment": "edited",
        "languages": ["en"],
        "models": {"m": {"base": served, "parameters": 1_000_000}},
        "data": {
            "asked": {
                "rows": {"path": "en.jsonl"},
                "columns": {c: c for c in ("item", "instruction", "answers")},
                "limit": 4,
            }
        },
        "evaluate": ["asked"],
        "methods": {
            "zero": {"method": "icl", "num_fewshot": 0, "prompt": {"file": "prompt_{language}.yaml"}}
        },
        "decoding": {"max_new_tokens": 16},
        "judges": {
            "correct": {"judge": "contains"},
            "opinion": {"judge": "rubric", "aspects": ["clarity"], "model": served},
        },
    }


def write(folder: Path, spec: dict[str, Any], prompt: dict[str, Any] = PROMPT) -> Path:
    folder.mkdir(exist_ok=True)
    rows = [{"item": f"q{n}", "instruction": f"question q{n}?", "answers": ["settled"]} for n in range(6)]
    (folder / "en.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (folder / "prompt_en.yaml").write_text(yaml.safe_dump(prompt), "utf-8")
    path = folder / "edited.yaml"
    path.write_text(json.dumps(spec), "utf-8")
    return path


@pytest.fixture(scope="module")
def applied(server: Running, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which the study was applied as it is."""
    folder = tmp_path_factory.mktemp("first")
    assert not apply(
        planned(write(folder, study(server)), folder / "store"), folder / "store", in_process=True
    ).failures
    return folder / "store"


def planned(spec: Path, store: Path) -> Diff:
    return diff_for(spec, None, None, store)


Edit = Callable[[dict[str, Any]], None]


def more_items(spec: dict[str, Any]) -> None:
    spec["data"]["asked"]["limit"] = 6


def longer_limit(spec: dict[str, Any]) -> None:
    spec["decoding"]["max_new_tokens"] = 32


def new_judge(spec: dict[str, Any]) -> None:
    spec["judges"]["second"] = {**spec["judges"]["opinion"], "aspects": ["depth"]}


def new_rule(spec: dict[str, Any]) -> None:
    spec["judges"]["length"] = {"judge": "length"}


def new_aspect(spec: dict[str, Any]) -> None:
    spec["judges"]["opinion"]["aspects"] = ["clarity", "depth"]


def same_answers(spec: dict[str, Any]) -> None:
    spec["methods"]["chatty"] = {"method": "icl", "num_fewshot": 3}


def renamed(spec: dict[str, Any]) -> None:
    spec["methods"] = {"another_name": spec["methods"]["zero"]}


def more_seeds(spec: dict[str, Any]) -> None:
    spec["decoding"]["temperature"] = 0.5
    spec["seeds"] = [0, 1, 2]


def nothing(spec: dict[str, Any]) -> None:
    pass


@pytest.mark.parametrize(
    ("edit", "n_answers", "n_opinions", "said"),
    [
        (more_items, 2, 2, (2, 4)),
        (longer_limit, 1, 0, (1, 2)),  # what was cut comes out the same, and so is judged already
        (new_judge, 0, 4, (0, 4)),
        (new_rule, 0, 0, (0, 4)),
        (new_aspect, 0, 4, (0, 4)),
        (same_answers, 4, 0, (4, 8)),
        (renamed, 0, 0, (0, 0)),
        (nothing, 0, 0, (0, 0)),
    ],
)
def test_an_edit_makes_only_what_is_missing_and_what_a_fresh_store_would_hold(
    edit: Edit,
    n_answers: int,
    n_opinions: int,
    said: tuple[int, int],
    server: Running,
    applied: Path,
    tmp_path: Path,
) -> None:
    spec = study(server)
    edit(spec)
    check(write(tmp_path / "study", spec), applied, server, (n_answers, n_opinions), said, tmp_path)


def test_a_further_stop_string_asks_again_only_for_the_answer_that_holds_it(
    server: Running, applied: Path, tmp_path: Path
) -> None:
    prompt = {**PROMPT, "stop_strings": ["# Q", "halt"]}
    spec = write(tmp_path / "study", study(server), prompt)
    overview = check(spec, applied, server, (1, 1), (4, 8), tmp_path)
    assert answers(overview).is_most, "the plan has no tokenizer to tell"


def test_more_seeds_ask_for_their_own_answers_alone(server: Running, tmp_path: Path) -> None:
    spec = study(server) | {"seeds": [0]}
    spec["decoding"]["temperature"] = 0.5
    store = tmp_path / "one"
    apply(planned(write(tmp_path / "study", spec), store), store, in_process=True)
    more_seeds(spec)
    check(write(tmp_path / "study", spec), store, server, (8, 0), (8, 16), tmp_path)


def check(
    spec: Path, applied: Path, server: Running, asked: tuple[int, int], said: tuple[int, int], folder: Path
) -> Overview:
    """Apply to a copy of a store and to an empty one; `said`: answers and verdicts that the plan would
    make."""
    store, fresh = folder / "store", folder / "fresh"
    shutil.copytree(applied, store)
    overview = overview_of(planned(spec, store), store)
    made = total(line.verdicts for line in overview.lines)
    assert (answers(overview).n_made, made.n_made) == said
    assert made.is_most == (answers(overview).n_made != 0), "verdicts hang on answers not made yet"
    n_before = len(server.asked)
    assert not apply(overview.diff, store, in_process=True).failures
    paths = [one.path.endswith("chat/completions") for one in server.asked[n_before:]]
    assert (paths.count(False), paths.count(True)) == asked
    assert not planned(spec, store).todo
    apply(planned(spec, fresh), fresh, in_process=True)
    steps = overview.diff.plan.steps
    assert {s: rows(store, s) for s in steps} == {s: rows(fresh, s) for s in steps}
    return overview


def answers(overview: Overview) -> Any:
    return total(line.answers for line in overview.lines)


def rows(store: Path, step_id: str) -> list[str]:
    """A step's rows in any order, without what it took to make them."""
    spent = {"seconds", "usd", "provenance", "n_prompt_tokens", "n_new_tokens"}
    (file,) = (path for path in Store(store).step_folder(step_id).glob("*.jsonl"))
    found = (json.loads(line) for line in file.read_text("utf-8").splitlines())
    return sorted(json.dumps({k: v for k, v in row.items() if k not in spent}) for row in found)
