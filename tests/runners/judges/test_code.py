import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl.judges.code import Settings
from tests.runners.judges.answers import HOSTILE, answer, verdict

PYTHON = "import math\n\ndef area(r):\n    return math.pi * r ** 2\n\nprint(area(2))"
HTML = "<html>\n<body>\n<div class='a'>Hi</div>\n</body>\n</html>"
C = '#include <stdio.h>\nint main() {\n  printf("hi");\n  return 0;\n}'
SQL = "SELECT name FROM users WHERE id = 1;"
JAVASCRIPT = "const x = 5;\nfunction f(a) {\n  console.log(a);\n}"
SHELL = "You can look it up:\n\n$ curl https://example.org/sky\n$ cat sky.txt\n$ echo done"
CLASS = "class Heart {\n  constructor() { this.rate = 60; }\n  run() { this.rate += 60; }\n}"
PROSE = (
    "The sky is blue because air scatters blue light more than red light.\nIn the evening the way is longer,"
    " so red is left."
)


@pytest.mark.parametrize(
    "code",
    [
        PYTHON,
        HTML,
        C,
        SQL,
        JAVASCRIPT,
        f"Here:\n```python\n{PYTHON}\n```",
        f"{PROSE}\n{PYTHON}",
        "```js\nlet a\n```",
        SHELL,
        CLASS,
    ],
)
def test_code_that_nobody_asked_for_is_found(code: str) -> None:
    found = verdict(Settings(), answer(code, instruction="Pourquoi le ciel est-il bleu ?", language="fr"))
    assert found.score == 0
    assert found.reason


def test_code_is_unscored_where_it_is_not_known_how_one_asks_for_it() -> None:
    asked = "Erkläre mit einem Programm, wie man Flächen berechnet."
    found = verdict(Settings(), answer(PYTHON, instruction=asked, language="de"))
    assert found.score is None
    assert "how one asks for code in de is not known" in (found.unscored_reason or "")
    assert verdict(Settings(), answer(PROSE, instruction=asked, language="de")).score == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        PROSE,
        f"{PROSE}\n```",
        f"```\n{PROSE}\n```",
        "```markdown\n# Title\n```",
        "Let x = 5; then x + 3 = 8.\nSo y = 2x = 10.\nTherefore x + y = 15.\nd = sqrt(36 + 64) = 10",
        "Here is what to buy:\n- apples;\n- pears (green);\n- bread.",
        "Return to sender.\nImport duties apply.\nIf it rains, stay in:\nwhile you wait, read.",
        "You may call `print()` or `def f():` by name.",
        "It costs\n$ 5 here and\n$ 6 there, which is $ less (than {before}).",
        "1 < 2 and <3 you\n{thanks}",
        "Select a colour from the list, then update your set of brushes.",
    ],
)
def test_prose_formulas_and_lists_are_no_code(text: str) -> None:
    assert verdict(Settings(), answer(text, instruction="Why is the sky blue?")).score == 1


@pytest.mark.parametrize(
    "instruction",
    [
        "Write a function that adds two numbers.",
        "Écris un programme qui trie une liste.",
        "Escribe un script que ordene una lista.",
        "Implémentez l'algorithme de Dijkstra en Python.",
        "Reply in JSON.",
        "What is wrong here?\n```\nprint(1\n```",
        "What does this do?\nfor i in range(3):",
        "Corrige el código siguiente.",
        "How do I do this in C++?",
        "Fix this: print('hi'",
        "Why does refresh() fail?",
    ],
)
def test_where_code_was_asked_for_the_judge_does_not_judge(instruction: str) -> None:
    found = verdict(Settings(), answer(PYTHON, instruction=instruction))
    assert (found.score, found.unscored_reason) == (None, "code was asked for")


@pytest.mark.parametrize(
    "instruction",
    [
        "What is the function of the heart?",
        "Quel est le programme du festival ?",
        "Da consejos de viaje.",
        "Write a poem.",
    ],
)
def test_words_that_only_sound_like_code_ask_for_none(instruction: str) -> None:
    assert verdict(Settings(), answer(PYTHON, instruction=instruction)).score == 0


def test_items_of_a_coding_category_ask_for_code() -> None:
    assert verdict(Settings(), answer(PYTHON, category="Coding")).score is None
    assert verdict(Settings(coding_categories=()), answer(PYTHON, category="Coding")).score == 0


def test_the_thresholds_decide() -> None:
    one_line = f"{PROSE}\n{PROSE}\nimport math"
    assert verdict(Settings(), answer(one_line)).score == 1
    assert verdict(Settings(min_lines=1), answer(one_line)).score == 0


@settings(deadline=None)
@given(st.text(), st.text())
def test_any_text_gets_a_verdict(text: str, instruction: str) -> None:
    assert verdict(Settings(), answer(text, instruction=instruction)).score in (0, 1, None)


@pytest.mark.parametrize(
    "text",
    [*HOSTILE, "import " + "a," * 50_000, "if (" * 50_000, "x = (" * 50_000, "{\n" * 50_000, "`" * 100_001],
)
def test_hostile_text_is_judged_in_no_time(text: str) -> None:
    began = time.process_time()
    verdict(Settings(), answer(text, instruction=text))
    assert time.process_time() - began < 2
