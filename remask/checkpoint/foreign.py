"""Checkpoints that hold something other than a model's own weights: recognised, to be refused by their own name."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from .folder import clip, member

ORIGINAL = "get the original weights, and hold those in eight bits with quantize='int8'"
FILES = {"quantize_config.json": "GPTQ", "quant_config.json": "AWQ", "hf_quant_config.json": "ModelOpt"}
# What a tensor's name ends in, with what else is there -> what wrote it. The first that fits counts.
ENDINGS = {
    "GPTQ": (".g_idx",),
    "AWQ or GPTQ": (".qweight", ".qzeros"),
    "bitsandbytes": (
        ".absmax",
        ".quant_map",
        ".SCB",
        ".quant_state.bitsandbytes__nf4",
        ".quant_state.bitsandbytes__fp4",
    ),
    "FP8": (".weight_scale_inv", ".weight_scale", ".input_scale"),
    "compressed-tensors": (".weight_packed", ".weight_shape"),
    "MLX": (".scales",),
}
ADAPTED = ("lora_", "base_model.model.", ".base_layer.", ".modules_to_save.", "ia3_l")


def refuse_folder(folder: Path, fields: Mapping[str, Any]) -> None:
    """Raise CheckpointError for weights that config.json's `fields` or a file call quantised."""
    for key in ("quantization_config", "quantization", "compression_config"):
        if stated := fields.get(key):
            raise CheckpointError(f"config.json: quantised weights ({_method(stated)}) are not supported; {ORIGINAL}")
    for name, method in FILES.items():
        if member(folder, name):
            raise CheckpointError(f"{name}: quantised weights ({method!r}) are not supported; {ORIGINAL}")


def _method(stated: Any) -> str:
    """What an entry of config.json calls itself; MLX gives no name, but a group's size and a number of bits."""
    if not isinstance(stated, Mapping):
        return clip(stated)
    if method := stated.get("quant_method") or stated.get("quant_algo"):
        return clip(method)
    if {"group_size", "bits"} <= stated.keys():
        return "'MLX'"
    if stated.get("load_in_4bit") or stated.get("load_in_8bit"):
        return "'bitsandbytes'"
    return clip(dict(stated))


def refuse_names(names: Collection[str]) -> None:
    """Raise CheckpointError where the names of tensors show an adapter or quantised weights."""
    if adapted := next((name for name in sorted(names) if any(mark in name for mark in ADAPTED)), None):
        raise CheckpointError(
            f"the checkpoint holds {clip(adapted)}, which is of a PEFT adapter; keep the adapter in a folder of its "
            "own, with its adapter_config.json, or merge it with peft (merge_and_unload, then save_pretrained)"
        )
    for method, endings in ENDINGS.items():
        if found := next((name for name in sorted(names) if name.endswith(endings)), None):
            raise CheckpointError(f"the checkpoint holds {clip(found)}, as {method}-quantised weights do; {ORIGINAL}")
