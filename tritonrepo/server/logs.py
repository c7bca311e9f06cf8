"""What matters in the server's log: why a model cannot be loaded, why the server waits forever, why it exited.

The forms of the lines are Triton 24.10's, each seen in a real log: `E1124 08:22:31.604112 6845 file.cc:123] "message"`,
with line breaks inside the quotes written as backslash and n; the lines of stubs and libraries have other forms.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tritonrepo.packaged import facts
from tritonrepo.shared import is_shared

TELLING = 12
LONGEST = 400

LINE = re.compile(r"(?P<level>[IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ (?P<source>[\w.]+:\d+)\] +(?P<message>.*)")
RAW_TROUBLE = re.compile(
    r"error|exception|terminate called|what\(\)|cannot |unrecognized |no such file|failed", re.IGNORECASE
)
TABLE = ("|", "+-")

USAGE = "Usage: tritonserver"
"""What follows an error in the command line, for hundreds of lines."""

NO_LIBRARY = re.compile(r"triton_python_backend_stub: error while loading shared libraries: (.*)")
NO_MODEL_FILE = re.compile(r"Python model file not found in '(.*?)'")

PROTOBUF = re.compile(r"Error parsing text-format inference\.ModelConfig: (.*)")
REASONS = (
    re.compile(r"Poll failed for model directory '(?P<model>[^']+)': (?P<reason>.*)", re.DOTALL),
    re.compile(r"failed to load model '(?P<model>[^']+)': (?P<reason>.*)", re.DOTALL),
    re.compile(r"(?:Invalid argument: )?(?P<reason>ensemble '?(?P<model>[^' ]+)'? .*)", re.DOTALL),
)
"""Refusals that the repository index lacks: core, src/model_repository_manager/model_repository_manager.cc."""


IGNORED = re.compile(r"ignore version directory '(\d+)'")
"""core, src/model_lifecycle.cc, GetModelVersions: of a number with leading zeros, as what versions share has."""

WRAPPED = re.compile(
    r"(?:Failed to process the request\(s\) for model '[^']+', message: |failed to load '[^']+' version \d+: "
    r"|ERROR: Failed to create instance: |Poll failed for model directory '[^']+': |failed to load model '[^']+': )"
)
KINDS = re.compile(
    r"^(Internal|Invalid argument|Unavailable|Not found|Unsupported|Unknown|Already exists|Cancelled)( error)?: "
)

LOADING = re.compile(r"(?:re-?)?loading: (?P<model>.+):(?P<version>\d+)")
LOADED = re.compile(r"(?:successfully loaded|failed to load) '(?P<model>[^']+)'(?: version (?P<version>\d+))?")
"""core, src/backend_model_instance.cc and src/model_lifecycle.cc: 24.10 names no version of a loaded model."""

MODELS = (
    re.compile(r"model '(?P<model>[^']+)_\d+_\d+'"),
    re.compile(r"Stub process '(?P<model>[^']+)_\d+_\d+'"),
    re.compile(r"failed to load '(?P<model>[^']+)'"),
    re.compile(r"[Mm]odel(?: directory)? '(?P<model>[^']+)'"),
)
"""How messages name a model; an instance is MODEL_GROUP_NUMBER."""


class Line(NamedTuple):
    """One message of the log; the level is empty for lines that are not the server's own."""

    level: str
    message: str


class Frame(NamedTuple):
    """One frame of a Python traceback."""

    path: str
    line: str
    name: str


class Hang(NamedTuple):
    """What the server waits for in vain: the file, what is wrong with it, and the hint."""

    path: str
    message: str
    hint: str


def inner(line: str) -> bool:
    """Return whether a line is of a traceback, but no place where anybody would look."""
    frame = _frame(line)
    return line == "At:" or (frame is not None and frame.path.startswith("<"))


def cut(text: str) -> str:
    """Return a text that is short enough for a line."""
    return text if len(text) <= LONGEST else text[:LONGEST] + " …"


def harmless(message: str) -> bool:
    """Return whether a healthy server without a GPU says this as well, or says it of what versions share."""
    ignored = IGNORED.match(message)
    return any(line["text"] in message for line in facts("harmless_log")["lines"]) or (
        ignored is not None and is_shared(ignored[1])
    )


def named(message: str) -> str:
    """Return the model that a message is about; "" if it names none."""
    found = next(filter(None, (form.search(message) for form in MODELS)), None)
    return found["model"] if found else ""


def reason(message: str) -> str:
    """Return a message without what the server writes around the cause: which request, which model, what kind."""
    found = WRAPPED.match(message)
    return KINDS.sub("", message[found.end() :] if found else message)


def shortened(more: Sequence[str], within: str) -> list[str]:
    """Return the lines after a message with the frames of a traceback as places; only those below `within`, if any."""
    frames = [found for line in more if (found := _frame(line))]
    own = [frame for frame in frames if frame.path.startswith(f"{within}/")]
    own = own or [frame for frame in frames if not frame.path.startswith("<")][:1]  # not the import system's
    others = [line for line in more if line != "At:" and not _frame(line)]
    return [*others, *(f"{frame.path}:{frame.line}, in {frame.name}" for frame in own)]


def _frame(line: str) -> Frame | None:
    """Return a frame as pybind11 writes it after `At:`, innermost first, None for any other line."""
    place, colon, name = line.rpartition("): ")
    path, bracket, number = place.rpartition("(")
    if colon and bracket and number.isdecimal() and path.startswith(("/", "<")):
        return Frame(path, number, name)
    return None


def lines(text: str) -> Iterator[Line]:
    """Yield the messages of a log, without its tables."""
    for line in text.splitlines():
        if found := LINE.match(line):
            message = found["message"].strip()
            quoted = len(message) > 1 and message[0] == message[-1] == '"'
            yield Line(found["level"], message[1:-1].replace("\\n", "\n") if quoted else message)
        elif line.strip() and not line.startswith(TABLE):
            yield Line("", line.strip())


def telling(text: str) -> list[str]:
    """Return the last lines that report trouble, at most twelve and each once, in their order."""
    kept: dict[str, None] = {}
    for level, message in lines(text.partition(USAGE)[0]):
        trouble = level in {"E", "F", "W"} or (not level and RAW_TROUBLE.search(message))
        if trouble and not harmless(message):
            one = " ".join(message.split())
            kept[cut(one)] = None
    return [*kept][-TELLING:]


def hang(text: str) -> Hang | None:
    """Return what the server waits for forever, in the cases in which Triton 24.10 was seen to hang."""
    if found := NO_LIBRARY.search(text):
        hint = "Choose an interpreter that has its shared library with `--runtime PYTHON`."
        return Hang("", f"the Python backend's stub cannot start, which hangs the server: {found[1]}", hint)
    if found := NO_MODEL_FILE.search(text):
        hint = "Create model.py, or remove the version directory."
        return Hang(found[1], "the Python model file is missing, which hangs the server", hint)
    return None


def reasons(text: str) -> dict[str, str]:
    """Return the last logged reason for each model that was refused before any version was tried."""
    found: dict[str, str] = {}
    parse_error = ""
    for level, message in lines(text):
        if error := PROTOBUF.search(message):
            parse_error = error[1]
        elif level == "E" and (refused := _first_reason(message)):
            model, reason = refused
            more = f": {parse_error}" if parse_error and "failed to read text proto" in reason else ""
            found[model] = reason + more
            parse_error = ""
    return found


def _first_reason(message: str) -> tuple[str, str] | None:
    """Return model and reason of a refusal, None for any other message."""
    for form in REASONS:
        if found := form.match(message):
            return found["model"], found["reason"]
    return None
