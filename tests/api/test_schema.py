"""A short fuzz run over the OpenAPI document: requests that it allows, and requests that it forbids, give no 5xx."""

from collections import Counter
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.python import asgi
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from tests.api.conftest import PASSWORD, make_app

ACCOUNT = {"username": "ada", "email": "ada@example.org", "password": PASSWORD}
fuzzed = settings(
    max_examples=8,
    deadline=None,
    database=None,
    derandomize=True,  # what fails here, fails everywhere; the long run looks for more
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class Fuzzer:
    """Somebody with a task and a file, whose ids are put into every other request."""

    def __init__(self, client: asgi.ASGIClient) -> None:
        self.client = client
        client.post("/auth/register", json=ACCOUNT)
        login = client.post("/auth/login", json={"username": "ada", "password": PASSWORD})
        self.headers = {"Authorization": f"Bearer {login.json()['access_token']}"}
        self.statuses: Counter[int] = Counter()

    def send(self, case: Case[Any]) -> None:
        if sum(self.statuses.values()) % 2:
            case.path_parameters = {name: self.ids()[name] for name in case.path_parameters or {}}
        answer = case.call(session=self.client, headers=self.headers)
        self.statuses[answer.status_code] += 1
        assert answer.status_code < 500, answer.text
        case.validate_response(answer, checks=[content_type_conformance, response_schema_conformance])

    def ids(self) -> dict[str, int]:
        task = self.client.post("/tasks", json={"title": "New"}, headers=self.headers).json()["id"]
        file = self.client.post(f"/tasks/{task}/files", files={"file": ("a.txt", b"x")}, headers=self.headers)
        return {"task_id": task, "file_id": file.json()["id"]}


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_request_breaks_anything(mode: GenerationMode) -> None:
    app = make_app(example_routes=False)
    schema = schemathesis.openapi.from_dict(app.openapi())
    schema.app = app
    tried = []
    with asgi.get_client(cast("Any", app)) as client:
        fuzzer = Fuzzer(client)
        for found in schema.get_all_operations():
            assert isinstance(found, Ok)
            operation = found.ok()
            if mode is GenerationMode.POSITIVE or operation.body or operation.query:
                fuzzed(given(operation.as_strategy(generation_mode=mode))(fuzzer.send))()
                tried.append(operation.label)
    assert len(tried) > 5
    assert {200, 201, 204, 422} <= fuzzer.statuses.keys() if mode is GenerationMode.POSITIVE else fuzzer.statuses[422]
