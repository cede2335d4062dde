"""What models there are, in the form of the dialect that asks. Pure."""

from typing import Any

from farebox.errors import NotFound
from farebox.route import Routes, Target

# When a model was made is not known to a gateway; the field is required, so it is the same for all.
_CREATED_S = 1_735_689_600
_CREATED_AT = "2025-01-01T00:00:00Z"


def openai_models(routes: Routes) -> dict[str, Any]:
    """Return the models as OpenAI lists them."""
    return {"object": "list", "data": [_openai_model(name, routes.resolve(name)) for name in routes.names()]}


def anthropic_models(routes: Routes) -> dict[str, Any]:
    """Return the models as Anthropic lists them, on one page."""
    models = [_anthropic_model(name) for name in routes.names()]
    return {
        "data": models,
        "has_more": False,
        "first_id": models[0]["id"] if models else None,
        "last_id": models[-1]["id"] if models else None,
    }


def find_model(routes: Routes, name: str, *, as_anthropic: bool) -> dict[str, Any]:
    """Return one model.

    Raises:
        NotFound: where there is none of that name.
    """
    try:
        targets = routes.resolve(name)
    except NotFound as error:
        error.param = "model"
        raise
    return _anthropic_model(name) if as_anthropic else _openai_model(name, targets)


def _openai_model(name: str, targets: tuple[Target, ...]) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _CREATED_S, "owned_by": targets[0].provider.name}


def _anthropic_model(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": name, "created_at": _CREATED_AT}
