import pickle

import pytest

from dsl import errors
from dsl.errors import Problem, SpecError, XpError


def test_a_problem_reads_as_one_line_with_place_setting_and_message() -> None:
    problem = Problem(
        "specs/study.yaml", 14, 5, "methods.dpo_base.beeta", "no such setting here. Did you mean `beta`?"
    )
    assert (
        str(problem)
        == "specs/study.yaml:14:5: methods.dpo_base.beeta: no such setting here. Did you mean `beta`?"
    )


def test_a_problem_of_the_whole_file_names_no_line() -> None:
    assert str(Problem("study.yaml", 0, 0, "", "no such file.")) == "study.yaml: no such file."


def test_a_warning_says_that_it_is_one() -> None:
    assert str(Problem("a.yaml", 2, 3, "x", "moves.", "warning")) == "a.yaml:2:3: warning: x: moves."


def test_a_problem_stays_on_its_line_and_prints_whatever_it_quotes() -> None:
    problem = Problem("a.yaml", 1, 1, "x\ud800", "found\n  \x1b[31mred\u202e\ud800")
    assert str(problem) == "a.yaml:1:1: x\\ud800: found \\x1b[31mred\\u202e\\ud800"
    assert str(problem).encode("utf-8")


def test_a_credential_in_a_message_is_taken_out_wherever_it_came_from() -> None:
    problem = Problem("a.yaml", 1, 1, "x", "the server refused sk-proj-abcdefghijklmnop1234 as a key")
    assert problem.message == "the server refused «redacted» as a key"


def test_a_spec_error_is_one_line_a_problem_and_survives_another_process() -> None:
    error = SpecError(Problem("a.yaml", line, 1, "", "wrong.") for line in (1, 2))
    assert str(error) == "a.yaml:1:1: wrong.\na.yaml:2:1: wrong."
    assert pickle.loads(pickle.dumps(error)).problems == error.problems


@pytest.mark.parametrize(
    "name",
    ["SpecError", "DataError", "StepFailed", "StoreError", "StoreLocked", "ServerError", "WarehouseError"],
)
def test_every_error_of_ours_is_an_xp_error_and_drawn_in_the_tree(name: str) -> None:
    assert issubclass(getattr(errors, name), XpError)
    assert errors.__doc__ is not None
    assert f"── {name} " in errors.__doc__
