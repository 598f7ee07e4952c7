"""Judges that decide, on weights that vLLM serves, before a server that behaves as it does: the probabilities
of weights loaded here, and failures by name."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from dsl.data.records import Verdict
from dsl.engines.transformers import Weights
from dsl.engines.vllm import Settings
from dsl.errors import DataError, ServerError
from dsl.judges import AnyJudge
from runners.judges import decision, pairwise
from runners.judges._model_judges.decide import Decided, Question, decide
from runners.judges.contract import NO_REPLY, Answer, Tools
from runners.serving import servers, vllm
from runners.store.row_keys import Keys
from tests.fixtures.tiny_study import TINY
from tests.runners.judges.answers import answer, no_model, verdicts

pytestmark = pytest.mark.slow

SERVER = Path(__file__).parents[2] / "serving" / "vllm_server.py"
SERVED = {"engine": "vllm", "path": str(TINY), "args": {"max_model_len": 1024}}
HERE = {"path": str(TINY)}
TEXTS = ("Go away.", "Thank you.", "Thank you for asking, and come back soon.")
CRITERIA = (("rude", "fair", "polite"), {"first": "It is short.", "second": "It is long."})
ASKED = [Question({"answer": text}, "How polite is it?", criteria) for text in TEXTS for criteria in CRITERIA]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of what the server is asked."""
    monkeypatch.setenv(vllm.VARIABLE, f"{sys.executable} {SERVER}")
    monkeypatch.setenv("VLLM_SERVER_ASKED", str(tmp_path / "asked.jsonl"))
    yield tmp_path / "asked.jsonl"
    servers.end()


def posted(asked: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in asked.read_text("utf-8").splitlines()]


def decided(model: Weights, questions: list[Question], tools: Tools) -> dict[int, Decided]:
    return {one.place: one for one in decide(model, questions, tools)}


def judge(kind: str, model: dict[str, Any], **more: Any) -> Any:
    return TypeAdapter(AnyJudge).validate_python({"judge": kind, "model": model, **more})


def test_a_served_model_decides_with_the_probabilities_that_it_has_when_it_is_loaded_here(
    tmp_path: Path, asked: Path
) -> None:
    tools = Tools(no_model, tmp_path)
    there = decided(Settings.model_validate(SERVED), ASKED, tools)
    here = decided(Weights(**HERE), ASKED, Tools(no_model, tmp_path))
    assert there.keys() == here.keys() == set(range(len(ASKED)))
    for place, one in there.items():
        assert one.probabilities == pytest.approx(here[place].probabilities, rel=1e-4)
        assert one.details.get("n_prompt_tokens") == here[place].details.get("n_prompt_tokens")
        provenance = one.details.get("provenance")
        assert provenance is not None
        assert provenance.system_fingerprint == "vllm 0.32.0, float32"
    assert (tools.facts["server"], tools.facts["dtype"], tools.facts["decision_head"]) == (
        "vllm 0.32.0",
        "float32",
        False,
    )
    assert tools.load_seconds > 0
    sent = posted(asked)
    assert len(sent) == len(ASKED)
    assert {one["path"] for one in sent} == {"/v1/completions"}
    assert {(one["max_tokens"], one["temperature"], one["top_p"]) for one in sent} == {(1, 0.0, 1.0)}
    assert {len(one["logprob_token_ids"]) for one in sent} == {2, 3}


def test_prompts_that_begin_alike_follow_each_other(tmp_path: Path, asked: Path) -> None:
    one_by_one = Settings.model_validate({**SERVED, "batch_size": 1})
    decided(one_by_one, ASKED, Tools(no_model, tmp_path))
    prompts = [one["prompt"] for one in posted(asked)]
    assert prompts == sorted(prompts)


def compared(model: dict[str, Any], cache: Path) -> Verdict:
    given = judge("pairwise", model, against="zero")
    ours, theirs = answer("In Oslo, as far as I know."), answer("No idea.")
    keys = Keys(pairwise, given).of(ours.example, ours.completion, theirs.completion)
    one = Answer(ours.example, ours.completion, keys, "zero", theirs.completion)
    (found,) = pairwise.judge([one], given, Tools(no_model, cache))
    return found


