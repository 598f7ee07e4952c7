"""Bad and hostile input through the command line: each ends in a right result, or in a sentence with its
place and exit code 2; none in a traceback, a leaked secret or a driven terminal."""

import copy
import json
import os
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, cast

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from xp.cli import app
from xp.schema import schema_text

ROOT = Path(__file__).resolve().parents[2]
SECRET = "sk-9fK2mQ7xW4tB8nR1vQ3zL6"
DRIVES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\ufeff]")
HOSTILE: tuple[Any, ...] = (
    *(None, True, "", " ", 0, -1, 2**63, 10**400, 1e308, -0.0, float("nan"), float("inf")),
    *([], {}, [[]], [None], {"": None}, {"a": {"b": {"c": []}}}, "x" * 5_000),
    *(
        "../../etc/passwd",
        "/dev/zero",
        "/proc/self/environ",
        "{language}",
        "{language!r}",
        "{0}",
        "%s",
        "~",
        "$HOME",
    ),
    *(
        "a\x1b]0;title\x07",
        "\u202egnp",
        "\ud800".encode("utf-8", "replace").decode(),
        "é日本",
        "no",
        "1e3",
        "0x10",
    ),
    *(
        SECRET,
        f"https://ada:{SECRET}@example.com/v1",
        "file:///etc/passwd",
        "http://",
        "__import__('os')",
        "<b>",
    ),
)
"""Values put in the place of others."""

N_MUTATIONS = 12
SPECS = [
    "smoke.yaml",
    *sorted(f"layouts/{path.name}" for path in (ROOT / "specs" / "layouts").glob("*.yaml")),
]


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped specs and the data beside them."""
    folder = tmp_path_factory.mktemp("specs")
    return Path(shutil.copytree(ROOT / "specs", folder / "specs"))


def check(spec: Path, *more: str) -> int:
    """Validate a spec by the command line; its exit code, once all claims hold."""
    found = CliRunner().invoke(app, ["validate", str(spec), "--store", str(spec.parent / "none"), *more])
    about = f"{spec.read_bytes()[:3_000]!r}\n{found.output}"
    assert found.exception is None or isinstance(found.exception, SystemExit), f"{found.exception!r}\n{about}"
    assert found.exit_code in (0, 2), about
    assert SECRET not in found.output, about
    assert not DRIVES.search(found.output), about
    if found.exit_code:
        assert spec.name in found.output or found.output.startswith("--set"), about
        assert all(len(line) < 2_000 for line in found.output.splitlines()), about
    else:
        assert f"{spec} is valid" in found.output, about
    return found.exit_code


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every key and index of a document."""
    if not isinstance(value, dict | list):
        return
    found = cast("dict[str, Any] | list[Any]", value)
    for key, below in found.items() if isinstance(found, dict) else enumerate(found):
        yield (*path, key)
        yield from places(below, (*path, key))


