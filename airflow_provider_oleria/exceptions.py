"""What can go wrong, arranged by what helps: nothing a retry could do, or trying again.

None of these is an ``AirflowException``: a sensor's ``soft_fail`` would turn that into a skip. The operators and
the sensor translate :class:`OleriaFatalError` into ``AirflowFailException`` at their own border.
"""

from __future__ import annotations


class OleriaError(Exception):
    """Anything this package raises. Its text never holds a secret, a token or a presigned URL."""


class OleriaFatalError(OleriaError):
    """No retry can mend this; somebody has to change something."""


class OleriaInputError(OleriaFatalError, ValueError):
    """An argument (data context, filter, sort order, destination) is not what the API or Airflow accepts."""


class OleriaConfigurationError(OleriaFatalError, ValueError):
    """The Airflow Connection lacks a field, or a field is malformed."""


class OleriaAuthError(OleriaFatalError):
    """The credentials or the scope were refused."""


class OleriaForbiddenError(OleriaFatalError):
    """403: the credential is not scoped for the resource."""


class OleriaNotFoundError(OleriaFatalError):
    """404: absent, or not visible to this credential."""


class OleriaRequestError(OleriaFatalError):
    """The API refused the request as such: a 400, another 4xx, or a redirect."""


class OleriaCheckError(OleriaFatalError):
    """The export is whole, but not what the task accepts (``min_rows``, ``required_columns`` …)."""


class OleriaDownloadFailedError(OleriaFatalError):
    """The export ended with status ``failed``."""


class OleriaFormatError(OleriaFatalError):
    """The CSV that came cannot be written in the format the destination's suffix asks for."""


class OleriaTransientError(OleriaError):
    """Another try of the task may well succeed."""


class OleriaRetriesExhaustedError(OleriaTransientError):
    """An outage outlasted the patience for it; ``__cause__`` is its last :class:`OleriaOutageError`."""


class OleriaOutageError(OleriaTransientError):
    """Asking again in a moment may well succeed.

    ``retry_after`` is how many seconds the other side asked to wait, if it did.
    """

    retry_after: float | None = None


class OleriaUnavailableError(OleriaOutageError):
    """A 5xx or a 429."""


class OleriaUnreachableError(OleriaOutageError):
    """No connection could be made: the request surely did not arrive."""


class OleriaResponseLostError(OleriaOutageError):
    """The request went out, no answer came back: whether it was carried out is unknown."""


class OleriaTransferError(OleriaOutageError):
    """The file did not arrive whole."""


class OleriaUrlExpiredError(OleriaTransferError):
    """403 from the store: the presigned URL is no longer accepted."""


class OleriaObjectChangedError(OleriaTransientError):
    """The export was replaced in the store while it was being fetched."""


class OleriaDestinationError(OleriaTransientError):
    """The destination cannot be written just now: its disk is full, its store is in trouble."""


class OleriaTimeoutError(OleriaTransientError):
    """The deadline passed before the export was complete."""


class OleriaDownloadGoneError(OleriaTransientError):
    """An export the task itself has started is not known any more (404); another try can start a new one."""


class OleriaDownloadNotReadyError(OleriaTransientError):
    """The export is still being made; there is nothing to save yet."""


class OleriaProtocolError(OleriaTransientError):
    """An answer that the published contract does not know."""
