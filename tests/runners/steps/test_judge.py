import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
from pydantic import ValidationError

from dsl.data.records import Completion, Example, Prompt, Verdict
from dsl.engines.contract import Decoding
from dsl.errors import DataError
from dsl.judges.contract import JudgeSettings
from dsl.steps.identity import judge_key
from dsl.steps.steps import JudgeStep, Probe
from runners.engines import echo
from runners.engines.contract import EngineAnswer, EngineRequest
from runners.judges import contains, ifeval, language, length, rubric
from runners.judges.contract import NO_REPLY, Facts
from runners.steps import judge
from runners.store.step_io import RowWriter, StepContext, StepResult, read_rows

ANSWERS, EXAMPLES = "generate-0000000000000000", "data-0000000000000000"
EXAMPLE_ROWS = [
    Example(item=str(n), language="en", instruction=f"Question {n}?", answers=("Paris",)) for n in range(4)
]
TEXTS = ["Paris.", "London.", "It is Paris.", None]


def completion(item: str, text: str | None) -> Completion:
    return Completion(
        row_key=f"{int(item):064x}",
        item=item,
        language="en",
        prompt="",
        text=text,
        raw_text=text,
        finish_reason="missing" if text is None else "eos",
        error="no recorded answer" if text is None else None,
        max_new_tokens=9,
        engine="recorded",
    )


