"""`remask train`: from a configuration file to a checkpoint in the published format, resumable at any step."""
