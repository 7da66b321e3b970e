"""The command line: what is typed, what it does, and the exit status that it ends with."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from polystore.cli import copying, info, preview, verify
from polystore.cli.exits import BAD, GOOD, INTERRUPTED, NOT_BEGUN
from polystore.core.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from polystore.cli.demo import Job
    from polystore.core.errors import StorageError
    from polystore.core.outcome import Outcome

__all__ = ["main"]

COMMANDS = {"copy": copying, "info": info, "verify": verify, "preview": preview}
"""Those of a module each: what it says of itself, its arguments, and what runs it."""

WHOLE = "Every image that is in Zarr by now is whole."
INSTALL = "Install all that the demo needs: pip install 'polystore[demo]'."

DEMO = """\
Move every image of a folder from disk into JAX and on into Zarr, read each one back
with zarr-python, and compare it with its file, bit for bit. Without a folder, a small
synthetic plate is made and used.

The folder is only read. Results go to ./polystore-demo (or ./polystore-demo-2, and so on,
if that exists): the images as Zarr, and a contact sheet of what is in Zarr."""

DOCTOR = """\
List the stores, formats, frameworks and plugins that are registered here, and the packages
that polystore can use: the version of each that can be imported, and for the others what is
wrong and what to install. Each package is imported in a process of its own, which takes some
seconds for the large ones."""

STATUSES = """\
exit status: 0 if every image is equal, 1 if one failed or differs, 2 if the demo could not
begin, 130 if Ctrl-C stopped it"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit status; `argv` is without the program's name.

    A wrong command line, `--help` and `--version` end in `SystemExit`, as argparse does.

    >>> main(["demo", "/no/such/folder"])
    2
    """
    try:
        parser = _parser()
        arguments = parser.parse_args(argv)
        if arguments.command is None:
            parser.print_help(sys.stderr)
            return NOT_BEGUN
        if arguments.command == "doctor":
            return _doctor()
        if arguments.command == "demo":
            return _demo(arguments.folder, arguments.output)
        run: Callable[[argparse.Namespace], int] = COMMANDS[arguments.command].run
        return run(arguments)
    except KeyboardInterrupt:
        print(f"Stopped. {WHOLE}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`); Python would complain when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BAD


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="polystore",
        description="Move arrays between stores and frameworks: nothing raises, nothing is lost.",
    )
    parser.add_argument("--version", action="version", version=f"polystore {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, command in COMMANDS.items():
        command.describe(
            commands.add_parser(
                name,
                help=command.HELP,
                description=command.TEXT,
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
        )
    _describe_demo(
        commands.add_parser(
            "demo",
            help="move a folder of images from disk through JAX to Zarr, and compare every bit",
            description=DEMO,
            epilog=STATUSES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    commands.add_parser(
        "doctor",
        help="say what is registered here, what can be imported, and what to install for the rest",
        description=DOCTOR,
        epilog="exit status: 0, or 1 if a plugin failed",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def _describe_demo(demo: argparse.ArgumentParser) -> None:
    demo.add_argument(
        "folder",
        metavar="FOLDER",
        nargs="?",
        type=Path,
        help="the images: all files in it, at any depth, that polystore has a format for",
    )
    demo.add_argument(
        "--output",
        metavar="FOLDER",
        type=Path,
        help="put the results into this folder, which is new or empty",
    )


def _doctor() -> int:
    from polystore.boundary import guarded
    from polystore.cli.doctor import diagnosed, lines
    from polystore.core.outcome import Success, is_successful

    try:
        found = guarded(lambda: Success(diagnosed()), "polystore doctor")
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return INTERRUPTED
    if not is_successful(found):
        print(f"polystore doctor: {found.failure()}", file=sys.stderr)
        return BAD
    print("\n".join(lines(found.unwrap())))
    return GOOD if found.unwrap().good else BAD


def _demo(folder: Path | None, output: Path | None) -> int:
    from polystore.boundary import guarded
    from polystore.cli.interrupt import asked_to_stop
    from polystore.core.outcome import Success, is_successful
    from polystore.dispatch import handles

    with handles(), asked_to_stop() as stopping:
        job = guarded(lambda: _begun(folder, output), "polystore demo")
        if not is_successful(job):
            return _ended_by(job.failure(), NOT_BEGUN)
        from polystore.cli.demo import run
        from polystore.cli.report import print_plan, print_result

        print_plan(job.unwrap())
        result = guarded(lambda: Success(run(job.unwrap(), stopping)), "polystore demo")
        if not is_successful(result):
            return _ended_by(result.failure(), BAD)
        if stopping():
            done, total = len(result.unwrap().rows), len(job.unwrap().images.keys)
            print(f"Stopped after {done} of {total} images. {WHOLE}", file=sys.stderr)
            return INTERRUPTED
        print_result(job.unwrap(), result.unwrap())
        return GOOD if result.unwrap().good else BAD


def _begun(folder: Path | None, output: Path | None) -> Outcome[Job]:
    from polystore.cli.demo import begin  # needs rich, which may be missing

    return begin(folder, output)


def _ended_by(error: StorageError, status: int) -> int:
    from polystore.core.errors import MissingDependency

    advice = INSTALL if isinstance(error, MissingDependency) else error.advice
    print(f"polystore demo: {error.message} {advice}", file=sys.stderr)
    return status
