"""Fused CPU replacements for RMSNorm, gated MLP, attention and decoder layer.

Most operations of a small model's decode step are on so few numbers that calling them takes longer than
computing them. So linear layers with the same input are one product, queries and keys are normalised and
rotated together, and a norm is four operations. In prefill, the last layer is computed for each row's last
token alone. A fused module replaces a module at the module's first call, and only if both return the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from runners.inference.cpu.onednn_linear import fused_linear, is_plain
from runners.inference.prefix_attention import CURRENT_LAYOUT, Layout, decode_attention, packed_attention
from runners.inference.tensors import row_norms

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Linear
    from transformers import PreTrainedModel

_LAYERS = ("LlamaDecoderLayer", "MistralDecoderLayer", "Qwen2DecoderLayer", "Qwen3DecoderLayer")
_ATTENTION = (
    "LlamaAttention",
    "MistralAttention",
    "Qwen2Attention",
    "Qwen3Attention",
    "Gemma3Attention",
    "GraniteAttention",
)
"""transformers' modules that `_Layer` and `_Attention` were written from. One first call, with few tokens,
does not show what others compute far into a text."""


def patch_modules(model: PreTrainedModel, free_bytes: int) -> None:
    """Replace the forward functions of a model's modules on a CPU, for inference with packed attention. The
    weights must not change afterwards.

    Prepacked weights are copies: where they would take more than a quarter of `free_bytes`, each layer uses
    its own weights unfused, which gains about half as much.
    """
    import torch

    if model.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return
    layers: list[Any] = [module for module in model.modules() if is_plain(module)]
    copies = sum(layer.weight.nbytes for layer in layers) <= free_bytes / 4
    fused: list[Linear] = []
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            _patch_once_verified(module, _Norm, [])
        elif copies and type(module).__name__ in _LAYERS:
            _patch_once_verified(module, _Layer, [])
        elif copies and type(module).__name__ in _ATTENTION:
            fused += _patch_once_verified(module, _Attention, ("q_proj", "k_proj", "v_proj"))
        elif copies:
            fused += _patch_once_verified(module, _GatedMLP, ("gate_proj", "up_proj"))
    for layer in layers:
        if layer not in fused:
            layer.forward = fused_linear([layer], copies)


def _patch_once_verified(
    module: Any, fused_module: Callable[[Any], Callable[..., Any]], names: Sequence[str]
) -> list[Linear]:
    """Verify a module against its fused replacement at its first call, then patch it if both agree.

    Returns the layers of these names, which the replacement fuses: none where they cannot be one product, and
    the module stays as it is.
    """
    layers: list[Any] = [getattr(module, name, None) for name in names]
    if not all(is_plain(layer) for layer in layers):
        return []
    if len({(each.in_features, each.weight.dtype, each.bias is None) for each in layers}) > 1:
        return []
    original = module.forward

    def first(*args: Any, **kwargs: Any) -> Any:
        expected = original(*args, **kwargs)
        if found := _verified(fused_module, module, expected, args, kwargs):
            module.forward = found
        else:
            module.forward = original
            for layer in layers:
                layer.forward = fused_linear([layer], copies=True)
        return expected

    module.forward = first
    return layers


def _verified(
    fused_module: Callable[[Any], Callable[..., Any]], module: Any, expected: Any, args: Any, kwargs: Any
) -> Callable[..., Any] | None:
    """Return a module's fused replacement, or None where its output is not the expected one."""
    import torch

    for_all_tokens = CURRENT_LAYOUT.set(replace(CURRENT_LAYOUT.get(), last_tokens=None))
    try:
        made = fused_module(module)
        found = made(*args, **kwargs)
    # the module has other parts, or other arguments
    except (AttributeError, RuntimeError, TypeError):
        return None
    finally:
        CURRENT_LAYOUT.reset(for_all_tokens)
    found, expected = _tensor(found), _tensor(expected)
    if found.shape != expected.shape:
        return None
    # Rounding stays far below the square root of the precision.
    error, size = (found - expected).float().norm(), expected.float().norm()
    return made if error <= size * torch.finfo(expected.dtype).eps ** 0.5 else None


def _tensor(output: Any) -> Tensor:
    """Return the hidden states of a module's output, which may be the first of a tuple."""
    return cast("Any", output)[0] if isinstance(output, tuple) else output


