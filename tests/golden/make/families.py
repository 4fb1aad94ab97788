"""Write the goldens of the families: what the authors' own classes say of tiny checkpoints, and what they decode.

    python -m tests.golden.make.families --dllm DIR --sdar DIR --rnd1 DIR --llada DIR --fast-dllm FILE

The folders are checkouts of ZHZisZZ/dllm (it keeps the modelling files that the authors publish beside their weights),
JetAstra/SDAR, RadicalNumerics/RND1 and ML-GSAI/LLaDA; the file is modeling.py of Fast_dLLM_v2_1.5B. It needs an
environment of its own, with transformers 4.57.0 and einops: that is what the authors' code was written for. Weights
follow from the tensors' names (tests/helpers/tiny.py), so that tests/golden/models.* hold none.
"""

import argparse
import ast
import hashlib
import importlib
import importlib.util
import json
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from remask.models.families import FAMILIES
from tests.helpers.goldens import GOLDEN
from tests.helpers.tiny import EOS, MASK, ROWS, config_of, draw, prompts


class Source(NamedTuple):
    """Where a family's class is: the checkout, the folder in it, module and class of configuration and of the model."""

    checkout: str
    folder: str
    config: tuple[str, str]
    model: tuple[str, str]


_LLADA = "dllm/pipelines/llada/models"
SOURCES = {
    "llada": Source("dllm", _LLADA, ("configuration_llada", "LLaDAConfig"), ("modeling_llada", "LLaDAModelLM")),
    "llada_moe": Source(
        "dllm", _LLADA, ("configuration_lladamoe", "LLaDAMoEConfig"), ("modeling_lladamoe", "LLaDAMoEModelLM")
    ),
    "llada2": Source(
        "dllm",
        "dllm/pipelines/llada2/models",
        ("configuration_llada2_moe", "LLaDA2MoeConfig"),
        ("modeling_llada2_moe", "LLaDA2MoeModelLM"),
    ),
    "llada2.1": Source(
        "dllm",
        "dllm/pipelines/llada21/models",
        ("configuration_llada21_moe", "LLaDA2MoeConfig"),
        ("modeling_llada21_moe", "LLaDA2MoeModelLM"),
    ),
    "dream": Source(
        "dllm", "dllm/pipelines/dream/models", ("configuration_dream", "DreamConfig"), ("modeling_dream", "DreamModel")
    ),
    "sdar": Source(
        "sdar",
        "training/model/SDAR-4B-Chat",
        ("configuration_sdar", "SDARConfig"),
        ("modeling_sdar", "SDARForCausalLM"),
    ),
    "rnd1": Source("rnd1", "rnd", ("configuration_rnd", "RND1Config"), ("modeling_rnd", "RND1LM")),
    **{
        f"a2d_{kind.lower()}": Source(
            "dllm",
            f"dllm/pipelines/a2d/models/{kind.lower()}",
            (f"modeling_{kind.lower()}", f"A2D{kind}Config"),
            (f"modeling_{kind.lower()}", f"A2D{kind}LMHeadModel"),
        )
        for kind in ("Qwen3", "Qwen2", "Llama")
    },
}

# --- the authors' classes ---


def module(folder: Path, name: str) -> types.ModuleType:
    """A file of a checkout, as a module of a package that holds nothing else, so that no __init__.py is run."""
    package = f"golden_{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"
    if package not in sys.modules:
        sys.modules[package] = types.ModuleType(package)
        sys.modules[package].__path__ = [str(folder)]  # type: ignore[attr-defined]
    return importlib.import_module(f"{package}.{name}")


