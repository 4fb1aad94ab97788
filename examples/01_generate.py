"""A question in, its answer out, on the model inside the package."""

import remask

llm = remask.load()  # or an org/name on the hub, or a folder
answer = llm.generate("Sort 5380217.", gen_length=16)
print(answer.text)
print(f"{len(answer.tokens)} tokens in {answer.forwards} forward passes, {answer.exactness}")

# Two tokens a forward pass, drawn at a temperature: three answers side by side, told apart by their seeds.
for one in llm.samples("Tell me a story about a cat.", 3, gen_length=32, steps=16, temperature=0.7):
    print("-", one.text)
