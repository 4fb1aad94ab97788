"""A lesson told chapter by chapter: words, formulas, tables and rows of tokens, for any view to draw."""

from collections.abc import Callable

from ..schedule import even
from .figures import Chapter, Entry, Grid, Likelihood, Share, Strip, Table, Token
from .glyph import chip
from .lesson import Block, Lesson

SCORES = {
    "probability": ("the probability of the guess", "confidence[i] = softmax(z[i])[ guess[i] ]"),
    "margin": ("the lead of the likeliest token over the second", "confidence[i] = p_1 − p_2"),
    "entropy": ("the negative entropy of the row", "confidence[i] = Σ_v p(v) · ln p(v)"),
    "random": ("a random number, for comparison", "confidence[i] = uniform on (0, 1)"),
}


def chapters(lesson: Lesson) -> list[Chapter]:
    """The ten chapters, in the order in which the numbers arise."""
    tell: tuple[Callable[[Lesson], Chapter], ...] = (
        canvas, logits, noise, confidence, keeping, updating, loop, blocks, schedule, guidance,
    )  # fmt: skip
    return [one(lesson) for one in tell]


def canvas(lesson: Lesson) -> Chapter:
    """1. What the model starts from."""
    asked = lesson.setting
    given = sum(cell.state == "given" for cell in lesson.start)
    return Chapter(
        1,
        "The canvas",
        f"The model does not write from left to right. It gets your text, {count(given, 'token')} here, and behind it "
        f"{count(asked.gen_length, 'position')} that all hold one special token, [MASK] (id {asked.mask_id}). "
        "It will fill them in the order in which it is sure of them.",
        "x = prompt + [MASK] × gen_length",
        ("remask.canvas.Canvas.template",),
        (Strip(lesson.start, f"{given} given, {asked.gen_length} still [MASK]"),),
    )


def logits(lesson: Lesson) -> Chapter:
    """2. What one forward pass says."""
    most = max(len(place.likely) for place in lesson.places)
    ordinals = ("likeliest", "second", "third", *(f"{n}th" for n in range(4, most + 1)))
    rows = tuple(
        (str(place.position), *(Likelihood(*one) for one in place.likely), *[""] * (most - len(place.likely)))
        for place in lesson.places
    )
    return Chapter(
        2,
        "Logits",
        "One forward pass gives every position a row of numbers, one for each of the "
        f"{lesson.setting.vocabulary:,} tokens of the vocabulary: the logits z. Softmax turns a row into probabilities. "
        f"Here {are(len(lesson.places), 'position')} still [MASK] that step {lesson.step + 1} may decide, each with its "
        "likeliest tokens. The model sees the whole canvas, left and right; [MASK] itself is never guessed.",
        "p(v) = exp(z_v) / Σ_u exp(z_u)",
        ("remask.models.masked.MaskPredictor.logits", "remask.sampler.look"),
        (Table(("position", *ordinals[:most]), rows, "token · logit · probability"),),
    )


def noise(lesson: Lesson) -> Chapter:
    """3. How a token is drawn rather than looked up."""
    drawn, greedy = lesson.draw, lesson.setting.temperature == 0
    winner = max(drawn.tokens, key=lambda token: token.total)
    first = max(drawn.tokens, key=lambda token: token.logit)
    here = "This run has temperature 0 and takes the likeliest; at " if greedy else "This run draws at "
    fate = f"overtakes {chip(first.text)}" if winner is not first else "stays ahead"
    total, changed = count(len(lesson.places), "guess", "guesses"), drawn.changed
    return Chapter(
        3,
        "Gumbel noise",
        "To draw a token instead of always taking the likeliest, add Gumbel noise g to every logit, scaled by the "
        "temperature T, and take the largest sum. That is an exact draw from softmax(z / T). The noise belongs to "
        f"(seed, step, position), so the same seed writes the same text. {here}T = {drawn.temperature:g} "
        f"{'the noise of this very step would change' if greedy else 'and the noise changes'} {changed} of its {total}: "
        f"at position {drawn.position}, {chip(winner.text)} {fate}.",
        "guess = argmax_v ( z_v + T · g_v ),   g = −ln(−ln u),   u uniform on (0, 1)",
        ("remask.noise.gumbel", "remask.propose.draw"),
        (
            Table(
                ("token", "logit z", "noise g", f"z + {drawn.temperature:g} · g"),
                tuple((Token(t.text), number(t.logit), number(t.noise), number(t.total)) for t in drawn.tokens),
                f"position {drawn.position}, step {lesson.step + 1}, seed {lesson.setting.seed}",
                strong=frozenset(i for i, token in enumerate(drawn.tokens) if token is winner),
            ),
        ),
    )


