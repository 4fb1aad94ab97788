"""Holes in a text: every hole sees what stands before it and behind it. A space before a hole belongs to it."""

import remask

llm = remask.load()
filled = llm.infill("The {{1}} sat on the {{1}}. The name of the {{1}} was {{1}}. Then the cat saw a stick.")
print(filled.text)
print("the holes:", filled.fills)
