"""Text in, text out: the tokenizer, the chat template and its sandbox, settled text, templates with holes."""
