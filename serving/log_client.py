"""Reading a log over HTTP."""

from __future__ import annotations

import urllib.error
import urllib.request
from urllib.parse import urlsplit

from governance.ledger.errors import LedgerError, TileInvalid

PREFIX = "/v1/ledger"
TIMEOUT_S = 20.0
MOST_BYTES = 20 * 2**20
"""No tile, bundle or checkpoint is larger."""


class LogUnreachable(LedgerError):
    """The log's server does not answer; the message says how it was asked."""


class LogClient:
    """Fetches what lies below a log's address.

    Args:
        url: of the log itself, or of the service that publishes it.

    Raises:
        LogUnreachable: the address is none.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise LogUnreachable(f"{url!r} is no address of a log; it begins with http:// or https://.")
        self.address = url.rstrip("/")
        if not parts.path.strip("/"):
            self.address += PREFIX

    def fetch(self, path: str) -> bytes:
        """What is at a path below the address.

        Raises:
            TileInvalid: there is nothing.
            LogUnreachable: the server does not answer.
        """
        try:
            with urllib.request.urlopen(f"{self.address}/{path}", timeout=TIMEOUT_S) as answer:  # noqa: S310 - http or https, checked above
                return bytes(answer.read(MOST_BYTES))
        except urllib.error.HTTPError as error:
            if error.code in {404, 410}:
                raise TileInvalid(f"{path} is not there") from error
            raise LogUnreachable(f"{self.address}/{path} answers {error.code} {error.reason}.") from error
        except (OSError, ValueError) as error:
            raise LogUnreachable(f"{self.address} cannot be reached: {error}.") from error
