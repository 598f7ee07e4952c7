"""The house: who may import what, what stays unloaded, and that every file found by its name is what its
folder promises."""

import importlib
import inspect
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import yaml

from dsl.data.fingerprints import PROMPT_TEXTS
from dsl.plugins import names, settings_of
from dsl.steps.steps import AnyStep
from dsl.yaml.document import parse_yaml
from runners.engines import find_engine
from runners.execution.executors import find_executor
from runners.judges import find_judge
from runners.steps import find_runner
from warehouse.connect import connect
from xp.schema import schema_text

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "transformers", "trl", "peft", "numpy", "scipy", "pandas", "zstandard")


READING = (
    ["--help"],
    ["--version"],
    ["plan", "specs/smoke.yaml"],
    ["query", "select 1"],
    ["status"],
    ["tables"],
    ["validate", "specs/smoke.yaml"],
)
MEASURING = (["plan", "specs/quickstart.yaml"], ["plan", "specs/paper.yaml"])
"""Plans that measure this machine's speed, for which alone NumPy is loaded."""


def test_reading_commands_load_no_heavy_library(tmp_path: Path) -> None:
    """One process runs them all, and says after each what is loaded by then."""
    program = f"""
import sys
from xp.__main__ import main
for arguments in {(*READING, *MEASURING)!r}:
    sys.argv = ["xp", *arguments]
    try:
        main()
    except SystemExit as ended:
        print("CODE", ended.code, "LOADED", [name for name in {HEAVY!r} if name in sys.modules])
"""
    connect(tmp_path / "warehouse.duckdb").close()
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"PATH": "", "XP_STORE": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    said = [line for line in done.stdout.splitlines() if line.startswith("CODE ")]
    assert said == [
        *["CODE 0 LOADED []"] * len(READING),
        *["CODE 0 LOADED ['numpy']"] * len(MEASURING),
    ], done.stderr


