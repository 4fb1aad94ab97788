"""Text in, text out: tokenizer, chat template in a sandbox, text that will not change any more, holes."""
