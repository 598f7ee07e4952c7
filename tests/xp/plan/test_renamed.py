"""A renamed method or judge makes nothing again that is there, and the plan says so and why.

The study has what names a method: a comparison, a policy, demonstrations' data, noise, contrasts, an
ensemble. Its judge is served by a real HTTP server, which counts what it is asked.
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dsl.data.records import Outcome, read_record
from runners.store.store import Store
from tests.fixtures.tiny_study import TINY
from tests.runners.engines.fake_server import Asked, Running, Said, chat, serving
from xp.apply import apply
from xp.plan.overview import Overview, overview_of
from xp.plan.rows import Rows, total
from xp.render.plan import plan_as_text
from xp.studies import diff_for

pytestmark = pytest.mark.slow

N_ITEMS = 4
PROMPT = {"file": str(TINY / "prompts_{language}.yaml")}
TRAINED = {"adapter": {"r": 2, "lora_alpha": 4}, "training": {"max_steps": 1, "max_length": 64}}


def writes(asked: Asked) -> Said:
    return chat(json.dumps({"reason": "so it is", "better": "A"}))


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with serving(writes) as running:
        yield running


def study(server: Running) -> dict[str, Any]:
    weights = {"path": str(TINY)}
    served = {"engine": "openai", "name": "judge", "base_url": server.url, "max_retries": 0}

    def data(name: str, *columns: str) -> dict[str, Any]:
        return {
            "rows": {"path": str(TINY / f"{name}_{{language}}.jsonl")},
            "columns": {column: column for column in ("item", "instruction", *columns)},
            "limit": N_ITEMS,
        }

    return {
        "experiment": "named",
        "languages": ["en"],
        "seeds": [0],
        "models": {"tiny": {"base": weights, "instruct": weights}},
        "data": {
            "questions": data("questions", "answers"),
            "instructions": data("instructions", "response"),
            "preferences": data("preferences", "chosen", "rejected"),
        },
        "evaluate": ["questions"],
        "methods": {
            "zero": {"method": "icl", "num_fewshot": 0, "prompt": PROMPT},
            "shown": {
                "method": "icl",
                "num_fewshot": 1,
                "prompt": PROMPT,
                "demonstrations": {"from": "instructions"},
            },
            "tuned": {"method": "sft", "train": "instructions", "prompt": PROMPT, **TRAINED},
            "aligned": {
                "method": "dpo",
                "policy": "tuned",
                "pairs": "preferences",
                "prompt": PROMPT,
                **TRAINED,
            },
            "instruct": {"method": "instruct", "noise": True},
        },
        "decoding": {"max_new_tokens": 4},
        "judges": {
            "correct": {"judge": "contains"},
            "empty": {"judge": "empty"},
            "duel": {"judge": "pairwise", "against": "instruct", "model": served},
            "several": {"judge": "pairwise", "against": ["instruct", "zero"], "model": served, "limit": 3},
            "all_of_them": {"judge": "pairwise", "against": "all", "model": served, "limit": 2},
            "both": {"judge": "ensemble", "of": ["correct", "empty"]},
        },
        "contrasts": {"gain": {"of": "shown", "against": "zero"}},
    }


def write(folder: Path, spec: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "named.yaml"
    path.write_text(json.dumps(spec, indent=1), "utf-8")
    return path


def renamed(spec: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    """The spec with a name replaced wherever it stands, but as a kind of method or model."""
    text = json.dumps(spec)
    text = re.sub(rf'(?<!"method": )(?<!"judge": )"{old}"', f'"{new}"', text)
    found = json.loads(text)
    found["models"] = spec["models"]
    return found


@pytest.fixture(scope="module")
def applied(server: Running, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("named")
    spec, store = write(folder, study(server)), folder / ".xp"
    assert not apply(diff_for(spec, None, None, store), store).failures  # by workers: two train
    return folder


def seen(spec: Path) -> Overview:
    store = spec.parent / ".xp"
    return overview_of(diff_for(spec, None, None, store), store)


def made_by_apply(overview: Overview, store: Path) -> int:
    """Verdicts that an apply makes."""
    assert not apply(overview.diff, store, in_process=True).failures
    outcomes = [
        read_record(Store(store).step_folder(step_id) / "outcome.json", Outcome)
        for step_id in overview.diff.todo
    ]
    return sum((one.n_rows or 0) - one.n_reused for one in outcomes)


def check(overview: Overview, store: Path) -> Rows:
    """The verdicts that a plan announces are those that its apply makes."""
    assert {overview.diff.plan.steps[step_id].kind for step_id in overview.diff.todo} <= {"judge"}
    verdicts = total(line.verdicts for line in overview.lines)
    made = made_by_apply(overview, store)
    assert verdicts.n_made is not None
    assert made <= verdicts.n_made if verdicts.is_most else made == verdicts.n_made
    return verdicts


@pytest.mark.parametrize(
    ("old", "new", "is_turned"),
    [
        ("instruct", "chat", False),
        ("instruct", "yielding", True),  # compared with others in another direction: these are made
        ("zero", "zzz", False),
        ("zero", "a_first", True),
        ("shown", "showing", False),
        ("tuned", "trained", False),
        ("aligned", "aligned_so", False),
    ],
)
def test_a_renamed_method_makes_no_verdict_again_that_is_there(
    old: str, new: str, is_turned: bool, server: Running, applied: Path, tmp_path: Path
) -> None:
    shutil.copytree(applied, tmp_path / "study")
    spec = write(tmp_path / "study", renamed(study(server), old, new))
    overview = seen(spec)
    text = plan_as_text(overview)
    n_before = len(server.asked)
    verdicts = check(overview, spec.parent / ".xp")
    if not is_turned:
        assert (verdicts.n_made, verdicts.is_most) == (0, False)
        assert len(server.asked) == n_before
    assert "None" not in text
    assert "not set" not in text
    for change in overview.causes:
        assert re.fullmatch(r"judges\.(duel|several|all_of_them)\.against(\[\d\])?", change.what), change
    assert not seen(spec).diff.todo


def test_a_renamed_opponent_is_named_with_its_place_and_nothing_else_is(
    server: Running, applied: Path, tmp_path: Path
) -> None:
    shutil.copytree(applied, tmp_path / "study")
    spec = renamed(study(server), "instruct", "chat")
    overview = seen(write(tmp_path / "study", spec))
    said = {change.what: (change.old, change.new) for change in overview.causes}
    assert said["judges.duel.against"] == ('`"instruct"`', '`"chat"`')
    assert said["judges.several.against[0]"] == ('`"instruct"`', '`"chat"`')
    assert said["judges.all_of_them.against"] == ("instruct", "chat")
    assert all(change.place for change in overview.causes)
    assert len(said) == 3


def test_a_renamed_member_is_one_change_and_other_members_are_none(
    server: Running, applied: Path, tmp_path: Path
) -> None:
    shutil.copytree(applied, tmp_path / "study")
    path = write(tmp_path / "study", renamed(study(server), "correct", "right"))
    overview = seen(path)
    (change,) = overview.causes
    assert (change.what, change.old, change.new) == ("judges.both.of[0]", '`"correct"`', '`"right"`')
    n = sum(line.verdicts.n_made or 0 for line in overview.lines)
    assert check(overview, path.parent / ".xp").is_most, "verdicts of the ensemble alone, which name members"
    assert n == 6 * N_ITEMS


def test_an_ensemble_whose_members_say_the_same_is_reused(
    server: Running, applied: Path, tmp_path: Path
) -> None:
    shutil.copytree(applied, tmp_path / "study")
    spec = study(server)
    spec["judges"]["long"] = {"judge": "length"}
    path = write(tmp_path / "study", spec)
    overview = seen(path)
    verdicts = check(overview, path.parent / ".xp")
    assert verdicts.n_made == 6 * N_ITEMS, "the added judge's"


def test_a_method_that_learns_now_is_said_without_a_setting_that_there_is_not(
    server: Running, applied: Path, tmp_path: Path
) -> None:
    shutil.copytree(applied, tmp_path / "study")
    spec = study(server)
    spec["methods"]["shown"] = {**spec["methods"]["tuned"], "training": {"max_steps": 2, "max_length": 64}}
    overview = seen(write(tmp_path / "study", spec))
    said = {(change.what, change.old, change.new) for change in overview.causes}
    assert ("methods.shown", "without", "with sft") in said
    assert not [change for change in overview.causes if "None" in str(change) or "generate-" in str(change)]
