"""A trained model as a folder for the hub: its files, and a card whose numbers are the report's."""

import base64
import json
import shutil
import threading
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import duckdb
import pytest
from huggingface_hub import ModelCard, constants

from dsl.data.records import Outcome
from dsl.data.source import FileSource, HubSource
from dsl.engines.transformers import Weights
from dsl.errors import ArgumentError, OutputError, WarehouseError
from dsl.steps.steps import DataStep, DpoStep, SelectStep, SftStep, Step
from runners.store.store import Store, read_step
from tests.fixtures.tiny_study import WEIGHTS
from tests.runners.models.test_loading import adapter, same
from tests.warehouse.reported_study import write_study
from warehouse.report.markdown import escaped
from xp.push import push

DATA = {"instruction": "q", "response": "a", "item": "id"}


def put(store: Path, step_id: str, step: Step) -> None:
    folder = store / "steps" / step_id
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "step.json").write_text(step.model_dump_json(), "utf-8")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reported study, one of whose trainings has settings and weights."""
    root = tmp_path_factory.mktemp("push") / ".xp"
    write_study(root, models={"tiny": 135_000_000}, languages=("en",), declared_on=("contains",))
    for step_id, source in {
        "data-0000000000000001": HubSource(hub="owner/rows", split="train"),
        "data-0000000000000002": FileSource(
            path="/home/somebody/my_[rows].jsonl", sha256="0" * 64, format="jsonl"
        ),
    }.items():
        put(
            root,
            step_id,
            DataStep.model_validate({"source": source.model_dump(), "columns": DATA, "language": "en"}),
        )
    step = SftStep.model_validate(
        {
            "weights": {"hub": "owner/base", "revision": "abc"},
            "train": ["data-0000000000000001", "data-0000000000000002"],
            "prompts": [],
            "adapter": {"r": 4},
            "training": {"learning_rate": 0.00012345},
            "seed": 3,
        }
    )
    put(root, sft_of(root), step)
    adapter = root / "steps" / sft_of(root) / "adapter"
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    (adapter / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": "/home/somebody/models/1", "r": 4, "revision": None})
    )
    (adapter / "README.md").write_text("/home/somebody")
    return root


def sft_of(store: Path) -> str:
    (found,) = [one for one in Store(store).done() if one.startswith("sft-")]
    return found


def rows(store: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(store / "warehouse.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_an_adapter_is_written_with_the_name_of_its_base_and_no_path_of_this_machine(
    store: Path, tmp_path: Path
):
    out = tmp_path / "out"
    pushed = push(sft_of(store), out, store)
    assert (pushed.is_adapter, pushed.url) == (True, None)
    assert sorted(file.name for file in out.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    assert (out / "adapter_model.safetensors").read_bytes() == b"weights"
    config = json.loads((out / "adapter_config.json").read_text())
    assert config == {"base_model_name_or_path": "owner/base", "revision": "abc", "r": 4}
    assert [file for file in out.iterdir() if b"/home/" in file.read_bytes()] == []


def test_the_header_of_a_card_says_what_is_known_and_nothing_else(store: Path, tmp_path: Path):
    push(sft_of(store), tmp_path / "out", store)
    card = ModelCard.load(tmp_path / "out" / "README.md")
    assert card.data.to_dict() == {
        "base_model": "owner/base",
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "language": ["en"],
        "datasets": ["owner/rows"],
        "tags": ["lora", "sft"],
    }


def test_a_card_of_a_study_without_a_question_says_nothing_of_one(store: Path, tmp_path: Path):
    store = shutil.copytree(store, tmp_path / ".xp")
    for question in ("Is it?", ""):
        with duckdb.connect(str(store / "warehouse.duckdb")) as connection:
            connection.execute("update experiments set question = ?", [question])
        push(sft_of(store), tmp_path / f"out {question}", store)
        text = (tmp_path / f"out {question}" / "README.md").read_text("utf-8")
        assert ("Asked in the study: Is it?" in text, "Asked in the study" in text) == (bool(question),) * 2


def test_a_card_has_settings_data_and_the_numbers_of_the_report(store: Path, tmp_path: Path):
    push(sft_of(store), tmp_path / "out", store)
    text = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert f"| {escaped('learning_rate')} | 0.00012345 |" in text
    assert "eval" not in text  # without validation rows nothing is evaluated
    assert "- owner/rows, en\n- my\\_\\[rows\\].jsonl, en" in text
    contrasts = rows(
        store,
        "select estimate, ci_low, ci_high, n from contrast_by_language_and_size"
        " where 'sft' in (of, against) and family = 'confirmatory'",
    )
    assert contrasts
    for estimate, low, high, n in contrasts:
        assert f"| {escaped(f'{estimate:.3g} ({low:.3g} to {high:.3g})')} |" in text
        assert f"| {n} |" in text
    scores = rows(
        store, "select mean_score, ci_low, ci_high, n, n_unscored from score_by_cell where method = 'sft'"
    )
    assert scores
    for mean, low, high, n, n_unscored in scores:
        told = "(no interval)" if low is None else f"({low:.3g} to {high:.3g})"
        assert f"| {escaped(f'{mean:.3g} {told}')} | {n} | {n_unscored} |" in text or mean is None


def test_texts_of_a_study_do_nothing_in_a_card(store: Path, tmp_path: Path):
    push(sft_of(store), tmp_path / "out", store)
    text = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "&lt;script&gt;window.hacked = 'question'" in text
    assert "<" not in text


def test_a_study_with_one_trained_model_is_named_for_it_and_one_with_more_names_them(
    store: Path, tmp_path: Path
):
    with pytest.raises(ArgumentError, match="has 2 trained models") as raised:
        push("hostile", tmp_path / "out", store)
    assert sft_of(store) in str(raised.value)
    with pytest.raises(ArgumentError, match="is no finished training step"):
        push("generate-1", tmp_path / "out", store)


def test_a_base_in_a_folder_is_named_without_its_place_on_this_machine(store: Path, tmp_path: Path):
    store = shutil.copytree(store, tmp_path / ".xp")
    step = read_step(store / "steps" / sft_of(store))
    assert isinstance(step, SftStep)
    weights = Weights(path="/home/somebody/models/my-base/")
    put(store, sft_of(store), step.model_copy(update={"weights": weights}))
    push(sft_of(store), tmp_path / "out", store)
    assert [file for file in (tmp_path / "out").iterdir() if b"/home/" in file.read_bytes()] == []
    assert "# my-base, SFT\n" in (tmp_path / "out" / "README.md").read_text("utf-8")


def test_an_experiment_is_meant_by_its_name_also_where_steps_begin_like_it(store: Path, tmp_path: Path):
    store = shutil.copytree(store, tmp_path / ".xp")
    with duckdb.connect(str(store / "warehouse.duckdb")) as connection:
        connection.execute("insert into experiments select * replace ('sft' as experiment) from experiments")
    with pytest.raises(ArgumentError, match="`sft` is no finished training step"):
        push("sft", tmp_path / "out", store)
    push("sft-", tmp_path / "out", store)


def test_a_warehouse_that_cannot_be_read_leaves_no_folder(store: Path, tmp_path: Path):
    store = shutil.copytree(store, tmp_path / ".xp")
    (store / "warehouse.duckdb").unlink()
    with pytest.raises(WarehouseError):
        push(sft_of(store), tmp_path / "out", store)
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten(store: Path, tmp_path: Path):
    (tmp_path / "mine").touch()
    with pytest.raises(ArgumentError, match="is not empty"):
        push(sft_of(store), tmp_path, store)


@pytest.mark.parametrize("name", ["owner", "https://hub/owner/name", "../name/x"])
def test_a_repository_is_named_as_owner_and_name(name: str, store: Path, tmp_path: Path):
    with pytest.raises(ArgumentError, match="is named as owner/name"):
        push(sft_of(store), tmp_path / "out", store, repository=name)
    assert not (tmp_path / "out").exists()


def test_without_a_network_the_folder_is_written_and_the_error_says_how_to_upload_it(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_0123456789abcdef")
    out = tmp_path / "out"
    with pytest.raises(OutputError, match="is written, and could not be uploaded to me/mine") as raised:
        push(sft_of(store), out, store, repository="me/mine")
    assert f"hf upload me/mine {out}" in str(raised.value)
    assert "hf_0123" not in str(raised.value)
    assert (out / "README.md").exists()


@contextmanager
def a_hub() -> Generator[tuple[str, list[tuple[str, Any]]]]:
    """The hub's interface for a commit of small files: its address, and what it was sent."""
    sent: list[tuple[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"]))
            lines = [json.loads(line) for line in content.splitlines()]
            path = self.path.partition("?")[0]
            sent.append((path, lines))
            said: dict[str, Any] = {}
            if path == "/api/repos/create":
                said = {"url": f"{address}/me/mine"}
            elif "/preupload/" in path:
                said["files"] = [
                    {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for one in lines[0]["files"]
                ]
            elif "/commit/" in path:
                said = {"success": True, "commitUrl": f"{address}/me/mine/commit/1", "commitOid": "1"}
            body = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield address, sent
        finally:
            server.shutdown()
            thread.join()


def test_a_folder_is_uploaded_to_a_repository_that_is_private_when_it_is_new(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with a_hub() as (address, sent):
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        pushed = push(sft_of(store), tmp_path / "out", store, repository="me/mine")
    assert pushed.url == f"{address}/me/mine"
    assert sent[0][0] == "/api/repos/create"
    assert (sent[0][1][0]["name"], sent[0][1][0].get("visibility", "private")) == ("mine", "private")
    ((_, lines),) = [one for one in sent if "/commit/" in one[0]]
    files = {
        line["value"]["path"]: base64.b64decode(line["value"]["content"])
        for line in lines
        if line["key"] == "file"
    }
    assert files == {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}


def test_a_card_names_every_training_and_the_chosen_one_of_several(store: Path, tmp_path: Path):
    store = shutil.copytree(store, tmp_path / ".xp")
    weights = {"package": "llm-base", "version": "1", "accept_license": "gemma"}
    common: dict[str, Any] = {
        "weights": weights,
        "prompts": [],
        "adapter": {"r": 4},
        "training": {},
        "seed": 0,
    }
    first, second, chosen = "sft-1111111111111111", "dpo-1111111111111111", "select-1111111111111111"
    put(store, first, SftStep.model_validate({**common, "train": ["data-0000000000000001"]}))
    put(
        store,
        second,
        DpoStep.model_validate(
            {
                **common,
                "policy": first,
                "pairs": ["data-0000000000000002"],
                "beta": 0.25,
                "reference": "policy",
            }
        ),
    )
    put(store, chosen, SelectStep(trials={"beta: 0.25": second}))
    outcome = Outcome(step_id=chosen, seconds=1, facts={"trial_id": second})
    for step_id in (first, second, chosen):
        text = outcome.model_copy(update={"step_id": step_id}).model_dump_json()
        (store / "steps" / step_id / "outcome.json").write_text(text, "utf-8")
    adapter = store / "steps" / chosen / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    push(chosen, tmp_path / "out", store)
    text = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# llm-base, SFT and then DPO",
        "## SFT",
        "## DPO",
        "## Scores",
        "## Contrasts",
    ]
    assert "| beta | 0.25 |" in text
    assert "No scores yet." in text
    header = ModelCard(text).data.to_dict()
    assert (header["license"], header["tags"]) == ("gemma", ["lora", "sft", "dpo"])
    assert "base_model" not in header


# PEFT's, of what is seen to here
@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`:UserWarning")
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.slow
def test_an_adapter_on_another_one_is_written_as_the_model_that_it_makes(store: Path, tmp_path: Path):
    import torch
    import transformers

    auto: Any = transformers

    store = shutil.copytree(store, tmp_path / ".xp")
    sft, dpo = sft_of(store), "dpo-2222222222222222"
    step: dict[str, Any] = {"weights": WEIGHTS, "prompts": [], "adapter": {"r": 4}, "training": {}, "seed": 0}
    put(store, sft, SftStep.model_validate({**step, "train": []}))
    put(
        store,
        dpo,
        DpoStep.model_validate({**step, "policy": sft, "pairs": [], "beta": 0.1, "reference": "policy"}),
    )
    outcome = Outcome(step_id=dpo, seconds=1)
    (store / "steps" / dpo / "outcome.json").write_text(outcome.model_dump_json(), "utf-8")
    shutil.rmtree(store / "steps" / sft / "adapter")
    targets = ["q_proj", "embed_tokens"]
    adapter(store / "steps" / sft, None, 0, targets)
    expected = adapter(store / "steps" / dpo, store / "steps" / sft, 1, targets)
    shutil.copytree(store / "steps" / sft / "adapter", store / "steps" / dpo / "policy" / "adapter")
    out = tmp_path / "out"
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)  # nobody who pushes can do anything about it
        assert not push(dpo, out, store).is_adapter
    here = str(WEIGHTS.path).encode()
    assert [file for file in out.iterdir() if here in file.read_bytes()] == []
    model = auto.AutoModelForCausalLM.from_pretrained(out)
    with torch.no_grad():
        assert same(model(input_ids=torch.tensor([[1, 30, 40, 50]])).logits, expected)
    assert auto.AutoTokenizer.from_pretrained(out).eos_token is not None
    assert ModelCard.load(out / "README.md").data.to_dict()["library_name"] == "transformers"