def stand_in() -> None:
    """What SDAR imports and has only on CUDA: the same functions in plain torch."""

    def rms_norm(x: Tensor, weight: Tensor, bias: None, eps: float) -> Tensor:
        return F.rms_norm(x, weight.shape, weight, eps)

    def attention(q: Tensor, k: Tensor, v: Tensor, causal: bool, softmax_scale: float) -> Tensor:
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v, scale=softmax_scale, enable_gqa=True).transpose(1, 2)

    def absent(*names: str) -> types.ModuleType:
        made = types.ModuleType("flash_attn")
        for name in names:
            setattr(made, name, None)
        made.__spec__ = importlib.util.spec_from_loader("flash_attn", None)
        return made

    flash, norm = absent("flash_attn_varlen_func"), absent()
    flash.flash_attn_func, norm.rms_norm_fn = attention, rms_norm  # type: ignore[attr-defined]
    sys.modules |= {
        "flash_attn": flash,
        "flash_attn.ops": absent(),
        "flash_attn.ops.triton": absent(),
        "flash_attn.ops.triton.layer_norm": norm,
        "flash_attn.bert_padding": absent("index_first_axis", "pad_input", "unpad_input"),
    }
    if not hasattr(transformers.utils, "LossKwargs"):  # its name in 4.52
        transformers.utils.LossKwargs = transformers.utils.TransformersKwargs
    if not hasattr(transformers.cache_utils, "SlidingWindowCache"):
        transformers.cache_utils.SlidingWindowCache = transformers.cache_utils.StaticCache


def build(family: str, checkouts: dict[str, Path]) -> Any:
    """The authors' model of the family's tiny geometry."""
    source = SOURCES[family]
    folder = checkouts[source.checkout] / source.folder
    if source.checkout == "sdar":
        fused = types.ModuleType("fused_linear_diffusion_cross_entropy")
        fused.FusedLinearDiffusionCrossEntropyLoss = None  # type: ignore[attr-defined]
        package = module(folder, "configuration_sdar").__package__
        sys.modules[f"{package}.fused_linear_diffusion_cross_entropy"] = fused
    fields = {k: v for k, v in config_of(family).items() if k not in ("architectures", "model_type")}
    if family == "rnd1":  # its class sets the published geometry over whatever it is given
        module(folder, source.config[0]).CONFIG_DEFAULTS.update(fields)
    config = getattr(module(folder, source.config[0]), source.config[1])(**fields)
    config._attn_implementation = "sdpa" if family.startswith("llada2") else "eager"  # its eager takes no block mask
    code, inner = module(folder, source.model[0]), {}
    if family == "llada":  # its constructor puts the body on CUDA, unless it is given one
        body = code.create_model_config_from_pretrained_config(config)
        body.init_device = "cpu"
        inner = {"model": code.LLaDAModel(body, init_params=False)}
    model = getattr(code, source.model[1])(config, **inner).eval().requires_grad_(False)
    tied = "lm_head.weight" if getattr(config, "tie_word_embeddings", False) else ""
    names = [name for name in model.state_dict() if not name.endswith("inv_freq") and name != tied]
    model.load_state_dict({name: draw(name, model.state_dict()[name].shape) for name in names}, strict=False)
    return model


def blocks(length: int, size: int | None) -> Tensor:
    """Which keys each query sees, (L, L), on the grid from position 0."""
    block = torch.arange(length) // (size or length)
    return block[None, :] <= block[:, None]


def logits(family: str, model: Any, tokens: Tensor) -> Tensor:
    """What the authors' model predicts at each position (B, L, V), with the shift that their samplers apply."""
    config = FAMILIES[family].parse(config_of(family))
    seen = blocks(tokens.shape[1], config.block_size)
    if family == "sdar":
        out = model(tokens, attention_mask=seen.expand(len(tokens), 1, -1, -1)).logits
    elif config.block_size is not None:
        out = model(tokens, attention_mask=torch.where(seen, 0.0, -torch.inf).expand(len(tokens), 1, -1, -1)).logits
    else:
        out = model(tokens).logits
    return torch.cat((out[:, :1], out[:, :-1]), 1) if config.shift else out


# --- what they decode ---

Trace = list[list[list[int]]]


class Watched:
    """A model whose calls are noted: from which position on, and which tokens it was shown."""

    def __init__(self, model: Any) -> None:
        self.seen: list[tuple[int, list[int]]] = []
        self.model, self.forward = model, model.forward

    def __call__(self, input_ids: Tensor, *args: Any, **kwargs: Any) -> Any:
        positions = kwargs.get("position_ids")
        self.seen.append((0 if positions is None else int(positions[0, 0]), input_ids[0].tolist()))
        if (mask := kwargs.get("attention_mask")) is not None and mask.dtype == torch.bfloat16:
            kwargs["attention_mask"] = mask.float()  # LLaDA 2's generate counts on a model in bfloat16
        return self.forward(input_ids, *args, **kwargs)


