"""Chapters 7 to 10: the whole run."""

from ...decoding.schedule import even
from ..figures import Chapter, Entry, Film, Share, Table, Token
from .contents import Block, Lesson
from .wording import count, number, quoted


def loop(lesson: Lesson) -> Chapter:
    """Chapter 7: the loop over all steps."""
    steps = len(lesson.trace.steps)
    stopped = (lesson.trace.end or {}).get("finish_reason") == "stop"
    until = "the answer is complete" if stopped else "no [MASK] is left"
    decided = sum(len(line["changes"]) for line in lesson.trace.steps)
    return Chapter(
        7,
        "The full loop",
        f"Guess, score, keep, remask: {count(steps, 'time')}, until {until}. Each forward pass sees what the "
        f"earlier ones decided. {count(decided, 'token')} in {count(steps, 'forward pass', 'forward passes')}: an "
        "autoregressive model would need one pass a token, in order.",
        "while [MASK] in x:  x ← step(x)",
        ("remask.engine.step.step", "remask.engine.step.denoise"),
        (Film(lesson.trace, "a row a step, a column a position: where each token was decided, and how sure it was"),),
    )


def blocks(lesson: Lesson) -> Chapter:
    """Chapter 8: the blocks, from left to right."""
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
        ("remask.decoding.blocks.Blocks.windows",),
        (Table(("block", "positions", "steps", "text"), rows),),
    )


def schedule(lesson: Lesson) -> Chapter:
    """Chapter 9: the schedule, tokens for each step."""
    example = even(10, 4)
    rows = tuple((f"block {i}", *_shares(block)) for i, block in enumerate(lesson.blocks, 1))
    return Chapter(
        9,
        "The token-transfer schedule",
        "How many tokens leave [MASK] at each step is fixed beforehand: the block's positions are split evenly over "
        "its steps, and what does not divide goes to the first ones. Fewer steps mean more tokens at once: faster, but "
        "more of them guessed without seeing each other.",
        "k = n // s,  and one more in the first n mod s steps",
        ("remask.decoding.schedule.even", "remask.decoding.schedule.share_steps"),
        (
            Table(
                ("", "tokens n", "steps s", "a step"),
                (*rows, ("example", str(sum(example)), str(len(example)), _listed(example))),
            ),
        ),
    )


def guidance(lesson: Lesson) -> Chapter:
    """Chapter 10: classifier-free guidance."""
    guide = lesson.guide
    best = max(guide.tokens, key=lambda token: token.guided)
    used = "This run uses" if lesson.setting.cfg_scale else "This run goes without; here the same step with"
    rows = tuple(
        (
            Token(t.text),
            number(t.conditional),
            number(t.unconditional),
            number(t.guided),
            Share(t.before),
            Share(t.after),
        )
        for t in guide.tokens
    )
    return Chapter(
        10,
        "Classifier-free guidance",
        "Ask twice, once with the prompt and once with the prompt masked too, and push the logits away from what the "
        "model would say anyway, towards what the prompt makes it say. It costs a second stream. "
        f"{used} cfg_scale {guide.cfg_scale:g}: it changes {guide.changed} of "
        f"{count(len(lesson.places), 'guess', 'guesses')}. At position {guide.position}, {quoted(best.text)} comes out "
        "on top.",
        f"z = u + (w + 1) · (c − u),   w = {guide.cfg_scale:g}",
        ("remask.decoding.process.guide",),
        (
            Table(
                ("token", "c (prompt)", "u (masked)", "guided z", "p before", "p after"),
                rows,
                f"position {guide.position}",
                strong=frozenset(i for i, token in enumerate(guide.tokens) if token is best),
            ),
        ),
    )


def _listed(shares: list[int]) -> str:
    return ", ".join(map(str, shares))


def _shares(block: Block) -> tuple[Entry, ...]:
    return str(sum(block.quotas)), str(len(block.quotas)), _listed(list(block.quotas))


def _steps_of(lesson: Lesson, block: int) -> str:
    steps = [line["step"] + 1 for line in lesson.trace.steps if line["block"] == block]
    return f"{steps[0]} … {steps[-1]}" if steps else "not needed"
