"""The dense families with Llama's or Qwen's tensors: iLLaDA, Dream, SDAR, Fast-dLLM v2, Open-dCoder, Tiny-A2D.

The defaults are what the authors call: iLLaDA, LLaDA's generate.py with its own mask; Dream, the README's
`diffusion_generate` (temperature 0.2, top_p 0.95, alg entropy); SDAR, the greedy evaluations, since its demo's 1.0 is
overruled by the published generation_config.json; Fast-dLLM v2, its class's `generate`; Open-dCoder, its README;
Tiny-A2D, the evaluations of ZHZisZZ/dllm.
"""

from dataclasses import replace

from .llama import Body, family

QWEN_EOT = "<|im_end|>"

# iLLaDA 8B (arXiv 2606.25331): tied, but the head is stored too; its files do not name the mask.
ILLADA = family(
    Body("illada", "ILLaDAForCausalLM", "illada", harmless=frozenset({"pretraining_tp", "embd_pdrop"})),
    mask_id=5,
    defaults={"gen_length": 128, "steps": 128, "block_length": 32, "temperature": 0.0, "remasking": "low_confidence"},
    call="generate.py of ML-GSAI/LLaDA",
)

# Dream 7B, Dream-Coder, DiffuCoder (arXiv 2508.15487). At temperature 0 users lose half of GSM8K (DreamLM/Dream #56).
DREAM = family(
    Body("dream", "DreamModel", "Dream", biases=True, shift=1),
    mask_id=151666,
    eos_ids=(151643,),
    eot=QWEN_EOT,
    defaults={"recipe": "dream", "gen_length": 512, "steps": 512, "temperature": 0.2, "top_p": 0.95},
    call="README of DreamLM/Dream",
)

# SDAR 1.7B to 8B and TraDo (arXiv 2510.06303), with fields of the training code in the published config.json.
TRAINING = frozenset({
    "debug", "ep_size", "fuse_cross_entropy", "micro_forward", "skip_checkpoint", "use_deepep", "noise",
})  # fmt: skip
SDAR = family(
    Body("sdar", "SDARForCausalLM", "sdar", qk_norm=True, block_size=4, harmless=TRAINING),
    mask_id=151669,
    eos_ids=(151643,),
    eot=QWEN_EOT,
    defaults={"recipe": "sdar", "gen_length": 256, "temperature": 0.0},
    call="the evaluations of JetAstra/SDAR",
)

# Fast-dLLM v2 (arXiv 2509.26328).
FAST_DLLM = family(
    Body(
        "fast_dllm",
        "Fast_dLLM_QwenForCausalLM",
        "Fast_dLLM_Qwen",
        biases=True,
        shift=1,
        block_size=32,
        block_field="bd_size",
    ),
    mask_id=151665,
    eos_ids=(151645,),
    defaults={"recipe": "fast-dllm-v2", "gen_length": 256, "temperature": 0.0},
    call="generate of their modeling.py",
)

# Open-dCoder: its config.json is that of an autoregressive Qwen2, so only the name of the repository identifies it. Its
# README has 200 steps for 128 tokens, but a step decides at least one.
OPEN_DCODER = family(
    Body("open_dcoder", "Qwen2ForCausalLM", "qwen2", biases=True, shift=1),
    architectures=(),
    model_types=(),
    repositories=("fredzzp/open-dcoder-0.5B",),
    mask_id=151665,
    eos_ids=(151643,),
    eot=QWEN_EOT,
    defaults={"recipe": "dream", "gen_length": 128, "steps": 128, "temperature": 0.7},
    call="README of pengzhangzhi/Open-dLLM",
)

# dLLM's Tiny-A2D: autoregressive models whose training went on without the causal mask.
_QWEN3 = Body("a2d_qwen3", "A2DQwen3LMHeadModel", "a2d-qwen3", qk_norm=True)
_QWEN2 = Body("a2d_qwen2", "A2DQwen2LMHeadModel", "a2d-qwen2", biases=True)
_LLAMA = Body("a2d_llama", "A2DLlamaLMHeadModel", "a2d-llama", harmless=frozenset({"pretraining_tp"}))
_ADAPTED = {"gen_length": 256, "steps": 256, "block_length": 256, "temperature": 0.0}
_EVALUATIONS = "the evaluations of ZHZisZZ/dllm"
A2D = tuple(family(body, eot=QWEN_EOT, defaults=_ADAPTED, call=_EVALUATIONS) for body in (_QWEN3, _QWEN2, _LLAMA))
# The block-causal ones have the same config.json.
A2D_BLOCKS = tuple(
    family(
        replace(body, block_size=32),
        name=body.family + "_bd3lm",
        architectures=(),
        model_types=(),
        repositories=(repository,),
        eot=QWEN_EOT,
        defaults=_ADAPTED,
        call=_EVALUATIONS,
    )
    for body, repository in (
        (_QWEN3, "dllm-hub/Qwen3-0.6B-diffusion-bd3lm-v0.1"),
        (_QWEN2, "dllm-hub/Qwen2.5-Coder-0.5B-Instruct-diffusion-bd3lm-v0.1"),
    )
)