@contextmanager
def watching(model: Any) -> Iterator[Watched]:
    """Note every forward of `model` until the block ends."""
    watched = Watched(model)
    with patch.object(model, "forward", watched):
        yield watched


def trace(prompt: list[int], seen: list[tuple[int, list[int]]], final: list[int]) -> Trace:
    """[position, token] of what was committed or rewritten between two forwards, where anything was."""
    canvas = dict(enumerate(prompt))
    steps = []
    for start, tokens in [*seen, (0, final)]:
        made = [[i, t] for i, t in enumerate(tokens, start) if t != MASK and canvas.get(i) != t]
        canvas |= dict(made)
        steps += [made] if made else []
    return steps


def greedy(probabilities: Tensor, num_samples: int) -> Tensor:
    """In place of torch.multinomial, for code that divides by the temperature."""
    assert num_samples == 1
    return probabilities.argmax(-1, keepdim=True)


def decode_llada_moe(model: Any, checkouts: dict[str, Path]) -> Iterator[tuple[dict[str, Any], list[int], Trace]]:
    """LLaDA's generate.py, with the mask of LLaDA-MoE."""
    generate = module(checkouts["llada"], "generate").generate
    for length, steps, block in ((16, 16, 16), (16, 8, 8), (24, 24, 8)):
        for prompt in given():
            params = {"gen_length": length, "steps": steps, "block_length": block}
            with watching(model) as watched:
                out = generate(model, torch.tensor([prompt]), mask_id=MASK, temperature=0.0, **params)
            yield params, prompt, trace(prompt, watched.seen, out[0].tolist())


def decode_dream(model: Any, checkouts: dict[str, Path]) -> Iterator[tuple[dict[str, Any], list[int], Trace]]:
    """diffusion_generate, with each alg that is not a draw."""
    options = module(checkouts["dllm"] / SOURCES["dream"].folder, "generation_utils").DreamGenerationConfig
    filters: tuple[dict[str, Any], ...] = ({}, {"top_p": 0.95, "top_k": 4}, {"top_p": 0.9, "top_k": 3})
    for alg in ("maskgit_plus", "topk_margin", "entropy"):
        for length, steps, kept in ((16, 16, 0), (16, 6, 0), (24, 12, 0), (16, 16, 1), (16, 6, 2)):
            for prompt in given():
                params = {"gen_length": length, "steps": steps, "alg": alg} | filters[kept]
                chosen = options(
                    **filters[kept], max_length=len(prompt) + length, steps=steps, alg=alg, alg_temp=0.0,
                    mask_token_id=MASK, pad_token_id=EOS, bos_token_id=EOS, eos_token_id=EOS,
                )  # fmt: skip
                with watching(model) as watched:
                    out = model.diffusion_generate(torch.tensor([prompt]), generation_config=chosen)
                yield params, prompt, trace(prompt, watched.seen, out[0].tolist())


def decode_sdar(model: Any, checkouts: dict[str, Path]) -> Iterator[tuple[dict[str, Any], list[int], Trace]]:
    """block_diffusion_generate with the likeliest token in place of a draw, and its stored keys."""
    code = module(checkouts["sdar"], "generate")
    for strategy in ("low_confidence_static", "low_confidence_dynamic", "sequential"):
        for steps in (4, 2):
            # Where a block has fewer masks than a step wants, their top-k goes on to rewrite what is given.
            for prompt, length in answers(given() if steps == 4 else aligned(), 20, 4):
                params = {"gen_length": length, "denoising_steps": steps, "remasking_strategy": strategy,
                          "confidence_threshold": 0.4}  # fmt: skip
                with watching(model) as watched, patch.object(torch, "multinomial", greedy):
                    out = code.block_diffusion_generate(
                        model, {"input_ids": torch.tensor([prompt])}, MASK, block_length=4, **params
                    )
                yield params, prompt, trace(prompt, watched.seen, out[0].tolist())


