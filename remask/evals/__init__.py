"""How good are the answers: held-out accuracy on the generated tasks, with counts and intervals."""
