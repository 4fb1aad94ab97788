"""Holes in a text: every hole sees what stands before it and behind it."""

import remask

llm = remask.load()
filled = llm.infill("The {{1}} sat on the {{1}}. The {{1}} was called {{2}}.")
print(filled.text)
print("the holes:", filled.fills)
