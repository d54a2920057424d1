"""The OpenAPI description of POST /process, generated from the code, so that the two cannot differ."""

from chalicelib.answer import MAX_DOCUMENT
from infra.ops.commands.schema import Schema, components, document

INTEGER: Schema = {"type": "integer", "minimum": 0}
STRING: Schema = {"type": "string"}


def describe() -> Schema:
    """Describe the API, as OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Retina-scan data pipeline", "version": "1"},
        "servers": [
            {
                "url": "https://{api}.execute-api.{region}.amazonaws.com/api",
                "description": "`deploy` prints the address of a stage.",
                "variables": {"api": {"default": "api"}, "region": {"default": "us-east-1"}},
            }
        ],
        "paths": {"/process": {"post": _process()}},
        "components": {"schemas": _schemas(), "securitySchemes": {"sigv4": _signature()}},
    }


def _process() -> Schema:
    return {
        "operationId": "process",
        "summary": "Extract the patients of the posted document.",
        "security": [{"sigv4": []}],
        "parameters": [
            {
                "name": "Content-Encoding",
                "in": "header",
                "description": "Optional: gzip is recognised by its first bytes.",
                "schema": {"enum": ["gzip"]},
            }
        ],
        "requestBody": {
            "required": True,
            "description": f"Up to {MAX_DOCUMENT} bytes, decompressed.",
            "content": {
                "application/json": {"schema": document(_ref("ScanRecord"))},
                "application/x-ndjson": {"schema": STRING | {"description": "Records, one per line."}},
            },
        },
        "responses": {
            "200": _answer("What was extracted, and what was rejected and why.", "Extracted"),
            "400": _answer(
                "The document cannot be parsed. From API Gateway: the request cannot.", "MalformedReport"
            ),
            "403": _answer("Not signed, or not permitted, or nothing is at this path.", None),
            "413": _answer("The document or its answer is too large.", "Refused"),
            "415": _answer("Unsupported content type or encoding.", "Refused"),
            "429": _answer("The stage's request limit is exceeded.", None),
        },
    }


def _answer(description: str, schema: str | None) -> Schema:
    """Describe an answer: the function's, or API Gateway's own, which has `message` or `Message`."""
    ours = [] if schema is None else [_ref(schema)]
    gateway = [] if schema == "Extracted" else [_ref("Gateway")]
    content = {"application/json": {"schema": {"oneOf": [*ours, *gateway]}}}
    return {"description": description, "content": content}


def _schemas() -> dict[str, Schema]:
    _, ours = components("#/components/schemas/{name}")
    del ours["RejectedRecord"], ours["RefusedReport"]  # they are in the bucket only
    counts = {"extracted": INTEGER, "rejected": INTEGER}
    rejection = _object(index=INTEGER, reason=STRING)
    return {
        **ours,
        "Extracted": _object(
            records=_array(_ref("PatientRecord")), rejected=_array(rejection), counts=_object(**counts)
        ),
        "Refused": _object(reason=STRING),
        "Gateway": {"oneOf": [_object(message=STRING), _object(Message=STRING)]},
    }


def _signature() -> Schema:
    return {
        "type": "apiKey",
        "name": "Authorization",
        "in": "header",
        "x-amazon-apigateway-authtype": "awsSigv4",
    }


def _object(**properties: Schema) -> Schema:
    required = list(properties)
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}