def decode_llada2(model: Any, checkouts: dict[str, Path]) -> Iterator[tuple[dict[str, Any], list[int], Trace]]:
    """generate of the published class: by threshold, and with one that nothing passes."""
    for threshold, steps in ((0.4, 8), (0.4, 4), (2.0, 8), (2.0, 4), (2.0, 3)):
        for prompt, length in answers([*given(), *(aligned() if steps == 4 else [])], 24, 8):
            params = {"gen_length": length, "steps": steps, "threshold": threshold, "minimal_topk": 1 + (length == 13)}
            with watching(model) as watched:
                out = model.generate(torch.tensor([prompt]), block_length=8, eos_id=-1, mask_id=MASK, **params)
            yield params, prompt, trace(prompt, watched.seen, prompt + out[0].tolist())


def decode_llada21(model: Any, checkouts: dict[str, Path]) -> Iterator[tuple[dict[str, Any], list[int], Trace]]:
    """generate of the published class, which rewrites what it is sure of."""
    for threshold, editing in ((0.4, 0.5), (0.4, 0.9), (2.0, 0.3)):
        for prompt, length in answers(given(), 24, 8):
            params = {"gen_length": length, "threshold": threshold, "editing_threshold": editing, "max_post_steps": 16}
            with watching(model) as watched:
                out = model.generate(torch.tensor([prompt]), block_length=8, eos_id=-1, mask_id=MASK, **params)
            yield params, prompt, trace(prompt, watched.seen, prompt + out[0].tolist())


def decode_rnd1(model: Any, checkouts: dict[str, Path]) -> Iterator[tuple[dict[str, Any], list[int], Trace]]:
    """diffusion_sample, greedy: the least certain by entropy stay masked."""
    sample = module(checkouts["rnd1"] / "rnd", "sampling").diffusion_sample
    for length, steps in ((16, 16), (16, 5), (24, 12)):
        for prompt in given():
            params = {"gen_length": length, "steps": steps}
            with watching(model) as watched:
                out = sample(
                    model, seq_len=len(prompt) + length, num_steps=steps, prefix_ids=torch.tensor(prompt),
                    mask_token_id=MASK, eos_token_id=None, pad_token_id=ROWS, temperature=1.0, greedy=True,
                )  # fmt: skip
            yield params, prompt, trace(prompt, watched.seen, out[0].tolist())


class FastModel:
    """generate of Fast-dLLM v2's class, on transformers' Qwen2 under the family's block mask.

    The class itself compiles its training attention when it is imported, so its methods are taken from the file.
    """

    device = torch.device("cpu")

    def __init__(self, file: Path) -> None:
        config = {k: v for k, v in config_of("fast_dllm").items() if k not in ("architectures", "model_type")}
        self.size = config.pop("bd_size")
        made = transformers.Qwen2Config(**config, attn_implementation="eager")
        self.network = transformers.Qwen2ForCausalLM(made).eval().requires_grad_(False)
        state = {name: draw(name, w.shape) for name, w in self.network.state_dict().items()}
        self.network.load_state_dict(state)
        self.network.tie_weights()
        tree = ast.parse(file.read_text(encoding="utf-8"))
        wanted = ("generate", "sample_with_top_p")
        found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name in wanted]
        space: dict[str, Any] = {"torch": torch, "F": F}
        exec(compile(ast.Module(found, []), str(file), "exec"), space)
        self.generate = types.MethodType(space["generate"], self)
        self.sample_with_top_p = types.MethodType(space["sample_with_top_p"], self)

    def forward(
        self, input_ids: Tensor, past_key_values: Tensor | None = None, update_past_key_values: bool = False,
        position_ids: Tensor | None = None, **ignored: Any,
    ) -> Any:  # fmt: skip
        """Logits of `input_ids`, which follow what was kept; what is kept here are tokens, computed anew each time."""
        kept = torch.empty(1, 0, dtype=torch.long) if past_key_values is None else past_key_values
        whole = torch.cat((kept, input_ids), 1)
        hidden = torch.where(blocks(whole.shape[1], self.size), 0.0, torch.finfo(torch.float32).min)[None, None]
        out = self.network(whole, attention_mask=hidden, use_cache=False).logits[:, kept.shape[1] :]
        return types.SimpleNamespace(logits=out, past_key_values=whole if update_past_key_values else past_key_values)