class _Norm:
    """RMSNorm over the last dimension: x / √(mean(x²) + eps) · gain (Zhang and Sennrich 2019, arXiv
    1910.07467)."""

    def __init__(self, module: Any) -> None:
        import torch

        weight = module.weight.detach().float()
        # Llama's, or Gemma's, whose weight is gain - 1
        self.gain, eps = (
            (weight, module.variance_epsilon)
            if hasattr(module, "variance_epsilon")
            else (1 + weight, module.eps)
        )
        self.eps = torch.tensor(eps, device=weight.device)

    def __call__(self, hidden_states: Tensor) -> Tensor:
        import torch

        wide = hidden_states.float()
        length = row_norms(wide)
        scale = torch.addcmul(self.eps, length, length, value=1 / wide.shape[-1]).rsqrt_()
        return (wide * scale).mul_(self.gain).to(hidden_states.dtype)


class _GatedMLP:
    """Gated MLP: down(act(gate(x)) · up(x)) (Shazeer 2020, arXiv 2002.05202)."""

    def __init__(self, module: Any) -> None:
        layers = [module.gate_proj, module.up_proj]
        self._multiply = fused_linear(layers, copies=True)
        self._sizes = [layer.out_features for layer in layers]
        self._act, self._down = module.act_fn, module.down_proj.forward

    def __call__(self, x: Tensor) -> Tensor:
        gate, up = self._multiply(x).split_with_sizes(self._sizes, -1)
        return self._down(self._act(gate).mul_(up))


class _Attention:
    """Attention with rotary embeddings, and with norms of queries and keys where the module has them."""

    def __init__(self, module: Any) -> None:
        import torch

        self._layer, self._width, self._out = module.layer_idx, module.head_dim, module.o_proj.forward
        layers = [module.q_proj, module.k_proj, module.v_proj]
        self._multiply = fused_linear(layers, copies=True)
        self._heads, self._heads_kv = (layer.out_features // self._width for layer in layers[:2])
        self._norm: _Norm | None = None
        if norms := [_Norm(getattr(module, name)) for name in ("q_norm", "k_norm") if hasattr(module, name)]:
            self._norm = norms[0]
            gains = [
                norm.gain.expand(n, self._width)
                for norm, n in zip(norms, (self._heads, self._heads_kv), strict=True)
            ]
            self._norm.gain = torch.cat(gains)
        self._scaling, self._window = CURRENT_LAYOUT.get().attention_args[self._layer]

    def __call__(
        self,
        hidden_states: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        last_tokens: tuple[Tensor, Layout] | None = None,
        **_: Any,
    ) -> tuple[Tensor, None]:
        """Attend from all tokens, or from `last_tokens` alone (see `Layout`); keys and values of all are
        cached."""
        layout = CURRENT_LAYOUT.get()
        each = self._multiply(hidden_states)[0].view(hidden_states.shape[1], -1, self._width)
        rotated, value = each.split_with_sizes([self._heads + self._heads_kv, self._heads_kv], 1)
        if self._norm is not None:
            rotated = self._norm(rotated)
        cos, sin = layout.rotary(*position_embeddings)
        rotated = (rotated * cos).addcmul_(rotated.roll(self._width // 2, -1), sin)
        query, key = rotated.split_with_sizes([self._heads, self._heads_kv], 1)
        if last_tokens is None:
            found = packed_attention(layout, self._layer, query, key, value, self._scaling, self._window)
        else:
            last, of_last = last_tokens
            found = decode_attention(
                of_last,
                self._layer,
                query[last],
                *layout.cache.update(self._layer, key, value),
                self._scaling,
                self._window,
            )
        return self._out(found.reshape(1, len(found), -1)), None


class _Layer:
    """Decoder layer: y = x + attention(norm(x)), then y + mlp(norm(y)); in prefill, the last layer only for
    each row's last token, and 0 for others."""

    def __init__(self, module: Any) -> None:
        parts = (module.input_layernorm, module.self_attn, module.post_attention_layernorm, module.mlp)
        self._norm, self._attention, self._second_norm, self._mlp = (part.forward for part in parts)
        if [type(part.forward) for part in parts] != [_Norm, _Attention, _Norm, _GatedMLP]:
            raise TypeError("a part is not fused")
        self._is_last = module.self_attn.layer_idx == module.self_attn.config.num_hidden_layers - 1

    def __call__(self, hidden_states: Tensor, position_embeddings: tuple[Tensor, Tensor], **_: Any) -> Tensor:
        last_tokens = CURRENT_LAYOUT.get().last_tokens if self._is_last else None
        x = hidden_states if last_tokens is None else hidden_states[:, last_tokens[0]]
        x = x + self._attention(self._norm(hidden_states), position_embeddings, last_tokens)[0]
        x = x + self._mlp(self._second_norm(x))
        if last_tokens is None:
            return x
        return hidden_states.new_zeros(hidden_states.shape).index_copy_(1, last_tokens[0], x)
