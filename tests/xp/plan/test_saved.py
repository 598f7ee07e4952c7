"""A saved plan is applied as it is, or refused with what moved; programs read plans after a schema."""

import contextlib
import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner, Result

from runners.store import applies
from tests.xp.small_study import write_study
from xp.cli import app
from xp.plan.published import PublishedPlan, plan_schema


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return write_study(tmp_path / "study", languages=("en",), n_items=3)


def xp(spec: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--store", str(spec.parent / ".xp")])


def plan(spec: Path, *options: str) -> Result:
    return xp(spec, "plan", str(spec), *options)


def apply(spec: Path, what: Path | None = None, *options: str) -> Result:
    return xp(spec, "apply", str(what or spec), "--yes", "--no-report", "--in-process", *options)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def test_a_saved_plan_runs_its_own_steps_and_then_is_refused_since_they_are_done(spec: Path) -> None:
    saved = spec.parent / "p.json"
    assert plan(spec, "--out", str(saved), "--target", "generate", "--set", "seeds=[3]").exit_code == 0
    done = apply(spec, saved)
    assert (done.exit_code, "2 steps done" in done.stdout) == (0, True), done.output
    assert not [*(spec.parent / ".xp" / "steps").glob("judge-*")], "targets are the plan's"
    again = apply(spec, saved)
    assert again.exit_code == 2
    assert "the store: 2 steps finished since" in again.stderr


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("small.yaml", '"max_new_tokens": 16', '"max_new_tokens": 8', "decoding.max_new_tokens: `16` → `8`"),
        ("en.jsonl", "Wie viel", "Wieviel", "the file {folder}/en.jsonl"),
    ],
)
def test_a_saved_plan_is_refused_where_spec_or_data_moved_and_says_which(
    file: str, old: str, new: str, said: str, spec: Path
) -> None:
    saved = spec.parent / "p.json"
    plan(spec, "--out", str(saved))
    edit(spec.parent / file, old, new)
    refused = apply(spec, saved)
    assert refused.exit_code == 2
    assert said.format(folder=spec.parent) in refused.stderr
    assert not (spec.parent / ".xp").exists(), "nothing was run"


