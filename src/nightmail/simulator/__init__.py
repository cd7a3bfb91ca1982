"""A provider on your desk: the OpenAI Files, Batches and model endpoints over real HTTP.

It stands for somebody else's computer: it keeps its own clock, its own state and its own books, and
shares nothing with the engine but the nouns and the token counts.
"""
