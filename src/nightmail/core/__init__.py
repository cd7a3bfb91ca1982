"""The nouns and the decisions. Nothing here reads a clock, a file, a network or chance."""
