"""Notifications of the nightly run: by a Prefect block, or by an Apprise URL. Counts only, no patient data.

An address holds secrets (tokens, passwords): it goes into no log and into no error text. A notification that cannot
be sent is a warning, never a failed night.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast

from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block

_TALKATIVE: Final = ("apprise", "httpx", "httpcore", "urllib3", "requests")  # they log what they send, and where to
_PATIENCE_S: Final = 30  # Apprise's own 4 s lose a message to a busy service


def notify(addresses: Sequence[str], subject: str, body: str) -> list[str]:
    """Send to every address. What went wrong, a line for each, without the address."""
    told = []
    for number, address in enumerate(addresses, start=1):
        with _silence():
            try:
                (_by_url if "://" in address else _by_block)(address, subject, body)
                continue
            except Exception as error:  # noqa: BLE001 - whatever a service's library raises
                reason = str(error) if isinstance(error, _NotSent) else type(error).__name__
        kind = f"{address.split('://')[0]}://..." if "://" in address else address
        told.append(f"Notification {number} of {len(addresses)} ({kind}) could not be sent: {reason}.")
    return told


class _NotSent(Exception):
    """Its text is ours."""


def _by_url(url: str, subject: str, body: str) -> None:
    from apprise import Apprise

    service = Apprise()
    if not service.add(url):
        raise _NotSent("it is no Apprise URL")
    for one in service:
        one.socket_connect_timeout = max(one.socket_connect_timeout, _PATIENCE_S)
        one.socket_read_timeout = max(one.socket_read_timeout, _PATIENCE_S)
    if not service.notify(title=subject, body=body):
        raise _NotSent("the service did not take it")


def _by_block(slug: str, subject: str, body: str) -> None:
    """`slug`: type and name of a Prefect block that can notify, such as "slack-webhook/morning"."""
    import prefect.blocks.notifications  # noqa: F401 - makes the kinds of blocks known

    try:
        block = Block.load(slug)
    except ValueError:
        raise _NotSent("there is no such block in Prefect") from None
    if not isinstance(block, NotificationBlock):
        raise _NotSent("it is no block that can notify")
    with block.raise_on_failure():
        cast("Any", block).notify(body, subject)  # its annotation is that of the asynchronous form


@contextmanager
def _silence() -> Iterator[None]:
    """Nothing of the libraries that send reaches a log, no warnings either."""
    import apprise  # noqa: F401 - so that its loggers are there
    import httpcore  # noqa: F401
    import httpx  # noqa: F401

    loggers = [
        logger
        for name, logger in list(logging.root.manager.loggerDict.items())
        if isinstance(logger, logging.Logger) and name.split(".")[0] in _TALKATIVE
    ]
    before = [(logger, logger.disabled) for logger in loggers]
    try:
        for logger in loggers:
            logger.disabled = True
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        for logger, disabled in before:
            logger.disabled = disabled
