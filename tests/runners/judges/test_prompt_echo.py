import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl.judges.prompt_echo import Settings
from tests.runners.judges.answers import HOSTILE, answer, verdict

PROMPTS = Path(__file__).resolve().parents[3] / "runners" / "prompting" / "prompt_texts"
QUESTION = "What are the advantages of living in a small village?"


@pytest.mark.parametrize("path", sorted(PROMPTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_tag_that_a_shipped_prompt_opens_a_query_with_is_known(path: Path) -> None:
    prompt = yaml.safe_load(path.read_text("utf-8"))
    for tag in (prompt["query_tag"], *prompt["stop_strings"]):
        found = verdict(
            Settings(),
            answer(f"Because of the rain.\n```\n\n{tag}\n```\nWhat next", QUESTION, prompt["language"]),
        )
        assert (found.score, (found.reason or "").startswith("goes on with")) == (0, True), tag


@pytest.mark.parametrize(
    "turn",
    [
        "### Instruction:\nName three rivers.",
        "User: And the rivers?",
        "**Usuario:** ¿Y los ríos?",
        "Question : Combien de fleuves ?",
        "Question\u00a0: Combien de fleuves\u202f?",
        "Q: How many rivers?",
        "## Question 2\nHow many rivers?",
        "Next question: how many rivers?",
        "Nächste Frage: Und die Flüsse?",
        "Utilizador: E os rios?",
        "**Utente:** E i fiumi?",
        "Usuari: I els rius?",
        "Hurrengo galdera: Eta ibaiak?",
        "次の質問：川は？",
        "<|im_start|>user\nrivers?",
        "[INST] rivers? [/INST]",
    ],
)
@pytest.mark.parametrize("language", ["en", "es", "de"])
def test_going_on_with_an_invented_query_is_an_echo_in_whatever_language(turn: str, language: str) -> None:
    assert verdict(Settings(), answer(f"It is quiet there.\n\n{turn}", QUESTION, language)).score == 0


@pytest.mark.parametrize(
    "text", [QUESTION, f"{QUESTION}\n{QUESTION}", "What are the advantages of living in a", QUESTION.upper()]
)
def test_the_question_again_is_an_echo(text: str) -> None:
    assert verdict(Settings(), answer(text, QUESTION)).reason == "gives the question back"


@pytest.mark.parametrize(
    "text",
    [
        "It is quiet there.",
        f"{QUESTION} Quiet.",
        f"Question: {QUESTION}\nAnswer: Quiet.",
        "The advantages of living in a small village are quiet and clean air.",
        "# Answer:\nIt is quiet there.",
        "## Instructions:\n\n1. Go there.",
        "# User guide\n\nGo there.",
        "What are they?",
        "",
    ],
)
def test_an_answer_is_none_even_below_its_own_question(text: str) -> None:
    assert verdict(Settings(), answer(text, QUESTION)).score == 1


@pytest.mark.parametrize(
    ("instruction", "text", "score"),
    [
        ("Write two quiz questions.", "Question: How deep is the sea?\nAnswer: Very.", None),
        ("Escribe un diálogo.", "Usuario: ¡Hola!\nAgente: ¡Hola!", None),
        ("Write two quiz questions.", "How deep is the sea? How old is the Moon?", 1),
        ("Write two quiz questions.", "How deep is the sea?\n\n# Query:\nWrite a poem.", 0),
        ("Schreibe zwei Fragen für ein Quiz.", "Frage: Wie tief ist das Meer?\nAntwort: Sehr.", None),
        ("クイズを二つ作ってください。", "質問: 海の深さは？\n回答: とても深い。", None),
        ("Idatzi elkarrizketa bat.", "Erabiltzailea: Kaixo!\nAgentea: Kaixo!", None),
        ("Korrigiere: der Katze sitzt auf dem Dach", "Der Katze sitzt auf dem Dach", 1),
        ("Repeat this: the cat sat on the mat.", "The cat sat on the mat.", 1),
        ("Corrige cette phrase : le chat sont sur le tapis", "Le chat sont sur le tapis", 1),
    ],
)
def test_what_was_asked_for_is_no_echo(instruction: str, text: str, score: float | None) -> None:
    assert verdict(Settings(), answer(text, instruction)).score == score


def test_a_language_whose_prompts_are_not_known_is_unscored_unless_something_is_found() -> None:
    found = verdict(Settings(), answer("Jest tam cicho.", "Dlaczego?", "pl"))
    assert (found.score, found.unscored_reason) == (
        None,
        "what prompts call the user's part in pl is not known",
    )


def test_how_much_may_be_added_to_the_question_is_a_setting() -> None:
    one = answer(f"So tell me now, {QUESTION}", QUESTION)
    assert verdict(Settings(), one).score == 1
    assert verdict(Settings(max_own_words=0.4), one).score == 0


@pytest.mark.parametrize("text", [*HOSTILE, "# " * 20_000, "Question:\n" * 5_000, "user " * 10_000])
def test_hostile_text_gets_a_verdict_soon(text: str) -> None:
    began = time.perf_counter()
    verdict(Settings(), answer(text, QUESTION * 3))
    assert time.perf_counter() - began < 5


@settings(deadline=None)
@given(st.text(), st.text())
def test_any_text_gets_a_verdict(text: str, instruction: str) -> None:
    found = verdict(Settings(), answer(text, instruction))
    assert (found.score is None) == (found.unscored_reason is not None)
