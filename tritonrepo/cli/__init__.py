"""The command line: click, streams and exit codes live here and nowhere else; `main` is the only error boundary."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from tritonrepo import __version__
from tritonrepo.cli import everywhere
from tritonrepo.cli.collecting import uncollected
from tritonrepo.cli.output import guarded, incomplete, say
from tritonrepo.plain import printable

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "adopt": "Write the stack file of an existing model repository.",
    "ask": "Ask a pipeline of a running server, and stream its answer.",
    "bench": "Measure a served model, and judge whether figures can be true.",
    "build": "Build the model repository that a stack file declares.",
    "completion": "Print the script that completes command lines in a shell.",
    "cost": "Compute what serving costs, from stated prices and figures.",
    "deploy": "Write the files that run a repository on a GPU server.",
    "diff": "Print what differs between a repository and what is published.",
    "doctor": "Check what commands need on this machine.",
    "explain": "Explain a rule, or another name that a command reports.",
    "fit": "Show whether models fit the memory of their GPUs.",
    "gateway": "Serve OpenAI's API over the models of a running server.",
    "graph": "Draw the pipelines of a stack or a repository.",
    "help": "Print the help of a command.",
    "image": "Print the Dockerfile of the image that serves a stack.",
    "index": "Build the search index of a retriever from its documents.",
    "init": "Create a stack that builds and runs as it is.",
    "lock": "Pin sources and version numbers without building.",
    "plan": "Compute the replicas, GPUs and cost that a peak load needs.",
    "prune": "Remove what neither a config nor a recent revision needs.",
    "pull": "Download what was pushed into a directory.",
    "push": "Upload a model repository to a bucket that servers read.",
    "releases": "List Triton's releases and what each of them holds.",
    "rollback": "Restore an earlier revision of a pushed repository.",
    "serve": "Run the real Triton core on this machine's CPU.",
    "show": "Print the effective stack as YAML.",
    "smoke": "Send a test request to every model on a running server.",
    "status": "Show what a bucket holds of a repository, or what a server serves.",
    "ui": "Serve a page that asks a running server.",
    "unlock": "Remove the lock that a killed push left.",
    "up": "Build a stack, serve it, and test every model.",
    "validate": "Check a repository and predict the server's verdict.",
}
"""Command → its one-line help; each command is the module of that name in this package."""

COMPLETE = "_TRITONREPO_COMPLETE"
"""The variable with which the script of `completion` asks what a command line can go on with."""

EXIT_CODES = """\b
Exit codes:
  0    success
  1    problems were found, or the operation failed
  2    wrong usage or unreadable input
  3    internal error in tritonrepo
  130  interrupted by Ctrl-C
  143  ended by SIGTERM (129 by SIGHUP)
"""


class _Commands(click.Group):
    """Group that imports a command's module only when the command is named, so that `--help` starts quickly."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        if name not in COMMANDS:
            return None
        with uncollected():  # what modules define stays, and to search it takes a seventh of the time
            command: click.Command = importlib.import_module(f"tritonrepo.cli.{name}").command
        _take_variables(command, name)
        if COMPLETE in os.environ:
            from tritonrepo.cli.completing import prepare

            prepare(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:  # noqa: ANN401  click's signature
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from tritonrepo.diagnostics import nearest

            near = nearest(args[0], COMMANDS)
            hint = f'Did you mean "{near}"?' if near else f"Commands: {', '.join(COMMANDS)}."
            raise click.UsageError(f'unknown command "{args[0]}". {hint}', ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands that begin so, without importing them, or the options."""
        from tritonrepo.cli.completing import offered

        return [*offered(COMMANDS, incomplete), *click.Command.shell_complete(self, ctx, incomplete)]


def _take_variables(command: click.Command, name: str) -> None:
    """Let each option of a command, or of its subcommands, be set by a variable that is named after both."""
    everywhere.add(command)
    for option in command.params:
        if isinstance(option, click.Option):
            long = max(option.opts, key=len).lstrip("-")
            option.envvar = f"TRITONREPO_{name}_{long}".replace("-", "_").upper()
            option.show_envvar = True
    for each in command.commands.values() if isinstance(command, click.Group) else ():
        _take_variables(each, f"{name}_{each.name}")


@click.command(
    cls=_Commands,
    context_settings={"show_default": True, "help_option_names": everywhere.HELP},
    epilog=EXIT_CODES,
)
@click.version_option(__version__, prog_name="tritonrepo")
def root() -> None:
    """Build, validate, push, serve and smoke-test NVIDIA Triton model repositories from one stack file."""


for _option in everywhere.options():
    _option.envvar, _option.show_envvar = f"TRITONREPO_{_option.name}".upper(), True
    root.params.append(_option)


SPACE = "Free some space, and run the command again."

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that end a command; Windows has no SIGHUP."""


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP, handled like Ctrl-C: whatever the command started is stopped on the way out."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__()
        self.number = number


def terminate(number: int, frame: FrameType | None = None) -> NoReturn:  # noqa: ARG001  the signal module's signature
    """Raise Terminated; nothing more ends the command by a signal."""
    for signum in ENDING:
        signal.signal(signum, signal.SIG_IGN)  # a second signal must not interrupt the cleanup
    raise Terminated(number)


def main() -> None:
    """Run the command line and leave with its exit code."""
    for signum in ENDING:
        if signal.getsignal(signum) is not signal.SIG_IGN:  # nohup asks for that
            signal.signal(signum, terminate)
    sys.stdout, sys.stderr = guarded(sys.stdout), guarded(sys.stderr)
    code = run(sys.argv[1:])
    if reason := incomplete():
        from tritonrepo.diagnostics import fatal  # imported here to keep `--help` quick

        code = _told(fatal("output-incomplete", "stdout", f"the output is incomplete: {reason}", SPACE))
    if code > 128 and any(not thread.daemon for thread in threading.enumerate()[1:]):  # noqa: PLR2004  by a signal
        sys.stdout.flush()
        os._exit(code)  # Python would wait for threads whose requests are not answered
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; what went wrong is printed on stderr."""
    began = time.monotonic()
    if COMPLETE in os.environ:
        from tritonrepo.cli.completing import register

        register()
    try:
        code = root.main(arguments, prog_name="tritonrepo", complete_var=COMPLETE, standalone_mode=False, obj=began)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()  # the help, whose line breaks are meant
        code = 2
    except click.ClickException as error:
        error.message = printable(error.message)  # type: ignore[misc]  # it is what `show` prints
        error.show()
        code = 2
    except (click.Abort, KeyboardInterrupt) as error:
        say("interrupted", err=True)
        cause = error.__cause__ if isinstance(error, click.Abort) else error  # click turns the one into the other
        code = 128 + (cause.number if isinstance(cause, Terminated) else signal.SIGINT)
    except Exception as error:  # noqa: BLE001  the boundary
        code = _told(error)
    return code if isinstance(code, int) else 0


def _told(error: Exception) -> int:
    """Print what ended a command and return the exit code; imports here keep `--help` quick."""
    from tritonrepo.diagnostics import Severity, Stop

    if isinstance(error, Stop):
        for diagnostic in error.diagnostics:
            say(*diagnostic.lines, err=True)
        return 2 if any(diagnostic.severity is Severity.FATAL for diagnostic in error.diagnostics) else 1
    import traceback

    say(*"".join(traceback.format_exception(error)).rstrip().split("\n"), err=True)
    say(f"This is a bug in tritonrepo {__version__}. Report it with the lines above.", err=True)
    return 3
