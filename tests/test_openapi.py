"""The OpenAPI description matches the code, and the deployed API's answers to any request."""

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec
from jsonschema import Draft202012Validator

import app
from chalicelib.extraction import extract
from chalicelib.malformed import RefusedReport
from infra.ops.commands.openapi import describe
from infra.ops.local.cloud import ROOT
from tests.deployment import Deployment
from tests.hammer import hammer, requests

SAMPLE = json.loads((ROOT / "samples" / "ikerian_sample.json").read_bytes())


def references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from (schema[name] for name in schema if name == "$ref")
    if isinstance(schema, dict | list):
        for part in schema.values() if isinstance(schema, dict) else schema:
            yield from references(part)


def test_the_description_is_valid_and_its_references_exist() -> None:
    description = describe()
    schemas = description["components"]["schemas"]

    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    assert {ref.rpartition("/")[2] for ref in references(description)} == set(schemas)


def test_the_description_has_the_routes_of_the_application() -> None:
    paths = describe()["paths"]
    routes = app.app.routes

    assert {path: {method.upper() for method in methods} for path, methods in paths.items()} == {
        path: set(methods) for path, methods in routes.items()
    }
    described = paths["/process"]["post"]["requestBody"]["content"]
    assert set(described) == set(routes["/process"]["POST"].content_types)


def test_the_sample_is_valid_by_the_described_schema() -> None:
    description = describe()
    documents = description["paths"]["/process"]["post"]["requestBody"]["content"]["application/json"]
    validator = Draft202012Validator({**documents["schema"], "components": description["components"]})

    validator.validate(SAMPLE)
    validator.validate(SAMPLE[0])
    assert not validator.is_valid([{"patient_id": "1"}])


def test_the_command_prints_the_description() -> None:
    command = [sys.executable, "-m", "infra.ops", "openapi"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout

    assert json.loads(printed) == describe()


def test_the_printed_schema_accepts_documents_publications_and_rejections() -> None:
    command = [sys.executable, "-m", "infra.ops", "schema"]
    schema = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    processed, rejected = bytearray(), bytearray()
    extract([(ROOT / "samples/valid/some-rejected.json").read_bytes()], processed.extend, rejected.extend)
    report = (ROOT / "samples/invalid/truncated.rejected").read_bytes()

    def accepts(name: str, document: Any) -> bool:
        return Draft202012Validator({**schema, "$ref": f"#/$defs/{name}"}).is_valid(document)

    assert accepts("Document", SAMPLE)
    assert not accepts("Document", [{"patient_id": "1", "patient_name": " "}])
    assert accepts("Published", json.loads(processed))
    assert not accepts("Published", [{"patient_id": "1"}])
    for line in bytes(rejected + report).splitlines():
        assert accepts("RejectedLine", json.loads(line))
    assert not accepts("RejectedLine", {"reason": "truncated", "offset": "1"})
    assert accepts("Refusal", msgspec.to_builtins(RefusedReport(2)))
    assert not accepts("Refusal", {"reason": "truncated", "offset": 1})


def test_every_request_is_answered_as_described(deployment: Deployment) -> None:
    statuses = hammer(deployment.url, islice(requests(1), 60))

    assert {200, 400, 403, 415} <= set(statuses)
