"""What is recomputed at each step: one policy, one file. A policy turns a row's view into a `Plan`."""
