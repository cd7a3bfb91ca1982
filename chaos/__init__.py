"""The rehearsal: random nights over real processes, held against the simulator's books.

Not part of the package: `python -m chaos.rehearse` from the root of the repository.
"""
