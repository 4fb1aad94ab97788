"""The description of a family of checkpoints: how to read its configuration, and the names of its tensors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..config import ModelConfig, MoE


class Part(NamedTuple):
    """A published tensor, and the number of rows that it fills in one of our parameters."""

    name: str
    rows: int


Names = dict[str, tuple[Part, ...]]


@dataclass(frozen=True)
class Spelling:
    """The names of a family's tensors, and their division. The defaults are those of Llama and Qwen.

    The names of a block's parts follow `block`, which contains the layer's number {i}; `expert` contains the expert's
    number {e}. Several names for one of our parameters are tensors to concatenate by rows.
    """

    embed: str = "model.embed_tokens"
    norm: str = "model.norm"
    unembed: str = "lm_head"
    block: str = "model.layers.{i}."
    attention_norm: str = "input_layernorm"
    qkv: tuple[str, ...] = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
    q_norm: str = "self_attn.q_norm"
    k_norm: str = "self_attn.k_norm"
    out: str = "self_attn.o_proj"
    mlp_norm: str = "post_attention_layernorm"
    mlp: tuple[str, str, str] = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
    router: str = "mlp.gate"
    router_bias: str = "mlp.expert_bias"
    expert: str = "mlp.experts.{e}."
    shared: str = "mlp.shared_experts."

    def names(self, config: ModelConfig) -> Names:
        """Return for each of our parameters the published tensors that fill it, in row order; experts in order."""
        table: Names = {"embed.weight": (Part(self.embed + ".weight", config.vocab_size),)}
        for i in range(config.n_layers):
            at, moe = self.block.format(i=i), config.moe_at(i)
            mlp = self._mlp(config.d_model, config.d_ff) if moe is None else self._experts(config.d_model, moe)
            for ours, parts in (self._attention(config) | mlp).items():
                table[f"blocks.{i}.{ours}"] = tuple(Part(at + name, rows) for name, rows in parts)
        table["norm.weight"] = (Part(self.norm + ".weight", config.d_model),)
        if not config.tie_embeddings:
            table["unembed.weight"] = (Part(self.unembed + ".weight", config.vocab_size),)
        return table

    def _attention(self, config: ModelConfig) -> Names:
        q, kv = config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim
        rows = (q, kv, kv) if len(self.qkv) == 3 else (q + 2 * kv,)
        table: Names = {
            "attention_norm.weight": (Part(self.attention_norm + ".weight", config.d_model),),
            "attention.out.weight": (Part(self.out + ".weight", config.d_model),),
            "mlp_norm.weight": (Part(self.mlp_norm + ".weight", config.d_model),),
        }
        for kind in ("weight", "bias") if config.qkv_bias else ("weight",):
            table["attention.qkv." + kind] = tuple(
                Part(f"{name}.{kind}", count) for name, count in zip(self.qkv, rows, strict=True)
            )
        if config.out_bias:
            table["attention.out.bias"] = (Part(self.out + ".bias", config.d_model),)
        if config.qk_norm:
            table["attention.q_norm.weight"] = (Part(self.q_norm + ".weight", config.head_dim),)
            table["attention.k_norm.weight"] = (Part(self.k_norm + ".weight", config.head_dim),)
        return table

    def _mlp(self, d_model: int, d_ff: int) -> Names:
        gate, up, down = (f"{name}.weight" for name in self.mlp)
        return {"mlp.gate_up.weight": (Part(gate, d_ff), Part(up, d_ff)), "mlp.down.weight": (Part(down, d_model),)}

    def _experts(self, d_model: int, moe: MoE) -> Names:
        experts = [self.expert.format(e=e) for e in range(moe.n_experts)]
        table: Names = {
            "mlp.router.weight": (Part(self.router + ".weight", moe.n_experts),),
            "mlp.gate_up": tuple(Part(at + f"{n}_proj.weight", moe.d_ff) for at in experts for n in ("gate", "up")),
            "mlp.down": tuple(Part(at + "down_proj.weight", d_model) for at in experts),
        }
        if moe.bias != "none":
            table["mlp.router.bias"] = (Part(self.router_bias, moe.n_experts),)
        if moe.shared_d_ff:
            gate, up, down = (f"{self.shared}{name}_proj.weight" for name in ("gate", "up", "down"))
            table["mlp.shared.gate_up.weight"] = (Part(gate, moe.shared_d_ff), Part(up, moe.shared_d_ff))
            table["mlp.shared.down.weight"] = (Part(down, d_model),)
        return table


@dataclass(frozen=True)
class Family:
    """One family: `parse` reads config.json, `export` writes it, `names` maps our parameters to published tensors.

    A checkpoint belongs to the family if its `architectures` names one of these, or, if it names none, by
    `model_types`. `mask_id` and `eos_ids` apply if neither the configuration nor the tokenizer names any. A tensor that
    has no place is refused, unless its name ends in one of `unread`.
    """

    name: str
    architectures: tuple[str, ...]
    parse: Callable[[Mapping[str, Any]], ModelConfig]
    export: Callable[[ModelConfig], dict[str, Any]]
    names: Callable[[ModelConfig], Names]
    mask_id: int | None = None
    eos_ids: tuple[int, ...] = ()
    eot: str | None = None  # end-of-turn token of the chat template
    model_types: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()  # those whose config.json is equal to another model's
    unread: tuple[str, ...] = ("rotary_emb.inv_freq",)  # a table that old code saved, and that is computed
    defaults: Mapping[str, Any] = field(default_factory=dict)  # the authors' recipe by name, gen_length, steps, …
    call: str = ""  # where the authors call their model with `defaults`
