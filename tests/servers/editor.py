"""The YAML language server that editors run, over stdio: what it says of a stack file, and what it offers."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

VERSION = "1.25.0"
"""The last one that runs on Node 20."""

TAGS = ["!append sequence", "!remove scalar"]
"""The setting that docs/stack.md names."""

MISSING = "needs npm, which installs yaml-language-server"


def installed(place: Path) -> Path:
    """Install the language server below a directory, and return its program."""
    program = place / "node_modules" / ".bin" / "yaml-language-server"
    if not program.exists():
        npm = shutil.which("npm")
        assert npm, MISSING
        place.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--no-audit", "--no-fund", "--no-save", f"yaml-language-server@{VERSION}"]
        subprocess.run(command, cwd=place, check=True, capture_output=True, timeout=240)
    return program


class Editor:
    """A client of the language server, which knows one schema."""

    def __init__(self, process: subprocess.Popen[bytes], schema: Path) -> None:
        assert process.stdin
        assert process.stdout
        self.write, self.read = process.stdin, process.stdout
        self.schema = schema
        self.sent = 0
        self.opened = 0
        self.ask("initialize", {"processId": None, "rootUri": None, "capabilities": CAPABILITIES})
        self.tell("initialized", {})

    def tell(self, method: str, params: object) -> None:
        self._send({"jsonrpc": "2.0", "method": method, "params": params})

    def ask(self, method: str, params: object) -> Any:  # noqa: ANN401  what the server replies
        self.sent += 1
        self._send({"jsonrpc": "2.0", "id": self.sent, "method": method, "params": params})
        while True:
            message = self._next()
            if message.get("id") == self.sent and "method" not in message:
                assert "error" not in message, message
                return message["result"]

    def diagnostics(self, text: str) -> list[tuple[int, str]]:
        """What the server says of a text: line from 1, and message."""
        uri = self._open(text)
        while True:
            message = self._next()
            if message.get("method") == "textDocument/publishDiagnostics" and message["params"]["uri"] == uri:
                return [(d["range"]["start"]["line"] + 1, d["message"]) for d in message["params"]["diagnostics"]]

    def offered(self, text: str) -> list[str]:
        """What the server offers where the text has a bar."""
        before = text[: text.index("|")]
        position = {"line": before.count("\n"), "character": len(before) - before.rfind("\n") - 1}
        uri = self._open(text.replace("|", "", 1))
        found = self.ask("textDocument/completion", {"textDocument": {"uri": uri}, "position": position})
        return [item["label"] for item in (found["items"] if isinstance(found, dict) else found)]

    def _open(self, text: str) -> str:
        self.opened += 1
        uri = f"file:///stack{self.opened}/tritonrepo.yaml"
        self.tell(
            "textDocument/didOpen",
            {"textDocument": {"uri": uri, "languageId": "yaml", "version": 1, "text": text}},
        )
        return uri

    def _next(self) -> dict[str, Any]:
        """Return the next message; what the server asks of its editor is answered."""
        length = 0
        while (line := self.read.readline().strip()) or not length:
            assert line, "the language server has ended"
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        message: dict[str, Any] = json.loads(self.read.read(length))
        if "method" in message and "id" in message:
            settings = {
                "schemas": {self.schema.as_uri(): "tritonrepo.yaml"},
                "validate": True,
                "completion": True,
                "customTags": TAGS,
            }
            items = message["params"]["items"] if message["method"] == "workspace/configuration" else []
            answers = [settings if item.get("section") == "yaml" else {} for item in items]
            self._send({"jsonrpc": "2.0", "id": message["id"], "result": answers or None})
        return message

    def _send(self, message: object) -> None:
        body = json.dumps(message).encode()
        self.write.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.write.flush()


CAPABILITIES = {
    "workspace": {"configuration": True},
    "textDocument": {"completion": {"completionItem": {"snippetSupport": False}}, "publishDiagnostics": {}},
}


@contextmanager
def editing(program: Path, schema: Path) -> Iterator[Editor]:
    """Start the language server, and end it."""
    with subprocess.Popen([program, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield Editor(process, schema)
        finally:
            process.kill()
