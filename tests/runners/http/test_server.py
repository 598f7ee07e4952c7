"""The server is part of a study: by a declared revision, else by host and port."""

from pathlib import Path

import pytest

from dsl.data.fingerprints import Fingerprints
from dsl.engines.contract import EngineSettings, ServerSettings
from dsl.engines.openai import Settings
from dsl.errors import ServerError
from dsl.judges._decision_model import SystemOne
from dsl.steps.identity import digest
from runners.http.server import Server

BOTH = pytest.mark.parametrize("settings", [Settings, SystemOne])


def planned(
    settings: type[ServerSettings], monkeypatch: pytest.MonkeyPatch, address: str, **more: str
) -> EngineSettings:
    monkeypatch.setenv("XP_TEST_URL", address)
    return settings(name="m", base_url_env="XP_TEST_URL", **more).pinned(Fingerprints(), Path())


@BOTH
def test_another_server_behind_the_same_variable_is_another_model(
    settings: type[ServerSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = planned(settings, monkeypatch, "http://user:secret-password@one:8000/v1")
    assert digest(one) == digest(planned(settings, monkeypatch, "http://one:8000/v2/"))
    assert digest(one) != digest(planned(settings, monkeypatch, "http://one:8001/v1"))
    assert digest(one) != digest(planned(settings, monkeypatch, "http://two:8000/v1"))
    assert "secret" not in one.model_dump_json()


@BOTH
def test_a_declared_revision_stands_for_the_server(
    settings: type[ServerSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = planned(settings, monkeypatch, "http://one:8000/v1", revision="a")
    assert digest(one) == digest(planned(settings, monkeypatch, "http://two:8000/v1", revision="a"))
    assert digest(one) == digest(settings(name="m", base_url="http://three/v1", revision="a"))
    assert digest(one) != digest(planned(settings, monkeypatch, "http://one:8000/v1", revision="b"))


@BOTH
def test_a_variable_that_is_not_set_is_a_warning_of_the_plan(
    settings: type[ServerSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XP_TEST_URL", raising=False)
    asked = settings(name="m", base_url_env="XP_TEST_URL")
    assert asked.pinned(Fingerprints(), Path()) == asked
    assert "XP_TEST_URL is not set" in (asked.unpinned() or "")
    assert settings(name="m", base_url_env="XP_TEST_URL", revision="a").unpinned() is None
    monkeypatch.setenv("XP_TEST_URL", "http://one/v1")
    assert asked.unpinned() is None


def test_a_step_that_was_planned_with_one_server_is_not_run_with_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = planned(Settings, monkeypatch, "http://one:8000/v1")
    assert isinstance(one, Settings)
    assert Server(one).host == "one:8000"
    monkeypatch.setenv("XP_TEST_URL", "http://two:8000/v1")
    with pytest.raises(ServerError, match="names two:8000, and the study was planned with one:8000"):
        Server(one)
