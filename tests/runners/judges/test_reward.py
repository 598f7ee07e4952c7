"""The `reward` judge on a small real reward model, made here."""

import json
import shutil
from pathlib import Path

import pytest

from dsl.data.fingerprints import Fingerprints
from dsl.data.records import Verdict
from dsl.errors import DataError
from runners.judges import reward
from runners.judges.contract import Answer, Tools
from runners.store.row_keys import Keys
from tests.runners.judges.answers import HOSTILE, answer, no_model, verdicts

pytestmark = pytest.mark.slow

TINY = Path(__file__).resolve().parents[2] / "fixtures" / "tiny"
CHAT_TEMPLATE = Path(__file__).resolve().parents[3] / "runners" / "prompting" / "chat_template.jinja"
TEXTS = (
    "Oslo.",
    "The zorbo lives in Oslo.",
    "No.",
    "I do not know where it lives, and nobody does. " * 8,
    "",
    "Chile " * 30,
    "<pad></s>",
)


def saved(folder: Path, num_labels: int = 1, template: bool = True, **config: object) -> Path:
    import torch
    from transformers import AutoConfig, LlamaForSequenceClassification

    torch.manual_seed(0)
    own = AutoConfig.from_pretrained(TINY, num_labels=num_labels, initializer_range=0.2, **config)
    LlamaForSequenceClassification(own).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(TINY / name, folder / name)
    if template:
        shutil.copy(CHAT_TEMPLATE, folder / "chat_template.jinja")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("reward") / "model")


def judged(folder: Path, *answers: Answer, cache: Path, **given: object) -> list[Verdict]:
    settings = reward.Settings.model_validate({"model": {"path": str(folder), **given}})
    return verdicts(settings, *answers, tools=Tools(no_model, cache))


def asked(*texts: str) -> list[Answer]:
    """Answers to instructions that identify them: verdicts come in any order."""
    return [answer(text, instruction=f"Where does it live? {number}") for number, text in enumerate(texts)]


def scores(folder: Path, *texts: str, cache: Path, **given: object) -> list[float]:
    """In the order of the texts."""
    answers = asked(*texts)
    settings = reward.Settings.model_validate({"model": {"path": str(folder), **given}})
    by_key = {one.row_key: one.score for one in verdicts(settings, *answers, tools=Tools(no_model, cache))}
    keys = Keys(reward, settings)
    found = [by_key[keys.of(one.example, one.completion)["reward"]] for one in answers]
    return [score for score in found if score is not None]


def test_the_score_is_the_models_logit_for_the_two_turns(model: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from runners.prompting.tokens import uses_bos

    tokenizer = AutoTokenizer.from_pretrained(model)
    turns = [
        {"role": "user", "content": "Where does it live? 0"},
        {"role": "assistant", "content": "In Oslo."},
    ]
    text = tokenizer.apply_chat_template(turns, tokenize=False)
    ids = tokenizer(
        text,
        add_special_tokens=uses_bos(tokenizer) and not text.startswith(tokenizer.bos_token),
        return_tensors="pt",
    )["input_ids"]
    loaded = AutoModelForSequenceClassification.from_pretrained(model, dtype=torch.float32)
    loaded.config.pad_token_id = None
    with torch.inference_mode():
        expected = loaded(input_ids=ids).logits[0, 0].item()
    assert scores(model, "In Oslo.", cache=tmp_path) == [pytest.approx(expected, abs=1e-5)]


def test_the_batch_size_does_not_change_a_score(model: Path, tmp_path: Path) -> None:
    alone = scores(model, *TEXTS, cache=tmp_path, batch_size=1)
    assert len(alone) == len(TEXTS)
    assert max(alone) - min(alone) > 0.01
    for size in (2, 3, 7):
        assert scores(model, *TEXTS, cache=tmp_path, batch_size=size) == pytest.approx(alone, abs=1e-5)


def test_neither_does_a_padding_token_that_ends_every_text(tmp_path: Path) -> None:
    """Causal models read their number at the last token that is no padding."""
    plain, clashing = saved(tmp_path / "plain"), saved(tmp_path / "clashing")
    last = _last_token(plain)
    config = json.loads((clashing / "config.json").read_text())
    (clashing / "config.json").write_text(json.dumps({**config, "pad_token_id": last}))
    expected = scores(plain, *TEXTS, cache=tmp_path, batch_size=1)
    assert scores(clashing, *TEXTS, cache=tmp_path, batch_size=4) == pytest.approx(expected, abs=1e-5)


def test_neither_does_it_where_every_token_sees_the_whole_text(tmp_path: Path) -> None:
    import torch
    from transformers import AutoConfig, BertConfig, BertForSequenceClassification

    folder = saved(tmp_path / "bert")
    sizes = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "initializer_range": 0.2,
    }
    torch.manual_seed(0)
    own = BertConfig(
        vocab_size=AutoConfig.from_pretrained(TINY).vocab_size,
        num_labels=1,
        max_position_embeddings=1024,
        **sizes,
    )
    BertForSequenceClassification(own).save_pretrained(folder)
    alone = scores(folder, *TEXTS, cache=tmp_path, batch_size=1)
    assert max(alone) - min(alone) > 0.01
    assert scores(folder, *TEXTS, cache=tmp_path, batch_size=7) == pytest.approx(alone, abs=1e-5)


