"""The dense families with Llama's or Qwen's tensors: what sets each apart from the others is a line or two."""

from dataclasses import replace

from .family import Family, Spelling
from .llama import Body

QWEN_EOT = "<|im_end|>"
NAMES = Spelling().names

_ILLADA = Body("illada", "ILLaDAForCausalLM", "illada", harmless=frozenset({"pretraining_tp"}))
ILLADA = Family(
    name="illada",  # iLLaDA 8B, arXiv 2606.25331: tied, its head stored a second time
    architectures=("ILLaDAForCausalLM",),
    model_types=("illada",),
    parse=_ILLADA.parse,
    export=_ILLADA.export,
    names=NAMES,
    mask_id=5,  # neither config.json nor the tokenizer names it
    defaults={"gen_length": 128, "steps": 128, "block_length": 32, "temperature": 0.0, "remasking": "low_confidence"},
)

_DREAM = Body("dream", "DreamModel", "Dream", biases=True, shift=1)
DREAM = Family(
    name="dream",  # Dream 7B, Dream-Coder, DiffuCoder; arXiv 2508.15487
    architectures=("DreamModel",),
    model_types=("Dream",),
    parse=_DREAM.parse,
    export=_DREAM.export,
    names=NAMES,
    mask_id=151666,
    eos_ids=(151643,),
    eot=QWEN_EOT,
    defaults={"gen_length": 512, "steps": 512, "block_length": 512, "temperature": 0.0, "remasking": "entropy"},
)

# The training code's own fields, in the published config.json.
_TRAINING = frozenset({
    "debug", "ep_size", "fuse_cross_entropy", "micro_forward", "skip_checkpoint", "use_deepep", "noise",
})  # fmt: skip
_SDAR = Body("sdar", "SDARForCausalLM", "sdar", qk_norm=True, block_size=4, harmless=_TRAINING)
SDAR = Family(
    name="sdar",  # SDAR 1.7B to 8B and TraDo; arXiv 2510.06303
    architectures=("SDARForCausalLM",),
    model_types=("sdar",),
    parse=_SDAR.parse,
    export=_SDAR.export,
    names=NAMES,
    mask_id=151669,
    eos_ids=(151643,),
    eot=QWEN_EOT,
    defaults={"gen_length": 256, "temperature": 0.0, "remasking": "low_confidence"},
)

_FAST = Body(
    "fast_dllm", "Fast_dLLM_QwenForCausalLM", "Fast_dLLM_Qwen", biases=True, shift=1, block_size=32,
    block_field="bd_size",
)  # fmt: skip
FAST_DLLM = Family(
    name="fast_dllm",  # Fast-dLLM v2, arXiv 2509.26328
    architectures=("Fast_dLLM_QwenForCausalLM",),
    model_types=("Fast_dLLM_Qwen",),
    parse=_FAST.parse,
    export=_FAST.export,
    names=NAMES,
    mask_id=151665,
    eos_ids=(151645,),
    defaults={"gen_length": 256, "temperature": 0.0, "remasking": "low_confidence"},
)

_OPEN = Body("open_dcoder", "Qwen2ForCausalLM", "qwen2", biases=True, shift=1)
OPEN_DCODER = Family(
    name="open_dcoder",
    architectures=(),  # config.json is that of an autoregressive Qwen2
    repositories=("fredzzp/open-dcoder-0.5B",),
    parse=_OPEN.parse,
    export=_OPEN.export,
    names=NAMES,
    mask_id=151665,
    eos_ids=(151643,),
    eot=QWEN_EOT,
    defaults={"gen_length": 128, "steps": 128, "block_length": 128, "temperature": 0.0, "remasking": "entropy"},
)


def _adapted(body: Body) -> Family:
    """A model of dLLM's AR-to-diffusion recipe: an autoregressive one, trained on without its causal mask."""
    return Family(
        name=body.family,
        architectures=(body.architecture,),
        model_types=(body.model_type,),
        parse=body.parse,
        export=body.export,
        names=NAMES,
        eot=QWEN_EOT,
        defaults={"gen_length": 256, "steps": 256, "block_length": 256, "temperature": 0.0},
    )


_QWEN3 = Body("a2d_qwen3", "A2DQwen3LMHeadModel", "a2d-qwen3", qk_norm=True)
_QWEN2 = Body("a2d_qwen2", "A2DQwen2LMHeadModel", "a2d-qwen2", biases=True)
_LLAMA = Body("a2d_llama", "A2DLlamaLMHeadModel", "a2d-llama", harmless=frozenset({"pretraining_tp"}))
A2D = tuple(map(_adapted, (_QWEN3, _QWEN2, _LLAMA)))
# Those trained block by block have the same config.json.
A2D_BLOCKS = tuple(
    replace(
        _adapted(replace(body, block_size=32)),
        name=body.family + "_bd3lm",
        architectures=(),
        model_types=(),
        repositories=(repository,),
    )
    for body, repository in (
        (_QWEN3, "dllm-hub/Qwen3-0.6B-diffusion-bd3lm-v0.1"),
        (_QWEN2, "dllm-hub/Qwen2.5-Coder-0.5B-Instruct-diffusion-bd3lm-v0.1"),
    )
)
