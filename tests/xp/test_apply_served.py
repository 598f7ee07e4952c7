"""A study whose model, or whose judge, is served by a real HTTP server that answers, or misbehaves, as a test
says."""

import html
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import duckdb
import pytest

from dsl.data.records import Completion
from runners.store.faults import MARKER, MOST
from runners.store.step_io import read_rows, rewrite_rows
from runners.store.store import Store
from tests.runners.engines.fake_server import SOON, Asked, Running, Said, chat, completion, serving
from xp import load
from xp.apply import apply
from xp.attempts import Applied
from xp.studies import diff_for
from xp.verify import verify

N_ITEMS = 6
BAD = "3 + 3"


def write_study(
    folder: Path,
    server: Running | str,
    *,
    judge: dict[str, Any] | None = None,
    model: dict[str, Any] | None = None,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"item": f"q{i}", "instruction": f"What is {i} + {i}?", "answers": [str(2 * i)]}
        for i in range(N_ITEMS)
    ]
    (folder / "en.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    study = {
        "experiment": "served",
        "question": "Does one bad prompt cost one row?",
        "languages": ["en"],
        "models": {"m": {"base": model or served(server), "parameters": 1_000_000}},
        "data": {
            "sums": {
                "rows": {"path": "{language}.jsonl"},
                "columns": {"item": "item", "instruction": "instruction", "answers": "answers"},
            }
        },
        "evaluate": ["sums"],
        "methods": {"zero_shot": {"method": "icl", "num_fewshot": 0}},
        "decoding": {"max_new_tokens": 16},
        "judges": {"correct": {"judge": "contains"}, **({} if judge is None else {"opinion": judge})},
    }
    spec = folder / "served.yaml"
    spec.write_text(json.dumps(study), "utf-8")
    return spec


def served(server: Running | str) -> dict[str, Any]:
    url = server if isinstance(server, str) else server.url
    return {
        "engine": "openai",
        "name": "tiny",
        "base_url": url,
        "max_retries": 1,
        "timeout": 2.0,
        "max_concurrency": 4,
    }


def run(spec: Path) -> Applied:
    return apply(diff_for(spec, None, None, spec.parent / "store"), spec.parent / "store", in_process=True)


def todo(spec: Path) -> list[str]:
    """The kinds of steps left to run, and why."""
    diff = diff_for(spec, None, None, spec.parent / "store")
    return [f"{diff.plan.steps[step_id].kind}: {diff.why(step_id)}" for step_id in diff.todo]


