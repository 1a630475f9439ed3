"""What both command lines have for exports: `serve`, `rollback`, and the options of what asks a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperArgument, TyperCommand

from textseq.command_line import AsJson, print_path
from textseq.errors import InputError
from textseq.serving.extras import needing
from textseq.serving.limits import Limits

RunOrServer = Annotated[
    str | None, typer.Option("--run", metavar="DIR", help="The run directory that training made; or give --server.")
]
Server = Annotated[
    str | None,
    typer.Option("--server", metavar="URL", help="In place of --run: ask http://HOST:8501 or grpc://HOST:8500."),
]
ServedModel = Annotated[
    str | None, typer.Option("--model", metavar="NAME", help="With --server: the model's name there.")
]
Timeout = Annotated[
    float, typer.Option("--timeout", min=0.001, metavar="S", help="With --server: seconds to wait for an answer.")
]
Exports = Annotated[str, typer.Option("--out", metavar="DIR", help="The folder that TF Serving will watch.")]
Keep = Annotated[
    int | None, typer.Option("--keep", min=1, metavar="N", help="Then remove all versions but the newest N.")
]
Exported = Annotated[str, typer.Argument(metavar="DIR", help="The folder that `export` wrote.", show_default=False)]

TIMEOUT = 60.0
"""Seconds; many lines at once on a small machine take their time."""


def require_run_or_server(run: str | None, server: str | None, model: str | None) -> None:
    """Checks that a command knows what to ask: a run, or a server.

    Raises:
        InputError: it has none, or both, or the model's name without a server.
    """
    if (run is None) == (server is None):
        received = "neither" if run is None else "both"
        raise InputError(f"received {received} of --run and --server, expected one: --run DIR, or --server URL")
    if model is not None and server is None:
        raise InputError("--model is the name on a server; add --server, or leave it out")


def keep_versions(version: Path, keep: int | None) -> None:
    """Removes the old versions beside one that was just exported, if it is said how many to keep."""
    if keep is not None:
        from textseq.serving.versions import keep_newest

        keep_newest(version.parent, keep)


def print_version(version: Path, keep: int | None, as_json: bool) -> None:
    """Ends an `export`: removes old versions as `keep_versions` does, and prints the folder of the new one."""
    keep_versions(version, keep)
    print_path(version, as_json)


class _UntypedArguments(TyperCommand):
    """A command whose help does not say <str> of DIR."""

    def get_params(self, ctx: Any) -> list[Any]:
        parameters = super().get_params(ctx)
        for parameter in parameters:
            if isinstance(parameter, TyperArgument):
                parameter.display_type = lambda ctx: ""  # type: ignore[method-assign]
        return parameters


def add_serving_commands(app: typer.Typer, program: str) -> None:
    """Adds `serve` and `rollback` to a command line.

    Args:
        app: the commands.
        program: the name the user types.
    """

    @app.command(cls=_UntypedArguments)
    def serve(
        folder: Exported,
        name: Annotated[
            str | None, typer.Option(metavar="NAME", help="The model's name. Default: the task that it is for.")
        ] = None,
        host: Annotated[
            str, typer.Option(metavar="H", help="The address to listen on; 0.0.0.0: every one of this machine.")
        ] = "127.0.0.1",
        port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="Of REST and of the page.")] = 8501,
        grpc_port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="Of gRPC.")] = 8500,
        version: Annotated[
            int | None,
            typer.Option("--pin", min=1, metavar="N", help="Serve this version. Default: the newest, as they come."),
        ] = None,
        threads: Annotated[
            int | None, typer.Option(min=1, metavar="N", help="Batches at the same time. Default: one a core.")
        ] = None,
        queue: Annotated[
            int | None, typer.Option(min=1, metavar="N", help="Texts that may wait; beyond, requests are refused.")
        ] = None,
        timeout: Annotated[
            float, typer.Option(min=0.001, metavar="SECONDS", help="A request that takes longer is given up.")
        ] = Limits.request_seconds,
    ) -> None:
        """Serve an export from this machine, as TF Serving would, and a page to try it in a browser.

        It is for development and small use. Ctrl+C stops it, once what has come is answered.
        """
        with needing("serve", f"`{program} serve`"):
            from textseq.serving.server import serve as serve_export

        options: dict[str, Any] = {} if queue is None else {"queue": queue}
        options |= {"version": version, "threads": threads, "timeout": timeout}
        serve_export(folder, name=name, host=host, port=port, grpc_port=grpc_port, **options)

    @app.command(cls=_UntypedArguments)
    def rollback(
        folder: Exported,
        to: Annotated[
            int | None, typer.Option(min=1, metavar="N", help="To this version. Default: the one before.")
        ] = None,
        as_json: AsJson = False,
    ) -> None:
        """Have servers serve an earlier version of an export; prints its folder. `--to` undoes it as well.

        Nothing is deleted: later versions move to DIR/retired.
        """
        from textseq.serving.versions import roll_back

        print_path(roll_back(folder, to), as_json)
