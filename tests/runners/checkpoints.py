"""Small checkpoints of several families, as they are published with faults: random weights, a tokenizer of
bytes, a template of their own."""

from pathlib import Path
from typing import Any

BYTES = 256
"""Tokens of the tokenizer before its special ones."""

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tokenizer(*special: str, chat_template: Any = None, **named: str) -> Any:
    """One token for each byte, then the special ones in this order."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(
        models.BPE({letter: at for at, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, [])
    )
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(token, special=True) for token in special])
    found = PreTrainedTokenizerFast(tokenizer_object=made, clean_up_tokenization_spaces=False, **named)
    if chat_template:
        found.chat_template = chat_template
    return found


def llama(n_tokens: int, **settings: Any) -> Any:
    """A Llama of random weights with an embedding of so many tokens."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "initializer_range": 0.2,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    return LlamaForCausalLM(LlamaConfig(vocab_size=n_tokens, **{**sizes, **settings})).eval()


def saved(folder: Path, model: Any, with_tokenizer: Any) -> Path:
    """The folder, with both in it."""
    model.save_pretrained(folder)
    with_tokenizer.save_pretrained(folder)
    return folder