def rows(spec: Path, sql: str) -> list[Any]:
    with duckdb.connect(str(spec.parent / "store" / "warehouse.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


COMPLETIONS = "select item, finish_reason, text from completions order by item"


@dataclass
class Mood:
    """A server's behaviour, which may change."""

    answer: Callable[[Asked], Said]

    def __call__(self, asked: Asked) -> Said:
        return self.answer(asked)


def mostly(said: Said) -> Callable[[Asked], Said]:
    """A server that stumbles over one prompt."""
    return lambda asked: said if BAD in asked.prompt else completion("the answer is 6")


STUMBLES = {
    "502": Said("<html>Bad gateway</html>", 502, SOON),
    "cut off": Said('{"choices":', 200, {"content-length": "9999", "connection": "close"}),
    "error with 200": Said({"error": {"message": "overloaded"}}, 200, SOON),
}


@pytest.mark.parametrize("said", STUMBLES.values(), ids=STUMBLES)
def test_one_bad_prompt_costs_one_row_and_its_study_is_judged(said: Said, tmp_path: Path):
    with serving(mostly(said)) as server:
        spec = write_study(tmp_path, server)
        applied = run(spec)
    assert (applied.n_failed, applied.n_skipped) == (0, 0)
    found = rows(spec, COMPLETIONS)
    assert [(item, reason) for item, reason, _ in found] == [
        (f"q{i}", "error" if i == 3 else "eos") for i in range(N_ITEMS)
    ]
    assert rows(spec, "select count(score), count(*) from step_verdicts") == [(N_ITEMS - 1, N_ITEMS)]


def test_a_row_that_failed_for_a_passing_reason_is_asked_again_by_the_next_apply_and_alone(tmp_path: Path):
    mood = Mood(mostly(STUMBLES["error with 200"]))
    with serving(mood) as server:
        spec = write_study(tmp_path, server)
        run(spec)
        assert todo(spec) == [
            "generate: a server failed on some rows: asked again",
            f"judge: its input {_generate(spec)} is made again",
        ]
        n_before = len(server.asked)
        mood.answer = lambda _: completion("the answer is 6")
        run(spec)
        assert [BAD in asked.prompt for asked in server.asked[n_before:]] == [True]
    assert rows(spec, "select count(*) from step_completions where finish_reason = 'eos'") == [(N_ITEMS,)]
    assert rows(spec, "select count(score) from step_verdicts") == [(N_ITEMS,)]
    assert todo(spec) == []


def test_after_two_more_applies_a_row_is_final_with_its_reason(tmp_path: Path):
    with serving(mostly(STUMBLES["502"])) as server:
        spec = write_study(tmp_path, server)
        n_asked: list[int] = []
        for _ in range(MOST):
            assert todo(spec)
            assert run(spec).n_failed == 0
            n_asked.append(sum(BAD in asked.prompt for asked in server.asked))
        assert todo(spec) == []
        n_before = len(server.asked)
        assert run(spec).n_done == 0
    assert n_asked == [2, 4, 6]
    assert len(server.asked) == n_before
    ((reason,),) = rows(spec, "select error from step_completions where error is not null")
    assert (
        "the server failed on this prompt in 2 tries, and answers others (502): <html>Bad gateway</html>"
        in reason
    )


def test_a_step_with_rows_to_ask_again_is_verified_too(tmp_path: Path):
    with serving(mostly(STUMBLES["502"])) as server:
        spec = write_study(tmp_path, server)
        run(spec)
    (step_id,) = Store(spec.parent / "store").left_open()
    assert verify(spec.parent / "store").faults == ()
    file = spec.parent / "store" / "steps" / step_id / "completions.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"eos"', b'"stop"', 1))
    assert any(
        fault.startswith(f"{step_id}: completions.jsonl ") for fault in verify(spec.parent / "store").faults
    )


def test_a_kill_while_a_row_is_asked_again_forgets_none_of_its_faults(tmp_path: Path):
    with serving(mostly(STUMBLES["502"])) as server:
        spec = write_study(tmp_path, server)
        run(spec)
        before = rows(spec, COMPLETIONS)
    store = Store(spec.parent / "store")
    (step_id,) = store.left_open()
    store.reopen(step_id)
    folder = store.unfinished_folder(step_id)
    made = list(read_rows(folder / "completions.jsonl", Completion))
    rewrite_rows(folder / MARKER, [row for row in made if row.n_faults])  # as a killed attempt leaves them
    rewrite_rows(folder / "completions.jsonl", [row for row in made if not row.n_faults])
    for _ in range(MOST - 1):
        assert run(spec).n_failed == 0
        assert rows(spec, COMPLETIONS) == before
    assert todo(spec) == []


def test_a_server_that_is_gone_when_a_row_is_asked_again_leaves_the_step_as_it_was(tmp_path: Path):
    with serving(mostly(STUMBLES["502"])) as server:
        spec = write_study(tmp_path, server)
        run(spec)
        before = rows(spec, COMPLETIONS)
    for _ in range(MOST - 1):
        assert run(spec).n_failed == 0
        assert rows(spec, COMPLETIONS) == before
    assert todo(spec) == []


def test_a_key_that_is_gone_when_a_row_is_asked_again_leaves_the_step_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XP_TEST_KEY", "sk-some-key-of-mine")
    with serving(mostly(STUMBLES["502"])) as server:
        spec = write_study(tmp_path, server, model={**served(server), "api_key_env": "XP_TEST_KEY"})
        run(spec)
        monkeypatch.delenv("XP_TEST_KEY")
        assert run(spec).n_failed == 0


@pytest.mark.parametrize("n_bad", [3, 4])
def test_errors_in_more_than_half_of_the_rows_are_no_result_and_what_was_answered_is_kept(
    n_bad: int, tmp_path: Path
):
    def answer(asked: Asked) -> Said:
        is_bad = any(f"{i} + {i}" in asked.prompt for i in range(n_bad))
        return STUMBLES["error with 200"] if is_bad else completion("the answer is 6")

    mood = Mood(answer)
    with serving(mood) as server:
        spec = write_study(tmp_path, server)
        applied = run(spec)
        assert (applied.n_failed, applied.n_skipped) == ((1, 1) if n_bad > 3 else (0, 0))
        n_before = len(server.asked)
        mood.answer = lambda _: completion("the answer is 6")
        assert run(spec).n_failed == 0
        assert len(server.asked) - n_before == n_bad
    for failure in applied.failures:
        assert (
            f"tiny gave no answer to {n_bad} of 6 requests, too many for a result; the last: "
            in failure.error
        )
        assert "overloaded" in failure.error


def test_a_reply_without_text_is_a_missing_answer_and_never_a_wrong_one(tmp_path: Path):
    with serving(mostly(completion(None))) as server:
        spec = write_study(tmp_path, server)
        assert run(spec).n_failed == 0
    assert rows(spec, "select finish_reason, text, error from step_completions where item = 'q3'") == [
        ("missing", None, "the reply holds no text (stop)")
    ]
    assert rows(spec, "select score, unscored_reason from step_verdicts where item = 'q3'") == [
        (None, "the reply holds no text (stop)")
    ]
    assert todo(spec) == []


# ---------------------------------------------------------------- judges


OPINION = {"judge": "rubric", "rubric": "overall"}
GOOD = chat(json.dumps({"overall": {"reason": "fine", "score": "4"}}))


def judged(folder: Path, server: Running) -> Path:
    return write_study(folder, server, judge={**OPINION, "model": served(server)}, model={"engine": "echo"})


@pytest.mark.parametrize("said", [STUMBLES["502"], STUMBLES["error with 200"]])
def test_one_question_that_a_judge_fails_on_costs_its_verdict_and_is_asked_again(said: Said, tmp_path: Path):
    sql = "select item from step_verdicts where aspect = 'overall' and score is null"
    mood = Mood(lambda asked: said if BAD in asked.prompt else GOOD)
    with serving(mood) as server:
        spec = judged(tmp_path, server)
        assert run(spec).n_failed == 0
        assert todo(spec) == ["judge: a server failed on some rows: asked again"]
        assert rows(spec, sql) == [("q3",)]
        n_before = len(server.asked)
        mood.answer = lambda _: GOOD
        run(spec)
        assert len(server.asked) == n_before + 1
    assert rows(spec, sql) == []
    assert todo(spec) == []


def test_a_question_that_a_judge_fails_on_is_final_after_two_more_applies_also_while_it_is_gone(
    tmp_path: Path,
):
    with serving(lambda asked: STUMBLES["502"] if BAD in asked.prompt else GOOD) as server:
        spec = judged(tmp_path, server)
        assert run(spec).n_failed == 0
        assert run(spec).n_failed == 0
    assert todo(spec) != []
    assert run(spec).n_failed == 0
    assert todo(spec) == []
    ((reason,),) = rows(spec, "select unscored_reason from step_verdicts where score is null")
    assert reason.startswith("the judge did not reply: the server failed on this prompt in 2 tries")


DECIDED = Said({"answers": {"asked": {"probabilities": {"0": 0.0, "1": 0.0, "2": 0.0, "3": 1.0, "4": 0.0}}}})


@pytest.mark.parametrize(("status", "is_transient"), [(400, False), (401, False), (502, True)])
@pytest.mark.parametrize(
    ("judge", "engine", "good"),
    [
        (OPINION, "openai", GOOD),
        ({**OPINION, "repeats": 2}, "openai", GOOD),
        ({**OPINION, "judge": "decision"}, "systemone", DECIDED),
    ],
    ids=["rubric", "rubric asked twice", "decision"],
)
def test_a_question_that_a_judge_refuses_is_final_and_one_that_it_fails_on_is_asked_again(
    judge: dict[str, Any], engine: str, good: Said, status: int, is_transient: bool, tmp_path: Path
):
    with serving(
        lambda asked: Said({"error": {"message": "no"}}, status, SOON) if BAD in asked.prompt else good
    ) as server:
        spec = write_study(
            tmp_path,
            server,
            judge={**judge, "model": {**served(server), "engine": engine}},
            model={"engine": "echo"},
        )
        assert run(spec).n_failed == 0
        assert todo(spec) == (["judge: a server failed on some rows: asked again"] if is_transient else [])
    ((item, reason),) = rows(spec, "select item, unscored_reason from step_verdicts where score is null")
    assert item == "q3"
    assert f"({status}): no" in reason


def test_a_judge_that_fails_on_most_questions_gives_no_result(tmp_path: Path):
    with serving(
        lambda asked: GOOD if BAD in asked.prompt or "Hello" in asked.prompt else STUMBLES["502"]
    ) as server:
        spec = judged(tmp_path, server)
        applied = run(spec)
    assert applied.n_failed == 1
    assert "tiny gave no answer to 5 of 6 requests" in applied.failures[0].error


def _generate(spec: Path) -> str:
    return next(
        s for s in diff_for(spec, None, None, spec.parent / "store").plan.steps if s.startswith("generate-")
    )


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (
            ["tiny", "org/tiny"],
            "Several models answered: `tiny` was answered by `org/tiny`, `tiny` within one step.",
        ),
        (
            ["some-other-model"],
            "Another model answered than was asked: `tiny` was asked for, and `some-other-model` answered",
        ),
        (["tiny:latest"], ""),
    ],
)
def test_a_server_that_names_another_model_is_told_of_by_apply_and_report(
    names: list[str], says: str, tmp_path: Path
) -> None:
    def answer(asked: Asked) -> Said:
        body = cast("dict[str, Any]", completion("six").body)
        return Said({**body, "model": names[int(BAD in asked.prompt) % len(names)]})

    with serving(answer) as server:
        spec = write_study(tmp_path, server)
        applied = load(spec, store=tmp_path / "store").apply(in_process=True)
    told = [note for note in applied.notes if "answered" in note]
    assert len(told) == bool(says)
    assert all(note.startswith(says) for note in told)
    assert applied.report is not None
    page = html.unescape(re.sub("<[^>]+>", "", applied.report.read_text("utf-8"))).replace("`", "")
    assert (says.replace("`", "") in page) if says else ("answered than was asked" not in page)
