"""Runs brought together: names, languages, settings that differ, and files that stay as they are."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.checks.load import load
from dsl.errors import ArgumentError
from dsl.yaml.document import parse_yaml
from tests.xp.imports.imported import RESULTS, SAMPLES, imported, rows
from xp.imports.contract import Answer, Run, is_unicode
from xp.imports.studies import ImportedStudy, studies_of


def _run(
    *,
    task: str = "sums",
    model: str = "a",
    items: tuple[str, ...] = ("1",),
    instruction: str = "Q",
    answers: tuple[str, ...] = ("4",),
    settings: dict[str, object] | None = None,
) -> Run:
    found = tuple(Answer(item, instruction, "4", {"right": 1.0}, answers) for item in items)
    return Run(source=f"{model}.json", task=task, model=model, answers=found, settings=settings or {})


def _only(*runs: Run, languages: tuple[str, ...] = ("en",)) -> ImportedStudy:
    (study,) = studies_of(runs, "Tool", languages)
    return study


def _spec(study: ImportedStudy, folder: Path) -> Path:
    for path, text in study.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, "utf-8")
    return folder / f"{study.name}.yaml"


def test_two_runs_of_a_model_are_two_methods_and_their_settings_are_compared(tmp_path: Path) -> None:
    study = _only(_run(settings={"num_fewshot": 0}), _run(settings={"num_fewshot": 5}))
    experiment = load(_spec(study, tmp_path)).experiment
    assert list(experiment.methods) == ["recorded_1", "recorded_2"]
    assert "Runs differ in `num_fewshot`: 0, 5." in experiment.caveats


def test_settings_inside_of_a_mapping_are_compared_one_by_one_and_languages_are_no_difference(
    tmp_path: Path,
) -> None:
    def settings(language: str, most: int) -> dict[str, object]:
        return {"task_args": {"language": language, "shots": 3}, "generation_kwargs": {"max_gen_toks": most}}

    study = _only(
        _run(task="sums_en", settings=settings("en", 12)),
        _run(task="sums_fr", instruction="Combien ?", settings=settings("fr", 64)),
        languages=("sums_{language}",),
    )
    differ = [one for one in load(_spec(study, tmp_path)).experiment.caveats if "differ" in one]
    assert differ == ["Runs differ in `generation_kwargs.max_gen_toks`: 12, 64."]


def test_models_and_languages_that_no_run_is_of_are_excluded(tmp_path: Path) -> None:
    french = _run(task="sums_fr", model="a", instruction="Combien ?")
    runs = (_run(task="sums_en", model="a"), french, _run(task="sums_en", model="b"))
    experiment = load(_spec(_only(*runs, languages=("sums_{language}",)), tmp_path)).experiment
    asked = [
        (language, model)
        for language in experiment.languages
        for model in experiment.models
        if experiment.keeps(dataset="sums", language=language, model=model, method="recorded")
    ]
    assert asked == [("en", "a"), ("en", "b"), ("fr", "a")]


def test_prompts_that_differ_stand_beside_their_answers_and_are_counted(tmp_path: Path) -> None:
    study = _only(_run(model="a"), _run(model="b", instruction="Another Q"))
    assert study.left_out == (
        "1 × prompts that differ from the question shown: each stands beside its answer",
    )
    _spec(study, tmp_path)
    assert rows(tmp_path / "sums/recorded/en/b.jsonl")[0]["prompt"] == "Another Q"


def test_two_versions_of_a_task_are_refused() -> None:
    with pytest.raises(
        ArgumentError, match=r"item `1` of `sums` is another question in b\.json than in a\.json"
    ):
        _only(_run(model="a"), _run(model="b", answers=("5",)))


@pytest.mark.parametrize("language", ["english", "EN", "", "e n"])
def test_a_language_that_is_none_is_refused(language: str) -> None:
    with pytest.raises(ArgumentError, match="is no language code"):
        _only(_run(), languages=(language,))


@pytest.mark.parametrize(
    ("task", "name", "language"),
    [("mgsm_fr", "mgsm", "fr"), ("mgsm_fra_Latn", "mgsm", "fra-Latn"), ("mgsm_direct", "mgsm_direct", "en")],
)
def test_a_pattern_reads_languages_out_of_names(task: str, name: str, language: str) -> None:
    studies = studies_of([_run(task=task), _run(task="mgsm_de")], "lm-eval", ("mgsm_{language}", "en"))
    assert f"{name}/questions_{language}.jsonl" in {path for study in studies for path in study.files}


def test_a_language_that_nothing_names_is_undetermined_and_said_to_be_so(tmp_path: Path) -> None:
    experiment = load(_spec(_only(_run(), languages=()), tmp_path)).experiment
    assert experiment.languages == ("und",)
    assert "The language of the questions is not known." in experiment.caveats


def test_a_language_that_a_file_names_comes_before_the_one_said_of_all() -> None:
    named, unnamed = _run(model="a"), _run(model="b")
    study = _only(replace(named, language="pt_BR"), unnamed)
    assert {"sums/recorded/pt-BR/a.jsonl", "sums/recorded/en/b.jsonl"} <= study.files.keys()


def test_secrets_among_settings_are_not_written() -> None:
    settings: dict[str, object] = {
        "model_args": {"api_key": "abc"},
        "token": "def",
        "header": "sk-" + "a1" * 20,
    }
    text = _only(_run(settings=settings)).files["sums.yaml"]
    assert not any(secret in text for secret in ("abc", "def", "a1a1"))


def test_a_folder_gives_the_files_of_the_form(tmp_path: Path) -> None:
    studies = imported("lm-eval", [RESULTS], tmp_path / "out")
    assert [study.name for study in studies] == ["choice", "sums_en", "sums_fr"]
    with pytest.raises(ArgumentError, match=r"a folder without `\*\.eval`, `\*\.json`, the files of Inspect"):
        imported("inspect", [tmp_path / "out" / "choice"], tmp_path / "none")


def test_names_that_look_alike_give_different_files(tmp_path: Path) -> None:
    runs = (replace(_run(model="b_en_c"), variant="a"), replace(_run(model="c"), variant="a_en_b"))
    assert len(_only(*runs).files) == 1 + 1 + 2
    again = (_run(), _run(), replace(_run(), variant="recorded_1"))
    assert len(_only(*again).files) == 1 + 1 + 3


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    imported("lm-eval", SAMPLES, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ArgumentError, match="is there already, and not overwritten"):
        imported("lm-eval", SAMPLES, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


HOSTILE = st.text(min_size=1, max_size=30) | st.sampled_from(
    ["../../etc/x", "no", "1.5", "a: b", "# c", "a\n  b: c", "{language}", "con/..", "\ud83d", "questions"]
)


@given(
    task=HOSTILE, models=st.lists(HOSTILE, min_size=1, max_size=3, unique=True), score=HOSTILE, said=HOSTILE
)
def test_any_name_and_text_gives_a_valid_spec_and_files_below_the_folder(
    task: str, models: list[str], score: str, said: str
) -> None:
    runs = [
        Run(said, task, model, (Answer(said, said, said, {score: 1.0}, (said,)),), settings={said: said})
        for model in models
    ]
    if not is_unicode(said):
        with pytest.raises(ArgumentError, match="no question of it is whole text"):
            _only(*runs)
        return
    study = _only(*runs)
    parse_yaml(study.files[f"{study.name}.yaml"], "spec.yaml")
    assert len(
        [path for path in study.files if "/questions_" not in path and path.endswith(".jsonl")]
    ) == len(models)
    assert all(".." not in Path(path).parts and not Path(path).is_absolute() for path in study.files)
    assert all(text.encode() is not None for text in study.files.values())
