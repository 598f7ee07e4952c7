"""Conversations in a spec: what validate says of their rows."""

import json
from pathlib import Path
from typing import Any

import pytest

from dsl.checks.load import load
from dsl.errors import SpecError


def spec(folder: Path, rows: list[dict[str, Any]], columns: dict[str, Any], **changes: Any) -> Path:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    study = {
        "experiment": "talks",
        "languages": ["en"],
        "models": {"m": {"base": {"engine": "echo"}, "instruct": {"engine": "echo"}}},
        "data": {
            "d": {
                "rows": {"path": "rows.jsonl"},
                "columns": {"item": {"row_number": True}, **columns},
                "allow_overlap": True,
            }
        },
        "evaluate": ["d"],
        "methods": {"instruct": {"method": "instruct"}},
        "judges": {"empty": {"judge": "empty"}},
        **changes,
    }
    (folder / "s.yaml").write_text(json.dumps(study), "utf-8")
    return folder / "s.yaml"


def warnings(path: Path) -> list[str]:
    return [problem.message for problem in load(path).warnings]


def refused(path: Path) -> str:
    with pytest.raises(SpecError) as caught:
        load(path)
    (problem,) = caught.value.problems
    return str(problem).replace(f"{path.parent}/", "")


def messages(*texts: str | None) -> list[dict[str, str | None]]:
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]


def test_rows_that_are_left_out_or_lack_an_answer_are_warned_of_with_their_number_and_items(
    tmp_path: Path,
) -> None:
    rows = [
        {"m": messages("a", "b")},
        {"m": messages("c", None)},
        {"m": messages(None, "d")},
        {"m": messages("e", None)},
    ]
    assert warnings(spec(tmp_path, rows, {"messages": "m"})) == [
        "in `en` rows without a text in `response`, of which nothing is learnt: 2 of 3 (2, 4)",
        "in `en`: 1 row left out, as a turn before the last answer has no text (3)",
    ]


def test_pairs_of_different_conversations_are_warned_of(tmp_path: Path) -> None:
    rows = [
        {"w": messages("a", "b"), "l": messages("a", "c")},
        {"w": messages("a", "b"), "l": messages("x", "c")},
    ]
    assert warnings(spec(tmp_path, rows, {"chosen": "w", "rejected": "l"})) == [
        "in `en`: 1 row left out, as the conversations of `chosen` and `rejected` differ before the last"
        " answer (2)"
    ]


def test_a_second_question_alone_is_warned_of_and_the_two_in_turn_are_not(tmp_path: Path) -> None:
    rows = [{"t": ["Name a town.", "Why?"]}]
    (warning,) = warnings(spec(tmp_path, rows, {"instruction": "t.1"}))
    assert "`turns` asks them in turn" in warning
    assert warnings(spec(tmp_path, rows, {"turns": ["t.0", "t.1"]})) == []


def test_a_path_that_takes_the_wrong_turn_is_refused_at_its_row(tmp_path: Path) -> None:
    rows = [{"m": [{"role": "system", "content": "s"}, *messages("a", "b")]}]
    assert refused(spec(tmp_path, rows, {"instruction": "m.0.content", "response": "m.1.content"})).endswith(
        "data.d.rows: rows.jsonl: row 1: `m.0.content` is what the system says, and no `instruction`. Name"
        " the conversation: `messages: m`"
    )


def test_sft_learns_from_messages_and_dpo_from_whole_conversations(tmp_path: Path) -> None:
    rows = [{"m": messages("a", "b"), "w": messages("a", "b"), "l": messages("a", "c")}]
    weights = {"m": {"base": {"path": str(Path(__file__).resolve().parents[2] / "fixtures" / "tiny")}}}
    learnt = {"sft": {"method": "sft", "train": "d"}}
    preferred = {"dpo": {"method": "dpo", "pairs": "d"}}
    for columns, methods in (({"messages": "m"}, learnt), ({"chosen": "w", "rejected": "l"}, preferred)):
        path = spec(tmp_path, rows, columns, models=weights, methods=methods)
        assert load(path).experiment.methods.keys() == methods.keys()
    assert "needs the column `response`" in refused(
        spec(tmp_path, rows, {"chosen": "w"}, models=weights, methods=learnt)
    )


def test_unpaired_preferences_are_refused_and_the_refusal_says_what_can_learn_from_them(
    tmp_path: Path,
) -> None:
    rows = [{"prompt": "Say hi.", "completion": "Hi.", "label": True}]
    methods = {"kto": {"method": "kto", "train": "d"}}
    columns = {"instruction": "prompt", "response": "completion"}
    with pytest.raises(SpecError) as caught:
        load(spec(tmp_path, rows, columns, methods=methods))
    assert "a kto method has no such setting. It takes `pairs`, of `chosen` and" in str(caught.value)
    assert "`sft` can learn those whose label is true" in str(caught.value)


URIAL = {"icl": {"method": "icl", "num_fewshot": 0}}


@pytest.mark.parametrize(
    ("roles", "before"),
    [
        (["user", "user"], "user"),
        (["assistant", "user"], "assistant"),
        (["user", "assistant", "assistant", "user"], "user, assistant, assistant"),
    ],
)
def test_conversations_that_do_not_ask_and_answer_in_turn_are_told_with_a_count(
    roles: list[str], before: str, tmp_path: Path
) -> None:
    odd = [{"role": role, "content": f"text {n}"} for n, role in enumerate(roles)]
    rows = [{"m": odd}, {"m": messages("a", "b", "c")}]
    why = (
        "in `en` 1 of 2 rows of `d` do not ask and answer in turn: 1. Before the last question of 1 the turns"
        f" are {before}."
    )
    (found,) = warnings(spec(tmp_path, rows, {"messages": "m"}))
    assert found == f"{why} Many chat templates refuse such"
    assert f"methods.icl: {why} A text prompt" in refused(
        spec(tmp_path, rows, {"messages": "m"}, methods=URIAL)
    )
    fenced = {"sft": {"method": "sft", "train": "d", "prompt": "fenced"}}
    rows = [{"m": [*odd, {"role": "assistant", "content": "b"}]}]
    hub = {"m": {"base": {"hub": "a/b", "revision": "1"}}}
    path = spec(tmp_path, rows, {"messages": "m"}, methods=fenced, models=hub)
    assert "methods.sft: in `en` 1 of 1 rows of `d` do not ask and answer in turn" in refused(path)
