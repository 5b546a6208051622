"""An export without this package: no retry of a 401 or 429, no check of the file, no resumption."""

import json
import os
from datetime import datetime

import requests
from airflow.providers.http.operators.http import HttpOperator
from airflow.providers.http.sensors.http import HttpSensor
from airflow.sdk import DAG, BaseHook, task

with DAG("bench", schedule=None, start_date=datetime(2026, 1, 1)) as dag:

    @task
    def token():
        connection = BaseHook.get_connection("oleria_application")
        form = {
            "grant_type": "client_credentials",
            "client_id": connection.login,
            "client_secret": connection.password,
            "scope": "ClientCredentialsResourceServer/client_credentials_base_scope",
        }
        response = requests.post(f"{connection.host}/oauth2/token", data=form, timeout=60)
        response.raise_for_status()
        return response.json()["access_token"]

    @task
    def save(download_id, token, path):
        connection = BaseHook.get_connection("oleria_http")
        response = requests.get(
            f"{connection.host}/v1/downloads/{download_id}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=60,
        )
        response.raise_for_status()
        with requests.get(response.json()["url"], stream=True, timeout=60) as body, open(path, "wb") as file:
            body.raise_for_status()
            for chunk in body.iter_content(1 << 20):
                file.write(chunk)

    minted = token()
    headers = {"Authorization": "Bearer {{ ti.xcom_pull('token') }}"}
    create = HttpOperator(
        task_id="create",
        http_conn_id="oleria_http",
        endpoint="/v1/downloads",
        headers=headers | {"Content-Type": "application/json"},
        data=json.dumps({"context": "identities"}),
        response_filter=lambda response: response.json()["id"],
    )
    wait = HttpSensor(
        task_id="wait",
        http_conn_id="oleria_http",
        endpoint="/v1/downloads/{{ ti.xcom_pull('create') }}",
        headers=headers,
        response_check=lambda response: response.json()["status"] == "completed",
        poke_interval=1,
    )
    minted >> create >> wait >> save(create.output, minted, os.environ["OUT"] + "/{{ run_id }}.csv")
