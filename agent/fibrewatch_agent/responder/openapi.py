"""The control API's OpenAPI document, its bodies' schemas from the structs themselves."""

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from fibrewatch import __version__
from fibrewatch_agent.slots.messages import SLOTS, Closed, Granted, Load, Problem, Queued, Wish

_BODIES = (Wish, Granted, Queued, Closed, Problem, Load)
_RETRY = {"Retry-After": {"description": "Seconds after which to ask again.", "schema": {"type": "integer"}}}


def document() -> dict[str, Any]:
    """OpenAPI 3.1."""
    _, schemas = msgspec.json.schema_components(_BODIES, ref_template="#/components/schemas/{name}")
    return {
        "openapi": "3.1.0",
        "info": {"title": "fibrewatch responder: slots for tests", "version": __version__},
        "security": [{"certificate": []}, {"token": []}],
        "paths": _paths(),
        "components": {
            "schemas": _portable(schemas),
            "securitySchemes": {
                "certificate": {"type": "mutualTLS", "description": "Common name territory/site/agent."},
                "token": {"type": "http", "scheme": "bearer", "description": "A box's own."},
            },
        },
    }


def _paths() -> dict[str, Any]:
    one = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    questions = {
        201: ("The slot is yours.", Granted),
        202: ("You stand in the queue.", Queued),
        400: ("Not JSON, or a broken body.", Problem),
        401: ("Unknown box.", Problem),
        409: ("The same request with another wish.", Problem),
        410: ("That request is over.", Problem),
        413: ("Too long a body.", Problem),
        415: ("A body with a Content-Encoding.", Problem),
        422: ("Not a wish that can be met.", Problem),
        429: ("No place in the queue.", Problem),
    }
    body = {"required": True, "content": {"application/json": {"schema": _ref(Wish)}}}
    return {
        SLOTS: {"post": {"operationId": "ask", "requestBody": body, "responses": _responses(questions)}},
        f"{SLOTS}/{{id}}": {
            "parameters": [one],
            "get": {
                "operationId": "look",
                "responses": _responses(
                    {each: questions[each] for each in (201, 202, 401, 410, 429)} | {404: ("Not yours.", Problem)}
                ),
            },
            "delete": {
                "operationId": "release",
                "responses": _responses(
                    {
                        200: ("Given back, or over already.", Closed),
                        401: questions[401],
                        404: ("Not yours.", Problem),
                    }
                ),
            },
        },
        "/v1/status": {
            "get": {
                "operationId": "status",
                "responses": _responses({200: ("How busy it is.", Load), 401: questions[401]}),
            }
        },
    }


def _responses(of: Mapping[int, tuple[str, type]]) -> dict[str, Any]:
    return {
        str(status): {
            "description": text,
            "content": {"application/json": {"schema": _ref(body)}},
            **({"headers": _RETRY} if status in (202, 429) else {}),
        }
        for status, (text, body) in of.items()
    }


def _ref(body: type) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{body.__name__}"}


def _portable(schemas: Any) -> Any:
    r"""Patterns as JSON Schema has them (ECMA-262): ^ and $ for Python's \A and \Z."""
    return json.loads(re.sub(r"\\\\A|\\\\Z", lambda found: "^" if found[0][-1] == "A" else "$", json.dumps(schemas)))


def main() -> None:
    """Prints it: docs/responder.openapi.json."""
    print(json.dumps(document(), indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
