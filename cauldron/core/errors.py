"""Errors that a user sees as one line, without a traceback."""

from __future__ import annotations


class CauldronError(Exception):
    """A failure with a message for the user. The command line prints it and exits with code 1."""

    exit_code = 1


class UsageError(CauldronError):
    """Wrong usage: the request itself is invalid. Exits with code 2."""

    exit_code = 2


class SourceUnavailable(CauldronError):  # noqa: N818 - a state, not a fault
    """A source cannot be read: it is missing, gated, or not under the root.

    Args:
        source: the source or repository id.
        why: the cause, in a few words.
        remedy: what the user can do.
    """

    def __init__(self, source: str, why: str, remedy: str) -> None:
        super().__init__(f"{source}: {why}; {remedy}")
        self.source = source
        self.why = why
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[SourceUnavailable], tuple[str, str, str]]:
        return type(self), (self.source, self.why, self.remedy)


class NotKept(Exception):  # noqa: N818 - an outcome of the data, not of the program
    """Something that the data have and that is not kept.

    Attributes:
        reason: a code from `cauldron.core.reasons`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[NotKept], tuple[str, str]]:
        return type(self), (self.reason, str(self))


def first_line(error: BaseException) -> str:
    """The first line of an error's message, at most 300 characters; its class if it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