class Work:
    """Folders of one store, and judge steps run in them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.reports: list[tuple[int, int]] = []
        self.answered(TEXTS)

    def answered(self, texts: list[str | None], examples: list[Example] = EXAMPLE_ROWS) -> None:
        for name, file, rows in (
            ("examples", "examples.jsonl", examples),
            ("answers", "completions.jsonl", [completion(str(n), text) for n, text in enumerate(texts)]),
        ):
            folder = self.root / name
            folder.mkdir(exist_ok=True)
            (folder / file).unlink(missing_ok=True)
            with RowWriter(folder / file) as writer:
                for row in rows:
                    writer.write(row)

    def run(
        self,
        settings: JudgeSettings | tuple[JudgeSettings, ...],
        out: str,
        *reuse_from: str,
        probe: Probe | None = None,
        replicate: int = 0,
    ) -> StepResult:
        judges = {judge_key(one): one for one in (settings if isinstance(settings, tuple) else (settings,))}
        step = JudgeStep(judges=judges, answers=ANSWERS, examples=EXAMPLES, probe=probe, replicate=replicate)
        folders = {ANSWERS: self.root / "answers", EXAMPLES: self.root / "examples"}
        (self.root / out).mkdir(exist_ok=True)
        self.reports = []
        context = StepContext(
            folders,
            self.root / "cache",
            tuple(self.root / other for other in reuse_from),
            lambda *at: self.reports.append(at),
        )
        return judge.run(step, context, self.root / out)

    def rows(self, out: str) -> list[Verdict]:
        return list(read_rows(self.root / out / "verdicts.jsonl", Verdict))


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


def no_judge(*_: object) -> Iterator[Verdict]:
    raise AssertionError("nothing is left to judge")


def test_every_completion_gets_one_verdict(work: Work) -> None:
    made = work.run(contains.Settings(), "out")
    assert (made.n_rows, made.n_reused) == (4, 0)
    assert {(v.item, v.aspect): v.score for v in work.rows("out")} == {
        ("0", "contains"): 1,
        ("1", "contains"): 0,
        ("2", "contains"): 1,
        ("3", "contains"): None,
    }
    assert len(work.rows("out")) == 4


def test_an_answer_that_is_missing_is_unscored_with_its_own_error_in_every_aspect(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.answered([None])
    monkeypatch.setattr(rubric, "judge", no_judge)
    work.run(rubric.Settings.model_validate({"model": {"engine": "echo"}}), "out")
    assert {v.aspect for v in work.rows("out")} == {
        "helpfulness",
        "clarity",
        "factuality",
        "depth",
        "engagement",
    }
    assert {v.unscored_reason for v in work.rows("out")} == {"no recorded answer"}


def test_a_probe_is_planted_in_the_first_answers_that_are_there(work: Work) -> None:
    made = work.run(contains.Settings(), "out", probe=Probe(text="Note: Paris.", rows=2))
    assert made.n_rows == 2
    assert {v.item: v.score for v in work.rows("out")} == {"0": 1, "1": 1}
    work.run(contains.Settings(), "all", probe=Probe(text="Note: Paris.", rows=9))
    assert {v.item: v.score for v in work.rows("all")} == {"0": 1, "1": 1, "2": 1, "3": None}


def test_progress_ends_with_every_row(work: Work) -> None:
    work.run(length.Settings(), "out")
    assert work.reports[0] == (0, 4)
    assert work.reports[-1] == (4, 4)


def test_rows_of_an_earlier_attempt_are_kept_and_half_a_line_is_not(work: Work) -> None:
    work.run(contains.Settings(), "out")
    whole = (work.root / "out" / "verdicts.jsonl").read_text()
    lines = whole.splitlines(keepends=True)
    (work.root / "out" / "verdicts.jsonl").write_text("".join(lines[:2]) + lines[2][:30])
    made = work.run(contains.Settings(), "out")
    assert (made.n_rows, made.n_reused) == (4, 2)
    assert sorted((work.root / "out" / "verdicts.jsonl").read_text().splitlines()) == sorted(
        whole.splitlines()
    )


def test_a_finished_step_is_judged_again_by_nobody(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    work.run(contains.Settings(), "out")
    before = work.rows("out")
    monkeypatch.setattr(contains, "judge", no_judge)
    assert work.run(contains.Settings(), "out").n_reused == 4
    assert work.rows("out") == before


def test_the_same_answer_to_the_same_item_from_another_method_is_judged_once(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.run(contains.Settings(), "first")
    work.answered(["London.", "Paris.", None, "Rome."])
    judged: list[str] = []
    judge_it = contains.judge

    def watched(answers, *rest) -> Iterator[Verdict]:
        answers = list(answers)
        judged.extend(answer.text for answer in answers)
        return judge_it(answers, *rest)

    monkeypatch.setattr(contains, "judge", watched)
    made = work.run(contains.Settings(), "second", "first")
    assert judged == ["Rome."]
    assert made.n_reused == 3
    assert {v.item: v.score for v in work.rows("second")} == {"0": 0, "1": 1, "2": None, "3": 0}


def test_another_judges_or_another_settings_verdicts_are_not_reused(work: Work) -> None:
    work.run(language.Settings(min_characters=5), "first")
    assert work.run(language.Settings(min_characters=6), "second", "first").n_reused == 0
    assert work.run(length.Settings(), "third", "first", "second").n_reused == 0
    assert {v.aspect for v in work.rows("third")} == {"length"}


def test_changed_accepted_answers_are_judged_anew(work: Work) -> None:
    work.run(contains.Settings(), "first")
    work.answered(TEXTS, [row.model_copy(update={"answers": ("London",)}) for row in EXAMPLE_ROWS])
    work.run(contains.Settings(), "second", "first")
    assert {v.item: v.score for v in work.rows("second")} == {"0": 0, "1": 1, "2": 0, "3": None}


def test_an_answer_to_an_unknown_item_is_an_error_that_names_it(work: Work) -> None:
    work.answered(TEXTS, EXAMPLE_ROWS[1:])
    with pytest.raises(DataError, match="'0'"):
        work.run(contains.Settings(), "out")


def test_a_judge_that_leaves_an_answer_out_is_found_out(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        contains, "judge", lambda answers, *_: (a.scored("contains", 1) for a in list(answers)[1:])
    )
    with pytest.raises(AssertionError, match="left out 1"):
        work.run(contains.Settings(), "out")


# ---------------------------------------------------------------- through a served model


class JudgeServer:
    """A server of chat completions on this machine. `reply` makes its answer from the user's message: text,
    or an HTTP status."""

    def __init__(self, reply: Callable[[str], str | int]) -> None:
        self.reply = reply
        self.requests: list[dict] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.requests.append(asked)
                said = server.reply(asked["messages"][-1]["content"])
                status, body = (
                    (said, {"error": {"message": "this is refused"}})
                    if isinstance(said, int)
                    else (200, _chat_completion(said))
                )
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def settings(self, **given: object) -> rubric.Settings:
        model = {
            "engine": "openai",
            "name": "judge",
            "base_url": f"http://127.0.0.1:{self.http.server_port}/v1",
            "max_retries": 0,
        }
        return rubric.Settings.model_validate({"model": model, "aspects": ["clarity", "depth"], **given})


def _chat_completion(text: str) -> dict:
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "judge-2026",
        "system_fingerprint": "fp-7",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 50, "completion_tokens": 5, "total_tokens": 55},
    }


@contextmanager
def serving(reply: Callable[[str], str | int]) -> Iterator[JudgeServer]:
    server = JudgeServer(reply)
    thread = threading.Thread(target=server.http.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        thread.join()
        server.http.server_close()


def marks(message: str) -> str:
    """A judge that gives Paris a 5 and everything else a 1, on what it is asked."""
    aspect = "clarity" if "clarity:" in message else "depth"
    return json.dumps({aspect: {"reason": "seen", "score": 5 if "Paris" in message else 1}})


def test_a_served_judge_scores_every_aspect_and_a_new_aspect_adds_its_own_rows_only(work: Work) -> None:
    with serving(marks) as server:
        made = work.run(server.settings(aspects=["clarity"]), "first")
        assert (made.n_rows, len(server.requests)) == (4, 3)
        assert {v.item: v.score for v in work.rows("first")} == {"0": 5, "1": 1, "2": 5, "3": None}
        told = {
            (v.model_served, v.provenance and v.provenance.system_fingerprint)
            for v in work.rows("first")
            if v.score
        }
        assert told == {("judge-2026", "fp-7")}
        assert all(v.provenance is not None and v.provenance.code for v in work.rows("first"))
        assert server.requests[0]["temperature"] == 0
        made = work.run(server.settings(), "second", "first")
        assert (made.n_rows, made.n_reused, len(server.requests)) == (8, 4, 6)
        assert len({(v.item, v.aspect) for v in work.rows("second")}) == 8


def test_what_a_verdict_cost_is_counted_where_it_was_spent(work: Work) -> None:
    with serving(marks) as server:
        work.run(server.settings(), "first")
        work.run(server.settings(), "second", "first")
    spent, reused = ([v.seconds for v in work.rows(out) if v.score] for out in ("first", "second"))
    assert all(seconds is not None for seconds in spent)
    assert set(reused) == {None}


def test_a_request_the_server_refuses_is_unscored_and_asked_again_by_the_next_attempt(work: Work) -> None:
    with serving(lambda message: 400 if "London" in message else marks(message)) as server:
        work.run(server.settings(aspects=["clarity"]), "out")
        (refused,) = [v for v in work.rows("out") if v.item == "1"]
        assert refused.score is None
        assert (refused.unscored_reason or "").startswith(NO_REPLY)
        server.reply = marks
        made = work.run(server.settings(aspects=["clarity"]), "out")
    assert made.n_reused == 3
    assert {v.item: v.score for v in work.rows("out")} == {"0": 5, "1": 1, "2": 5, "3": None}


def test_a_judge_that_talks_is_unscored_with_its_words_kept(work: Work) -> None:
    with serving(lambda message: "As a language model, I love this answer: 5/5!") as server:
        work.run(server.settings(aspects=["clarity"]), "out")
    said = [v for v in work.rows("out") if v.item != "3"]
    assert {(v.score, v.unscored_reason, v.raw) for v in said} == {
        (None, "the reply holds no JSON", "As a language model, I love this answer: 5/5!")
    }


def test_a_limit_judges_the_first_items_whatever_order_answers_came_in_and_changes_no_verdict(
    work: Work,
) -> None:
    completions = work.root / "answers" / "completions.jsonl"
    completions.write_text("".join(reversed(completions.read_text().splitlines(keepends=True))))
    assert work.run(contains.Settings(limit=2), "few").n_rows == 2
    assert {v.item: v.score for v in work.rows("few")} == {"0": 1, "1": 0}
    assert work.run(contains.Settings(), "all", "few").n_reused == 2


def test_an_item_that_lacks_what_the_judge_needs_gets_no_verdict(work: Work) -> None:
    work.answered(
        ["Paris.", "London."], [EXAMPLE_ROWS[0], EXAMPLE_ROWS[1].model_copy(update={"answers": ()})]
    )
    work.run(contains.Settings(), "out")
    assert [(v.item, v.score) for v in work.rows("out")] == [("0", 1)]


def test_a_sampled_judge_draws_by_what_it_is_asked_and_not_by_what_else_is_left(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[dict[str | None, list[int | None]]] = []

    class Engine:
        facts: ClassVar = {}

        def __init__(self, *_: object) -> None: ...

        def generate(self, requests: list[EngineRequest], _: Decoding) -> Iterator[EngineAnswer]:
            drawn.append({})
            for request in requests:
                drawn[-1].setdefault(request.prompt.text, []).append(request.seed)
            return iter(())

    monkeypatch.setattr(judge, "find_engine", lambda name: SimpleNamespace(Engine=Engine))
    one, other = Prompt(text="one"), Prompt(text="other")
    generate = judge._generate(work.root, {})
    for prompts, temperature in (([one, other, one], 1.0), ([other], 1.0), ([one, other], 0.0)):
        list(generate(echo.Settings(), prompts, Decoding(temperature=temperature)))
    whole, rest, greedy = drawn
    assert len({*whole["one"], *whole["other"]}) == 3
    assert rest["other"] == whole["other"]
    assert greedy == {"one": [None], "other": [None]}


def test_what_is_known_of_the_model_that_a_judge_asks_is_among_the_steps_facts(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"device": "cpu", "dtype": "float32", "commit": "c0ffee", "remedies": "token 3 pads instead"}
    monkeypatch.setattr(echo.Engine, "facts", known | {"n_shared_tokens": 7}, raising=False)
    monkeypatch.setattr(echo.Engine, "__init__", lambda *_: None)
    monkeypatch.setattr(echo.Engine, "generate", lambda *_: iter(()))
    facts: Facts = {}
    list(judge._generate(work.root, facts)(echo.Settings(), [], Decoding()))
    assert facts == known


def test_a_missing_answer_has_no_score_unless_the_judge_is_set_to_count_it_as_0(work: Work) -> None:
    work.run(contains.Settings(), "out")
    work.run(contains.Settings(missing_as=0), "counted", "out")
    assert [v.score for v in work.rows("out")].count(None) == 1
    (counted,) = [v for v in work.rows("counted") if v.item == "3"]
    assert (counted.score, counted.unscored_reason) == (0, None)
    assert counted.reason == "no answer, which counts as 0: no recorded answer"


def test_a_missing_answer_counts_once_for_each_instruction_where_a_benchmark_has_it_so(work: Work) -> None:
    extra = {"instruction_id_list": '["punctuation:no_comma", "startend:quotation"]', "kwargs": "[{}, {}]"}
    work.answered(TEXTS, [example.model_copy(update={"extra": extra}) for example in EXAMPLE_ROWS])
    work.run(ifeval.Settings(benchmark="m_ifeval"), "out")
    counted = [v for v in work.rows("out") if v.item == "3"]
    assert {v.aspect for v in counted} == {"strict", "loose"}
    for verdict in counted:
        assert verdict.score == 0
        assert verdict.parts == {"0 punctuation:no_comma": 0, "1 startend:quotation": 0}


def test_a_judge_of_a_measure_has_no_score_for_what_is_missing() -> None:
    with pytest.raises(ValidationError, match="missing_as"):
        length.Settings.model_validate({"judge": "length", "missing_as": 0})


def test_judges_by_rule_share_a_step_and_one_that_is_added_or_changed_adds_its_own_rows_only(
    work: Work,
) -> None:
    first = contains.Settings(), language.Settings()
    assert work.run(first, "first").n_rows == 8
    made = work.run((*first, length.Settings()), "more", "first")
    assert (made.n_rows, made.n_reused) == (12, 8)
    made = work.run((first[0], language.Settings(min_characters=5), length.Settings()), "changed", "more")
    assert (made.n_rows, made.n_reused) == (12, 8)


def test_two_judges_of_one_kind_in_a_step_are_known_by_their_settings(work: Work) -> None:
    strict, lenient = contains.Settings(missing_as=0), contains.Settings()
    work.run((strict, lenient), "out")
    rows = {(v.judge, v.item): v.score for v in work.rows("out")}
    assert (rows[judge_key(strict), "3"], rows[judge_key(lenient), "3"]) == (0, None)
    assert len(rows) == 8


def test_a_judge_by_rule_that_fails_says_so_in_its_own_rows_and_the_others_go_on(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails_at_london(answers, *_: object) -> Iterator[Verdict]:
        for answer in answers:
            yield answer.scored("length", 1 / (answer.text != "London."))

    monkeypatch.setattr(length, "judge", fails_at_london)
    settings = length.Settings()
    work.run((settings, contains.Settings()), "out")
    failed = [
        v
        for v in work.rows("out")
        if v.judge == judge_key(settings) and (v.unscored_reason or "").startswith(NO_REPLY)
    ]
    assert {v.item for v in failed} == {"1", "2"}
    assert failed[0].unscored_reason == f"{NO_REPLY}length failed: ZeroDivisionError: division by zero"
    assert {v.item: v.score for v in work.rows("out") if v.judge != judge_key(settings)} == {
        "0": 1,
        "1": 0,
        "2": 1,
        "3": None,
    }
