"""Request files, result files and output parts: everything that is too large for a row."""

from nightmail.spool.files import Spool

__all__ = ["Spool"]
