"""Named recipes, one TOML file a method."""