def mutated(study: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """A study with one value replaced, removed, renamed, repeated, or put into a list."""
    changed = copy.deepcopy(study)
    *above, last = chance.choice(list(places(changed)))
    holder: Any = changed
    for key in above:
        holder = holder[key]
    match chance.randrange(6):
        case 0:
            del holder[last]
        case 1 if isinstance(holder, dict):
            named = cast("dict[str, Any]", holder)
            named[f"{last}s"] = named.pop(str(last))
        case 2:
            holder[last] = [holder[last]]
        case _:
            holder[last] = chance.choice(HOSTILE)
    return changed


@pytest.mark.parametrize("name", SPECS)
def test_a_shipped_spec_with_any_value_spoilt_is_valid_or_refused_in_a_sentence(
    name: str, specs: Path
) -> None:
    study = yaml.safe_load((specs / name).read_text("utf-8"))
    chance, refused = random.Random(name), 0
    for n in range(N_MUTATIONS):
        spec = (specs / name).with_name(f"spoilt-{n}.yaml")
        spec.write_text(yaml.safe_dump(mutated(study, chance), allow_unicode=True, sort_keys=False), "utf-8")
        refused += check(spec) == 2
        spec.unlink()
    assert 0 < refused <= N_MUTATIONS


# ---------------------------------------------------------------- specs drawn from the JSON Schema

Node = dict[str, Any] | Literal[True]
"""Part of a JSON Schema; True allows everything."""

SCHEMA: dict[str, Any] = json.loads(schema_text())


def drawn_from(node: Node, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values of the form that a node of the schema describes, shallow where it goes deep."""
    if node is True or depth > 6:
        return st.sampled_from(HOSTILE[:12])
    if "$ref" in node:
        target: Any = SCHEMA
        for part in str(node["$ref"]).removeprefix("#/").split("/"):
            target = target[part]
        return st.deferred(lambda: drawn_from(target, depth + 1))
    if "const" in node:
        return st.just(node["const"])
    if "enum" in node:
        return st.sampled_from(node["enum"])
    for several in ("anyOf", "oneOf"):
        if several in node:
            return st.one_of([drawn_from(one, depth + 1) for one in node[several]])
    match node.get("type"):
        case "object":
            required = set(node.get("required", ()))
            known = {name: drawn_from(one, depth + 1) for name, one in node.get("properties", {}).items()}
            fixed = st.fixed_dictionaries(
                {name: one for name, one in known.items() if name in required},
                optional={name: one for name, one in known.items() if name not in required},
            )
            if not node.get("additionalProperties"):
                return fixed
            more = drawn_from(node["additionalProperties"], depth + 1)
            return st.dictionaries(st.sampled_from(["en", "a", "b c"]), more, max_size=2)
        case "array":
            return st.lists(drawn_from(node.get("items", True), depth + 1), max_size=2)
        case "integer":
            return st.integers(node.get("minimum", -2), node.get("maximum", 2**64))
        case "number":
            return st.floats(allow_nan=False, width=32)
        case "boolean":
            return st.booleans()
        case "string":
            return st.sampled_from(["en", "a", "questions", "x.jsonl", "{language}.jsonl", "icl"])
        case _:
            return st.sampled_from(HOSTILE)


SUPPRESSED = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@settings(max_examples=60, database=None, derandomize=True, suppress_health_check=SUPPRESSED)
@given(study=drawn_from(SCHEMA))
def test_a_spec_drawn_from_the_schema_is_valid_or_refused_in_a_sentence(study: Any, specs: Path) -> None:
    spec = specs / "drawn.yaml"
    spec.write_text(json.dumps(study), "utf-8")  # JSON is YAML
    check(spec)


# ---------------------------------------------------------------- texts that are hardly YAML

TEXTS: dict[str, bytes] = {
    "empty": b"",
    "nul": b"experiment: a\0b\n",
    "bom alone": b"\xef\xbb\xbf",
    "utf-16": "experiment: a\n".encode("utf-16"),
    "latin-1": "question: café\n".encode("latin-1"),
    "binary": bytes(range(256)),
    "tabs": b"experiment:\n\tname: x\n",
    "a list": b"- a\n- b\n",
    "a number": b"3\n",
    "two documents": b"a: 1\n---\nb: 2\n",
    "an endless alias": b"a: &a [*a]\n",
    "a bomb": b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(
        f"{c}: &{c} [*{p},*{p},*{p},*{p},*{p},*{p},*{p},*{p}]\n".encode()
        for p, c in zip("abcdefg", "bcdefgh", strict=True)
    ),
    "deep brackets": b"a: " + b"[" * 20_000,
    "deep braces": b"{a: " * 5_000,
    "a tag": b'experiment: !!python/object/apply:os.system ["touch /tmp/owned"]\n',
    "a key twice": b"experiment: a\nexperiment: b\n",
    "an unclosed quote": b'experiment: \'a\nlanguages: ["en"]\n',
    "a merge": b"base: &b {experiment: a}\n<<: *b\n",
    "a huge number": b"seeds: [" + b"9" * 5_000 + b"]\n",
    "a long line": b"question: " + b"x" * 900_000 + b"\n",
    "too long": b"#" * 1_100_000,
    "a control character": b'question: "a\x1b]0;t\x07"\n',
    "extends itself": b"extends: text.yaml\n",
    "extends a folder": b"extends: .\n",
    "extends a device": b"extends: /dev/zero\n",
    "extends nothing": b"extends: none.yaml\nexperiment: a\n",
    "a secret as a key": f"{SECRET}: x\n".encode(),
    "a secret as a name": f"experiment: {SECRET}\n".encode(),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_that_is_no_study_is_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    (tmp_path / "text.yaml").write_bytes(TEXTS[name])
    assert check(tmp_path / "text.yaml") == 2
    assert not Path("/tmp/owned").exists()


@pytest.mark.parametrize(
    "override",
    [
        "",
        "=",
        "a",
        "seeds=",
        "seeds=[",
        "methods.x=1",
        "a.b.c.d=1",
        "0=1",
        f"question={SECRET}",
        "x=\x1b[31m",
        "seeds=[1]",
        ".=1",
        "languages.0=xx",
        "decoding.max_new_tokens=1e9",
        "experiment=../x",
    ],
)
def test_an_override_that_makes_no_sense_is_refused_in_a_sentence(override: str, specs: Path) -> None:
    check(specs / "smoke.yaml", "--set", override)


# ---------------------------------------------------------------- data and prompt files

ROW = {"item": "a", "instruction": "Wie?", "answers": ["1"]}
LINE = json.dumps(ROW).encode() + b"\n"
DATA: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "empty": lambda path: path.write_bytes(b""),
    "blank lines": lambda path: path.write_bytes(b"\n\n\n"),
    "half a row": lambda path: path.write_bytes(LINE + LINE[:20]),
    "no JSON": lambda path: path.write_bytes(b"<html>502</html>\n"),
    "a list": lambda path: path.write_bytes(b"[1, 2]\n"),
    "numbers": lambda path: path.write_bytes(b"1\n2\n"),
    "nul": lambda path: path.write_bytes(b"\0" * 100),
    "utf-16": lambda path: path.write_bytes(LINE.decode().encode("utf-16")),
    "not utf-8": lambda path: path.write_bytes(LINE.replace(b"Wie", b"W\xff")),
    "a lone surrogate": lambda path: path.write_bytes(LINE.replace(b"Wie", rb"\ud800")),
    "the same item twice": lambda path: path.write_bytes(LINE * 2),
    "no item": lambda path: path.write_bytes(b'{"instruction": "a", "answers": []}\n'),
    "an item that is null": lambda path: path.write_bytes(LINE.replace(b'"a"', b"null")),
    "an item that is an object": lambda path: path.write_bytes(LINE.replace(b'"a"', b"{}")),
    "an instruction that is a number": lambda path: path.write_bytes(LINE.replace(b'"Wie?"', b"NaN")),
    "deep": lambda path: path.write_bytes(LINE + b"[" * 50_000 + b"\n"),
    "a long row": lambda path: path.write_bytes(LINE.replace(b"Wie", b"x" * 3_000_000)),
    "a huge number": lambda path: path.write_bytes(LINE.replace(b'"1"', b"9" * 5_000)),
    "a folder": lambda path: path.mkdir(),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a pipe": lambda path: os.mkfifo(path),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "secrets of the system": lambda path: path.symlink_to("/proc/self/environ"),
    "gzip": lambda path: path.write_bytes(b"\x1f\x8b\x08\x00" + b"\0" * 50),
    "parquet cut off": lambda path: path.write_bytes(b"PAR1" + b"\0" * 50),
    "hostile text": lambda path: path.write_bytes(
        json.dumps(ROW | {"instruction": f"\x1b]0;t\x07 {SECRET}"}).encode()
    ),
}


def write_study(folder: Path, **changed: Any) -> Path:
    columns = {name: name for name in ROW}
    study = {
        "experiment": "hostile",
        "languages": ["en"],
        "models": {"m": {"base": {"engine": "echo"}}},
        "data": {"q": {"rows": {"path": "rows.jsonl"}, "columns": columns}},
        "evaluate": ["q"],
        "methods": {"m": {"method": "icl", "num_fewshot": 0}},
        "judges": {"correct": {"judge": "contains"}},
    }
    (folder / "study.yaml").write_text(json.dumps(study | changed), "utf-8")
    return folder / "study.yaml"


@pytest.mark.parametrize("name", DATA)
def test_a_data_file_is_read_as_it_is_or_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    DATA[name](tmp_path / "rows.jsonl")
    check(write_study(tmp_path))


PROMPTS: dict[str, bytes] = {
    **{name: text for name, text in TEXTS.items() if not name.startswith("extends")},
    "unknown keys": b"preamble: a\nnothing: b\n",
    "a preamble that is a list": b"preamble: [a]\n",
    "demonstrations that are text": b"preamble: a\ndemonstrations: b\n",
    "stop strings that are numbers": b"preamble: a\nstop: [1, null]\n",
}


@pytest.mark.parametrize("name", PROMPTS)
def test_a_prompt_file_that_is_none_is_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(LINE)
    (tmp_path / "prompt.yaml").write_bytes(PROMPTS[name])
    prompted = {"m": {"method": "icl", "num_fewshot": 0, "prompt": {"file": "prompt.yaml"}}}
    spec = write_study(tmp_path, methods=prompted)
    found = CliRunner().invoke(app, ["validate", str(spec), "--store", str(tmp_path / "none")])
    assert (found.exit_code, type(found.exception)) == (2, SystemExit), found.output
    assert "prompt.yaml" in found.output
    assert not DRIVES.search(found.output)
    assert SECRET not in found.output


# ---------------------------------------------------------------- folders in the place of models

CONFIG = b'{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}'
MODELS: dict[str, dict[str, bytes]] = {
    "an empty folder": {},
    "a config alone": {"config.json": CONFIG},
    "a pickle": {"config.json": CONFIG, "pytorch_model.bin": b"\x80\x04cos\nsystem\n"},
    "half a safetensors": {"config.json": CONFIG, "model.safetensors": (10**6).to_bytes(8, "little") + b"{"},
    "a safetensors of zeros": {"config.json": CONFIG, "model.safetensors": bytes(64)},
    "a config that is no JSON": {"config.json": b"<html>", "model.safetensors": bytes(8)},
    "a config that is a list": {"config.json": b"[]", "model.safetensors": bytes(8)},
    "remote code": {
        "config.json": b'{"model_type": "x", "auto_map": {"AutoConfig": "evil.C"}}',
        "evil.py": b"raise SystemExit(9)",
        "model.safetensors": bytes(8),
    },
    "an adapter": {"adapter_config.json": b"{}", "adapter_model.safetensors": bytes(8)},
    "half a GGUF": {"model.gguf": b"GGUF\x03\0\0\0"},
    "two GGUFs": {"a.gguf": b"GGUF", "b.gguf": b"GGUF"},
}


@pytest.mark.parametrize("name", MODELS)
def test_a_folder_in_the_place_of_a_model_runs_nothing_when_it_is_planned(name: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(LINE)
    (tmp_path / "model").mkdir()
    for file, content in MODELS[name].items():
        (tmp_path / "model" / file).write_bytes(content)
    check(write_study(tmp_path, models={"m": {"base": {"path": "model"}, "parameters": 1}}))


@pytest.mark.parametrize(
    ("name", "file"), [("half a safetensors", "model.safetensors"), ("a pickle", "pytorch_model.bin")]
)
def test_an_apply_names_the_weights_that_cannot_be_loaded_before_anything_runs(
    name: str, file: str, tmp_path: Path
) -> None:
    (tmp_path / "rows.jsonl").write_bytes(LINE)
    (tmp_path / "model").mkdir()
    for each, content in MODELS[name].items():
        (tmp_path / "model" / each).write_bytes(content)
    spec = write_study(tmp_path, models={"m": {"base": {"path": "model"}, "parameters": 1}})
    found = CliRunner().invoke(app, ["apply", str(spec), "--yes", "--store", str(tmp_path / "store")])
    assert (found.exit_code, type(found.exception)) == (2, SystemExit), found.output
    assert f"model/{file}: " in found.output
    assert not (tmp_path / "store" / "steps").exists()


# ---------------------------------------------------------------- the environment


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("environment")
    (folder / "rows.jsonl").write_bytes(LINE)
    spec = write_study(folder)
    done = CliRunner().invoke(
        app, ["apply", str(spec), "--yes", "--in-process", "--no-report", "--store", str(folder / "store")]
    )
    assert done.exit_code == 0, done.output
    return folder


READING = [
    ["status"],
    ["plan", "SPEC"],
    ["validate", "SPEC"],
    ["query", "from score_by_cell"],
    ["show", "m/en"],
    ["tables"],
    ["gc", "SPEC"],
    ["doctor", "SPEC"],
    ["diff", "hostile", "hostile"],
]
ENVIRONMENTS: dict[str, dict[str, str | None]] = {
    "no HOME": {"HOME": None, "XDG_CACHE_HOME": None},
    "HOME that is not there": {"HOME": "/nonexistent", "XDG_CACHE_HOME": "/nonexistent/cache"},
    "20 columns": {"COLUMNS": "20", "LINES": "5"},
    "columns that are no number": {"COLUMNS": "x", "TERM": "nonsense"},
    "C locale": {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
}


@pytest.mark.parametrize("name", ENVIRONMENTS)
@pytest.mark.parametrize("command", READING, ids=lambda words: words[0])
def test_reading_commands_work_in_any_environment(
    name: str, command: list[str], applied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in ENVIRONMENTS[name].items():
        monkeypatch.delenv(variable, raising=False) if value is None else monkeypatch.setenv(variable, value)
    words = [str(applied / "study.yaml") if word == "SPEC" else word for word in command]
    more = [] if command == ["tables"] else ["--store", str(applied / "store")]
    found = CliRunner().invoke(app, [*words, *more])
    assert found.exit_code == 0, (found.output, found.exception)