@pytest.mark.parametrize(
    ("moved", "said"),
    [
        ("small.yaml", "decoding.max_new_tokens: `16` → `8`"),
        ("en.jsonl", "the file {folder}/en.jsonl"),
        ("store", "the store: 3 steps finished since"),
    ],
)
def test_what_moves_after_a_saved_plan_was_read_is_seen_once_the_store_is_locked(
    moved: str, said: str, spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved, at_work, is_first = spec.parent / "p.json", applies.at_work, iter((True,))
    plan(spec, "--out", str(saved))

    @contextlib.contextmanager
    def moved_before(*study: Any) -> Generator[applies.AtWork]:
        if next(is_first, False):
            match moved:
                case "small.yaml":
                    edit(spec, '"max_new_tokens": 16', '"max_new_tokens": 8')
                case "en.jsonl":
                    edit(spec.parent / moved, "Wie viel", "Wieviel")
                case _:
                    assert apply(spec).exit_code == 0
        with at_work(*study) as applying:
            yield applying

    monkeypatch.setattr("xp.apply.at_work", moved_before)
    refused = apply(spec, saved)
    assert refused.exit_code == 2, refused.output
    assert said.format(folder=spec.parent) in refused.stderr
    if moved != "store":
        assert not (spec.parent / ".xp" / "steps").exists(), "nothing was run"


def test_a_saved_plan_is_applied_though_its_spec_was_formatted_anew(spec: Path) -> None:
    saved = spec.parent / "p.json"
    plan(spec, "--out", str(saved))
    spec.write_text("# a comment\n" + json.dumps(json.loads(spec.read_text("utf-8")), indent=2), "utf-8")
    assert apply(spec, saved).exit_code == 0


def test_a_saved_plan_is_refused_in_another_store_with_options_of_its_own_and_where_it_is_none(
    spec: Path, tmp_path: Path
) -> None:
    saved = spec.parent / "p.json"
    plan(spec, "--out", str(saved))
    elsewhere = CliRunner().invoke(app, ["apply", str(saved), "--yes", "--store", str(tmp_path / "other")])
    assert (elsewhere.exit_code, "the store: it was" in elsewhere.stderr) == (2, True)
    assert "with its own settings" in apply(spec, saved, "--set", "seeds=[1]").stderr
    saved.write_text('{"plan_version": 2}', "utf-8")
    none = apply(spec, saved)
    assert (none.exit_code, "holds no plan of this version" in none.stderr) == (2, True)


def test_a_saved_plan_is_applied_from_another_folder_and_with_another_spelling_of_its_store(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(spec.parent)
    saved = xp(Path("small.yaml"), "plan", "small.yaml", "--out", "p.json")
    assert saved.exit_code == 0, saved.output
    (tmp_path / "link").symlink_to(spec.parent)
    monkeypatch.chdir(tmp_path)
    done = xp(
        tmp_path / "link" / "small.yaml", "apply", "study/p.json", "--yes", "--no-report", "--in-process"
    )
    assert done.exit_code == 0, done.output
    study = json.loads((spec.parent / ".xp" / "experiments" / "small.json").read_text("utf-8"))
    assert study["spec_file"] == "study/small.yaml"


def test_a_plan_takes_the_place_of_an_older_one_and_of_nothing_else(spec: Path) -> None:
    before = spec.read_text("utf-8")
    refused = plan(spec, "--out", str(spec))
    assert (refused.exit_code, "holds no saved plan" in refused.stderr) == (2, True)
    assert spec.read_text("utf-8") == before
    for _ in range(2):
        assert plan(spec, "--out", str(spec.parent / "p.plan")).exit_code == 0
    assert not [*spec.parent.glob("*.tmp")]


def test_content_tells_a_saved_plan_from_a_spec_whatever_their_files_are_called(spec: Path) -> None:
    saved, as_json = spec.parent / "p.plan", spec.with_suffix(".json")
    plan(spec, "--out", str(saved), "--target", "data")
    assert "1 step done" in apply(spec, saved).stdout
    spec.rename(as_json)
    assert apply(spec, as_json).exit_code == 0


def test_a_saved_plan_writes_no_lock_of_itself(spec: Path) -> None:
    saved = spec.parent / "p.json"
    plan(spec, "--out", str(saved))
    refused = apply(spec, saved, "--update-lock")
    assert (refused.exit_code, "`xp lock SPEC` writes a lock" in refused.stderr) == (2, True)
    assert not [*spec.parent.glob("*.lock")]


def test_exit_codes_tell_nothing_to_do_from_something_to_do_and_from_an_invalid_spec(spec: Path) -> None:
    assert plan(spec, "--check").exit_code == 3
    assert plan(spec).exit_code == 0
    assert plan(spec, "--check", "--set", "decoding.max_new_tokens=0").exit_code == 2
    apply(spec)
    assert plan(spec, "--check").exit_code == 0


def test_a_plan_as_json_follows_the_published_schema_which_describes_every_field(spec: Path) -> None:
    schema = json.loads(xp_schema())
    assert schema == plan_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for _ in range(2):
        found = json.loads(plan(spec, "--json").stdout)
        jsonschema.validate(found, schema)
        assert PublishedPlan.model_validate(found).model_dump(mode="json") == found
        apply(spec)
    for name in ("PublishedLine", "PublishedStep", "PublishedChange"):
        fields = schema["$defs"][name]["properties"]
        assert {field for field, found in fields.items() if not found.keys() & {"description", "$ref"}} <= {
            *("model", "method", "kind", "done", "inputs", "todo", "step_id")
        }


def xp_schema() -> str:
    return CliRunner().invoke(app, ["schema", "--plan"]).stdout
