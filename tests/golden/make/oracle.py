"""The authors' sampler, watched: their own generate.py on a float32 reference forward, with every step written down.

Nothing of theirs is kept here. Their source is read from a checkout, compiled with this checkpoint's end-of-sequence
and end-of-turn ids in place of the two that it hard-codes, and given a stand-in for `torch` that looks over its
shoulder and breaks ties towards the lower position. The forward is written from the published tensor names alone and
shares no code with the package that it is compared with.
"""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from safetensors.torch import load_file
from torch import Tensor

THEIR_EOS, THEIR_EOT = "126081", "126348"  # hard-coded in their generate.py
Scores = Callable[[int, Tensor], Tensor]


KeysValues = tuple[Tensor, Tensor]  # of one layer, (B, kv_heads, L, head) each, before rotation


class Reference:
    """A LLaDA checkpoint as plain float32 arithmetic: tokens (B, Q) to `.logits` (B, Q, V).

    With `past_key_values` (a pair a layer) the tokens are the last Q positions behind those, or, with
    `replace_position` (B, L), the ones that it marks: what Fast-dLLM asks of a network. Keys are then written into the
    past, which lives on; `use_cache` returns keys and values as `.past_key_values`.
    """

    device = torch.device("cpu")

    def __init__(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.weights = {name: w.float() for name, w in load_file(folder / "model.safetensors").items()}
        self.layers, self.heads, self.kv_heads = config["n_layers"], config["n_heads"], config["n_kv_heads"]
        self.eps, self.theta = config["rms_norm_eps"], config["rope_theta"]

    @torch.no_grad()
    def __call__(
        self,
        tokens: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: Sequence[KeysValues] | None = None,
        use_cache: bool = False,
        replace_position: Tensor | None = None,
    ) -> SimpleNamespace:
        w, kept = self.weights, []
        x = w["model.transformer.wte.weight"][tokens]
        for layer in range(self.layers):
            at = f"model.transformer.blocks.{layer}."
            past = None if past_key_values is None else past_key_values[layer]
            seen = self.norm(x, w[at + "attn_norm.weight"])
            present, places = self.joined(seen, at, past, replace_position)
            x = x + self.attention(seen, at, present, places, attention_mask)
            kept.append(present)
            h = self.norm(x, w[at + "ff_norm.weight"])
            gate, up = h @ w[at + "ff_proj.weight"].T, h @ w[at + "up_proj.weight"].T
            x = x + (gate * torch.sigmoid(gate) * up) @ w[at + "ff_out.weight"].T
        x = self.norm(x, w["model.transformer.ln_f.weight"])
        logits = x @ w["model.transformer.ff_out.weight"].T
        return SimpleNamespace(logits=logits, past_key_values=kept if use_cache else None)

    def norm(self, x: Tensor, weight: Tensor) -> Tensor:
        """Root-mean-square norm."""
        return weight * (x / torch.sqrt((x * x).mean(-1, keepdim=True) + self.eps))

    def joined(self, x: Tensor, at: str, past: KeysValues | None, replace: Tensor | None) -> tuple[KeysValues, Tensor]:
        """Keys and values that the rows x (B, Q, d) may see, their own included, and where the rows stand (B, Q)."""
        batch, length, _ = x.shape
        fresh = tuple(
            (x @ self.weights[at + f"{kind}_proj.weight"].T).view(batch, length, self.kv_heads, -1).transpose(1, 2)
            for kind in "kv"
        )
        if past is None:
            return (fresh[0], fresh[1]), torch.arange(length).expand(batch, -1)
        if replace is None:
            keys, values = (torch.cat(pair, 2) for pair in zip(past, fresh, strict=True))
            return (keys, values), torch.arange(keys.shape[2])[-length:].expand(batch, -1)
        places = torch.stack([row.nonzero().flatten() for row in replace])
        where = places[:, None, :, None].expand_as(fresh[0])
        for old, new in zip(past, fresh, strict=True):
            old.scatter_(2, where, new)
        return past, places

    def attention(
        self, x: Tensor, at: str, present: KeysValues, places: Tensor, attention_mask: Tensor | None
    ) -> Tensor:
        """Every row, standing at `places` (B, Q), sees every key, less those that the mask (B, L) marks 0."""
        batch, length, width = x.shape
        q = (x @ self.weights[at + "q_proj.weight"].T).view(batch, length, self.heads, -1).transpose(1, 2)
        keys = self.rotated(present[0], torch.arange(present[0].shape[2]).expand(batch, -1))
        k, v = (t.repeat_interleave(self.heads // self.kv_heads, 1) for t in (keys, present[1]))
        scores = self.rotated(q, places) @ k.transpose(2, 3) / (width // self.heads) ** 0.5
        if attention_mask is not None:
            scores = scores.masked_fill(attention_mask[:, None, None, :] == 0, -torch.inf)
        mixed = (torch.softmax(scores, -1) @ v).transpose(1, 2)
        return mixed.reshape(batch, length, width) @ self.weights[at + "attn_out.weight"].T

    def rotated(self, x: Tensor, places: Tensor) -> Tensor:
        """Rotary positions `places` (B, L) of (B, heads, L, head): feature i turns with feature i + head / 2."""
        head = x.shape[3]
        turns = places.float()[:, None, :, None] / self.theta ** (torch.arange(0, head, 2).float() / head)
        cos, sin = turns.cos(), turns.sin()
        left, right = x[..., : head // 2], x[..., head // 2 :]
        return torch.cat((left * cos - right * sin, right * cos + left * sin), -1)


@dataclass
class Taken:
    """One forward as the authors' code saw it: `guess`, `margin` (B, L), and per row what its top-k was given and took.

    `margin` is the top logit less the second, `rival` (B, L) the second-best token; after guidance, before scores.
    """

    guess: Tensor
    rival: Tensor
    margin: Tensor
    confidence: list[Tensor] = field(default_factory=list)
    chosen: list[list[int]] = field(default_factory=list)


class Watched:
    """What the authors' code gets for `torch`: the same functions, of which three are looked at.

    argmax  opens a step; its input is the logits that tokens are guessed from
    topk    closes a row of it; `stable`: ties go to the lower position, else as torch decides
    rand    the scores of random remasking, replaced by `scores(step, like)` if given
    """

    def __init__(self, stable: bool, scores: Scores | None) -> None:
        self.stable, self.scores = stable, scores
        self.steps: list[Taken] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def argmax(self, logits: Tensor, dim: int) -> Tensor:
        """As torch's; the margin is kept."""
        guess = torch.argmax(logits, dim)
        best = logits.topk(2, dim)
        margin = best.values[..., 0] - best.values[..., 1]
        rival = torch.where(best.indices[..., 0] == guess, best.indices[..., 1], best.indices[..., 0])
        self.steps.append(Taken(guess.clone(), rival, margin))
        return guess

    def topk(self, confidence: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """As torch's, but for ties if `stable`."""
        if self.stable:
            ordered, index = confidence.sort(descending=True, stable=True)
            values, index = ordered[: int(k)], index[: int(k)]
        else:
            values, index = torch.topk(confidence, k=int(k))
        self.steps[-1].confidence.append(confidence.clone())
        self.steps[-1].chosen.append(index.tolist())
        return values, index

    def rand(self, size: Sequence[int], device: Any = None) -> Tensor:
        """As torch's, or the given scores."""
        drawn = torch.rand(size, device=device)
        return drawn if self.scores is None else self.scores(len(self.steps) - 1, drawn)


@dataclass(frozen=True)
class Run:
    """What the authors' code did: the canvas (B, L) before each forward and at the end, and each forward's `Taken`."""

    canvases: list[Tensor]
    steps: list[Taken]


@dataclass(frozen=True)
class Oracle:
    """The authors' `generate` on one checkpoint."""

    source: Path
    model: Reference
    mask_id: int
    eos_id: int
    eot_id: int

    def run(
        self,
        prompts: Tensor,
        options: dict[str, Any],
        attention_mask: Tensor | None = None,
        *,
        stable: bool = True,
        scores: Scores | None = None,
    ) -> Run:
        """`generate(model, prompts (B, P), attention_mask, **options)` at temperature 0."""
        watched, canvases = Watched(stable, scores), []

        def model(tokens: Tensor, attention_mask: Tensor | None = None) -> SimpleNamespace:
            canvases.append(tokens[: len(prompts)].clone())
            return self.model(tokens, attention_mask)

        model.device = self.model.device  # type: ignore[attr-defined]
        generate = self._compile(watched)
        last = generate(model, prompts, attention_mask, temperature=0.0, mask_id=self.mask_id, **options)
        return Run([*canvases, last], watched.steps)

    def _compile(self, watched: Watched) -> Callable[..., Tensor]:
        text = self.source.read_text(encoding="utf-8")
        for theirs, ours in ((THEIR_EOS, self.eos_id), (THEIR_EOT, self.eot_id)):
            if theirs not in text:
                raise SystemExit(f"{self.source} does not hold the id {theirs}; is it generate.py of ML-GSAI/LLaDA?")
            text = text.replace(theirs, str(ours))
        namespace: dict[str, Any] = {"__name__": "reference"}
        unused = ModuleType("transformers")  # imported at the top of their file, used by its main() alone
        unused.AutoTokenizer = unused.AutoModel = None  # type: ignore[attr-defined]
        with patch.dict(sys.modules, {"transformers": unused}):
            exec(compile(text, str(self.source), "exec"), namespace)
        namespace["torch"] = watched
        return namespace["generate"]
