"""Small real models and tokenizers, made in the test: random ones of several architectures, and one that
speaks a given text."""

from collections.abc import Sequence
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from runners.models.load_checks import eos_ids_of
from runners.models.loading import Loaded

VOCABULARY = 300
UNK, BOS, EOS = 0, 1, 2

_SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "tie_word_embeddings": False,
    "initializer_range": 0.2,  # wide: the logits are far apart and what is written depends on what was read
    "bos_token_id": BOS,
    "eos_token_id": EOS,
}
_WINDOWS: dict[str, Any] = {
    "head_dim": 16,
    "sliding_window": 24,
    "layer_types": ["sliding_attention", "full_attention"],
}
_LONGROPE: dict[str, Any] = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0] * 8,
    "long_factor": [2.0] * 8,
    "original_max_position_embeddings": 64,
    "factor": 8.0,
}


def config(architecture: str) -> transformers.PreTrainedConfig:
    """Two layers; grouped queries everywhere but in `gpt2`, a sliding window of 24 tokens in `mistral` and in
    the first layer of the gemmas."""
    match architecture:
        case "llama":
            return transformers.LlamaConfig(**_SIZES)
        case "qwen2":
            return transformers.Qwen2Config(**_SIZES)
        case "qwen3":  # norms of each query and key
            return transformers.Qwen3Config(**_SIZES, head_dim=16)
        case "mistral":
            return transformers.MistralConfig(**_SIZES, sliding_window=24)
        case "granite":  # sums and scores scaled by the configuration
            return transformers.GraniteConfig(**_SIZES, attention_multiplier=0.3, residual_multiplier=0.7)
        case "gpt2":
            return transformers.GPT2Config(**{**_SIZES, "intermediate_size": None}, n_inner=128)
        case "gemma2":  # soft-capped attention scores
            return transformers.Gemma2Config(**_SIZES, **_WINDOWS)
        case "gemma3":
            return transformers.Gemma3TextConfig(**_SIZES, **_WINDOWS)
        case "phi3":
            return transformers.Phi3Config(
                **_SIZES, pad_token_id=UNK, original_max_position_embeddings=64, rope_parameters=_LONGROPE
            )
        case "lfm2":
            return transformers.Lfm2Config(**_SIZES, layer_types=["conv", "full_attention"])
        case "gpt_oss":  # attention sinks
            return transformers.GptOssConfig(
                **_SIZES,
                head_dim=16,
                num_local_experts=2,
                num_experts_per_tok=1,
                rope_parameters={"rope_type": "default", "rope_theta": 1e4},
            )
        case "bloom":  # positions by ALiBi, attention of its own
            return transformers.BloomConfig(
                vocab_size=VOCABULARY,
                hidden_size=64,
                n_layer=2,
                n_head=4,
                initializer_range=0.2,
                eos_token_id=EOS,
            )
        case "qwen2_moe":  # a sliding window that stands in the mask alone
            experts = {
                "num_experts": 4,
                "num_experts_per_tok": 2,
                "moe_intermediate_size": 32,
                "shared_expert_intermediate_size": 32,
            }
            return transformers.Qwen2MoeConfig(
                **_SIZES, **experts, sliding_window=24, use_sliding_window=True, max_window_layers=1
            )
        case "phimoe":
            return transformers.PhimoeConfig(
                **_SIZES, sliding_window=24, num_local_experts=4, num_experts_per_tok=2
            )
        case "recurrent_gemma":  # states in its modules, in which padding leaves its trace
            sizes = {
                name: value
                for name, value in _SIZES.items()
                if name not in ("max_position_embeddings", "num_hidden_layers")
            }
            return transformers.RecurrentGemmaConfig(
                **sizes,
                num_hidden_layers=3,
                lru_width=64,
                attention_window_size=24,
                block_types=["recurrent", "recurrent", "attention"],
                w_init_variance_scale=1.0,
            )
        case "deepseek_v4":  # a compressed past, of which padding becomes part
            return transformers.DeepseekV4Config(
                **{**_SIZES, "num_hidden_layers": 4},
                head_dim=16,
                sliding_window=24,
                n_routed_experts=4,
                num_experts_per_tok=2,
                moe_intermediate_size=32,
                n_shared_experts=1,
                q_lora_rank=16,
                index_topk=16,
                index_n_heads=2,
                index_head_dim=16,
            )
        case "minimax":  # a cache of its own class
            return transformers.MiniMaxConfig(
                **_SIZES, head_dim=16, num_local_experts=4, num_experts_per_tok=2
            )
        case "gemma4":  # attributes that differ from layer to layer
            return transformers.Gemma4TextConfig(
                **_SIZES,
                **_WINDOWS,
                global_head_dim=32,
                hidden_size_per_layer_input=8,
                vocab_size_per_layer_input=VOCABULARY,
                num_kv_shared_layers=0,
            )
        case "mamba":
            return transformers.MambaConfig(
                vocab_size=VOCABULARY, hidden_size=64, num_hidden_layers=2, eos_token_id=EOS
            )
        case _:
            raise ValueError(architecture)


