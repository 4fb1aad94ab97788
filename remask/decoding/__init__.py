"""The paper: one file an axis of decoding, and the recipes that hold one value of each."""
