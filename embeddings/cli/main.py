"""Entry point of the command line: parses arguments, runs a command, returns the exit code."""

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

# Commands import heavy modules when they run, which keeps `--help` fast.
from embeddings.cli import bench, dedupe, embed, export, export_onnx, models, search
from embeddings.cli.output import say
from embeddings.errors import EmbeddingsError

FAILED = 1
TERMINATED = 128 + signal.SIGTERM
INTERRUPTED = 128 + signal.SIGINT
PIPE_CLOSED = 128 + signal.SIGPIPE


@dataclass(frozen=True)
class Command:
    """The help, arguments and function of a command."""

    about: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    more: str = ""


COMMANDS = {
    "embed": Command("compute vectors of pictures", embed.arguments, embed.run, embed.MORE),
    "search": Command(
        "find the pictures of a bundle that are most like others, or fit words",
        search.arguments,
        search.run,
        search.MORE,
    ),
    "dedupe": Command(
        "find pictures that are there twice, or nearly", dedupe.arguments, dedupe.run, dedupe.MORE
    ),
    "export": Command(
        "write a bundle in another format", export.arguments, export.run, export.MORE
    ),
    "check": Command("check a bundle against its manifest", export.check_arguments, export.check),
    "export-onnx": Command(
        "write a pipeline's model as one ONNX file",
        export_onnx.arguments,
        export_onnx.run,
        export_onnx.MORE,
    ),
    "bench": Command(
        "measure how fast a pipeline is on this machine", bench.arguments, bench.run, bench.MORE
    ),
    "models": Command("list the models", models.list_arguments, models.list_models),
    "add-model": Command("add a checkpoint of your own", models.add_arguments, models.add_model),
    "fetch-model": Command(
        "download a model's weights", models.fetch_arguments, models.fetch_model
    ),
    "add-text-tower": Command(
        "add the text tower of a CLIP or SigLIP model",
        models.tower_arguments,
        models.add_text_tower,
    ),
    "remove-text-tower": Command(
        "forget a text tower that was added or fetched",
        models.name_argument,
        models.remove_text_tower,
    ),
    "remove-model": Command(
        "forget a model that was added", models.name_argument, models.remove_model
    ),
}

_DESCRIPTION = """Image embeddings on the command line: pictures to vectors, search, duplicates.

Results are lines of JSON on stdout; progress and summaries are on stderr.
"""
_EPILOG = """exit codes:
  0    done
  1    failed; the reason is on stderr
  2    an argument is missing, unknown or of the wrong kind
  3    done, but some pictures could not be used: each is a line with "error"
  130  interrupted; 143 terminated: nothing half-written is left
  141  whoever read the results has gone

examples:
  python -m embeddings embed photos/ -o photos.bundle
  python -m embeddings search photos.bundle picture.jpg -k 5
  python -m embeddings dedupe photos.bundle
  python -m embeddings COMMAND --help
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code; `_EPILOG` lists the codes.

    Usage errors end the process with code 2, as argparse does.
    """
    # Both are None in a process started without them; printing would fail.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    options = _parser().parse_args(arguments)
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except EmbeddingsError as error:
        say(f"error: {error.detail}")
        return FAILED
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # the reader has closed the pipe, such as `head`
        _forget_stdout()
        return PIPE_CLOSED
    except OSError as error:
        _forget_stdout()
        where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        say(f"error: {where}{error.strerror or error}.")
        return FAILED
    finally:
        signal.signal(signal.SIGTERM, before)


def _forget_stdout() -> None:
    """Discard buffered output, so that flushing it at exit does not fail again."""
    with contextlib.suppress(OSError, ValueError):  # stdout may not be a file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _terminate(_signal: int, _frame: object) -> NoReturn:
    """Raise an exception on the signal, so that half-written files are removed."""
    sys.exit(TERMINATED)


def _program_name() -> str:
    """How the program was called: by the console script, or as a module."""
    return "embeddings" if Path(sys.argv[0]).stem == "embeddings" else "python -m embeddings"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_program_name(),
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        sub = commands.add_parser(
            name,
            help=command.about,
            description=f"{command.about[0].upper()}{command.about[1:]}.",
            epilog=command.more or None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.arguments(sub)
        sub.set_defaults(run=command.run)
    return parser
