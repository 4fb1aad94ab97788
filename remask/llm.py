"""A loaded model with its text: prompts in, completions out. What `remask.load` returns."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload

import numpy as np

from .checkpoint import Loaded
from .checkpoint.placement import free_memory
from .decoding.objective import Likelihood, log_likelihood
from .decoding.recipe import Recipe
from .engine import context
from .engine.engine import Engine
from .engine.handle import Handle
from .engine.host import default_threads, thread_limit
from .engine.memory import MemoryPlan, largest, resident_bytes
from .engine.requests import Completion, Request, samples
from .errors import RequestError
from .kinds import typed
from .models.rotary import Rope
from .text.holes import template_parts
from .text.tokenizer import Text
from .trace.recorder import CANDIDATES, record

Prompt = str | Sequence[Mapping[str, str]]
MOST_ROWS = 2**17  # that are looked at for the largest batch
RECIPE_DEFAULTS = ("steps", "block_length", "temperature", "cfg_scale", "remasking")


@dataclass(frozen=True)
class Options:
    """What a call may ask for. None means the checkpoint's own default, else the authors'.

    The names are those of LLaDA's `generate`; `recipe` is a base that the others change, `set` at last, as in
    `{"cache": "none", "select.threshold": 0.8}`. `raw` reads the prompt as plain text, without the chat template.
    `rope` is spelled as in `remask.models.rotary.Rope`, `lookahead` counts the masks behind a block that the network
    sees, `context_policy` is one of `remask.engine.context`.
    """

    gen_length: int | None = None
    steps: int | None = None
    block_length: int | None = None
    temperature: float | None = None
    cfg_scale: float | None = None
    remasking: str | None = None
    threshold: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    logits_eos_inf: bool | None = None
    confidence_eos_eot_inf: bool | None = None
    compat: str | None = None
    recipe: Recipe | None = None
    set: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    stop: str | Sequence[str] = ()
    stop_ids: Sequence[int] | None = None
    deadline: float | None = None
    candidates: int = 0
    raw: bool = False
    rope: str | Rope | None = None
    lookahead: int | None = None
    context_policy: str = "error"


class LLM:
    """A mask predictor with its tokenizer, ready to answer.

    `engine` does the work and may be shared by threads; `defaults` are the checkpoint's own (gen_length, steps, …).
    `threads` of the CPU compute (None: one for a tiny model, else as many as torch has).
    """

    def __init__(self, loaded: Loaded, *, threads: int | None = None, **engine: Any) -> None:
        self.loaded = loaded
        self.text: Text = loaded.text
        self.model = loaded.predictor
        self.defaults = loaded.defaults
        if threads is None:
            threads = default_threads(self.model.device, loaded.config.parameters)
        self.engine = Engine(self.model, self.text, name=loaded.source, threads=threads, **engine)

    def encode(self, prompt: Prompt, *, raw: bool = False) -> list[int]:
        """Ids of a prompt as the model is meant to read it: through the chat template, unless `raw` or it has none."""
        if isinstance(prompt, str):
            if raw or self.text.template is None:
                return self.text.encode(prompt)
            prompt = [{"role": "user", "content": prompt}]
        elif raw:
            raise RequestError(
                "a raw prompt must be text, got a list of messages; join them yourself, or leave out raw"
            )
        return self.text.encode(self.text.chat(prompt))

    def request(self, prompt: Prompt, **options: Any) -> Request:
        """The request that continues `prompt`. Raises RequestError or RecipeError for what cannot run."""
        return self.continuation(self.encode(prompt, raw=self._options(options).raw), **options)

    def continuation(self, ids: Sequence[int], **options: Any) -> Request:
        """The request that continues the token `ids` as they stand."""
        asked = self._options(options)
        if not len(ids):
            raise RequestError("the prompt is empty; give some text")
        rope = self._rope(asked)
        length = asked.gen_length if asked.gen_length is not None else int(self.defaults["gen_length"])
        if length < 1:
            raise RequestError(f"gen_length must be at least 1, got {length}")
        if asked.gen_length is None:  # a default gives way to the context; what was asked for does not
            length = context.room(length, len(ids), self.model.contract, rope, asked.context_policy)
        stop_ids = self.stop_ids if asked.stop_ids is None else asked.stop_ids
        fitted = context.fit(ids, length, self.model.contract, rope, asked.context_policy)
        built = self._build([*fitted.ids, *[None] * length], asked, tuple(stop_ids), fitted.rope)
        return replace(built, dropped=fitted.dropped)

    def blank(self, positions: int, **options: Any) -> Request:
        """A request for a canvas of so many positions whose prompt says nothing: what memory is planned with."""
        asked = self._options(options)
        length = min(int(self.defaults["gen_length"]), positions) if asked.gen_length is None else asked.gen_length
        if not 1 <= length <= positions:
            raise RequestError(f"gen_length must lie in 1..{positions}, which is the context, got {length}")
        rope = context.scaled(positions, self.model.contract, self._rope(asked), asked.context_policy)
        context.within(positions, length, self.model.contract, rope)
        return self._build([self.text.eos_id] * (positions - length) + [None] * length, asked, self.stop_ids, rope)

    def infilling(self, template: str, **options: Any) -> Request:
        """The request that fills the holes of `template` (see `remask.text.holes.template_parts`)."""
        asked = self._options(options)
        parts = [self.text.encode(part) if isinstance(part, str) else part for part in template_parts(template)]
        holes = sum(part for part in parts if isinstance(part, int))
        length = holes + sum(len(part) for part in parts if isinstance(part, list))
        stops = () if asked.stop_ids is None else tuple(asked.stop_ids)
        if asked.context_policy == "truncate-middle":
            raise RequestError("truncate-middle cuts prompts, and a template is filled as a whole; leave it out")
        rope = context.scaled(length, self.model.contract, self._rope(asked), asked.context_policy)
        context.within(length, holes, self.model.contract, rope)  # before so many holes are written out
        tokens = [token for part in parts for token in (part if isinstance(part, list) else [None] * part)]
        return replace(self._build(tokens, asked, stops, rope, suppress=self.stop_ids), template=template)

    def plan(
        self, *, context: int | None = None, batch: int = 1, free: int | None = None, **options: Any
    ) -> MemoryPlan:
        """The memory that `batch` answers on canvases of `context` positions take, and the most that fits.

        Without `context`, as far as the model goes; `free` are the bytes that there are, else what is free on the
        device, this model's own weights counted in.
        """
        if not 1 <= batch <= MOST_ROWS:
            raise RequestError(f"batch must lie in 1..{MOST_ROWS:,}, got {batch}; plan for one answer and multiply")
        loaded, most = self.loaded, self.model.contract.max_positions
        if free is None and (free := free_memory(loaded.device)) is not None and self.model.device.type != "meta":
            free += loaded.weights_bytes
        request = self.blank(most if context is None else context, **options)
        need = self.engine.footprint(request, batch)

        def fits(context: int | None, batch: int) -> bool:
            one = request if context is None else self.blank(context, **options)
            return loaded.weights_bytes + self.engine.footprint(one, batch).peak <= (free or 0)

        shortest = options.get("gen_length") or 1
        return MemoryPlan(
            model=loaded.source,
            parameters=loaded.config.parameters,
            device=str(loaded.device),
            dtype=str(self.model.dtype).removeprefix("torch."),
            context=len(request.tokens),
            batch=batch,
            cache=request.recipe.tables()["cache"]["by"],
            weights=loaded.weights_bytes,
            store=need.store,
            activations=need.activations,
            logits=need.logits,
            peak=loaded.weights_bytes + need.peak,
            free=free,
            largest_context=None if free is None else largest(lambda n: fits(n, batch), shortest, most),
            largest_batch=None if free is None else largest(lambda n: fits(None, n), 1, MOST_ROWS),
            runtime=resident_bytes(),
        )

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """What ends an answer: end of sequence, and end of turn."""
        return tuple(sorted({*self.model.contract.eos_ids, *self.model.contract.eot_ids}))

    @overload
    def generate(self, prompt: Prompt, *, trace: str | Path | None = None, **options: Any) -> Completion: ...
    @overload
    def generate(self, prompt: Sequence[str], **options: Any) -> list[Completion]: ...

    def generate(
        self, prompt: Prompt | Sequence[str], *, trace: str | Path | None = None, **options: Any
    ) -> Completion | list[Completion]:
        """Answer one prompt, or a list of them side by side; options are the fields of `Options`.

        A list of messages is one prompt. `trace` names a file that records the run of one prompt, step by step.
        """
        if trace is not None:
            handle = self.submit(prompt, **{"candidates": CANDIDATES, **options})  # type: ignore[arg-type]
            return record(handle, trace).result()
        if isinstance(prompt, str) or any(isinstance(one, Mapping) for one in prompt):
            return self._all([self.request(prompt, **options)])[0]  # type: ignore[arg-type]
        return self._all([self.request(one, **options) for one in prompt])  # type: ignore[arg-type]

    def submit(self, prompt: Prompt, **options: Any) -> Handle:
        """Start answering; iterate the handle for steps, its `pieces()` for text."""
        return self.engine.submit(self.request(prompt, **options))

    def stream(self, prompt: Prompt, **options: Any) -> Iterator[str]:
        """The answer piece by piece, as it settles from the left. Whoever stops listening cancels it."""
        return self._pieces(self.submit(prompt, **options))

    def samples(self, prompt: Prompt, n: int, **options: Any) -> list[Completion]:
        """`n` answers, which differ in their seed."""
        return self._all(samples(self.request(prompt, **options), n))

    def infill(self, template: str, **options: Any) -> Completion:
        """Fill the holes of `template`, as in `"The {{2}} sat on the {{1}}."`; the text is the whole document."""
        return self._all([self.infilling(template, **options)])[0]

    def score(self, prompt: Prompt, answer: str, *, raw: bool = False, **options: Any) -> Likelihood:
        """Monte-Carlo estimate of ln p(answer | prompt); options as for `remask.decoding.objective.log_likelihood`."""
        with thread_limit(self.engine.threads):
            return log_likelihood(self.model, self.encode(prompt, raw=raw), self.text.encode(answer), **options)

    def _all(self, requests: Sequence[Request]) -> list[Completion]:
        """Run `requests` side by side; all of them or none."""
        with closing(self.engine.run(requests)) as done:
            return [handle.result() for handle in done]

    def _pieces(self, handle: Handle) -> Iterator[str]:
        try:
            yield from handle.pieces()
        finally:
            handle.cancel()

    def _options(self, options: Mapping[str, Any]) -> Options:
        known = set(Options.__dataclass_fields__)
        if unknown := sorted(set(options) - known):
            raise RequestError(f"unknown option {unknown[0]!r}; known: {', '.join(sorted(known))}")
        numbers = {k: v.item() if isinstance(v, np.generic) else v for k, v in options.items()}
        typed(asked := Options(**numbers), RequestError)
        return asked

    def _build(
        self,
        tokens: list[int | None],
        asked: Options,
        stop_ids: tuple[int, ...],
        rope: Rope,
        suppress: tuple[int, ...] = (),
    ) -> Request:
        defaults = {} if asked.recipe else {k: v for k, v in self.defaults.items() if k in RECIPE_DEFAULTS}
        names = (*RECIPE_DEFAULTS, "threshold", "top_k", "top_p", "compat", "lookahead")
        named = {name: getattr(asked, name) for name in names}
        flags = {name: getattr(asked, name) for name in ("logits_eos_inf", "confidence_eos_eot_inf")}
        chosen = defaults | {k: v for k, v in (named | flags).items() if v is not None}
        if asked.steps is None and not asked.recipe:
            chosen["steps"] = self._steps(tokens.count(None), chosen)
        if self.model.contract.block_size is not None and asked.block_length is None:
            chosen.pop("block_length", None)
        base = self._base(asked)
        if suppress:
            chosen["suppress"] = tuple(sorted({*base.process.suppress, *suppress}))
        return Request(
            tokens=tuple(tokens),
            recipe=replace(Recipe.of(base, **chosen).change(asked.set), rope=rope).spelled(self.text.encode),
            seed=asked.seed,
            stop_ids=stop_ids,
            stop=(asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop),
            deadline=asked.deadline,
            candidates=asked.candidates,
        )

    def _base(self, asked: Options) -> Recipe:
        """The recipe that options change: what is asked for, else the checkpoint's own."""
        return asked.recipe or (Recipe.load(self.defaults["recipe"]) if "recipe" in self.defaults else Recipe())

    def _rope(self, asked: Options) -> Rope:
        """The scaling that is asked for: set at last, by its own option, or by the recipe."""
        return Rope.of(asked.set.get("rope", self._base(asked).rope if asked.rope is None else asked.rope))

    def _steps(self, length: int, chosen: Mapping[str, Any]) -> int:
        """The default number of steps, in the proportion that the checkpoint states for its own gen_length."""
        steps, usual = self.defaults.get("steps"), self.defaults.get("gen_length")
        if not steps or not usual:
            return length
        blocks = -(-length // int(chosen.get("block_length") or length))
        return max(blocks, min(length, -(-length * int(steps) // int(usual))))
