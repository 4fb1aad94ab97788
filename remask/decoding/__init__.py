"""The paper: one file for each axis of decoding, and the recipes, which hold one value of each."""
