"""A stranger's spec: what it reaches is listed before anything runs, and no variable leaves without being
allowed."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.runners.engines.fake_server import Running, Said, completion, serving
from tests.xp.test_apply_served import served, write_study
from xp.cli import app

KEY = "sk-9fK2mQ7xW4tB8nR1"


def xp(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def with_key(folder: Path, server: Running | str, **more: Any) -> Path:
    return write_study(folder, server, model={**served(server), "api_key_env": "XP_TEST_KEY", **more})


def changed(spec: Path, change: Any) -> Path:
    study = json.loads(spec.read_text("utf-8"))
    change(study)
    spec.write_text(json.dumps(study), "utf-8")
    return spec


def test_a_plan_lists_the_files_outside_the_studys_folder(tmp_path: Path):
    outside = tmp_path / "elsewhere.jsonl"
    outside.write_text('{"item": "q0", "instruction": "a", "answers": ["b"]}\n', "utf-8")
    spec = write_study(tmp_path / "study", "http://localhost:1/v1")
    assert "outside the study's folder" not in xp("plan", spec, "--store", tmp_path / "store").stdout
    (tmp_path / "study" / "link.jsonl").symlink_to(outside)
    for path in ("../elsewhere.jsonl", str(outside), "link.jsonl"):
        changed(spec, lambda study: study["data"]["sums"].update(rows={"path": path}))  # noqa: B023
        for command in ("plan", "validate"):
            assert (
                f"reads {outside}, outside the study's folder"
                in xp(command, spec, "--store", tmp_path / "store").output
            )
    assert json.loads(xp("plan", spec, "--json", "--store", tmp_path / "store").stdout)["reach"][
        0
    ].startswith(f"reads {outside}")


def test_a_plan_lists_servers_and_the_variables_that_they_are_sent_of_judges_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XP_TEST_KEY", KEY)
    monkeypatch.setenv("XP_TEST_URL", "https://ali:sesame-open@judges.example/v1")
    judge = {
        "judge": "rubric",
        "model": {
            "engine": "openai",
            "name": "j",
            "base_url_env": "XP_TEST_URL",
            "api_key_env": "XP_TEST_KEY",
        },
    }
    other = {"judge": "decision", "model": {"engine": "systemone", "name": "s"}}
    spec = write_study(tmp_path, "http://models.example/v1", judge=judge)
    changed(spec, lambda study: study["judges"].update(other=other))
    shown = xp("plan", spec, "--store", tmp_path / "store").stdout
    assert "\ncalls http://models.example\n" in shown
    assert "\ncalls https://judges.example and sends it XP_TEST_KEY\n" in shown
    assert "\ncalls https://api.typesafe.ai\n" in shown
    assert KEY not in shown
    assert "sesame" not in shown


def test_a_study_of_recorded_verdicts_in_a_file_for_each_model_reaches_nothing(tmp_path: Path):
    (tmp_path / "v m.jsonl").write_text('{"item": "q0", "score": 1}\n', "utf-8")
    judge = {
        "judge": "recorded",
        "verdicts": {"path": "v {model}.jsonl"},
        "columns": {"item": "item", "score": "score"},
    }
    spec = write_study(tmp_path, "", model={"engine": "echo"}, judge=judge)
    for command in ("plan", "validate"):
        done = xp(command, spec, "--store", tmp_path / "store")
        assert (done.exit_code, "fetches" in done.output) == (0, False), done.output


def test_a_plan_names_code_that_comes_with_weights(tmp_path: Path):
    weights = Path(__file__).resolve().parents[1] / "fixtures" / "tiny"
    spec = write_study(tmp_path, "", model={"path": str(weights), "trust_remote_code": True})
    shown = xp("plan", spec, "--store", tmp_path / "store").stdout
    assert f"runs code that comes with {weights} (`trust_remote_code`): 0 files" in shown
    assert f"files in {weights}, outside the study's folder" in shown


def test_a_missing_key_address_or_server_is_reported_by_plan_and_by_validate(tmp_path: Path):
    spec = with_key(tmp_path, "http://127.0.0.1:9/v1")
    for command in ("plan", "validate"):
        assert (
            "not ready: the environment variable XP_TEST_KEY is not set"
            in xp(command, spec, "--store", tmp_path / "store").output
        )
    spec = write_study(tmp_path, "", model={"engine": "openai", "name": "m", "base_url_env": "XP_TEST_UNSET"})
    for command in ("plan", "validate"):
        assert (
            "not ready: the environment variable XP_TEST_UNSET is not set"
            in xp(command, spec, "--store", tmp_path / "store").output
        )
    spec = write_study(tmp_path, "http://127.0.0.1:9/v1")
    for command in ("plan", "validate"):
        assert (
            "not ready: no server answers at http://127.0.0.1:9: Connection refused"
            in xp(command, spec, "--store", tmp_path / "s").output
        )
    with serving(lambda _: Said()) as server:
        assert (
            "not ready" not in xp("plan", write_study(tmp_path, server), "--store", tmp_path / "store").output
        )


def test_a_variable_is_sent_to_a_server_only_after_that_was_allowed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XP_TEST_KEY", KEY)
    monkeypatch.setenv("XP_TEST_OTHER", "another-secret")
    store = tmp_path / "store"
    with serving(lambda _: completion("fine")) as server:
        spec = with_key(tmp_path, server)
        refused = xp("apply", spec, "--yes", "--in-process", "--no-report", "--store", store)
        host = server.url.removesuffix("/v1")
        assert refused.exit_code == 2
        assert (
            f"this study calls {host} and sends it XP_TEST_KEY, for the first time from this store"
            in refused.stderr
        )
        assert server.asked == []
        assert (
            xp(
                "apply", spec, "--yes", "--allow-env", "--in-process", "--no-report", "--store", store
            ).exit_code
            == 0
        )
        assert {asked.headers["authorization"] for asked in server.asked} == {f"Bearer {KEY}"}
        n_asked = len(server.asked)
        again = xp(
            "apply",
            with_key(tmp_path, server, name="another"),
            "--yes",
            "--in-process",
            "--no-report",
            "--store",
            store,
        )
        assert again.exit_code == 0, "the pair is known by now"
        assert len(server.asked) > n_asked
        n_asked = len(server.asked)
        for change in (
            {"api_key_env": "XP_TEST_OTHER"},
            {"base_url": server.url.replace("127.0.0.1", "localhost")},
        ):
            assert (
                xp(
                    "apply",
                    with_key(tmp_path, server, name="third", **change),
                    "--yes",
                    "--in-process",
                    "--no-report",
                    "--store",
                    store,
                ).exit_code
                == 2
            )
        assert len(server.asked) == n_asked


SECRET_ADDRESSES = [
    "http://user:PASSW0RD@host/v1",
    "http://PASSW0RD@host/v1",
    "https://host/v1?api-key=PASSW0RD",
    "https://host/v1?key=PASSW0RD&api-version=2024-01-01",
    "https://host/v1?api-version=2024-01-01&sig=PASSW0RD",
    "https://host/v1#PASSW0RD",
    "https://host/sk-abcdefghijklmnop-PASSW0RD/v1",
    "user:PASSW0RD@host/v1",
    "https://host/${PASSW0RD}/v1",
]


@pytest.mark.parametrize("address", SECRET_ADDRESSES)
@pytest.mark.parametrize("way", ["model", "judge", "set"])
def test_a_password_or_a_key_in_an_address_is_refused_and_not_shown(address: str, way: str, tmp_path: Path):
    judge = {
        "judge": "rubric",
        "model": {"engine": "openai", "name": "j", "base_url": address if way == "judge" else "http://h/v1"},
    }
    spec = write_study(tmp_path, address if way == "model" else "http://localhost:1/v1", judge=judge)
    override = ["--set", f"models.m.base.base_url={address}"] if way == "set" else []
    for command in (["validate"], ["plan"], ["apply", "--yes"]):
        told = xp(*command, spec, *override, "--store", tmp_path / "store")
        assert told.exit_code == 2
        assert "base_url" in told.output
        assert "PASSW0RD" not in told.output
    assert not (tmp_path / "store").exists()


def test_the_version_that_azure_asks_for_may_stand_behind_an_address(tmp_path: Path):
    spec = write_study(tmp_path, "https://host/openai/v1?api-version=2024-10-21-preview")
    assert xp("validate", spec, "--store", tmp_path / "store").exit_code == 0


def test_a_plan_names_what_recorded_answers_and_verdicts_are_loaded_from(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("XP_DATA", raising=False)
    (tmp_path / "q.jsonl").write_text('{"id": "1", "q": "Name a tree."}\n', "utf-8")
    (tmp_path / "v.jsonl").write_text('{"id": "1", "s": 1}\n', "utf-8")
    columns = {"item": "id", "response": "a"}
    hub = {"hub": "someone/answers", "split": "test", "revision": "0" * 40}
    address = "https://data.example/v.jsonl"
    study = {
        "experiment": "t",
        "languages": ["en"],
        "models": {"gpt": {"base": {"engine": "echo"}}},
        "data": {"d": {"rows": {"path": "q.jsonl"}, "columns": {"item": "id", "instruction": "q"}}},
        "evaluate": ["d"],
        "methods": {"r": {"method": "recorded", "answers": hub, "columns": columns}},
        "judges": {
            name: {"judge": "recorded", "verdicts": rows, "columns": {"item": "id", "score": "s"}}
            for name, rows in {
                "here": {"path": "v.jsonl"},
                "there": {"url": address, "sha256": "0" * 64},
            }.items()
        },
    }
    (tmp_path / "s.yaml").write_text(json.dumps(study), "utf-8")
    found = xp("plan", tmp_path / "s.yaml", "--store", tmp_path / ".xp")
    assert found.exit_code == 0, found.output
    assert "loads someone/answers from the Hugging Face hub" in found.output
    assert f"fetches {address}" in found.output
