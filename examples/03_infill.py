"""Holes in a text: every hole sees what stands before it and behind it. A word's token begins with its space."""

import remask

llm = remask.load()
filled = llm.infill("The{{1}} sat on the{{1}}. The name of the{{1}} was{{1}}. Then the cat saw a stick.")
print(filled.text)
print("the holes:", filled.fills)
