"""GGUF files: the tiny model, and weights of a file without their quantisation."""

import json
from pathlib import Path
from typing import Any

from tests.fixtures.tiny_study import TINY


def write_tiny_gguf(path: Path, chat_template: str | None = None) -> None:
    """The tiny model as a GGUF file in float32, as converters of other projects write it."""
    import gguf
    from safetensors.numpy import load_file

    config = json.loads((TINY / "config.json").read_text())
    backend = json.loads((TINY / "tokenizer.json").read_text())
    tensors = load_file(TINY / "model.safetensors")
    heads, heads_kv, width = (
        config["num_attention_heads"],
        config["num_key_value_heads"],
        config["hidden_size"],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(width)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads_kv)
    writer.add_rope_dimension_count(width // heads)
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(
        [word for word, _ in sorted(backend["model"]["vocab"].items(), key=lambda pair: pair[1])]
    )
    writer.add_token_merges([" ".join(merge) for merge in backend["model"]["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    if chat_template is not None:
        writer.add_chat_template(chat_template)

    def interleaved(weight: Any, n: int) -> Any:
        """llama.cpp's order of the rotated dimensions."""
        return (
            weight.reshape(n, 2, weight.shape[0] // n // 2, weight.shape[1])
            .swapaxes(1, 2)
            .reshape(weight.shape)
        )

    writer.add_tensor("token_embd.weight", tensors["model.embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", tensors["model.norm.weight"])
    for n in range(config["num_hidden_layers"]):
        layer = {
            name.removeprefix(f"model.layers.{n}."): weight
            for name, weight in tensors.items()
            if f".layers.{n}." in name
        }
        writer.add_tensor(f"blk.{n}.attn_q.weight", interleaved(layer["self_attn.q_proj.weight"], heads))
        writer.add_tensor(f"blk.{n}.attn_k.weight", interleaved(layer["self_attn.k_proj.weight"], heads_kv))
        writer.add_tensor(f"blk.{n}.attn_v.weight", layer["self_attn.v_proj.weight"])
        writer.add_tensor(f"blk.{n}.attn_output.weight", layer["self_attn.o_proj.weight"])
        for theirs, ours in (("gate", "gate"), ("up", "up"), ("down", "down")):
            writer.add_tensor(f"blk.{n}.ffn_{theirs}.weight", layer[f"mlp.{ours}_proj.weight"])
        writer.add_tensor(f"blk.{n}.attn_norm.weight", layer["input_layernorm.weight"])
        writer.add_tensor(f"blk.{n}.ffn_norm.weight", layer["post_attention_layernorm.weight"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_dequantised(source: Path, path: Path) -> None:
    """The weights of a GGUF file in float32, with all that it says besides."""
    import gguf
    import numpy as np

    reader: Any = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(path, reader.fields["general.architecture"].contents())
    made = {"GGUF.version", "GGUF.tensor_count", "GGUF.kv_count", "general.architecture", "general.file_type"}
    for name, field in reader.fields.items():
        if name not in made:
            inner = field.types[1] if len(field.types) > 1 else None
            writer.add_key_value(name, field.contents(), field.types[0], sub_type=inner)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    for tensor in reader.tensors:
        weights = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        writer.add_tensor(tensor.name, weights.reshape(tuple(reversed(tensor.shape.tolist()))))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
