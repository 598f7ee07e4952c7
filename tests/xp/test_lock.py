"""`xp lock` writes down what a study rests on; a plan warns of what moved, and an apply refuses it."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from dsl.errors import ArgumentError, SpecError
from tests.fixtures.tiny_study import TINY
from tests.xp.small_study import plan_of, write_study
from xp import lock as locks
from xp.apply import apply
from xp.cli import app
from xp.hub import OnHub, commit_of
from xp.lock import Lock, lock, lock_file, moved, read, write
from xp.studies import diff_for

OLD, NEW = "1" * 40, "2" * 40


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return write_study(tmp_path / "study", n_items=3)


def relocked(spec: Path, **sections: dict[str, str]) -> None:
    """Write the lock again with other entries in some of its sections."""
    found = read(spec)
    assert found is not None
    write(found.model_copy(update={name: getattr(found, name) | new for name, new in sections.items()}), spec)


def test_a_lock_names_every_file_and_package_and_a_person_can_read_it(spec: Path, tmp_path: Path) -> None:
    path, notes = lock(spec, (), tmp_path / "store")
    found = yaml.safe_load(path.read_text("utf-8"))
    assert path == spec.with_name("small.yaml.lock")
    assert notes == ()
    assert {"en.jsonl", "fr.jsonl", "xp:prompting/prompt_texts/en.yaml"} <= found["files"].keys()
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in found["files"].values())
    assert {"torch", "transformers", "tokenizers", "lingua-language-detector"} <= found["packages"].keys()
    assert "hub" not in found
    assert not (tmp_path / "store").exists(), "a lock makes no store"


@given(
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), st.text("0e1.x")),
    st.dictionaries(
        st.sampled_from(["torch", "no", "~", "1.0", "a: b", "# c"]), st.sampled_from(["2.0", "1e3", ""])
    ),
)
@settings(max_examples=50, deadline=None)
def test_a_lock_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, str], packages: dict[str, str]
) -> None:
    spec = tmp_path_factory.mktemp("any") / "s.yaml"
    written = Lock(experiment="any", files=files, packages=packages)
    write(written, spec)
    assert read(spec) == written
    assert moved(spec, written) == ()


def test_the_same_study_is_locked_to_the_byte_alike_wherever_it_lies(tmp_path: Path) -> None:
    paths = [lock(write_study(tmp_path / name, n_items=3), (), tmp_path / "store")[0] for name in ("a", "b")]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_file_outside_the_spec_s_folder_is_named_without_its_folders_and_still_watched(
    spec: Path, tmp_path: Path
) -> None:
    far = tmp_path / "home" / "alice" / "en.jsonl"
    far.parent.mkdir(parents=True)
    (spec.parent / "en.jsonl").rename(far)
    study = json.loads(spec.read_text("utf-8"))
    study["data"]["sums"]["rows"]["path"] = str(far.with_name("{language}.jsonl"))
    (spec.parent / "fr.jsonl").rename(far.with_name("fr.jsonl"))
    spec.write_text(json.dumps(study), "utf-8")
    path, _ = lock(spec, (), tmp_path / "store")
    assert "alice" not in path.read_text("utf-8")
    assert moved(spec, Lock(experiment="small", files=_files(spec)["files"])) == ()
    far.write_text(far.read_text("utf-8") + "\n", "utf-8")
    (problem,) = moved(spec, Lock(experiment="small", files=_files(spec)["files"]))
    assert "en.jsonl" in str(problem)


def test_a_lock_is_no_part_of_any_id(spec: Path, tmp_path: Path) -> None:
    before = tuple(plan_of(spec).steps)
    lock(spec, (), tmp_path / "store")
    relocked(spec, packages={"torch": "0.1"})
    assert tuple(plan_of(spec).steps) == before


def test_an_unmoved_study_is_planned_without_a_word_and_applied(spec: Path, tmp_path: Path) -> None:
    lock(spec, (), tmp_path / "store")
    diff = diff_for(spec, None, None, tmp_path / "store")
    assert (diff.moved, diff.warnings) == ((), ())
    assert apply(diff, tmp_path / "store", in_process=True).n_failed == 0


def test_what_moved_is_a_warning_of_the_plan_and_refused_by_apply_with_place_old_and_new(
    spec: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    lock(spec, (), store)
    data = spec.with_name("en.jsonl")
    data.write_text(data.read_text("utf-8").replace("viel", "wenig"), "utf-8")
    relocked(spec, packages={"torch": "0.1"})
    diff = diff_for(spec, None, None, store)
    lines = lock_file(spec).read_text("utf-8").splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "en.jsonl" in text)
    place = f"{lock_file(spec)}:{line}:3: "
    was, now = (found["files"]["en.jsonl"][:12] for found in (yaml.safe_load("\n".join(lines)), _files(spec)))
    said = f"files.en.jsonl: it was {was}… and is {now}… now"
    assert f"{place}warning: {said}" in diff.warnings
    assert any("packages.torch: it was 0.1 and is 2" in warning for warning in diff.warnings)
    with pytest.raises(SpecError, match=re.escape(f"{place}{said}")) as refused:
        apply(diff, store, in_process=True)
    assert "xp apply --update-lock" in str(refused.value)
    assert not (store / "steps").exists(), "nothing was made"


def _files(spec: Path) -> dict[str, dict[str, str]]:
    return {"files": locks.rests_on(*locks.planned(spec, (), spec.parent)).files}


def test_update_lock_takes_things_as_they_are_and_goes_on(spec: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    lock(spec, (), store)
    relocked(spec, packages={"torch": "0.1"})
    arguments = ["apply", str(spec), "--yes", "--no-report", "--in-process", "--store", str(store)]
    refused = CliRunner().invoke(app, arguments)
    assert (refused.exit_code, "packages.torch" in refused.stderr) == (2, True)
    before = lock_file(spec).read_bytes()
    unasked = CliRunner().invoke(app, ["apply", str(spec), "--update-lock", "--store", str(store)])
    assert (unasked.exit_code, lock_file(spec).read_bytes()) == (2, before), "nobody has consented"
    taken = CliRunner().invoke(app, [*arguments, "--update-lock"])
    assert taken.exit_code == 0, taken.output
    assert diff_for(spec, None, None, store).moved == ()


def test_a_spec_that_has_grown_has_moved_nothing_and_the_plan_names_what_is_not_locked_yet(
    spec: Path, tmp_path: Path
) -> None:
    lock(spec, (), tmp_path / "store")
    written = lock_file(spec).read_text("utf-8")
    lock_file(spec).write_text(re.sub(r'\n  "fr.jsonl".*', "", written), "utf-8")
    diff = diff_for(spec, None, None, tmp_path / "store")
    assert diff.moved == ()
    assert diff.warnings == (
        f"{lock_file(spec)}: warning: `fr.jsonl`: not in it yet; `xp apply --update-lock` adds them",
    )


def test_a_file_that_goes_from_a_model_folder_or_comes_into_it_has_moved(tmp_path: Path) -> None:
    spec, store, folder = write_study(tmp_path / "study", n_items=2), tmp_path / "store", tmp_path / "model"
    shutil.copytree(TINY, folder)
    study = json.loads(spec.read_text("utf-8"))
    study["models"] = {"m": {"base": {"path": str(folder)}}}
    spec.write_text(json.dumps(study), "utf-8")
    lock(spec, (), store)
    assert diff_for(spec, None, None, store).moved == ()
    (folder / "tokenizer_config.json").rename(folder / "chat_template.jinja")
    told = [str(one) for one in diff_for(spec, None, None, store).moved]
    assert any("/tokenizer_config.json: it is not there now" in line for line in told)
    assert any("/chat_template.jinja is there now" in line for line in told)
    with pytest.raises(SpecError, match="it is not there now"):
        apply(diff_for(spec, None, None, store), store, in_process=True)


def test_a_lock_of_which_a_spec_needs_nothing_refuses_it(spec: Path, tmp_path: Path) -> None:
    lock(spec, (), tmp_path / "store")
    found = read(spec)
    assert found is not None
    write(found.model_copy(update={"files": {"other.jsonl": OLD}}), spec)
    (told,) = diff_for(spec, None, None, tmp_path / "store").moved
    assert "files: nothing of it is needed now, but `en.jsonl`" in str(told)


@pytest.mark.parametrize(
    "text", ["[1, 2]", "lock_version: 2\nexperiment: a\n", "files: {a: no}\n", "\x00", ""]
)
def test_a_file_that_is_no_lock_is_refused_with_its_place(spec: Path, tmp_path: Path, text: str) -> None:
    lock_file(spec).write_text(text, "utf-8")
    with pytest.raises(ArgumentError, match=r"small\.yaml\.lock"):
        diff_for(spec, None, None, tmp_path / "store")


def test_the_tokenizer_of_a_model_in_a_package_is_locked_once_it_is_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runners.models import weight_files

    spec, store = write_study(tmp_path / "study", n_items=2), tmp_path / "store"
    study = json.loads(spec.read_text("utf-8"))
    study["models"] = {"m": {"base": {"package": "weights-of-the-test", "version": "1.0"}}}
    spec.write_text(json.dumps(study), "utf-8")
    (package := tmp_path / "package").mkdir()
    (package / "m.gguf").write_bytes(b"weights")
    monkeypatch.setattr(weight_files, "_package_folder", lambda name: package)
    lock(spec, (), store)
    assert (found := read(spec)) is not None
    assert found.tokenizers == {}
    converted = weight_files._converted(sha256(b"weights").hexdigest(), store / "cache")
    converted.mkdir(parents=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "config.json"):
        (converted / name).write_text(name)
    lock(spec, (), store)
    assert (found := read(spec)) is not None
    assert {name.rpartition("/")[2] for name in found.tokenizers} == {
        *("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
    }
    (converted / "chat_template.jinja").write_text("another")
    with pytest.raises(SpecError, match=r"tokenizers.*weights-of-the-test/chat_template\.jinja.*it was"):
        apply(diff_for(spec, None, None, store), store, in_process=True)


@contextmanager
def hub(commits: dict[str, str]) -> Iterator[str]:
    """A hub on this machine that knows some repositories, by the path of its API."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            commit = commits.get(self.path.removeprefix("/api/"))
            body = json.dumps({"id": "a/b", "sha": commit} if commit else {"error": "not found"}).encode()
            self.send_response(200 if commit else 404)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return tmp_path / "hub"


