"""The `vllm` engine before a server that behaves as vLLM does: the same answers as transformers', tuned
models, and servers that end."""

import itertools
import json
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from dsl.data.records import Prompt
from dsl.engines.contract import Decoding, EngineSettings
from dsl.engines.transformers import Weights
from dsl.engines.vllm import Settings
from dsl.errors import BudgetSpent, DataError, ServerError
from dsl.spec.budget import Budget, Charge, Use
from dsl.steps.steps import GenerateStep
from runners.engines import find_engine
from runners.engines._prompts import Prompts
from runners.engines.contract import EngineAnswer, EngineRequest
from runners.models.loading import load_without_weights
from runners.prompting.prompts import Prompter
from runners.serving import servers, vllm
from runners.store import spending
from runners.store.store import Store
from tests.fixtures.tiny_study import TINY, chat_form, inputs, rows, text_form
from tests.runners.serving.tuned_models import adapted

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]

SERVER = Path(__file__).parents[1] / "serving" / "vllm_server.py"
GREEDY = Decoding(max_new_tokens=16)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of what the server is asked."""
    monkeypatch.setenv(vllm.VARIABLE, f"{sys.executable} {SERVER}")
    monkeypatch.setenv("VLLM_SERVER_ASKED", str(tmp_path / "asked.jsonl"))
    yield tmp_path / "asked.jsonl"
    servers.end()


def requests(folder: Path, n: int = 4) -> list[EngineRequest]:
    """Text prompts and chats in three languages."""
    context, _ = inputs(folder)
    found: list[EngineRequest] = []
    for language in ("en", "fr", "es"):
        for form in (text_form(language), chat_form()):
            prompter = Prompter(form, context, None)
            for example in rows("questions", language)[:n]:
                key = f"{language} {example.item} {type(form).__name__}"
                found.append(EngineRequest(key=key, prompt=prompter.prompt(example)))
    return found


def answers(
    settings: EngineSettings,
    asked: list[EngineRequest],
    cache: Path,
    tuned: Path | None = None,
    decoding: Decoding = GREEDY,
) -> dict[str, dict[str, Any]]:
    """Key -> what is said of its answer by every engine."""
    engine = find_engine(settings.engine).Engine(settings, tuned, cache)
    assert {request.key: engine.identify(request) for request in asked}
    given: Iterator[EngineAnswer] = engine.generate(asked, decoding)
    apart = {"seconds", "batch_size", "system_fingerprint"}
    return {one.key: one.model_dump(exclude=apart) for one in given}


def posted(asked: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in asked.read_text("utf-8").splitlines()]


def starts(asked: Path) -> list[str]:
    """Processes of the servers that were started."""
    return Path(f"{asked}.starts").read_text("utf-8").splitlines()


def tiny(folder: Path, seed: int, on: Path | None = None) -> Path:
    return adapted(folder, Weights(path=str(TINY)), folder / "cache", seed, on)


def test_the_same_prompts_get_the_same_answers_on_one_server_for_weights_and_adapters(
    tmp_path: Path, asked: Path
) -> None:
    prompts, tuned = requests(tmp_path), [tiny(tmp_path / f"sft-{n}", n) for n in (1, 2)]
    here, there = Weights(path=str(TINY)), Settings(path=str(TINY), lora_rank=4, args={"max_model_len": 1024})
    found = [answers(there, prompts, tmp_path / "cache", one) for one in (None, *tuned)]
    assert found == [answers(here, prompts, tmp_path / "cache", one) for one in (None, *tuned)]
    texts = [{key: answer["text"] for key, answer in of_one.items()} for of_one in found]
    assert texts[0] != texts[1] != texts[2]
    assert {answer["finish_reason"] for answer in found[0].values()} > {"stop"}

    sent = posted(asked)
    assert len(starts(asked)) == 1
    loads = [one["path"].rpartition("/")[2] for one in sent if "lora" in one["path"]]
    assert loads == ["load_lora_adapter", "unload_lora_adapter"] * 2
    completions = [one for one in sent if one["path"] == "/v1/completions"]
    first = completions[: len(prompts)]
    assert all(isinstance(token, int) for one in completions for token in one["prompt"])
    assert all(one["stop_token_ids"] == [2] and one["return_token_ids"] for one in completions)
    assert {one["model"] for one in first} == {"model"}
    assert {one["model"].rpartition("-")[0] for one in completions[len(prompts) :]} == {"sft-1", "sft-2"}


def test_twenty_adapters_of_one_base_are_asked_on_one_server_that_holds_one_at_a_time(
    tmp_path: Path, asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_SERVER_HAS_NO_MODEL", "1")
    prompts, first = requests(tmp_path, 1), tiny(tmp_path / "sft-0", 0)
    tuned = [shutil.copytree(first, tmp_path / f"sft-{n}") for n in range(1, 20)]
    settings = Settings(path=str(TINY), lora_rank=4)
    for one in (None, first, *tuned, None):
        assert len(answers(settings, prompts, tmp_path / "cache", one)) == len(prompts)

    assert len(starts(asked)) == 1
    sent, loaded, most = posted(asked), set[str](), 0
    for one in sent:
        if one["path"] == "/v1/load_lora_adapter":
            loaded.add(one["lora_name"])
        elif one["path"] == "/v1/unload_lora_adapter":
            loaded.remove(one["lora_name"])
        else:
            assert one["model"] in (loaded or {"model"})
        most = max(most, len(loaded))
    assert (most, loaded) == (1, set())
    loads = [one for one in sent if one["path"] == "/v1/load_lora_adapter"]
    assert [Path(one["lora_path"]).parent.name for one in loads] == [f"sft-{n}" for n in range(20)]
    assert len({one["lora_name"] for one in loads}) == 20


def test_an_adapter_is_unloaded_when_its_step_ends_early_and_the_server_stays_for_the_next(
    tmp_path: Path, asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_SERVER_HAS_NO_MODEL", "1")
    prompts, tuned = requests(tmp_path, 2), [tiny(tmp_path / f"sft-{n}", n) for n in (1, 2)]
    settings = Settings(path=str(TINY), lora_rank=4, batch_size=1)
    stopped = find_engine("vllm").Engine(settings, tuned[0], tmp_path / "cache").generate(prompts, GREEDY)
    next(stopped)
    stopped.close()
    assert len(answers(settings, prompts, tmp_path / "cache", tuned[1])) == len(prompts)
    loads = [one["path"].rpartition("/")[2] for one in posted(asked) if "lora" in one["path"]]
    assert loads == ["load_lora_adapter", "unload_lora_adapter"] * 2
    assert len(starts(asked)) == 1


KINDS: dict[str, dict[str, Any]] = {
    "DoRA": {"target_modules": ["q_proj"], "use_dora": True},
    "modules that are saved as a whole": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    "adapters of the embedding": {"target_modules": ["embed_tokens", "q_proj"]},
    "ranks of their own": {"target_modules": ["q_proj", "v_proj"], "rank_pattern": {"v_proj": 2}},
    "biases": {"target_modules": ["q_proj"], "bias": "all"},
}


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`:UserWarning")
@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers` to `True`:UserWarning")
@pytest.mark.parametrize("is_tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_more_than_a_plain_adapter_is_merged_to_the_same_model(
    tmp_path: Path, kind: str, is_tied: bool
) -> None:
    import torch
    import transformers

    from runners.models import merged_weights
    from runners.models.loading import load

    weights = Weights(path=str(embeddings(tmp_path / "base", is_tied=is_tied)))
    tuned = adapted(tmp_path / "sft-1", weights, tmp_path / "cache", 1, **KINDS[kind])
    assert merged_weights.plain_adapter(tuned, 512) is None
    merged = merged_weights.merged_folder(weights, tuned, tmp_path / "cache")
    there: Any = cast("Any", transformers).AutoModelForCausalLM.from_pretrained(merged)
    ids = torch.tensor([[1, 5, 9, 33, 7]])
    with torch.inference_mode():
        base = load(weights, None, tmp_path / "cache").model(ids).logits
        here = load(weights, tuned, tmp_path / "cache").model(ids).logits
        assert torch.allclose(there(ids).logits, here, atol=1e-5)
        assert not torch.allclose(base, here, atol=1e-3)


def embeddings(folder: Path, *, is_tied: bool) -> Path:
    """The tiny model with one embedding for input and output, or two."""
    import transformers

    auto: Any = transformers
    model = auto.AutoModelForCausalLM.from_pretrained(TINY, tie_word_embeddings=is_tied)
    if not is_tied:
        model.lm_head.weight.data = model.lm_head.weight.data.flip(0).clone()
    model.save_pretrained(folder)
    auto.AutoTokenizer.from_pretrained(TINY).save_pretrained(folder)
    return folder


def test_an_adapter_on_an_adapter_and_weights_trained_in_full_are_served_as_weights(
    tmp_path: Path, asked: Path
) -> None:
    from runners.models.loading import load

    here, there = Weights(path=str(TINY)), Settings(path=str(TINY), lora_rank=4)
    sft = tiny(tmp_path / "sft-1", 1)
    dpo = tiny(tmp_path / "dpo-1", 2, on=sft)
    full = tmp_path / "sft-full"
    model: Any = load(here, dpo, tmp_path / "cache").model
    model.save_pretrained(full / "model")
    prompts = requests(tmp_path, 2)
    for tuned in (dpo, full):
        found = answers(there, prompts, tmp_path / "cache", tuned)
        assert found == answers(here, prompts, tmp_path / "cache", tuned)
    assert not [one for one in posted(asked) if "lora" in one["path"]]
    with pytest.raises(DataError, match="Leave `base_url` out"):
        answers(Settings(path=str(TINY), base_url="http://localhost:1"), prompts, tmp_path, dpo)


def test_a_row_that_is_sampled_has_its_own_seed_and_decoding_is_sent_in_full(
    tmp_path: Path, asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_SERVER_HAS_NO_MODEL", "1")
    prompts = [
        EngineRequest(key=str(n), prompt=Prompt(text="Why?" * (n + 1), stop_strings=("#", "!")), seed=n)
        for n in (2, 0, 1)
    ]
    decoding = Decoding(temperature=0.7, top_p=0.9, top_k=5, repetition_penalty=1.2, max_new_tokens=9)
    found = answers(Settings(path=str(TINY), batch_size=1), prompts, tmp_path, decoding=decoding)
    assert {answer["finish_reason"] for answer in found.values()} == {"eos"}
    sent = posted(asked)
    assert [one["seed"] for one in sent] == [0, 1, 2]  # prompts that begin alike follow each other
    expected = {
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 5,
        "min_p": 0.0,
        "repetition_penalty": 1.2,
        "max_tokens": 9,
        "stop": ["#", "!"],
        "ignore_eos": True,
    }
    assert {name: sent[0][name] for name in expected} == expected
    passing_over = decoding.model_copy(update={"penalize_prompt": False})
    with pytest.raises(DataError, match="counts the prompt's tokens, too"):
        answers(Settings(path=str(TINY)), prompts, tmp_path, decoding=passing_over)


def test_prompts_that_begin_alike_follow_each_other_each_with_its_rows_own_seed(
    tmp_path: Path, asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_SERVER_HAS_NO_MODEL", "1")
    prompts = [one.model_copy(update={"seed": n}) for n, one in enumerate(requests(tmp_path))]
    mixed, settings = random.Random(0).sample(prompts, len(prompts)), Settings(path=str(TINY), batch_size=1)
    answers(settings, mixed, tmp_path / "cache", decoding=Decoding(temperature=1.0, max_new_tokens=2))
    sent = posted(asked)
    order = [one["prompt"] for one in sent]
    assert order == sorted(order)
    assert shared(order) > shared(
        [order[at] for at in random.Random(1).sample(range(len(order)), len(order))]
    )
    here = Prompts(load_without_weights(Weights(path=str(TINY)), tmp_path / "cache"), "tiny")
    rows = {(one.token_ids, one.seed) for one in here.read(prompts, None).ready}
    assert {(tuple(one["prompt"]), one["seed"]) for one in sent} == rows
    assert len(rows) == len(prompts)


def shared(prompts: list[list[int]]) -> int:
    """Tokens that each prompt begins with as the one before it does, of all together."""
    return sum(
        next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
        for one, other in itertools.pairwise(prompts)
    )


def test_a_prompt_longer_than_the_server_reads_is_an_error_of_its_row(
    tmp_path: Path, asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_SERVER_HAS_NO_MODEL", "1")
    prompts = [EngineRequest(key=str(n), prompt=Prompt(text="Where? " * n)) for n in (1, 50)]
    settings = Settings(path=str(TINY), args={"max_model_len": 40})
    found = answers(settings, prompts, tmp_path)
    assert found["1"]["finish_reason"] == "eos"
    assert "the model's 40 positions leave no room" in found["50"]["error"]
    (sent,) = posted(asked)
    assert len(sent["prompt"]) + sent["max_tokens"] <= 40


@pytest.mark.parametrize(
    ("args", "told"),
    [({}, "quantization=fbgemm_fp8"), ({"quantization": "fp8"}, "quantization=fp8")],
)
def test_rows_tell_the_quantisation_that_a_checkpoint_names_itself(
    tmp_path: Path, asked: Path, monkeypatch: pytest.MonkeyPatch, args: dict[str, Any], told: str
) -> None:
    monkeypatch.setenv("VLLM_SERVER_HAS_NO_MODEL", "1")
    folder = tmp_path / "quantised"
    shutil.copytree(TINY, folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    named = {**config, "quantization_config": {"quant_method": "fbgemm_fp8"}}
    (folder / "config.json").write_text(json.dumps(named), "utf-8")
    settings = Settings(path=str(folder), args=args, counted_args=args)
    engine = find_engine("vllm").Engine(settings, None, tmp_path)
    (answer,) = engine.generate([EngineRequest(key="1", prompt=Prompt(text="Why?"))], GREEDY)
    assert answer.system_fingerprint == f"vllm 0.32.0, float32, {told}"


def test_a_server_that_ends_is_started_once_more_and_then_the_step_fails(
    tmp_path: Path, asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_SERVER_HAS_NO_MODEL", "1")
    monkeypatch.setenv("VLLM_SERVER_ENDS_BEFORE", "3 6 7")
    monkeypatch.setenv("VLLM_SERVER_HAS_CHILD", "1")
    settings = Settings(path=str(TINY), batch_size=1)
    prompts = [EngineRequest(key=str(n), prompt=Prompt(text=f"Why {n}?")) for n in range(6)]
    assert set(answers(settings, prompts[:3], tmp_path)) == {"0", "1", "2"}
    engine = find_engine("vllm").Engine(settings, None, tmp_path)
    found: list[EngineAnswer] = []
    with pytest.raises(
        ServerError, match=r"for the second time, the server of vllm .* RuntimeError: told to end"
    ):
        found.extend(engine.generate(prompts[3:], GREEDY))
    assert len(posted(asked)) == 7


def test_a_server_that_runs_already_is_charged_to_the_budget_by_its_tokens(
    tmp_path: Path, asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_SERVER_HAS_NO_MODEL", "1")
    running = servers.running(vllm.launch(Settings(path=str(TINY)), TINY, TINY), tmp_path)
    monkeypatch.setenv("XP_TEST_KEY", running.server.key.get_secret_value())
    there = Settings(
        path=str(TINY), base_url=running.settings.base_url, api_key_env="XP_TEST_KEY", batch_size=1
    )
    prompts = [EngineRequest(key=str(n), prompt=Prompt(text=f"Why {n}?")) for n in range(9)]
    step = GenerateStep(model=there, examples=f"data-{'a' * 16}", prompt=chat_form(), decoding=GREEDY)
    store = Store(tmp_path / "store")

    def given(tokens: int) -> Iterator[EngineAnswer]:
        store.charge = Charge(experiment="served", budget=Budget(tokens=tokens))
        with spending.charged(step, store):
            yield from find_engine("vllm").Engine(there, None, tmp_path).generate(prompts, GREEDY)

    def spent() -> Use:
        ledger = store.ledger("served")
        ledger.look()
        return ledger.spent

    assert len(list(given(10**6))) == len(prompts)
    sent = posted(asked)
    each = [len(one["prompt"]) + 1 for one in sent]
    assert spent() == Use(tokens=sum(each))
    most = max(len(json.dumps({k: v for k, v in one.items() if k != "path"})) for one in sent) + 16
    found: list[EngineAnswer] = []
    with pytest.raises(BudgetSpent, match="has no room for another request"):
        found.extend(given(sum(each) + most + max(each)))
    assert 0 < len(found) < len(prompts)
