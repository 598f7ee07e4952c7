"""`xp adopt` reuses what servers answered and judged in a store of an older version, and nothing that
cannot be shown to be the same."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dsl.engines.contract import ServerSettings
from dsl.errors import ArgumentError, StoreError
from dsl.steps.steps import GenerateStep
from runners.engines import find_engine
from runners.steps import generate
from runners.store.step_io import StepContext
from runners.store.store import Store
from tests.fixtures.older_study import OLDER_STORE, PROMPT, says, write_study
from tests.runners.engines.fake_server import Running, serving
from warehouse.connect import connect
from xp.adopt import LOADED_HERE, NO_TEXT, NOT_THERE, TO_COME, UNNAMED, Adopted, _older_key, adopt
from xp.apply import apply
from xp.cli import app
from xp.studies import diff_for

pytestmark = pytest.mark.slow

ALL_ROWS = """
    select method, item, 'answer' as what, text as said, raw_text, finish_reason, stop_string from completions
    union all select method, item, aspect, score::varchar, null, null, null from verdicts order by all
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A server behind the study's addresses."""
    with serving(says) as running:

        def address(settings: ServerSettings) -> str:
            return running.url

        monkeypatch.setattr("runners.http.server._address", address)
        yield running


def adopted(spec: Path, store: Path, *overrides: str, older: Path = OLDER_STORE) -> Adopted:
    apply(diff_for(spec, list(overrides), ["data"], store), store, in_process=True)
    return adopt(diff_for(spec, list(overrides), None, store), store, older)


def in_warehouse(spec: Path, store: Path) -> list[tuple[Any, ...]]:
    applied = apply(diff_for(spec, None, None, store), store, in_process=True)
    assert (applied.n_failed, applied.n_skipped) == (0, 0)
    with connect(store / "warehouse.duckdb", read_only=True) as connection:
        return connection.execute(ALL_ROWS).fetchall()


def asked(server: Running) -> dict[str, int]:
    """Model -> how many prompts it was asked since the last look."""
    aside = ("/tokenize", "/apply-template")
    names = [one.body["model"] for one in server.asked if not one.path.endswith(aside)]
    server.asked.clear()
    return {name: names.count(name) for name in sorted(set(names))}


def test_what_was_paid_for_is_adopted_and_apply_asks_for_the_rest_alone_with_the_results_of_a_fresh_store(
    tmp_path: Path, server: Running
):
    spec = write_study(tmp_path)
    fresh = in_warehouse(spec, tmp_path / "fresh")
    assert asked(server) == {"judge": 8, "tiny": 10}
    found = adopted(spec, tmp_path / "store")
    assert asked(server) == {}
    assert (found.n_answers, found.n_verdicts) == (9, 7)
    # one answer was empty; a thinking block and what followed a fence are no longer part of what is judged
    assert found.left_out == {f"answers {NO_TEXT}": 1, f"verdicts {TO_COME}": 1, f"verdicts {NOT_THERE}": 2}
    assert in_warehouse(spec, tmp_path / "store") == fresh
    assert asked(server) == {"judge": 3, "tiny": 1}


def test_adopted_rows_say_that_other_code_made_them(tmp_path: Path, server: Running):
    spec = write_study(tmp_path)
    adopted(spec, tmp_path / "store")
    in_warehouse(spec, tmp_path / "store")
    with connect(tmp_path / "store" / "warehouse.duckdb", read_only=True) as connection:
        assert connection.execute("select kind, n_codes from mixed_origins order by all").fetchall() == [
            ("generate", 2),
            ("judge", 2),
        ]


