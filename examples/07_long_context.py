"""Twice the training length: what lies too far away is found again when the rotary base is scaled, without training."""

from itertools import islice

import remask
from remask.tasks import Haystack, examples

llm = remask.load("bundled-haystack")  # trained on 128 tokens
task = Haystack(longest=255, shortest=255, max_questions=1, ahead=0.0)

far = []  # prompts that ask for a pair more than 138 tokens back, which is how far λ = 1 reaches
for drawn in islice(examples(task, "heldout", 0), 100):
    prompt, wanted = drawn.answer[: drawn.holes[0][0]], drawn.answer[slice(*drawn.holes[0])]
    stated = f"{' '.join(prompt.split()[-3:])} {wanted}"
    if prompt[prompt.index(stated) :].count(" ") > 138:
        far.append((prompt, wanted))
print(f"… {far[0][0][-60:]}  →  {far[0][1]}")

for rope in ("ntk:1", "ntk:auto"):  # as it is, and λ chosen from the length
    answers = llm.generate([prompt for prompt, _ in far], raw=True, gen_length=4, rope=rope)
    found = sum(answer.text.strip() == wanted for answer, (_, wanted) in zip(answers, far, strict=True))
    print(f"{rope:<8} {found} of {len(far)} found, word for word")
