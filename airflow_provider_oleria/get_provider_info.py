"""The provider's metadata, which Airflow reads."""

from __future__ import annotations

from typing import Any

from airflow_provider_oleria import __version__
from airflow_provider_oleria.connection import form

# Under two names: Airflow 3 reads asset-uris, Airflow 2.11 dataset-uris.
_ASSET_URIS = [
    {
        "schemes": ["oleria"],
        "handler": "airflow_provider_oleria.assets.oleria.sanitize_uri",
        "factory": "airflow_provider_oleria.assets.oleria.create_asset",
        "to_openlineage_converter": "airflow_provider_oleria.assets.oleria.convert_asset_to_openlineage",
    }
]


def get_provider_info() -> dict[str, Any]:
    """The provider's metadata, valid against Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-provider-oleria",
        "name": "Oleria",
        "description": "Scheduled exports of the Oleria API: who has access to what, as checked CSV files.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": "Oleria",
                "external-doc-url": "https://docs.oleria.com/",
                "how-to-guide": [f"/docs/{page}.md" for page in ("operators", "sensor", "hook", "trigger")],
                "tags": ["service"],
            }
        ],
        "operators": [
            {"integration-name": "Oleria", "python-modules": ["airflow_provider_oleria.operators.oleria"]}
        ],
        "sensors": [
            {"integration-name": "Oleria", "python-modules": ["airflow_provider_oleria.sensors.oleria"]}
        ],
        "hooks": [{"integration-name": "Oleria", "python-modules": ["airflow_provider_oleria.hooks.oleria"]}],
        "triggers": [
            {"integration-name": "Oleria", "python-modules": ["airflow_provider_oleria.triggers.oleria"]}
        ],
        "extra-links": ["airflow_provider_oleria.links.oleria.OleriaSavedFileLink"],
        "asset-uris": _ASSET_URIS,
        "dataset-uris": _ASSET_URIS,
        "connection-types": [
            {
                "connection-type": "oleria",
                "hook-class-name": "airflow_provider_oleria.hooks.oleria.OleriaHook",
                "hook-name": "Oleria",
                **form.metadata(),
            }
        ],
    }
