"""What peft makes of its own adapters: `python -m tests.golden.make.adapters` writes tests/golden/adapters/.

Needs peft (0.21.2 was run) beside Remask. A module tree with the tiny LLaDA's published names gets an adapter of each
kind, with random factors; peft saves it, merges it, and the merged weights are run through our network, once.
"""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.helpers import tiny

GOLDEN = Path(__file__).resolve().parents[1] / "adapters"
MODULES = ["q_proj", "v_proj", "attn_out", "ff_proj", "up_proj", "blocks.1.ff_out"]
KINDS: dict[str, dict[str, Any]] = {
    "lora": {},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "patterns": {"rank_pattern": {"blocks.1.q_proj": 3, "v_proj": 1}, "alpha_pattern": {"blocks.0.v_proj": 9}},
    "embedding and biases": {"target_modules": ["wte", "q_proj"], "bias": "all"},
    "whole head": {"target_modules": ["q_proj"], "modules_to_save": ["transformer.ff_out"]},
}


def module_tree(tensors: dict[str, Tensor]) -> nn.Module:
    """Linear layers, embeddings and vectors under the published names."""
    root = nn.Module()
    names = {name.rpartition(".")[0] for name in tensors}
    for name in sorted(names):
        weight, bias = tensors[f"{name}.weight"], tensors.get(f"{name}.bias")
        at = root
        *path, last = name.split(".")
        for part in path:
            if part not in at._modules:
                at.add_module(part, nn.Module())
            at = at.get_submodule(part)
        module: nn.Module
        if weight.ndim == 1:
            module = nn.LayerNorm(len(weight), bias=False)
        elif last == "wte":
            module = nn.Embedding(*weight.shape)
        else:
            module = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
        module.weight = nn.Parameter(weight.clone())
        if bias is not None:
            module.bias = nn.Parameter(bias.clone())
        at.add_module(last, module)
    return root


def main() -> None:
    """Write an adapter's folder and the logits of the merged model for each kind."""
    if GOLDEN.exists():
        shutil.rmtree(GOLDEN)
    logits = {}
    for number, (kind, fields) in enumerate(KINDS.items()):
        tensors = tiny.published("llada")
        config = LoraConfig(**({"r": 4, "lora_alpha": 6, "target_modules": MODULES} | fields))
        model = get_peft_model(module_tree(tensors), config)
        generator = torch.Generator().manual_seed(number)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if weight.requires_grad:
                    noise = torch.randn(weight.shape, generator=generator) * 0.2
                    weight.copy_(noise if "lora_" in name and "magnitude" not in name else weight * (1 + noise))
        folder = GOLDEN / kind.replace(" ", "-")
        model.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)
        merged = model.merge_and_unload().state_dict()
        assert merged.keys() == tensors.keys(), merged.keys() ^ tensors.keys()
        with TemporaryDirectory() as scratch:
            predictor = tiny.loaded(Path(scratch), "llada", merged)
        logits[folder.name] = tiny.logits(predictor, tiny.prompts()[:1])
    save_file(logits, GOLDEN / "logits.safetensors")


if __name__ == "__main__":
    main()
