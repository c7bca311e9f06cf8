"""The environment of a server: what compose.yaml sets, and the names in .env.example, which has no values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tritonrepo.deploy.service import CACHE, SCRATCH, Service
from tritonrepo.deploy.texts import literal, said

KEY_FILE = "/run/secrets/google.json"


class Variable(NamedTuple):
    """A variable of the container: what compose.yaml says, "" if the value is that of .env; `why` is a comment.

    `asked` says what .env.example says of it, "" if the variable is not for .env; `needed`, whether it has to be set.
    """

    name: str
    value: str = ""
    why: str = ""
    asked: str = ""
    needed: bool = False


AWS = (
    Variable(
        "AWS_ACCESS_KEY_ID",
        why="Keys of the bucket, from .env. Without them, the server takes the role of the machine, if it has one.",
        asked="Key that reads the bucket: s3:ListBucket and s3:GetObject are enough.",
        needed=True,
    ),
    Variable("AWS_SECRET_ACCESS_KEY", asked="Its secret.", needed=True),
    Variable("AWS_DEFAULT_REGION", asked="Region of the bucket. Triton does not read AWS_REGION.", needed=True),
    Variable("AWS_SESSION_TOKEN", asked="Token of temporary keys. A server cannot renew them when they expire."),
)
"""Source: core, src/filesystem/implementations/s3.h, S3Credential."""

GOOGLE = (
    Variable(
        "GOOGLE_APPLICATION_CREDENTIALS",
        literal(f"${{GOOGLE_APPLICATION_CREDENTIALS:+{KEY_FILE}}}"),
        "The key file of a service account. Without it, the server takes the account of the machine, if it has one.",
        "Path on this host to the key file of an account that can read objects and the bucket's metadata"
        " (roles/storage.objectViewer and roles/storage.legacyBucketReader). Its file must be readable for uid 1000.",
        needed=True,
    ),
)
"""Source: core, src/filesystem/implementations/gcs.h, GCSCredential, which takes an empty path for none."""

MOUNTS = {"s3": "TRITON_AWS_MOUNT_DIRECTORY", "gs": "TRITON_GCS_MOUNT_DIRECTORY"}
"""The directory for copies of models. Source: core, src/filesystem/implementations/s3.h and gcs.h."""

KEYS = {"s3": AWS, "gs": GOOGLE}


def variables(service: Service) -> tuple[Variable, ...]:
    """Return the variables of the container, each once: one that it has anyway cannot be another."""
    found = dict[str, Variable]()
    for each in _variables(service):
        found.setdefault(each.name, each)
    return tuple(found.values())


def _variables(service: Service) -> Iterator[Variable]:
    if service.engines:
        yield Variable(
            "HOME", CACHE, "Libraries keep their caches in the user's home, which does not exist in Triton's images."
        )
        yield Variable("HF_HOME", f"{CACHE}/huggingface")
        yield Variable("VLLM_CACHE_ROOT", f"{CACHE}/vllm")
    else:
        yield Variable("HOME", "/tmp", "The user's home does not exist in Triton's images.")  # noqa: S108  in the container
    if service.hub:
        names = ", ".join(service.hub)
        yield Variable(
            "HF_TOKEN",
            why=f"Token of the Hugging Face Hub, from .env, if it needs one for {names}.",
            asked=f"Token of the Hugging Face Hub, for models that are gated or private. Loaded from there: {names}.",
        )
    if service.reads.scheme:
        yield Variable(MOUNTS[service.reads.scheme], SCRATCH, "Where models from the bucket are copied to.")
        yield from KEYS[service.reads.scheme]
    for name, why in service.variables.items():
        yield Variable(name, why=why, asked=why, needed=True)


def example(service: Service) -> str:
    """Return the text of .env.example."""
    lines = said(
        "Copy this file to .env, next to compose.yaml, and add the values. Keep .env out of version control: values"
        " belong nowhere else. Put a value that has spaces, # or $ in single quotes."
    )
    asked = [each for each in variables(service) if each.asked]
    for each in asked:
        lines += ["", *said(each.asked), f"{'' if each.needed else '# '}{each.name}="]
    if not asked:
        lines += ["", *said("This server needs no values.")]
    return "\n".join([*lines, ""])
