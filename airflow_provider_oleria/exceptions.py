"""The errors, by what helps: a change, or another try.

None of them is an ``AirflowException``, which a sensor's ``soft_fail`` would turn into a skip. The operators and the
sensor raise ``AirflowFailException`` for an :class:`OleriaFatalError`.
"""

from __future__ import annotations


class OleriaError(Exception):
    """Base of all errors of this package. Their texts hold no secret, token or presigned URL."""


class OleriaFatalError(OleriaError):
    """A retry will not help: configuration or input must change."""


class OleriaInputError(OleriaFatalError, ValueError):
    """An argument (data context, filter, sort order, destination …) is not valid."""


class OleriaConfigurationError(OleriaFatalError, ValueError):
    """The Airflow Connection does not exist, or a field of it is missing or malformed."""


class OleriaAuthError(OleriaFatalError):
    """The credentials or the scope were refused."""


class OleriaForbiddenError(OleriaFatalError):
    """403: the credential is not scoped for the resource."""


class OleriaNotFoundError(OleriaFatalError):
    """404: it does not exist, or this credential may not see it."""


class OleriaRequestError(OleriaFatalError):
    """The API refused the request: 400, another 4xx, or a redirect."""


class OleriaCheckError(OleriaFatalError):
    """The file did not pass a check (``min_rows``, ``required_columns`` …)."""


class OleriaDownloadFailedError(OleriaFatalError):
    """The download ended with status ``failed``."""


class OleriaFormatError(OleriaFatalError):
    """The CSV cannot be written in the destination's format."""


class OleriaTransientError(OleriaError):
    """Another try may succeed."""


class OleriaRetriesExhaustedError(OleriaTransientError):
    """The retry budget of a call is used up; ``__cause__`` is the last :class:`OleriaOutageError`."""


class OleriaOutageError(OleriaTransientError):
    """The same request may succeed in a moment.

    ``retry_after``: seconds that the server asked to wait, if it did.
    """

    retry_after: float | None = None


class OleriaUnavailableError(OleriaOutageError):
    """The response was a 5xx or a 429, or the token endpoint did not respond."""


class OleriaUnreachableError(OleriaOutageError):
    """No connection could be made: the request was not received."""


class OleriaResponseLostError(OleriaOutageError):
    """The request was sent, but no response came: whether it was carried out is unknown."""


class OleriaTransferError(OleriaOutageError):
    """The file did not arrive completely."""


class OleriaUrlExpiredError(OleriaTransferError):
    """403 from the store: it does not accept the presigned URL any more."""


class OleriaObjectChangedError(OleriaTransientError):
    """The file in the store was replaced during the transfer."""


class OleriaDestinationError(OleriaTransientError):
    """The destination cannot be written at the moment: its disk is full, or its store does not respond."""


class OleriaTimeoutError(OleriaTransientError):
    """The download was not completed in time."""


class OleriaDownloadGoneError(OleriaTransientError):
    """404 for a download that the task has started; another try can start a new one."""


class OleriaDownloadNotReadyError(OleriaTransientError):
    """The download is not completed yet, so there is nothing to save."""


class OleriaProtocolError(OleriaTransientError):
    """A response, or a trigger's event, that the published API does not describe."""