def test_importing_all_of_dsl_loads_nothing_heavy_and_nothing_of_the_packages_above_it() -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "dsl").rglob("*.py")
    ]
    program = f"""
import importlib, sys
for name in {modules!r}:
    importlib.import_module(name.removesuffix(".__init__"))
above = {{"runners", "warehouse", "xp", "duckdb", "pyarrow", *{HEAVY!r}}}
print(sorted({{name.split(".")[0] for name in sys.modules}} & above))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_imports_follow_the_arrows() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_contracts_name_every_judge_engine_and_form_of_results() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    named = sorted(
        module
        for contract in contracts
        if contract["type"] == "independence" and "*" not in contract["modules"][0]
        for module in contract["modules"]
    )
    folders = {
        "runners/judges": "judge",
        "runners/engines": "Engine",
        "xp/imports": "read",
        "xp/exports": "write",
    }
    found = sorted(
        f"{folder}/{file.stem}".replace("/", ".")
        for folder, entry in folders.items()
        for file in (ROOT / folder).glob("[!_]*.py")
        if file.stem != "contract"
        and re.search(rf"^(def|class) {entry}\b", file.read_text("utf-8"), re.MULTILINE)
    )
    assert named == found
    assert {f"runners.{f}.{name}" for f in ("judges", "engines") for name in names(f"dsl.{f}")} <= {*found}


def test_floors_are_exhaustive_for_every_package() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    floors = [contract for contract in contracts if "containers" in contract]
    assert [contract["containers"] for contract in floors if contract["exhaustive"]] == [
        ["dsl"],
        ["runners"],
        ["warehouse"],
        ["xp"],
    ]


def test_every_package_is_shipped_with_its_type_information() -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
    for package in tool["importlinter"]["root_packages"]:
        assert (ROOT / package / "py.typed").is_file()
        assert "py.typed" in tool["setuptools"]["package-data"][package]


def test_a_wheel_holds_every_file_of_the_packages() -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    packages = [pattern.removesuffix("*") for pattern in tool["packages"]["find"]["include"]]
    listed = subprocess.run(
        ["git", "ls-files", *packages], cwd=ROOT, capture_output=True, text=True, check=True
    )
    files = {ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}
    code = {file for file in files if file.suffix == ".py"}
    assert {file.parent for file in code} <= {file.parent for file in code if file.name == "__init__.py"}
    data = {
        file
        for package in packages
        for pattern in tool["package-data"][package]
        for file in (ROOT / package).glob(pattern)
    }
    assert files - code <= data


def test_every_kind_of_step_has_a_runner_and_every_runner_a_kind() -> None:
    kinds = {cls.model_fields["kind"].default for cls in get_args(get_args(AnyStep)[0])}
    files = {p.stem for p in (ROOT / "runners" / "steps").glob("*.py") if not p.stem.startswith("_")}
    assert kinds == files
    for kind in kinds:
        assert list(inspect.signature(find_runner(kind).run).parameters) == ["step", "context", "out"]


@pytest.mark.parametrize("family", ["judges", "engines"])
def test_every_judge_and_engine_declares_settings_under_its_own_name(family: str) -> None:
    for name in names(f"dsl.{family}"):  # type: ignore[arg-type]
        settings = settings_of(family, name)  # type: ignore[arg-type]
        assert settings.model_fields[family[:-1]].default == name
        assert settings.__doc__
    for name in names("dsl.judges"):
        assert list(inspect.signature(find_judge(name).judge).parameters) == ["answers", "settings", "tools"]
    for name in names("dsl.engines"):
        engine = find_engine(name).Engine
        assert list(inspect.signature(engine).parameters) == ["settings", "tuned", "cache"]
        assert callable(engine.generate)
        assert callable(engine.identify)


def test_every_executor_is_a_file_with_the_same_run_function() -> None:
    assert names("runners.execution.executors") == ("in_process", "local", "ray", "slurm")
    for name in names("runners.execution.executors"):
        parameters = list(inspect.signature(find_executor(name).run).parameters)
        assert parameters == ["todo", "done", "store", "on_event", "jobs", "resources"]


def test_every_chart_reads_a_view_and_every_view_says_one_row_per_what() -> None:
    views = {p.stem for p in (ROOT / "warehouse" / "views").rglob("*.sql")}
    charts = {p.stem for p in (ROOT / "warehouse" / "charts").glob("*.py") if not p.stem.startswith("_")} - {
        "theme"
    }
    assert charts
    assert charts <= views
    for chart in charts:
        module = importlib.import_module(f"warehouse.charts.{chart}")
        assert module.chart.__doc__
    for path in (ROOT / "warehouse" / "views").rglob("*.sql"):
        assert path.read_text("utf-8").startswith("-- One row per "), path


def test_every_prompt_language_is_found_by_its_code() -> None:
    for path in PROMPT_TEXTS.glob("*.yaml"):
        assert yaml.safe_load(path.read_text("utf-8"))["language"] == path.stem


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """The schema that lies beside the specs."""
    return json.loads((ROOT / "specs" / "experiment.schema.json").read_text("utf-8"))


def test_the_schema_beside_the_specs_is_the_one_that_xp_prints(schema: dict[str, Any]) -> None:
    assert (ROOT / "specs" / "experiment.schema.json").read_text("utf-8") == schema_text(), (
        "xp schema > specs/experiment.schema.json"
    )
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("spec", sorted((ROOT / "specs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_spec_fits_the_schema_it_names_in_its_first_line(
    spec: Path, schema: dict[str, Any]
) -> None:
    text = spec.read_text("utf-8")
    assert text.startswith("# yaml-language-server: $schema=experiment.schema.json\n")
    found = parse_yaml(text, spec.name).data
    required = {"required": ["experiment"]} if "extends" in found else {}
    jsonschema.Draft202012Validator(schema | required).validate(found)


def test_a_setting_that_no_schema_knows_does_not_fit_it(schema: dict[str, Any]) -> None:
    found = yaml.safe_load((ROOT / "specs" / "smoke.yaml").read_text("utf-8"))
    found["methods"]["urial"]["num_fewshots"] = 3
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(found)