def confidence(lesson: Lesson) -> Chapter:
    """4. How sure the model is of each guess."""
    said, formula = SCORES[lesson.setting.confidence]
    rows = tuple(
        (str(place.position), Token(place.guess), str(place.index), Share(place.probability), number(place.confidence))
        for place in lesson.places
    )
    return Chapter(
        4,
        "Confidence, by gather",
        f"How sure is the model of each guess? The score is {said}. A gather picks, from each position's row of "
        "probabilities, the entry at the index of the guessed token. With noise the guess need not be the likeliest "
        "token, and then its own probability counts, not the best one.",
        formula,
        ("remask.confidence.score",),
        (Table(("position", "guess", "index", "p[index]", "confidence"), rows),),
    )


def keeping(lesson: Lesson) -> Chapter:
    """5. Who stays and who goes back."""
    ranked = sorted(lesson.places, key=lambda place: (not place.kept, -place.confidence, place.position))
    kept = sum(place.kept for place in ranked)
    back = len(ranked) - kept
    rows = tuple(
        (str(rank), str(place.position), Token(place.guess), Share(place.confidence), "keep" if place.kept else "[MASK]")
        for rank, place in enumerate(ranked, 1)
    )
    rest = f"the other {back} go back to [MASK], to be guessed again with more context" if back else "none is left over"
    return Chapter(
        5,
        "Keep the surest, remask the rest",
        f"All guesses are ranked by confidence. The schedule lets {lesson.quota} of them stay in this step; {rest}. "
        "So the easy tokens come first, and the hard ones are decided when more of the text stands.",
        f"keep = top-k( confidence, k = {lesson.quota} )",
        ("remask.selection.select",),
        (Table(("rank", "position", "guess", "confidence", "fate"), rows, cut=kept, strong=frozenset(range(kept))),),
    )


def updating(lesson: Lesson) -> Chapter:
    """6. What is written."""
    changed = sum(cell.fresh for cell in lesson.after)
    return Chapter(
        6,
        "Update the masked positions only",
        f"The kept guesses are written to the canvas: {count(changed, 'position')} of {len(lesson.after)} in this step. "
        "Whatever a recipe asks for, a guard lets only positions that are still [MASK] be revealed, and never touches "
        "what was given.",
        "x[i] ← guess[i]  if i is [MASK] and kept,  else x[i]",
        ("remask.batch.Row.apply",),
        (
            Strip(lesson.before, f"before step {lesson.step + 1}"),
            Strip(lesson.after, f"after step {lesson.step + 1}"),
        ),
    )


def loop(lesson: Lesson) -> Chapter:
    """7. All steps."""
    steps = len(lesson.trace.steps)
    decided = sum(len(line["changes"]) for line in lesson.trace.steps)
    return Chapter(
        7,
        "The full loop",
        f"Guess, score, keep, remask: {count(steps, 'time')}, until no [MASK] is left. Each forward pass sees what the "
        f"earlier ones decided. {count(decided, 'token')} in {count(steps, 'forward pass', 'forward passes')}: an "
        "autoregressive model would need one pass a token, in order.",
        "while [MASK] in x:  x ← step(x)",
        ("remask.sampler.step", "remask.sampler.denoise"),
        (Grid(lesson.trace, "a row a step, a column a position: where each token was decided, and how sure it was"),),
    )


