"""Tables as pandas has them, which is optional."""

from __future__ import annotations

from typing import Any

from neurosnn.core.messages import message

__all__ = ["import_pandas"]


def import_pandas(*, where: str, instead: str) -> Any:
    """The package pandas, or an error that says what does without."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            message(
                "pandas is not installed.",
                where,
                "It is optional.",
                f"pip install pandas, or use {instead}.",
            )
        ) from error
    return pandas
