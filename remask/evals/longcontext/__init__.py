"""Long context, measured: prompts of an exact length, what was found in them, how far away, and how surely.

A `Form` says what is hidden and what is asked; `layout` makes a `Probe` of exactly so many of the model's own tokens
of it; a `Sweep` runs the probes of each `Condition` and keeps its `Tally` on record; `report` sums them up.
Nothing is downloaded.
"""
