"""Text as it settles: a diffusion model fills the canvas in any order, but what is given out never changes again."""

import remask

llm = remask.load()
for piece in llm.stream("Tell me a story about a cat.", gen_length=32, block_length=8):
    print(piece, end="", flush=True)
print()