def test_a_name_on_the_hub_is_looked_up_there_then_in_the_copies_and_else_unknown(
    hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    ref = hub_cache / "models--a--b" / "refs" / "main"
    ref.parent.mkdir(parents=True)
    ref.write_text(OLD)
    with hub({"models/a/b": NEW, "models/a/b/revision/v1": OLD, "datasets/a/b": OLD}) as url:
        monkeypatch.setattr(constants, "ENDPOINT", url)
        assert commit_of(OnHub("model", "a/b", None)) == NEW
        assert commit_of(OnHub("model", "a/b", "v1")) == OLD
        assert commit_of(OnHub("dataset", "a/b", None)) == OLD
        assert commit_of(OnHub("dataset", "a/c", None)) is None
    assert commit_of(OnHub("model", "a/b", None)) == OLD, "the hub is gone: the copy counts"
    assert commit_of(OnHub("model", "a/b", "v1")) is None
    assert commit_of(OnHub("model", "a/c", NEW)) == NEW, "a commit stands for itself"


def test_a_model_whose_commit_moved_on_the_hub_is_refused_before_anything_is_made(
    tmp_path: Path, hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    spec = write_study(tmp_path / "study", n_items=3)
    study = json.loads(spec.read_text("utf-8"))
    study["models"] = {"m": {"base": {"hub": "a/b"}}}
    spec.write_text(json.dumps(study), "utf-8")
    commits = {"models/a/b": OLD}
    with hub(commits) as url:
        monkeypatch.setattr(constants, "ENDPOINT", url)
        lock(spec, (), tmp_path / "store")
        found = read(spec)
        assert found is not None
        assert found.hub == {"models/a/b": OLD}
        commits["models/a/b"] = NEW
        with pytest.raises(SpecError, match=r"hub.*a/b.*it was 111111111111… and is 222222222222… now"):
            apply(diff_for(spec, None, None, tmp_path / "store"), tmp_path / "store", in_process=True)
    with pytest.raises(SpecError, match=r"hub.*a/b.*its commit is not known now"):
        apply(diff_for(spec, None, None, tmp_path / "store"), tmp_path / "store", in_process=True)
    assert not (tmp_path / "store").exists()