def test_the_older_store_is_only_read_and_adopting_twice_changes_nothing(tmp_path: Path, server: Running):
    spec, older = write_study(tmp_path), tmp_path / "older"
    shutil.copytree(OLDER_STORE, older)
    for path in sorted(older.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = {path: path.stat().st_mtime_ns for path in older.rglob("*")}
    first = adopted(spec, tmp_path / "store", older=older)
    rows = {path: path.read_bytes() for path in (tmp_path / "store" / "steps").glob("*.tmp/*.jsonl")}
    assert adopted(spec, tmp_path / "store", older=older) == first
    assert {path: path.read_bytes() for path in rows} == rows
    assert {path: path.stat().st_mtime_ns for path in older.rglob("*")} == before


def older_keys(folder: Path, **settings: Any) -> list[str]:
    """The keys that the older version gave the study's answers."""
    spec, store, keys = write_study(folder, **settings), Store(folder / "store"), list[str]()
    apply(diff_for(spec, None, ["data"], store.root), store.root, in_process=True)
    for step in diff_for(spec, None, None, store.root).plan.steps.values():
        if isinstance(step, GenerateStep):
            engine = find_engine(step.model.engine).Engine(step.model, None, store.cache)
            wanted = generate.wanted_rows(
                step, StepContext({step.examples: store.step_folder(step.examples)}, store.cache), engine
            )
            keys += [
                _older_key(step.model, step.decoding, request.prompt, request.seed)
                for _, request, _ in wanted.values()
            ]
    return keys


@pytest.mark.parametrize("is_greedy", [True, False])
def test_rows_are_adopted_under_the_names_that_items_and_languages_have_now(
    is_greedy: bool, tmp_path: Path, server: Running
):
    settings: dict[str, Any] = {"decoding": {"max_new_tokens": 16}} if is_greedy else {}
    older = tmp_path / "older"
    shutil.copytree(OLDER_STORE, older)
    now = dict(
        zip(older_keys(tmp_path / "sampled"), older_keys(tmp_path / "as asked", **settings), strict=True)
    )
    for path in older.rglob("completions.jsonl"):
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        path.write_text(
            "".join(json.dumps(row | {"row_key": now[row["row_key"]]}) + "\n" for row in rows), "utf-8"
        )
    spec = write_study(tmp_path, **settings, languages=["fr"])
    (tmp_path / "fr.jsonl").write_text(
        (tmp_path / "en.jsonl").read_text("utf-8").replace('"item": "q', '"item": "r'), "utf-8"
    )
    (tmp_path / "prompt_fr.yaml").write_text(PROMPT.replace("language: en", "language: fr"), "utf-8")
    fresh = in_warehouse(spec, tmp_path / "fresh")
    assert {item for _, item, *_ in fresh} == {f"r{i}" for i in range(5)}
    asked(server)
    found = adopted(spec, tmp_path / "store", older=older)
    # a sampled answer was drawn with a seed that item and language are part of
    assert (found.n_answers, found.n_verdicts) == ((9, 7) if is_greedy else (0, 0))
    for path in (tmp_path / "store" / "steps").glob("*.tmp/*.jsonl"):
        assert {
            (row["item"][0], row["language"]) for row in map(json.loads, path.read_text("utf-8").splitlines())
        } == {("r", "fr")}
    assert in_warehouse(spec, tmp_path / "store") == fresh
    assert asked(server) == ({"judge": 3, "tiny": 1} if is_greedy else {"judge": 8, "tiny": 10})


def test_verdicts_are_adopted_on_the_same_answers_to_items_of_other_names(tmp_path: Path, server: Running):
    spec, store = write_study(tmp_path), tmp_path / "store"
    (tmp_path / "en.jsonl").write_text(
        (tmp_path / "en.jsonl").read_text("utf-8").replace('"item": "q', '"item": "r'), "utf-8"
    )
    apply(diff_for(spec, None, ["generate"], store), store, in_process=True)
    asked(server)
    assert adopted(spec, store) == Adopted(0, 8, {f"verdicts {NOT_THERE}": 2})
    assert {item for _, item, *_ in in_warehouse(spec, store)} == {f"r{i}" for i in range(5)}
    assert asked(server) == {"judge": 2}


def served(**settings: str) -> dict[str, Any]:
    """The study's model, named or served otherwise."""
    model = {"engine": "openai", "name": "tiny", "base_url": "http://models.test/v1", **settings}
    return {"models": {"m": {"base": model, "instruct": model, "parameters": 1_000_000}}}


OTHERWISE = {
    "model": served(name="small"),
    "address": served(base_url="http://others.test/v1"),
    "decoding": {"decoding": {"max_new_tokens": 16, "temperature": 0.8}},
    "repetition penalty": {"decoding": {"max_new_tokens": 16, "temperature": 0.7, "repetition_penalty": 1.1}},
    "a setting that the version lacked": {"decoding": {"max_new_tokens": 16, "from": "model"}},
    "seed": {"seeds": [2]},
}


@pytest.mark.parametrize("settings", OTHERWISE.values(), ids=OTHERWISE)
def test_other_settings_adopt_nothing(settings: dict[str, Any], tmp_path: Path):
    found = adopted(write_study(tmp_path, **settings), tmp_path / "store")
    assert (found.n_answers, found.n_verdicts) == (0, 0)
    assert found.left_out == {f"answers {NOT_THERE}": 10, f"verdicts {TO_COME}": 10}


def test_an_edited_prompt_adopts_no_answer_to_it(tmp_path: Path):
    spec = write_study(tmp_path)
    (tmp_path / "prompt_en.yaml").write_text(PROMPT.replace("Sums.", "Sums!"), "utf-8")
    found = adopted(spec, tmp_path / "store")
    assert (found.n_answers, found.left_out[f"answers {NOT_THERE}"]) == (4, 5)


def test_arguments_of_the_chat_template_adopt_no_chat(tmp_path: Path):
    chat = {"method": "instruct", "chat_template_kwargs": {"enable_thinking": False}}
    assert adopted(write_study(tmp_path, methods={"chat": chat}), tmp_path / "store").n_answers == 0


def test_verdicts_are_adopted_on_answers_that_were_made_again_and_are_the_same(
    tmp_path: Path, server: Running
):
    spec, store = write_study(tmp_path), tmp_path / "store"
    apply(diff_for(spec, None, ["generate"], store), store, in_process=True)
    asked(server)
    assert adopted(spec, store) == Adopted(0, 8, {f"verdicts {NOT_THERE}": 2})
    in_warehouse(spec, store)
    assert asked(server) == {"judge": 2}


def test_an_edited_question_of_the_judge_adopts_no_verdict(tmp_path: Path):
    spec = write_study(tmp_path)
    (tmp_path / "rubric.yaml").write_text(
        (tmp_path / "rubric.yaml").read_text("utf-8").replace("make sense", "hold"), "utf-8"
    )
    found = adopted(spec, tmp_path / "store")
    assert (found.n_answers, found.n_verdicts, found.left_out[f"verdicts {NOT_THERE}"]) == (9, 0, 9)


@pytest.mark.parametrize(("limit", "n"), [(17, 9), (2, 0)])
def test_an_answer_is_adopted_where_its_own_limit_makes_it_valid(limit: int, n: int, tmp_path: Path):
    decoding = {"max_new_tokens": limit, "temperature": 0.7}
    assert adopted(write_study(tmp_path, decoding=decoding), tmp_path / "store").n_answers == n


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ({"engine": "echo"}, LOADED_HERE),
        ({"engine": "openai", "name": "tiny", "base_url_env": "XP_TEST_URL"}, UNNAMED),
        ({"engine": "openai", "name": "tiny", "base_url": "http://models.test/v1", "revision": "7"}, UNNAMED),
    ],
)
def test_rows_of_which_nobody_knows_that_this_model_gave_them_are_left_out(
    model: dict[str, str], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XP_TEST_URL", "http://models.test/v1")
    models = {"m": {"base": model, "instruct": model, "parameters": 1_000_000}}
    found = adopted(write_study(tmp_path, models=models), tmp_path / "store")
    assert found == Adopted(0, 0, {f"answers {why}": 10, f"verdicts {TO_COME}": 10})
    judges = {"opinion": {"judge": "rubric", "rubric": {"file": "rubric.yaml"}, "model": model}}
    found = adopted(write_study(tmp_path, judges=judges), tmp_path / "other store")
    assert (found.n_answers, found.n_verdicts, found.left_out[f"verdicts {why}"]) == (9, 0, 9)


def test_rows_that_a_kill_or_a_hand_broke_are_passed_over(tmp_path: Path):
    spec, older = write_study(tmp_path), tmp_path / "older"
    shutil.copytree(OLDER_STORE, older)
    for path in older.rglob("completions.jsonl"):
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join([b"\xff{nonsense\n", *lines[:-1], lines[-1][:40]]))
    assert adopted(spec, tmp_path / "store", older=older).n_answers == 7


