"""serve: the model behind HTTP, and its log on the screen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from kopal.cli.words import HELP

LIMITS = "Limits"


def limit(name: str) -> Any:
    """An option that few need."""
    return typer.Option(name, help=HELP[name], rich_help_panel=LIMITS)


def serve(
    model: Annotated[str, typer.Argument(help=HELP["model"], show_default=False)],
    host: Annotated[str, typer.Option("--host", help=HELP["--host"])] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help=HELP["--port"])] = 8000,
    token: Annotated[str, typer.Option("--token", envvar="KOPAL_TOKEN", help=HELP["--token"], show_default=False)] = "",
    no_auth: Annotated[bool, typer.Option("--no-auth", help=HELP["--no-auth"])] = False,
    allow_host: Annotated[
        list[str] | None, typer.Option("--allow-host", help=HELP["--allow-host"], show_default=False)
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help=HELP["--name"], show_default=False)] = None,
    workers: Annotated[int, limit("--workers")] = 0,
    max_batch: Annotated[int, limit("--max-batch")] = 0,
    max_wait_ms: Annotated[float, limit("--max-wait-ms")] = 0.0,
    queue: Annotated[int, limit("--queue")] = 128,
    deadline: Annotated[float, limit("--deadline")] = 10.0,
    max_body: Annotated[int, limit("--max-body")] = 32,
    log_json: Annotated[bool, typer.Option("--log-json", help=HELP["--log-json"])] = False,
) -> None:
    from kopal.classifier import load
    from kopal.cli.serving_lines import screen
    from kopal.serve import Settings

    settings = Settings(
        host=host, port=port, token=token, no_auth=no_auth, allow_hosts=tuple(allow_host or ()),
        name=model_name(model) if name is None else name, workers=workers, max_batch=max_batch, max_wait_ms=max_wait_ms,
        queue=queue, deadline=deadline, max_body=max_body << 20,
    )  # fmt: skip
    server()(load(model), settings, screen(model, settings, log_json))


def server() -> Callable[..., None]:
    """`kopal.serve.server.run`. Raises `UsageError` where the extra is not installed."""
    from kopal.errors import UsageError

    try:
        from kopal.serve.server import run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("kopal"):
            raise
        raise UsageError(
            f"{error.name} is not installed", "the packages that kopal serve needs", "pip install 'kopal[serve]'"
        ) from error
    return run


def model_name(model: str) -> str:
    """model.onnx → model: letters, digits, dots and dashes of the file's name, as a path can carry them."""
    stem = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in Path(model).stem)
    return stem.strip("-")[:63] or "model"