def random_model(architecture: str) -> transformers.PreTrainedModel:
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config(architecture), dtype=torch.float32).eval()
    for weight in model.parameters():
        # Those of norms and biases begin as ones and zeros, whose effect nobody would see; with others this
        # bloom repeats itself.
        if weight.ndim == 1 and architecture != "bloom":
            weight.data += 0.3 * torch.randn_like(weight)
    return model


def tokenizer(pieces: Sequence[str] = (), **special: str) -> transformers.PreTrainedTokenizerFast:
    """One token for each byte-level piece, from id 3 on; the rest of the vocabulary are pairs of letters."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    filling = (first + second for first in letters for second in letters if first + second not in pieces)
    words = ["<unk>", "<s>", "</s>", *pieces]
    vocabulary = {
        word: at for at, word in enumerate([*words, *(next(filling) for _ in range(VOCABULARY - len(words)))])
    }
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split(r"[a-z]{2}", "isolated")
    made.decoder = decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, **{"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", **special}
    )


def loaded(
    model: transformers.PreTrainedModel, with_tokenizer: transformers.PreTrainedTokenizerFast | None = None
) -> Loaded:
    """The model as `runners.models.loading` hands it out; it pads with UNK."""
    made = with_tokenizer or tokenizer()
    return Loaded(
        model=model,
        tokenizer=made,
        n_parameters=model.num_parameters(),
        load_seconds=0.0,
        device="cpu",
        dtype="float32",
        eos_ids=eos_ids_of(model, made),
        pad_id=UNK,
    )


def speaking_model(
    follows: dict[int, int], instead: dict[int, int] | None = None
) -> transformers.PreTrainedModel:
    """A Llama whose next token depends on the last one alone: `follows`, and second to it `instead`; EOS
    after any other token.

    Its logits are 8 for the first and 6 for the second, within rounding.
    """
    made = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            **{
                **_SIZES,
                "hidden_size": VOCABULARY,
                "num_attention_heads": 2,
                "num_key_value_heads": 1,
                "num_hidden_layers": 1,
            }
        )
    ).eval()
    with torch.no_grad():
        for weight in made.model.layers[0].parameters():
            weight.zero_()  # neither attention nor MLP adds anything
        made.model.embed_tokens.weight.copy_(torch.eye(VOCABULARY))
        made.lm_head.weight.zero_()
        for token in range(VOCABULARY):
            # the final norm scales the state by sqrt(hidden)
            made.lm_head.weight[follows.get(token, EOS), token] = 8 / VOCABULARY**0.5
            if instead and token in instead:
                made.lm_head.weight[instead[token], token] = 6 / VOCABULARY**0.5
    return made