def test_a_verdict_that_its_judge_failed_on_is_not_adopted(tmp_path: Path):
    spec, older = write_study(tmp_path), tmp_path / "older"
    shutil.copytree(OLDER_STORE, older)
    for path in older.rglob("verdicts.jsonl"):
        failed = '"score":null,"unscored_reason":"the judge did not reply: it was away"'
        path.write_text(
            path.read_text("utf-8").replace('"score":3.0,"unscored_reason":null', failed), "utf-8"
        )
    assert adopted(spec, tmp_path / "store", older=older).n_verdicts == 0


def test_rows_that_an_attempt_has_made_here_are_kept(tmp_path: Path):
    spec, store = write_study(tmp_path), tmp_path / "store"
    adopted(spec, store)
    made = {
        path: path.read_text("utf-8").replace('"adopted"', '"made here"')
        for path in store.glob("steps/*.tmp/*.jsonl")
    }
    for path, rows in made.items():
        path.write_text(rows, "utf-8")
    adopted(spec, store)
    assert len(made) == 4
    assert {path: path.read_text("utf-8") for path in made} == made


def test_a_study_that_refuses_rows_of_other_code_adopts_none_and_a_folder_that_is_no_store_is_an_error(
    tmp_path: Path,
):
    spec = write_study(tmp_path)
    with pytest.raises(
        ArgumentError, match="`reuse: same_fingerprint` takes no rows that another version made"
    ):
        adopted(spec, tmp_path / "store", "reuse=same_fingerprint")
    with pytest.raises(StoreError, match="nothing to adopt"):
        adopted(spec, tmp_path / "store", older=tmp_path)


def test_the_command_says_what_was_adopted_and_what_was_not(tmp_path: Path):
    spec = write_study(tmp_path)
    result = CliRunner().invoke(
        app, ["adopt", str(spec), "--from", str(OLDER_STORE), "--store", str(tmp_path / "store")]
    )
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[:2] == [
        "Adopted: 9 answers, 7 verdicts.",
        f"  1 not adopted: answers {NO_TEXT}",
    ]
    assert (
        json.loads(next((tmp_path / "store" / "steps").glob("generate-*.tmp/step.json")).read_text("utf-8"))[
            "kind"
        ]
        == "generate"
    )