def test_two_answers_are_compared_and_levels_decided_as_by_weights_loaded_here(
    tmp_path: Path, asked: Path
) -> None:
    there, here = compared(SERVED, tmp_path), compared(HERE, tmp_path)
    assert there.distribution == pytest.approx(here.distribution, rel=1e-4)
    assert (there.score, there.parts) == (here.score, here.parts)
    (level,) = verdicts(
        judge("decision", SERVED, aspects=["clarity"]), answer("Oslo."), tools=Tools(no_model, tmp_path)
    )
    (expected,) = verdicts(
        judge("decision", HERE, aspects=["clarity"]), answer("Oslo."), tools=Tools(no_model, tmp_path)
    )
    assert level.score == pytest.approx(expected.score, rel=1e-4)
    for one in (there, level):
        assert one.provenance is not None
        assert one.provenance.system_fingerprint == "vllm 0.32.0, float32"
    assert len(Path(f"{asked}.starts").read_text("utf-8").splitlines()) == 1


def test_a_verdict_of_a_served_model_has_a_key_of_its_own_without_the_servers_speed() -> None:
    one = answer("Paris.")

    def key(model: dict[str, Any]) -> str:
        given = judge("decision", model, aspects=["clarity"])
        return Keys(decision, given).of(one.example, one.completion)["clarity"]

    assert key(SERVED) != key(HERE)
    assert key({**SERVED, "batch_size": 2}) == key(SERVED)


def test_a_question_longer_than_the_server_reads_is_unscored_and_not_sent(
    tmp_path: Path, asked: Path
) -> None:
    short = Settings.model_validate({**SERVED, "args": {"max_model_len": 200}})
    questions = [Question({"answer": "word " * n}, "Is it short?", ("no", "yes")) for n in (1, 300)]
    found = decided(short, questions, Tools(no_model, tmp_path))
    assert found[0].probabilities is not None
    assert "more than the judge can read (199)" in (found[1].error or "")
    assert len(posted(asked)) == 1


def test_a_server_that_does_not_know_the_tokens_asked_for_ends_the_step_by_name(
    tmp_path: Path, asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_SERVER_KNOWS_NO_LABELS", "1")
    with pytest.raises(ServerError, match=r"vllm 0\.32\.0.*log-probabilities.*later version of the server"):
        decided(Settings.model_validate(SERVED), ASKED, Tools(no_model, tmp_path))


def test_a_question_that_the_server_refuses_is_a_failure_of_the_judge_and_of_its_row_alone(
    tmp_path: Path, asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_SERVER_HAS_NO_MODEL", "1")
    monkeypatch.setenv("VLLM_SERVER_REFUSES", str(3))
    one_by_one = Settings.model_validate({**SERVED, "batch_size": 1})
    found = decided(one_by_one, ASKED, Tools(no_model, tmp_path))
    (failed,) = [one for one in found.values() if one.probabilities is None]
    assert (failed.error or "").startswith(NO_REPLY)
    assert failed.details.get("n_faults") == 0


def test_a_server_that_ends_is_started_once_more_for_a_judge(
    tmp_path: Path, asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_SERVER_HAS_NO_MODEL", "1")
    monkeypatch.setenv("VLLM_SERVER_ENDS_BEFORE", "3")
    one_by_one = Settings.model_validate({**SERVED, "batch_size": 1})
    found = decided(one_by_one, ASKED, Tools(no_model, tmp_path))
    assert all(one.probabilities is not None for one in found.values())
    assert len(posted(asked)) == len(ASKED) + 1
    assert len(Path(f"{asked}.starts").read_text("utf-8").splitlines()) == 2


def test_a_model_with_a_decision_head_is_left_to_transformers(tmp_path: Path) -> None:
    import torch
    from transformers import AutoConfig, JevConfig, JevForDecision

    torch.manual_seed(0)
    text: Any = AutoConfig.from_pretrained(TINY)
    JevForDecision(JevConfig(hidden_size=text.hidden_size, text_config=text)).save_pretrained(
        tmp_path / "jev"
    )
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(TINY / name, tmp_path / "jev" / name)
    with pytest.raises(DataError, match="a head of its own, which vLLM does not serve"):
        decided(Settings(path=str(tmp_path / "jev")), ASKED, Tools(no_model, tmp_path))


def test_a_model_that_decides_by_an_adapter_of_its_own_is_left_to_transformers(
    tmp_path: Path, asked: Path
) -> None:
    folder = shutil.copytree(TINY, tmp_path / "adapted")
    (folder / "decision.json").write_text(json.dumps({"adapter": "decide"}), "utf-8")
    with pytest.raises(DataError, match="an adapter of its own, which vLLM does not serve"):
        decided(Settings.model_validate({**SERVED, "path": str(folder)}), ASKED, Tools(no_model, tmp_path))
    assert not asked.exists()
