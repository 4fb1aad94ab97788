"""Chapters 1 to 6: one step."""

from ..figures import Chapter, Entry, Likelihood, Share, Strip, Table, Token
from .contents import Lesson
from .wording import are, count, number, quoted

SCORES = {
    "probability": ("the probability of the guess", "confidence[i] = softmax(z[i])[ guess[i] ]"),
    "margin": ("the lead of the likeliest token over the second", "confidence[i] = p_1 − p_2"),
    "entropy": ("the negative entropy of the row", "confidence[i] = Σ_v p(v) · ln p(v)"),
    "random": ("a random number, for comparison", "confidence[i] = uniform on (0, 1)"),
}


def canvas(lesson: Lesson) -> Chapter:
    """Chapter 1: the canvas before the first step."""
    setting = lesson.setting
    given = sum(cell.state == "given" for cell in lesson.start)
    return Chapter(
        1,
        "The canvas",
        f"The model does not write from left to right. It gets your text, {count(given, 'token')} here, and behind it "
        f"{count(setting.gen_length, 'position')} that all hold one special token, [MASK] (id {setting.mask_id}). "
        "It will fill them in the order in which it is sure of them.",
        "x = prompt + [MASK] × gen_length",
        ("remask.decoding.canvas.Canvas.template",),
        (Strip(lesson.start, f"{given} given, {setting.gen_length} still [MASK]"),),
    )


def logits(lesson: Lesson) -> Chapter:
    """Chapter 2: the logits of one forward pass."""
    most = max(len(place.likely) for place in lesson.places)
    ordinals = ("likeliest", "second", "third", "fourth", "fifth", *(f"{n}th" for n in range(6, most + 1)))
    rows: tuple[tuple[Entry, ...], ...] = tuple(
        (str(place.position), *(Likelihood(*token) for token in place.likely), *[""] * (most - len(place.likely)))
        for place in lesson.places
    )
    return Chapter(
        2,
        "Logits",
        "One forward pass gives every position a row of numbers, one for each of the "
        f"{lesson.setting.vocabulary:,} tokens of the vocabulary: its logits z. Softmax turns them into probabilities. "
        f"Here {are(len(lesson.places), 'position')} still [MASK] that step {lesson.step + 1} may decide, each with "
        "its likeliest tokens. The model sees the whole canvas, left and right; [MASK] itself is never guessed.",
        "p(v) = exp(z_v) / Σ_u exp(z_u)",
        ("remask.models.predictor.MaskPredictor.logits", "remask.decoding.scan.scan"),
        (Table(("position", *ordinals[:most]), rows, "token · logit · probability"),),
    )


def noise(lesson: Lesson) -> Chapter:
    """Chapter 3: the draw of a token by Gumbel noise."""
    drawn, greedy = lesson.draw, lesson.setting.temperature == 0
    winner = max(drawn.tokens, key=lambda token: token.total)
    first = max(drawn.tokens, key=lambda token: token.logit)
    here = "This run has temperature 0 and takes the likeliest; at " if greedy else "This run draws at "
    fate = f"overtakes {quoted(first.text)}" if winner is not first else "stays ahead"
    total, changed = count(len(lesson.places), "guess", "guesses"), drawn.changed
    return Chapter(
        3,
        "Gumbel noise",
        "To draw a token instead of always taking the likeliest, add Gumbel noise g to every logit, scaled by the "
        "temperature T, and take the largest sum. That is an exact draw from softmax(z / T). The noise belongs to "
        f"(seed, step, position), so the same seed writes the same text. {here}T = {drawn.temperature:g} "
        f"{'the noise of this very step would change' if greedy else 'and the noise changes'} {changed} of its "
        f"{total}: at position {drawn.position}, {quoted(winner.text)} {fate}.",
        "guess = argmax_v ( z_v + T · g_v ),  g = −ln(−ln u),  u uniform on (0, 1)",
        ("remask.decoding.noise.gumbel", "remask.decoding.propose.draw"),
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
    """Chapter 4: the confidence of each guess."""
    score, formula = SCORES[lesson.setting.confidence]
    other = lesson.setting.confidence != "probability"
    rows: tuple[tuple[Entry, ...], ...] = tuple(
        (str(p.position), Token(p.guess), str(p.index), Share(p.probability), *([number(p.confidence)] * other))
        for p in lesson.places
    )
    return Chapter(
        4,
        "Confidence, by gather",
        f"How sure is the model of each guess? The score is {score}. A gather picks, from each position's row of "
        "probabilities, the entry at the index of the guessed token. With noise the guess need not be the likeliest "
        "token, and then its own probability counts, not the best one.",
        formula,
        ("remask.decoding.confidence.score",),
        (Table(("position", "guess", "index", "p[index]", *(["confidence"] * other)), rows),),
    )


def keeping(lesson: Lesson) -> Chapter:
    """Chapter 5: the choice of the guesses that stay."""
    ranked = sorted(lesson.places, key=lambda place: (not place.kept, -place.confidence, place.position))
    kept = sum(place.kept for place in ranked)
    back = len(ranked) - kept
    rows = tuple(
        (
            str(rank),
            str(place.position),
            Token(place.guess),
            Share(place.confidence),
            "keep" if place.kept else "[MASK]",
        )
        for rank, place in enumerate(ranked, 1)
    )
    rest = f"the other {back} go back to [MASK], to be guessed again with more context" if back else "none is left over"
    return Chapter(
        5,
        "Keep the surest, remask the rest",
        f"All guesses are ranked by confidence. The schedule lets {lesson.quota} of them stay in this step; {rest}. "
        "So the easy tokens come first, and the hard ones are decided when more of the text stands.",
        f"keep = top-k( confidence, k = {lesson.quota} )",
        ("remask.decoding.selection.select",),
        (Table(("rank", "position", "guess", "confidence", "fate"), rows, cut=kept, strong=frozenset(range(kept))),),
    )


def updating(lesson: Lesson) -> Chapter:
    """Chapter 6: the update of the canvas."""
    changed = sum(cell.fresh for cell in lesson.after)
    return Chapter(
        6,
        "Update the masked positions only",
        f"The kept guesses are written to the canvas: {count(changed, 'position')} of {len(lesson.after)} in it. "
        "Whatever a recipe asks for, a guard lets only positions that are still [MASK] be revealed, and never touches "
        "what was given.",
        "x[i] ← guess[i]  if i is [MASK] and kept,  else x[i]",
        ("remask.engine.row.Row.apply",),
        (
            Strip(lesson.before, f"before step {lesson.step + 1}"),
            Strip(lesson.after, f"after step {lesson.step + 1}"),
        ),
    )