def decode_fast_dllm(model: FastModel, checkouts: dict[str, Path]) -> Iterator[tuple[dict[str, Any], list[int], Trace]]:
    """generate, by sub-blocks; the first token of each block comes from the forward that closed the block before."""
    for threshold, small in ((1, 8), (0.4, 8), (0.4, 4)):
        for prompt in given():
            watched, forward = Watched(model), model.forward

            def noted(
                input_ids: Tensor, past_key_values: Tensor | None = None, watched: Watched = watched, **kwargs: Any
            ) -> Any:
                start = 0 if past_key_values is None else past_key_values.shape[1]
                at = torch.full((1, 1), start)
                return watched(input_ids, past_key_values=past_key_values, position_ids=at, **kwargs)

            with patch.object(model, "forward", noted):
                out = model.generate(
                    torch.tensor([prompt]), max_new_tokens=24, mask_id=MASK, threshold=threshold,
                    small_block_size=small, block_size=8, stop_token=-1,
                )  # fmt: skip
            assert model.forward == forward
            params = {"max_new_tokens": 24, "threshold": threshold, "small_block_size": small}
            yield params, prompt, trace(prompt, watched.seen, out[0].tolist())


Decode = Callable[[Any, dict[str, Path]], Iterator[tuple[dict[str, Any], list[int], Trace]]]
DECODES: dict[str, Decode] = {
    "llada_moe": decode_llada_moe, "dream": decode_dream, "sdar": decode_sdar, "llada2": decode_llada2,
    "llada2.1": decode_llada21, "rnd1": decode_rnd1, "fast_dllm": decode_fast_dllm,
}  # fmt: skip


def given() -> list[list[int]]:
    """Two prompts; neither ends with a block."""
    rows = prompts()
    return [rows[0, :9].tolist(), rows[1, :11].tolist()]


def answers(given: list[list[int]], end: int, block: int) -> Iterator[tuple[list[int], int]]:
    """Each prompt with an answer to the end of a block, and with two that end inside one: a long and a short one."""
    for prompt in given:
        for length in (end - len(prompt) % block, 13, 3):
            yield prompt, length


def aligned() -> list[list[int]]:
    """Two prompts that end with a block."""
    rows = prompts()
    return [rows[0, :8].tolist(), rows[1, :8].tolist()]


# --- what is written ---


def commit(checkout: Path) -> str:
    done = subprocess.run(["git", "-C", str(checkout), "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("dllm", "sdar", "rnd1", "llada", "fast-dllm"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    checkouts = {name: path.resolve() for name, path in vars(parser.parse_args()).items()}
    torch.set_num_threads(1)
    stand_in()
    tensors: dict[str, Tensor] = {}
    found: dict[str, Any] = {}
    for family in (*SOURCES, "fast_dllm"):
        print(family, file=sys.stderr)
        if family == "fast_dllm":
            model, file = FastModel(checkouts["fast_dllm"]), checkouts["fast_dllm"]
            about = {"methods of": "modeling.py of Efficient-Large-Model/Fast_dLLM_v2_1.5B"}
        else:
            source = SOURCES[family]
            model, file = build(family, checkouts), Path(source.folder) / f"{source.model[0]}.py"
            about = {"commit": commit(checkouts[source.checkout]), "file": str(file)}
            tensors[family] = logits(family, model, prompts()).contiguous()
        cases = DECODES[family](model, checkouts) if family in DECODES else ()
        found[family] = {
            "source": about,
            "decodes": [{"params": params, "prompt": prompt, "steps": steps} for params, prompt, steps in cases],
        }
    save_file(tensors, GOLDEN / "models.safetensors")
    compact = json.JSONEncoder(separators=(",", ":")).encode
    lines = [
        f'{compact(family)}:{{"source":{compact(said["source"])},"decodes":['
        + ",".join("\n  " + compact(case) for case in said["decodes"])
        + "]}"
        for family, said in found.items()
    ]
    header = f'"transformers":"{transformers.__version__}","torch":"{torch.__version__}"'
    (GOLDEN / "models.json").write_text(f'{{{header},"families":{{\n' + ",\n".join(lines) + "}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
