"""A loaded model with its text: prompts in, completions out. What `remask.load` returns."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, TypeVar, Unpack, get_args, get_type_hints, overload

from .checkpoint import Loaded
from .checkpoint.placement import free_memory
from .decoding.objective import Likelihood, Scoring, log_likelihood
from .decoding.recipe import Recipe
from .engine import context
from .engine.engine import Engine
from .engine.handle import Handle
from .engine.host import default_threads, thread_limit
from .engine.memory import MemoryPlan, largest, resident_bytes
from .engine.past import Edit, Past, check_tables
from .engine.requests import Completion, Request, samples
from .errors import RequestError, quoted, unknown_name
from .models.rotary import Rope
from .options import Options, SpecialTokens, apply, read
from .text.holes import template_parts, without_spaces
from .text.tokenizer import Text
from .trace.past import past_of_file
from .trace.recorder import CANDIDATES, record
from .validation import Range, check, check_table, plain

Prompt = str | Sequence[Mapping[str, Any]]
Token = int | str
T = TypeVar("T")
MOST_SAMPLES = 2**16
MOST_ROWS = 2**17  # that are looked at for the largest batch
WAITERS = 8  # threads that wait for the engine on behalf of event loops


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

    def encode(
        self,
        prompt: Prompt,
        *,
        raw: bool = False,
        special_tokens: SpecialTokens | None = None,
        template_vars: Mapping[str, Any] | None = None,
    ) -> list[int]:
        """Ids of a prompt as the model is meant to read it: through the chat template, unless `raw` or it has none.

        `special_tokens` written in it are "text" or "control" tokens; None is text in messages, control tokens in raw
        prompts. `template_vars` are variables of the template, such as enable_thinking or tools.
        """
        check("raw", raw, bool, RequestError)
        check("template_vars", template_vars, Mapping[str, Any] | None, RequestError)
        if special_tokens not in (None, *get_args(SpecialTokens)):
            raise RequestError(unknown_name("special_tokens", special_tokens, get_args(SpecialTokens)))
        if isinstance(prompt, str):
            if raw or self.text.template is None:
                if template_vars:
                    raise RequestError(
                        "template_vars are for a chat template, and this prompt has none; leave them out"
                    )
                return self.text.encode(prompt, control=special_tokens != "text")
            prompt = [{"role": "user", "content": prompt}]
        elif not isinstance(prompt, list | tuple):
            raise RequestError(f"a prompt must be text or a list of messages, got {quoted(prompt)}")
        elif raw:
            raise RequestError(
                "a raw prompt must be text, got a list of messages; join them yourself, or leave out raw"
            )
        return self.text.encode_chat(prompt, template_vars, control=special_tokens == "control")

    def request(self, prompt: Prompt, **options: Unpack[Options]) -> Request:
        """The request that continues `prompt`. Raises RequestError or RecipeError for what cannot run."""
        asked = read(options)
        ids = self.encode(
            prompt,
            raw=asked["raw"],
            special_tokens=asked["special_tokens"],
            template_vars=asked["template_vars"],
        )
        return self.continuation(ids, **options)

    def continuation(self, ids: Sequence[int], **options: Unpack[Options]) -> Request:
        """The request that continues the token `ids` as they stand."""
        asked = read(options)
        if not isinstance(ids, list | tuple) or not all(type(i) is int for i in ids):
            raise RequestError(f"ids must be a list, each a whole number, got {quoted(ids)}")
        if not ids:
            raise RequestError("the prompt is empty; give some text, or begin with nothing: infill('{{32}}')")
        rope = self._rope(asked)
        length = asked["gen_length"] or int(self.defaults["gen_length"])
        if asked["gen_length"] is None:  # a default gives way to the context; what was asked for does not
            length = context.room(length, len(ids), self.model.contract, rope, asked["context_policy"])
        stop_ids = self.stop_ids if asked["stop_ids"] is None else asked["stop_ids"]
        fitted = context.fit(ids, length, self.model.contract, rope, asked["context_policy"])
        built = self._build([*fitted.ids, *[None] * length], asked, tuple(stop_ids), fitted.rope)
        return replace(self._filled(built), dropped=fitted.dropped)

    def blank(self, positions: int, **options: Unpack[Options]) -> Request:
        """A request for a canvas of so many positions whose prompt says nothing: what memory is planned with."""
        asked = read(options)
        length = (
            min(int(self.defaults["gen_length"]), positions) if asked["gen_length"] is None else asked["gen_length"]
        )
        if not 1 <= length <= positions:
            raise RequestError(f"gen_length must lie in 1..{positions}, which is the context, got {length}")
        rope = context.scaled(positions, self.model.contract, self._rope(asked), asked["context_policy"])
        context.within(positions, length, self.model.contract, rope)
        return self._build([self.text.eos_id] * (positions - length) + [None] * length, asked, self.stop_ids, rope)

    def infilling(self, template: str, **options: Unpack[Options]) -> Request:
        """The request that fills the holes of `template` (see `remask.text.holes.template_parts`)."""
        check("a template", template, str, RequestError)
        asked = read(options)
        stated, spaces = template_parts(template), asked["spaces_in_holes"]
        read_by_model = without_spaces(stated) if spaces else stated
        parts = [self.text.encode(part) if isinstance(part, str) else part for part in read_by_model]
        holes = sum(part for part in parts if isinstance(part, int))
        length = holes + sum(len(part) for part in parts if isinstance(part, list))
        stops = () if asked["stop_ids"] is None else tuple(asked["stop_ids"])
        if asked["context_policy"] == "truncate-middle":
            raise RequestError("truncate-middle cuts prompts, and a template is filled as a whole; leave it out")
        rope = context.scaled(length, self.model.contract, self._rope(asked), asked["context_policy"])
        context.within(length, holes, self.model.contract, rope)  # before so many holes are written out
        tokens = [token for part in parts for token in (part if isinstance(part, list) else [None] * part)]
        built = self._build(tokens, asked, stops, rope, suppress=self.stop_ids)
        return replace(built, template=template, spaces_in_holes=spaces)

    def plan(
        self, *, context: int | None = None, batch: int = 1, free: int | None = None, **options: Unpack[Options]
    ) -> MemoryPlan:
        """The memory that `batch` answers on canvases of `context` positions take, and the most that fits.

        Without `context`, as far as the model goes; `free` are the bytes that there are, else what is free on the
        device, this model's own weights counted in.
        """
        for name, value in (("context", context), ("batch", batch), ("free", free)):
            check(name, value, int if name == "batch" else int | None, RequestError)
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
    def generate(  # type: ignore[overload-overlap]
        self, prompt: Prompt, *, trace: str | Path | None = None, **options: Unpack[Options]
    ) -> Completion: ...
    @overload
    def generate(self, prompt: Sequence[str], **options: Unpack[Options]) -> list[Completion]: ...

    def generate(
        self, prompt: Prompt | Sequence[str], *, trace: str | Path | None = None, **options: Unpack[Options]
    ) -> Completion | list[Completion]:
        """Answer one prompt, or a list of them side by side. A list of messages is one prompt.

        `trace` names a file that records the run of one prompt, step by step.
        """
        check("trace", trace, str | Path | None, RequestError)
        if trace is not None:
            chosen: Any = {"candidates": CANDIDATES} | options
            return record(self.submit(prompt, **chosen), trace).result()  # type: ignore[arg-type]
        if not isinstance(prompt, str | list | tuple):
            raise RequestError(f"a prompt must be text, a list of messages or a list of texts, got {quoted(prompt)}")
        if isinstance(prompt, str) or any(isinstance(one, Mapping) for one in prompt):
            return self._all([self.request(prompt, **options)])[0]
        return self._all([self.request(one, **options) for one in prompt])

    def submit(self, prompt: Prompt, **options: Unpack[Options]) -> Handle:
        """Start answering; iterate the handle for steps, its `pieces()` for text."""
        return self.engine.submit(self.request(prompt, **options))

    def stream(self, prompt: Prompt, **options: Unpack[Options]) -> Iterator[str]:
        """The answer piece by piece, as it settles from the left. Whoever stops listening cancels it."""
        return self._pieces(self.submit(prompt, **options))

    def samples(self, prompt: Prompt, n: int, **options: Unpack[Options]) -> list[Completion]:
        """`n` answers, which differ in their seed."""
        check("n", n := plain(n), Annotated[int, Range(1, MOST_SAMPLES)], RequestError)
        return self._all(samples(self.request(prompt, **options), n))

    def infill(self, template: str, **options: Unpack[Options]) -> Completion:
        """Fill the holes of `template`, as in `"The {{1}} sat on the {{1}}."`; the text is the whole document.

        A space before a hole belongs to the hole, for a word's token begins with its space; the given text stays to the
        byte. With `spaces_in_holes=False` the model reads that space as given, and decides what comes after it.
        """
        return self._all([self.infilling(template, **options)])[0]

    def fork(
        self,
        run: Handle | Past | str | Path,
        step: int | None = None,
        *,
        set: Mapping[int, Token] | None = None,
        pin: Sequence[int] = (),
        ban: Mapping[int, Token | Sequence[Token]] | None = None,
        remask: Sequence[int] = (),
    ) -> Handle:
        """Go on from a run as it was after `step` steps (None: all so far), with edits of its canvas by position.

        `run` is a handle, its past, or the trace file of one; it stays as it is. `set` puts a token at a position,
        `pin` keeps what is committed there, `ban` names tokens that are never guessed there, `remask` sends back to
        [MASK]. A token is its id, or text that is one token. Raises RequestError for what cannot be.
        """
        if isinstance(run, Handle):
            past = run.past(step)
        elif isinstance(run, Past):
            past = run if step is None else run.until(step)
        else:
            past = past_of_file(run, step)
        check_tables(set=set or {}, ban=ban or {})
        sets = {at: self._token(token) for at, token in (set or {}).items()}
        bans = {at: self._tokens(tokens) for at, tokens in (ban or {}).items()}
        return self.engine.fork(past, Edit(sets, pin, bans, remask))

    async def agenerate(self, prompt: Prompt, **options: Unpack[Options]) -> Completion:
        """`generate` one answer without blocking the running event loop. Answers under way share the batch.

        To cancel the task is to cancel the request.
        """
        return await self._acompletion(partial(self.request, prompt, **options))

    async def ainfill(self, template: str, **options: Unpack[Options]) -> Completion:
        """`infill` without blocking the running event loop. To cancel the task is to cancel the request."""
        return await self._acompletion(partial(self.infilling, template, **options))

    async def astream(self, prompt: Prompt, **options: Unpack[Options]) -> AsyncIterator[str]:
        """`stream` without blocking the running event loop. Who cancels the task or stops listening cancels it."""
        handle = await self._asubmit(partial(self.request, prompt, **options))
        pieces = handle.pieces()
        try:
            while (piece := await self._in_thread(next, pieces, None)) is not None:
                yield piece
        finally:
            await self._acancel(handle)

    def score(self, prompt: Prompt, answer: str, *, raw: bool = False, **options: Unpack[Scoring]) -> Likelihood:
        """Monte-Carlo estimate of ln p(answer | prompt); options as for `remask.decoding.objective.log_likelihood`."""
        check("the answer", answer, str, RequestError)
        values: dict[str, Any] = {name: plain(value) for name, value in options.items()}
        check_table(values, get_type_hints(Scoring, include_extras=True), RequestError)
        with thread_limit(self.engine.threads):
            return log_likelihood(self.model, self.encode(prompt, raw=raw), self.text.encode(answer), **values)

    def _token(self, token: Token) -> int:
        """The id of a token, or of text that is one."""
        if not isinstance(token, str):
            return token
        if len(ids := self.text.encode(token)) != 1:
            raise RequestError(f"{quoted(token)} is {len(ids)} tokens of this model, and must be one; give an id")
        return ids[0]

    def _tokens(self, tokens: Token | Sequence[Token]) -> list[int]:
        return [self._token(token) for token in ((tokens,) if isinstance(tokens, int | str) else tokens)]

    def _all(self, requests: Sequence[Request]) -> list[Completion]:
        """Run `requests` side by side; all of them or none."""
        with closing(self.engine.run(requests)) as done:
            return [handle.result() for handle in done]

    def _pieces(self, handle: Handle) -> Iterator[str]:
        try:
            yield from handle.pieces()
        finally:
            handle.cancel()

    async def _acompletion(self, request: Callable[[], Request]) -> Completion:
        handle = await self._asubmit(request)
        try:
            while not handle.done:
                await self._in_thread(self.engine.step)
        finally:
            await self._acancel(handle)
        return handle.result()

    async def _asubmit(self, request: Callable[[], Request]) -> Handle:
        """Make and submit a request; if the task is cancelled meanwhile, so is the request."""
        submission = self._waiters.submit(lambda: self.engine.submit(request()))
        try:
            return await asyncio.shield(asyncio.wrap_future(submission))
        except asyncio.CancelledError:
            submission.add_done_callback(self._cancel_submission)
            raise

    def _cancel_submission(self, submission: "Future[Handle]") -> None:
        if not submission.cancelled() and submission.exception() is None:
            submission.result().cancel()

    async def _acancel(self, handle: Handle) -> None:
        """Cancel what has not ended, and wait until it holds nothing."""
        handle.cancel()
        if not handle.done:  # a step is under way; the next one finds what it could not release
            await asyncio.shield(self._in_thread(self.engine.step))

    def _in_thread(self, work: Callable[..., T], *arguments: Any) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(self._waiters, work, *arguments)

    @cached_property
    def _waiters(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(WAITERS, thread_name_prefix="remask")

    def _build(
        self,
        tokens: list[int | None],
        asked: Options,
        stop_ids: tuple[int, ...],
        rope: Rope,
        suppress: tuple[int, ...] = (),
    ) -> Request:
        base = self._base(asked)
        if suppress:
            base = base.change({"process.suppress": sorted({*base.process.suppress, *suppress})})
        recipe = apply(base, **self._chosen(asked, tokens.count(None)))
        return Request(
            tokens=tuple(tokens),
            recipe=replace(recipe, rope=rope).spelled(self.text.encode),
            seed=asked["seed"],
            stop_ids=stop_ids,
            stop=(asked["stop"],) if isinstance(asked["stop"], str) else tuple(asked["stop"]),
            deadline=asked["deadline"],
            candidates=asked["candidates"],
        )

    def _filled(self, request: Request) -> Request:
        """The request on a canvas that goes on to where the recipe's last block ends; its answer does not."""
        contract, limit = self.model.contract, len(request.tokens)
        length = min(request.recipe.blocks.fit(contract).filled(limit, contract), contract.max_positions)
        if length <= limit:
            return request
        return replace(request, tokens=(*request.tokens, *[None] * (length - limit)), limit=limit)

    def _chosen(self, asked: Options, holes: int) -> dict[str, Any]:
        """The options as they hold here: what is asked for, and beside no recipe the checkpoint's own defaults."""
        chosen = {name: value for name, value in asked.items() if value is not None}
        if asked["recipe"] is None:
            chosen = self.defaults | chosen
            if asked["steps"] is None and "steps" in self.defaults:
                chosen["steps"] = self._steps(holes, chosen)
        if self.model.contract.block_size is not None and asked["block_length"] is None:
            chosen.pop("block_length", None)
        return chosen

    def _base(self, asked: Options) -> Recipe:
        """The recipe that options change: what is asked for, else the checkpoint's own."""
        recipe = asked["recipe"] if asked["recipe"] is not None else self.defaults.get("recipe", Recipe())
        return recipe if isinstance(recipe, Recipe) else Recipe.load(recipe)

    def _rope(self, asked: Options) -> Rope:
        """The scaling that is asked for: set at last, by its own option, or by the recipe."""
        own = self._base(asked).rope if asked["rope"] is None else asked["rope"]
        return Rope.of(asked["set"].get("rope", own))

    def _steps(self, length: int, chosen: Mapping[str, Any]) -> int:
        """The default number of steps, in the proportion that the checkpoint states for its own gen_length."""
        steps, usual = self.defaults.get("steps"), self.defaults.get("gen_length")
        if not steps or not usual:
            return length
        blocks = -(-length // int(chosen.get("block_length") or length))
        return max(blocks, min(length, -(-length * int(steps) // int(usual))))
