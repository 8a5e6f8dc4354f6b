"""Calls to the Hugging Face hub: waited for, repeated, and given up in time.

Everything that fails in passing is repeated here and not by huggingface_hub, which waits for as
long as the hub asks. All failures since the last success share one allowance, so that many
repositories of a hub that is down take no longer than one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import httpx2
from huggingface_hub import set_client_factory
from huggingface_hub.errors import HfHubHTTPError

from cauldron.core.errors import first_line
from cauldron.core.hub.client import (
    CALL,
    CIRCLE,
    FIRST_CONTACT,
    HEALTH,
    Call,
    Client,
    endpoint,
    given_up,
    patience,
    shown_url,
)
from cauldron.core.hub.errors import BadAnswer, HubError, Stumble

__all__ = [
    "BadAnswer",
    "HubError",
    "Stumble",
    "endpoint",
    "patiently",
    "shown_url",
    "use_client",
]

T = TypeVar("T")

logger = logging.getLogger(__name__)

ATTEMPTS = 6
LONGEST_BACKOFF = 32.0
# The hub counts requests in windows of five minutes and says when the next one begins.
QUOTA_WINDOW = 300.0

_NOT_UNDERSTOOD = (ValueError, TypeError, LookupError, AttributeError, AssertionError)


@lru_cache(maxsize=1)
def use_client() -> None:
    """Make huggingface_hub send every request of this process through `Client`."""
    set_client_factory(Client)


def patiently(call: Callable[[], T]) -> T:
    """Call the hub; wait and call again where that may help.

    Raises:
        Stumble: it kept failing.
        BadAnswer: its answer cannot be used.
        huggingface_hub.errors.HfHubHTTPError: it refuses.
    """
    use_client()
    limit = patience()
    began = HEALTH.failing_since or time.monotonic()
    if time.monotonic() - began > 2 * limit:  # of another time
        began = time.monotonic()
    quota_waited = False
    for attempt in range(1, ATTEMPTS + 1):
        try:
            result = _once(call, time.monotonic() + limit)
        except Stumble as error:
            HEALTH.failing_since = began
            seconds = error.wait
            if seconds is None:
                seconds = min(2.0 ** (attempt - 1), LONGEST_BACKOFF)
            if error.quota and seconds <= QUOTA_WINDOW and not quota_waited:
                # The hub's own rule, not a fault: the window is waited for once.
                quota_waited, began = True, time.monotonic() + seconds
            may_wait = FIRST_CONTACT if _is_first_contact(error) else limit
            if attempt == ATTEMPTS or time.monotonic() + seconds > began + may_wait:
                raise given_up(error) from error
            _say_wait(error, seconds, attempt)
        else:
            HEALTH.failing_since = None
            return result
        time.sleep(seconds)
    raise AssertionError("the last attempt returns or raises")


def _is_first_contact(error: Stumble) -> bool:
    """Whether the hub was never reached by this process."""
    cause = error.__cause__
    return not HEALTH.reached and isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout)


def _say_wait(error: Stumble, seconds: float, attempt: int) -> None:
    asked = "" if error.wait is None else ", as the hub asks"
    waiting = f"waiting {seconds:.0f} s{asked}, {attempt} of {ATTEMPTS - 1}"
    logger.warning("%s %s: %s", error.url, error.why, waiting)


def _once(call: Callable[[], T], deadline: float) -> T:
    state = Call(deadline)
    token = CALL.set(state)
    try:
        return call()
    except (HubError, HfHubHTTPError):
        raise
    except httpx2.TooManyRedirects as error:  # the library follows some redirects itself
        raise BadAnswer(state.url or endpoint(), CIRCLE) from error
    except _NOT_UNDERSTOOD as error:
        if state.url is None:  # nothing was asked yet: the caller's mistake
            raise
        why = f"sends what is not the hub's answer ({type(error).__name__}: {first_line(error)})"
        raise BadAnswer(state.url, why) from error
    finally:
        CALL.reset(token)
