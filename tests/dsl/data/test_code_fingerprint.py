"""A fingerprint changes with what a module computes, and with nothing else."""

from collections.abc import Callable, Mapping

import pytest

from dsl.data.code_fingerprint import DATA, DECIDING, Sources, data_of, fingerprint, source_of, version_of
from dsl.plugins import names, settings_of
from dsl.steps.steps import Probe

BY_RULE = [name for name in names("dsl.judges") if name not in ("decision", "pairwise", "reward", "rubric")]


def edited(module: str, edit: Callable[[str], str]) -> Sources:
    """Sources in which one module reads otherwise."""
    before = source_of(module)
    assert before is not None
    assert edit(before) != before
    return Sources(source=lambda name: edit(before) if name == module else source_of(name))


def of_judges(sources: Sources) -> dict[str, str]:
    return {name: sources.fingerprint("runners.steps.judge", f"runners.judges.{name}") for name in BY_RULE}


def changed(sources: Sources) -> set[str]:
    before = of_judges(Sources())
    return {name for name, after in of_judges(sources).items() if after != before[name]}


def of(modules: Mapping[str, str], name: str = "dsl.top") -> str:
    """The fingerprint of a module in a package made up of these."""
    return Sources(source=modules.get, data=lambda name: [], version=lambda name: "1").fingerprint(name)


@pytest.mark.parametrize(
    ("module", "old", "new", "judges"),
    [
        ("runners.judges._text.words", '"œ": "oe"', '"œ": "o"', {"contains", "exact", "prompt_echo"}),
        ("runners.judges._text.refusals", "can't", "cannot", {"refusal"}),
        ("runners.judges._text.numbers", "0", "1", {"numeric"}),
        ("runners.judges.loop", "1", "2", {"loop"}),
        ("runners.judges._ifeval.words", "1", "2", {"ifeval"}),
    ],
)
def test_an_edit_of_a_leaf_makes_new_ids_of_the_judges_that_import_it_and_of_no_others(
    module: str, old: str, new: str, judges: set[str]
) -> None:
    assert changed(edited(module, lambda text: _edit_code(text, old, new))) == judges


def _edit_code(text: str, old: str, new: str) -> str:
    """An edit behind the module's docstring."""
    head, quotes, rest = text.partition('"""')[2].partition('"""')
    return f'"""{head}{quotes}{rest.replace(old, new)}'


def test_what_all_judges_share_makes_new_ids_of_all_of_them() -> None:
    assert changed(
        edited(
            "runners.steps.judge",
            lambda text: text.replace("islice(read.examples, ", "islice(read.examples, 1 + "),
        )
    ) == set(BY_RULE)


def test_a_judge_s_edit_moves_no_data_step_and_training_settings_move_no_judge() -> None:
    before = fingerprint("runners.steps.data")
    assert (
        edited("runners.judges.loop", lambda text: text + "\nX = 1\n").fingerprint("runners.steps.data")
        == before
    )
    assert (
        edited(
            "dsl.steps.training_settings", lambda text: text.replace("lora_alpha", "lora_beta")
        ).fingerprint("runners.steps.data")
        == before
    )
    assert (
        changed(edited("dsl.steps.training_settings", lambda text: text.replace("lora_alpha", "lora_beta")))
        == set()
    )


@pytest.mark.parametrize("library", DECIDING)
def test_another_version_of_a_library_that_decides_makes_new_ids_of_what_imports_it_and_of_nothing_else(
    library: str,
) -> None:
    distribution = DECIDING[library]
    newer = Sources(version=lambda name: "999" if name == distribution else version_of(name))
    expected = {
        "lingua": {"language"},
        "langdetect_rs": {"ifeval"},
        "punkt": {"ifeval"},
        "bm25s": set[str](),
        "icu4py": {"contains", "exact", "prompt_echo"},
    }
    assert changed(newer) == expected[library]
    assert (newer.fingerprint("runners.steps.generate") != fingerprint("runners.steps.generate")) == (
        library in ("bm25s", "icu4py")
    )


def test_the_libraries_that_decide_are_installed_under_their_names() -> None:
    assert "not installed" not in {version_of(name) for name in DECIDING.values()}


def test_package_data_count_for_what_names_them() -> None:
    def read(name: str) -> list[tuple[str, bytes]]:
        return (
            [(file, content + b"# more") for file, content in data_of(name)]
            if name == "judge_prompts"
            else data_of(name)
        )

    other = Sources(data=read)
    assert other.fingerprint("runners.judges.rubric") != fingerprint("runners.judges.rubric")
    assert changed(other) == set()