def blocks(lesson: Lesson) -> Chapter:
    """8. Left to right, a block at a time."""
    rows = tuple(
        (str(i), f"{block.first} … {block.last}", _steps_of(lesson, i - 1), Token(block.text))
        for i, block in enumerate(lesson.blocks, 1)
    )
    return Chapter(
        8,
        "Block by block",
        f"The {count(lesson.setting.gen_length, 'position')} are cut into "
        f"{count(len(lesson.blocks), 'block')} of up to {lesson.setting.block_length}. Only the current block may be "
        "decided; the next one opens when it is full. Inside a block the order is free, from block to block it is left "
        "to right, which lets text stream and keeps the end from being written before the middle.",
        "window = block b;  b ← b + 1  when no [MASK] is left in it",
        ("remask.blocks.Blocks.windows",),
        (Table(("block", "positions", "steps", "text"), rows),),
    )


def schedule(lesson: Lesson) -> Chapter:
    """9. How many a step."""
    example = even(10, 4)
    rows = tuple((f"block {i}", *_shares(block)) for i, block in enumerate(lesson.blocks, 1))
    return Chapter(
        9,
        "The token-transfer schedule",
        "How many tokens leave [MASK] at each step is fixed beforehand: the block's positions are split evenly over its "
        "steps, and what does not divide goes to the first ones. Fewer steps mean more tokens at once: faster, and more "
        "of them guessed without seeing each other.",
        "k = n // s,  and one more in the first n mod s steps",
        ("remask.schedule.even", "remask.schedule.share_steps"),
        (
            Table(
                ("", "tokens n", "steps s", "a step"),
                (*rows, ("example", str(sum(example)), str(len(example)), _listed(example))),
            ),
        ),
    )


def guidance(lesson: Lesson) -> Chapter:
    """10. Classifier-free guidance."""
    guide = lesson.guide
    best = max(guide.tokens, key=lambda token: token.guided)
    used = "This run uses" if lesson.setting.cfg_scale else "This run goes without; here the same step with"
    rows = tuple(
        (Token(t.text), number(t.conditional), number(t.unconditional), number(t.guided), Share(t.before), Share(t.after))
        for t in guide.tokens
    )
    return Chapter(
        10,
        "Classifier-free guidance",
        "Ask twice, once with the prompt and once with the prompt masked too, and push the logits away from what the "
        "model would say anyway, towards what the prompt makes it say. It costs a second stream. "
        f"{used} cfg_scale {guide.cfg_scale:g}: it changes {guide.changed} of "
        f"{count(len(lesson.places), 'guess', 'guesses')}. At position {guide.position}, {chip(best.text)} ends on top.",
        f"z = u + (w + 1) · (c − u),   w = {guide.cfg_scale:g}",
        ("remask.process.guide",),
        (
            Table(
                ("token", "c (prompt)", "u (masked)", "guided z", "p before", "p after"),
                rows,
                f"position {guide.position}",
                strong=frozenset(i for i, token in enumerate(guide.tokens) if token is best),
            ),
        ),
    )


def count(n: int, one: str, many: str | None = None) -> str:
    """`1 token`, `2 tokens`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def are(n: int, one: str) -> str:
    """`is 1 token`, `are 2 tokens`."""
    return f"{'is' if n == 1 else 'are'} {count(n, one)}"


def number(value: float) -> str:
    """Two decimals, with a true minus sign."""
    return f"{value:.2f}".replace("-", "−")


def _listed(shares: list[int]) -> str:
    return ", ".join(map(str, shares))


def _shares(block: Block) -> tuple[Entry, ...]:
    return str(sum(block.quotas)), str(len(block.quotas)), _listed(list(block.quotas))


def _steps_of(lesson: Lesson, block: int) -> str:
    taken = [line["step"] + 1 for line in lesson.trace.steps if line["block"] == block]
    return f"{taken[0]} … {taken[-1]}" if taken else "not needed"
