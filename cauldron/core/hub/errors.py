"""Errors of the hub: what passes, and what asking again does not change."""

from __future__ import annotations

RUN_AGAIN = "run again later; what is done is kept"


class HubError(OSError):
    """The hub cannot be used as it should. The message is one line and names the address.

    Attributes:
        url: without its query, which may hold a signature.
        why: the cause, in a few words.
        remedy: what the user can do.
    """

    def __init__(self, url: str, why: str, remedy: str) -> None:
        super().__init__(f"{url} {why}; {remedy}")
        self.url = url
        self.why = why
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[HubError], tuple[str, str, str]]:
        return type(self), (self.url, self.why, self.remedy)


class BadAnswer(HubError):  # noqa: N818 - an answer, not a fault of this program
    """An answer that asking again does not change."""

    def __init__(self, url: str, why: str, remedy: str = "check HF_ENDPOINT and the proxy") -> None:
        super().__init__(url, why, remedy)


class Stumble(HubError):  # noqa: N818 - a state, not a fault of this program
    """A failure that may pass.

    Attributes:
        status: of the answer; None if there was none, or only a part.
        wait: seconds that the hub asks to wait, if it does.
        quota: whether it asks because the requests of its window are used up.
    """

    def __init__(
        self,
        url: str,
        why: str,
        remedy: str = "check the network and HF_ENDPOINT, then run again",
        status: int | None = None,
        wait: float | None = None,
        quota: bool = False,
    ) -> None:
        super().__init__(url, why, remedy)
        self.status = status
        self.wait = wait
        self.quota = quota