READERS = {
    "chat_template.jinja": "runners.steps.generate",
    "comparisons": "runners.judges.pairwise",
    "judge_prompts": "runners.judges.rubric",
    "prompt_texts": "runners.steps.generate",
    "rubrics": "runners.judges.rubric",
}
"""Package data -> one of the modules that read it."""


@pytest.mark.parametrize("data", READERS)
def test_every_file_of_package_data_counts_for_what_reads_it(data: str) -> None:
    for edited, _ in data_of(data):
        other = Sources(
            data=lambda name, edited=edited: [
                (file, content + b"#" * (file == edited)) for file, content in data_of(name)
            ]
        )
        assert other.fingerprint(READERS[data]) != fingerprint(READERS[data]), edited


def test_all_package_data_are_read_by_a_runner_but_probes_whose_text_is_a_setting_of_the_step() -> None:
    there = {path.name for path in DATA.rglob("*") if data_of(path.name)}
    assert there == {*READERS, "probes", "py.typed"}  # the last one is for type checkers
    assert Probe.model_fields.keys() >= {"text"}


def test_docstrings_comments_and_layout_do_not_count() -> None:
    plain = "X = 1\nclass A:\n    b: int = 2\ndef f(x):\n    return x + X\n"
    told = (
        '"""A module."""\n# one\nX = (1)\n\n\nclass A:\n    """A class."""\n    b: int = 2\n    """A'
        ' field."""\ndef f(x):\n    "Says."\n    return x + \\\n X\n'
    )
    assert of({"dsl.top": plain}) == of({"dsl.top": told})
    assert of({"dsl.top": plain}) != of({"dsl.top": plain.replace("2", "3")})


TOP = "from dsl.leaf import used\ndef f():\n    return used()\n"
LEAF = "Y = 1\nZ = 1\ndef used():\n    return Y\ndef unused():\n    return Z\n"


def test_only_definitions_that_are_reached_count() -> None:
    before = of({"dsl.top": TOP, "dsl.leaf": LEAF})
    assert of({"dsl.top": TOP, "dsl.leaf": LEAF.replace("Z = 1", "Z = 2")}) == before
    assert of({"dsl.top": TOP, "dsl.leaf": LEAF.replace("Y = 1", "Y = 2")}) != before
    assert of({"dsl.top": TOP, "dsl.leaf": LEAF + "Y += 1\n"}) != before
    assert of({"dsl.top": TOP, "dsl.leaf": LEAF + "register(used)\n"}) != before


@pytest.mark.parametrize(
    "importing",
    [
        "from dsl import leaf\ndef f():\n    return leaf.used()\n",
        "import dsl.leaf as leaf\ndef f():\n    return leaf.used()\n",
        "import dsl.leaf\ndef f():\n    return dsl.leaf.used()\n",
        "def f():\n    from dsl.leaf import used\n    return used()\n",
        "def f():\n    from dsl import leaf as other\n    return other\n",
        "from dsl.between import used\ndef f():\n    return used()\n",
        (
            "class A:\n    @property\n    def f(self):\n        from dsl.leaf import used as g\n       "
            " return [g() for _ in range(2)]\n"
        ),
    ],
)
def test_a_name_is_followed_through_every_way_of_importing_it(importing: str) -> None:
    modules = {"dsl.top": importing, "dsl.leaf": LEAF, "dsl.between": "from dsl.leaf import used\n"}
    assert of(modules) != of({**modules, "dsl.leaf": LEAF.replace("Y = 1", "Y = 2")})


def test_an_import_for_type_checkers_does_not_count() -> None:
    typed = (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from dsl.leaf import used\ndef f(x:"
        " 'used'):\n    return x\n"
    )
    assert of({"dsl.top": typed, "dsl.leaf": LEAF}) == of(
        {"dsl.top": typed, "dsl.leaf": LEAF.replace("Y = 1", "Y = 2")}
    )


def test_the_modules_that_judges_and_engines_name_are_there() -> None:
    for family, field in (("judges", "judge"), ("engines", "engine")):
        for name in names(f"dsl.{family}"):  # type: ignore[arg-type]
            assert (
                source_of(f"runners.{family}.{settings_of(family, name).model_fields[field].default}")
                is not None
            )  # type: ignore[arg-type]


def test_a_module_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no module runners\.steps\.gone"):
        fingerprint("runners.steps.gone")
