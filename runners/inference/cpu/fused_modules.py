"""What stands in for the modules of a decoder on a processor, computing the same in fewer operations.

Most operations of a small model's decoding step are on so few numbers that calling them takes longer than
computing them. So layers that are asked for the same rows are one product, queries and keys are normalised
and turned together, and a norm is four operations. And where rows begin, the last layer is computed for the
tokens alone that are asked what comes next. A stand-in takes a module's place when the module is first asked,
and only if it answers as the module does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runners.inference.cpu.onednn_linear import fused_linear, is_plain
from runners.inference.prefix_attention import IN_USE, Layout, attend, going_on

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
"""transformers' modules that `_Layer` and `_Attention` were written from. One first answer, of few tokens,
would not tell what others do far into a text."""


def patch_modules(model: PreTrainedModel, free_bytes: int) -> None:
    """Exchange what the modules of a model on a processor compute with, for inference alone and with
    `shared_attention`. Their weights are not to be changed afterwards.

    Laid-out weights are copies: where they would take more than a quarter of `free_bytes`, the model's own
    are used as they lie, each layer's by itself, which gains about half as much.
    """
    import torch

    if model.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return
    layers = [module for module in model.modules() if is_plain(module)]
    copies = sum(layer.weight.nbytes for layer in layers) <= free_bytes / 4
    taken: list[Linear] = []
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            _patch_once_verified(module, _Norm, [])
        elif copies and type(module).__name__ in _LAYERS:
            _patch_once_verified(module, _Layer, [])
        elif copies and type(module).__name__ in _ATTENTION:
            taken += _patch_once_verified(module, _Attention, ("q_proj", "k_proj", "v_proj"))
        elif copies:
            taken += _patch_once_verified(module, _GatedMLP, ("gate_proj", "up_proj"))
    for layer in layers:
        if layer not in taken:
            layer.forward = fused_linear([layer], copies)


def _patch_once_verified(
    module: Any, stand_in: Callable[[Any], Callable[..., Any]], names: Sequence[str]
) -> list[Linear]:
    """Have a module be tried against its stand-in when it is first asked; the layers of these names are then
    the stand-in's.

    Returns them: none where they cannot be one product, and the module is left as it is.
    """
    layers = [getattr(module, name, None) for name in names]
    if (
        not all(is_plain(layer) for layer in layers)
        or len({(each.in_features, each.weight.dtype, each.bias is None) for each in layers}) > 1
    ):
        return []
    its_own = module.forward

    def first(*args: Any, **kwargs: Any) -> Any:
        expected = its_own(*args, **kwargs)
        if found := _verified(stand_in, module, expected, args, kwargs):
            module.forward = found
        else:
            module.forward = its_own
            for layer in layers:
                layer.forward = fused_linear([layer], copies=True)
        return expected

    module.forward = first
    return layers


def _verified(
    stand_in: Callable[[Any], Callable[..., Any]], module: Any, expected: Any, args: Any, kwargs: Any
) -> Callable[..., Any] | None:
    """A module's stand-in, or None where it does not give what is expected."""
    import torch

    for_all_tokens = IN_USE.set(replace(IN_USE.get(), ends=None))
    try:
        made = stand_in(module)
        found = made(*args, **kwargs)
    # the module has not what the others have, or it is asked otherwise
    except (AttributeError, RuntimeError, TypeError):
        return None
    finally:
        IN_USE.reset(for_all_tokens)
    found, expected = (each[0] if isinstance(each, tuple) else each for each in (found, expected))
    if found.shape != expected.shape:
        return None
    # Rounding stays far below the square root of the precision.
    error, size = (found - expected).float().norm(), expected.float().norm()
    return made if error <= size * torch.finfo(expected.dtype).eps ** 0.5 else None


class _Norm:
    """x / √(mean(x²) + eps) · gain (Zhang and Sennrich 2019, arXiv 1910.07467), over the last dimension."""

    def __init__(self, module: Any) -> None:
        import torch

        weight = module.weight.detach().float()
        # Two families: Llama's, and Gemma's, whose weight is what its gain is above one.
        self.gain, eps = (
            (weight, module.variance_epsilon)
            if hasattr(module, "variance_epsilon")
            else (1 + weight, module.eps)
        )
        self.eps = torch.tensor(eps, device=weight.device)

    def __call__(self, hidden_states: Tensor) -> Tensor:
        import torch

        wide = hidden_states.float()
        length = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        scale = torch.addcmul(self.eps, length, length, value=1 / wide.shape[-1]).rsqrt_()
        return (wide * scale).mul_(self.gain).to(hidden_states.dtype)


class _GatedMLP:
    """down(act(gate(x)) · up(x)) (Shazeer 2020, arXiv 2002.05202)."""

    def __init__(self, module: Any) -> None:
        layers = [module.gate_proj, module.up_proj]
        self._multiply = fused_linear(layers, copies=True)
        self._sizes = [layer.out_features for layer in layers]
        self._act, self._down = module.act_fn, module.down_proj.forward

    def __call__(self, x: Tensor) -> Tensor:
        gate, up = self._multiply(x).split_with_sizes(self._sizes, -1)
        return self._down(self._act(gate).mul_(up))


class _Attention:
    """Attention with rotary positions, and norms of each query and key where the module has them."""

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
        self._scaling, self._window = IN_USE.get().asked[self._layer]

    def __call__(
        self,
        hidden_states: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        ends: tuple[Tensor, Layout] | None = None,
        **_: Any,
    ) -> tuple[Tensor, None]:
        """With `ends`, what `Layout.ends` says, only for these tokens; the keys and values of all are
        written."""
        layout = IN_USE.get()
        each = self._multiply(hidden_states)[0].view(hidden_states.shape[1], -1, self._width)
        turned, value = each.split_with_sizes([self._heads + self._heads_kv, self._heads_kv], 1)
        if self._norm is not None:
            turned = self._norm(turned)
        cos, sin = layout.turns(*position_embeddings)
        turned = (turned * cos).addcmul_(turned.roll(self._width // 2, -1), sin)
        query, key = turned.split_with_sizes([self._heads, self._heads_kv], 1)
        if ends is None:
            found = attend(layout, self._layer, query, key, value, self._scaling, self._window)
        else:
            last, behind = ends
            found = going_on(
                behind,
                self._layer,
                query[last],
                *layout.own.write(self._layer, key, value),
                self._scaling,
                self._window,
            )
        return self._out(found.reshape(1, len(found), -1)), None


class _Layer:
    """x + attention(norm(x)), and of this y, y + mlp(norm(y)); the last one only for the tokens that are
    asked what comes next, and 0 for others."""

    def __init__(self, module: Any) -> None:
        parts = (module.input_layernorm, module.self_attn, module.post_attention_layernorm, module.mlp)
        self._norm, self._attention, self._second_norm, self._mlp = (part.forward for part in parts)
        if [type(part.forward) for part in parts] != [_Norm, _Attention, _Norm, _GatedMLP]:
            raise TypeError("a part is not stood in for")
        self._is_last = module.self_attn.layer_idx == module.self_attn.config.num_hidden_layers - 1

    def __call__(self, hidden_states: Tensor, position_embeddings: tuple[Tensor, Tensor], **_: Any) -> Tensor:
        ends = IN_USE.get().ends if self._is_last else None
        x = hidden_states if ends is None else hidden_states[:, ends[0]]
        x = x + self._attention(self._norm(hidden_states), position_embeddings, ends)[0]
        x = x + self._mlp(self._second_norm(x))
        return x if ends is None else hidden_states.new_zeros(hidden_states.shape).index_copy_(1, ends[0], x)
