"""A part of the sweep over misbehaving servers; `python -m tests.faults.servers FOLDER` runs all of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.servers import KEY, meet_here, serving

EXPECTED = {
    "slow": ("hang", "one", "error"),
    "slower with each byte": ("drip", "judge", "error"),
    "garbage": ("random bytes", "one", "error"),
    "HTML": ("HTML with 200", "chat", "error"),
    "HTML with a status": ("502 page", "one", "error"),
    "200 with an error": ("error with 200", "judge", "error"),
    "endless": ("endless", "one", "error"),
    "cut off": ("cut off", "judge", "error"),
    "429 for ever": ("429", "all", "failed"),
    "another model": ("another model", "one", "answered"),
    "another model judges": ("another model", "judge", "answered"),
    "redirect elsewhere": ("redirect elsewhere", "judge", "error"),
    "redirect with the key": ("redirect with the key", "one", "error"),
    "another form": ("choices object", "all", "failed"),
    "no text": ("tool call", "chat", "missing"),
    "odd numbers": ("tokens 3.5", "chat", "answered"),
}
"""Kind of fault -> the fault, the way it is met, and how that ends."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving() as port:
        yield port


@pytest.mark.parametrize("kind", EXPECTED)
def test_a_misbehaving_server_leaves_no_traceback_nothing_silent_and_nothing_stuck(
    kind: str, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault, way, verdict = EXPECTED[kind]
    monkeypatch.setenv("XP_FAULT_KEY", KEY)
    monkeypatch.setattr("runners.http.client._INITIAL_BACKOFF", 0.0)
    met = meet_here(tmp_path / f"0-{way}", port, fault, way)
    assert met.verdict == verdict, met