def _last_token(folder: Path) -> int:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    return tokenizer.encode(tokenizer.apply_chat_template(turns, tokenize=False), add_special_tokens=False)[
        -1
    ]


def test_what_is_too_long_is_unscored_and_not_cut(model: Path, tmp_path: Path) -> None:
    long, short = judged(model, answer("word " * 3000), answer("Oslo."), cache=tmp_path)
    assert long.score is None
    assert "more than the judge can read" in (long.unscored_reason or "")
    assert (long.n_prompt_tokens or 0) > 3000
    assert short.score is not None


def test_hostile_answers_are_scored_or_say_why_not(model: Path, tmp_path: Path) -> None:
    found = judged(
        model, *(answer(text, instruction=str(number)) for number, text in enumerate(HOSTILE)), cache=tmp_path
    )
    assert len(found) == len(HOSTILE)
    assert all((one.score is None) == (one.unscored_reason is not None) for one in found)


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="3 labels; a reward model has one"):
        judged(saved(tmp_path / "three", num_labels=3), answer("x"), cache=tmp_path)
    with pytest.raises(DataError, match="no chat template"):
        judged(saved(tmp_path / "bare", template=False), answer("x"), cache=tmp_path)
    with pytest.raises(DataError, match="no classification model: it lacks score"):
        judged(TINY, answer("x"), cache=tmp_path)


def test_what_is_mended_in_the_reward_model_is_among_the_steps_facts(tmp_path: Path) -> None:
    folder = saved(tmp_path / "unnamed end")
    (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}<pad>\n{% endfor %}")
    tools = Tools(no_model, tmp_path)
    verdicts(reward.Settings.model_validate({"model": {"path": str(folder)}}), answer("x"), tools=tools)
    assert str(tools.facts["remedies"]).startswith("the chat template ends a turn with `<pad>`")


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    import torch

    folder = saved(tmp_path / "pickled")
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(DataError, match="pickled weights are not loaded"):
        judged(folder, answer("x"), cache=tmp_path)


def test_the_weights_are_part_of_the_key_and_the_batch_size_is_not(model: Path, tmp_path: Path) -> None:
    def key(**given: object) -> dict[str, str]:
        settings = reward.Settings.model_validate({"model": {"path": str(model), **given}}).pinned(
            ("en",), Fingerprints(), tmp_path
        )
        one = answer("Oslo.")
        return Keys(reward, settings).of(one.example, one.completion)

    assert key(batch_size=2) == key()
    assert key(dtype="bfloat16") != key()
