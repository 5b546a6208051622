"""The Connection's form in Airflow's UI: one description of its fields, with the labels of Oleria's own side panel.

API URL, Client ID and Client secret are standard fields of a Connection with other labels: the form shows these first,
and Airflow encrypts and hides the password. The other fields are extras.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from airflow_provider_oleria.connection.settings import (
    CREDENTIALS_PAGE,
    DEFAULT_RETRY,
    DEFAULT_SCOPE,
    DEFAULT_TIMEOUT,
)


@dataclass(frozen=True)
class Extra:
    """A field of the form that is stored in the Connection's extra.

    :param label: its label.
    :param help: the text below the field.
    :param placeholder: shown in the empty field by Airflow 2.11; later versions show none for extras.
    :param type: of the value, as JSON Schema names it.
    :param required: whether the form requires a value (Airflow 3.2 and newer).
    """

    label: str
    help: str
    placeholder: str = ""
    type: Literal["string", "integer"] = "string"
    required: bool = False


LABELS: Final = {"host": "API URL", "login": "Client ID", "password": "Client secret"}
"""Oleria's labels for standard fields of a Connection."""

PLACEHOLDERS: Final = {
    "host": "https://devx.<tenant>.oleria.io",
    "login": CREDENTIALS_PAGE,
    "password": CREDENTIALS_PAGE,
}

HIDDEN: Final = ("port", "schema")
"""Standard fields that are used only if a Connection is given as a URI."""

EXTRAS: Final = {
    "auth_url": Extra(
        label="Authentication URL",
        help="The tenant's token endpoint, from the same OAuth application as the API URL.",
        placeholder="https://…/oauth2/token",
        required=True,
    ),
    "audience": Extra(label="Audience", help="Sent with the request for a token. May be left empty."),
    "scope": Extra(
        label="Scope",
        help=f"Leave it empty for the published scope, {DEFAULT_SCOPE}.",
        placeholder=DEFAULT_SCOPE,
    ),
    "timeout": Extra(
        label="Timeout",
        help=f"Read timeout of one call, in seconds. Leave it empty for {DEFAULT_TIMEOUT:.0f}.",
        placeholder=f"{DEFAULT_TIMEOUT:.0f}",
        type="integer",
    ),
    "retry_attempts": Extra(
        label="Retry attempts",
        help=f"Attempts of one call in all. Leave it empty for {DEFAULT_RETRY.max_attempts}.",
        placeholder=f"{DEFAULT_RETRY.max_attempts}",
        type="integer",
    ),
    "retry_delay": Extra(
        label="First retry delay",
        help=f"In seconds; it doubles with each retry. Leave it empty for {DEFAULT_RETRY.initial_backoff:.0f}.",
        placeholder=f"{DEFAULT_RETRY.initial_backoff:.0f}",
        type="integer",
    ),
    "retry_max_wait": Extra(
        label="Longest wait for retries",
        help=f"Of one call, in all, in seconds. Leave it empty for {DEFAULT_RETRY.max_wait:.0f}.",
        placeholder=f"{DEFAULT_RETRY.max_wait:.0f}",
        type="integer",
    ),
    "verify": Extra(
        label="CA bundle",
        help="For a proxy that re-signs traffic: the path of a file on workers and triggerer. Else leave it empty.",
    ),
}


def metadata() -> dict[str, Any]:
    """The form as provider metadata, which Airflow 3.2 and newer reads, and older versions ignore."""
    return {
        "conn-fields": {
            name: {
                "label": extra.label,
                "description": extra.help,
                "schema": {"type": extra.type if extra.required else [extra.type, "null"]},
            }
            for name, extra in EXTRAS.items()
        },
        "ui-field-behaviour": {name.replace("_", "-"): value for name, value in field_behaviour().items()},
    }


def field_behaviour() -> dict[str, Any]:
    """Labels and placeholders of the standard fields, as Airflow before 3.2 gets them from the hook."""
    return {
        "hidden_fields": list(HIDDEN),
        "relabeling": dict(LABELS),
        "placeholders": PLACEHOLDERS
        | {name: extra.placeholder for name, extra in EXTRAS.items() if extra.placeholder},
    }


def widgets() -> dict[str, Any]:
    """The extras as form widgets, as Airflow before 3.2 gets them from the hook."""
    from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
    from wtforms import IntegerField, StringField
    from wtforms.validators import Optional

    fields = {"string": StringField, "integer": IntegerField}
    return {
        name: fields[extra.type](
            extra.label, description=extra.help, validators=[Optional()], widget=BS3TextFieldWidget()
        )
        for name, extra in EXTRAS.items()
    }
