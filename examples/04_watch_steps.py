"""Every step of a run: what was guessed, what was kept, and how sure the model was."""

import remask

llm = remask.load()


def text(token: int) -> str:
    """A token as text, special ones too."""
    return llm.text.decode([token], special=True)


handle = llm.submit("Sort 5380217.", gen_length=8, steps=4, candidates=3)
for step in handle:
    print(f"step {step.index + 1}: {len(step.guesses)} guesses, {step.undecided} still [MASK]")
    for change in step.changes:
        others = [f"{text(c.token)!r} {c.probability:.0%}" for c in step.candidates[change.position]]
        print(f"  position {change.position}: {text(change.token)!r}, of {', '.join(others)}")
print(handle.result().text)
