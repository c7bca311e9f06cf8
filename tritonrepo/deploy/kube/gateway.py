"""The gateway in front of Triton: `tritonrepo gateway` as a Deployment of its own, for clients of OpenAI's API."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.deploy.kube.around import headless
from tritonrepo.deploy.kube.workload import Ending, Needs, Placing, Port, Probe, Probes, Reach, Workload
from tritonrepo.deploy.manifests import noted
from tritonrepo.deploy.sums import GIB, MIB, Sum, Term

KIND = "gateway"
KEYS = "GATEWAY_KEYS"
"""The key of the Secret with the keys of clients."""

PORT, GRPC = 9000, 8001
ENDING = Ending(
    "the gateway finishes what runs (--drain)", ("sleep",), requests=60, rest=5, last="to close connections and end"
)
START = Sum((Term(15, "Python, and the first look at the models of Triton"),), 10, 2)


def gateway(triton: Workload, image: str, secret: str) -> Workload:
    """Return the gateway of a server; `secret` has the keys of clients under KEYS."""
    return Workload(
        name=f"{triton.name}-{KIND}",
        stack=triton.stack,
        kind=KIND,
        version="",
        image=noted(image, "An image of your own in which `pip install 'tritonrepo[gateway]'` was run."),
        command=["tritonrepo", "gateway"],
        args=[*_args(triton)],
        env=[
            noted(
                {"name": KEYS, "valueFrom": {"secretKeyRef": {"name": secret, "key": KEYS}}},
                "The keys that clients send, with spaces between them.",
            )
        ],
        ports=(Port("http", PORT),),
        metrics="http",
        probes=Probes(_probe("/health", "The port is open."), _probe("/health", "The gateway responds."), _ready()),
        needs=Needs(
            gpus=0,
            cores=Sum((Term(1, "one process, in one thread"),), 1),
            memory=Sum((Term(GIB, "requests and responses that are on their way"),), GIB),
            disk=Sum((Term(256 * MIB, "logs"),), GIB),
            shared=Sum((), MIB),
            start=START,
        ),
        volumes=(),
        placing=Placing(secrets=triton.placing.secrets),
        ending=ENDING,
        replicas=triton.replicas,
        reaches=(Reach(GRPC, "Triton."),),
    )


def _args(triton: Workload) -> Iterator[object]:
    yield noted(
        f"grpc://{headless(triton.name)}:{GRPC}",
        "The addresses of all pods with Triton, which take turns: a cluster IP would send all requests to one of them.",
    )
    yield from ["--host=0.0.0.0", f"--port={PORT}"]
    yield noted(f"--api-key-env={KEYS}", "Without keys, everybody who reaches the port could use every model.")
    yield f"--drain={ENDING.requests}"


def _probe(path: str, why: str) -> Probe:
    return Probe({"httpGet": {"path": path, "port": "http"}}, why)


def _ready() -> Probe:
    return _probe("/ready", "Triton is ready, and so are the models that are exposed.")
