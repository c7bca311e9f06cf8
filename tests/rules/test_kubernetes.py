"""Corner cases of the rules for manifests: what Kubernetes itself refuses, and what is right."""

from __future__ import annotations

import textwrap
from typing import NamedTuple

from tests.pages import judged
from tests.tabled import tabled
from tritonrepo.manifests.objects import Object
from tritonrepo.manifests.quantities import quantity
from tritonrepo.manifests.reading import resource, without_secrets
from tritonrepo.manifests.schema import apis
from tritonrepo.packaged import facts
from tritonrepo.rules import RULES
from tritonrepo.rules.manifests.fields import removed
from tritonrepo.spec.nodes import parse
from tritonrepo.tree import of_bytes

KUBERNETES = "1.37"
FAMILY = "tritonrepo.rules.manifests."


def workload(container: str = "", pod: str = "", spec: str = "", kind: str = "Deployment") -> str:
    """Return a workload with these lines in its container, its pod and its spec."""
    lines = [
        *("apiVersion: apps/v1", f"kind: {kind}", "metadata: {name: a}", "spec:"),
        *textwrap.indent(spec, "  ").splitlines(),
        *("  selector: {matchLabels: {app: a}}", "  template:", "    metadata: {labels: {app: a, tier: b}}"),
        *("    spec:", *textwrap.indent(pod, "      ").splitlines(), "      containers:"),
        *("        - name: c", "          image: registry.example/c:1"),
        *textwrap.indent(container, "          ").splitlines(),
    ]
    return "\n".join(lines) + "\n"


def service(selector: str, port: str = "{port: 80}", more: str = "", namespace: str = "") -> str:
    """Return a Service."""
    meta = f"name: s, namespace: {namespace}" if namespace else "name: s"
    spec = f"selector: {selector}, ports: [{port}]{more}"
    return f"---\napiVersion: v1\nkind: Service\nmetadata: {{{meta}}}\nspec: {{{spec}}}\n"


class Case(NamedTuple):
    """A manifest, and the rules that speak with the first line of each."""

    text: str
    says: tuple[str, ...] = ()


SIDECAR = "initContainers: [{name: i, image: x, restartPolicy: Always, volumeMounts: [{name: v, mountPath: /v}]}]\n"
CLAIMS = "volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce]}}]"
PROBE = "httpGet: {path: /, port: %s}"
GPU = "resources: {limits: {nvidia.com/gpu: 1, memory: 1Gi, cpu: 1}"
LWS = """\
apiVersion: leaderworkerset.x-k8s.io/v1
kind: LeaderWorkerSet
metadata: {name: a}
spec: {leaderWorkerTemplate: {size: 2, workerTemplate: {metadata: {labels: {role: w}}, spec: {containers: [
  {name: c, image: x, args: [$(LWS_LEADER_ADDRESS)], livenesProbe: {}}]}}}}
"""
IN_MEMORY = workload(
    "resources: {limits: {memory: 2Gi}}\nvolumeMounts: [{name: v, mountPath: /v}]",
    "volumes: [{name: v, emptyDir: {medium: Memory, sizeLimit: %s}}]",
)
VERTICAL = """\
---
apiVersion: autoscaling.k8s.io/v1
kind: VerticalPodAutoscaler
metadata: {generateName: v}
spec: {targetRef: {kind: Deployment, name: %s}}
"""


def ingress(service: str, namespace: str = "") -> str:
    """Return an Ingress with one path to a Service, on its sixth line."""
    meta = f"{{name: i, namespace: {namespace}}}" if namespace else "{name: i}"
    head = f"---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {meta}\nspec:\n"
    return f"{head}  rules: [{{http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {service}}}}}]}}}}]\n"


def route(backend: str, kind: str = "HTTPRoute") -> str:
    """Return a route of the Gateway API."""
    head = f"---\napiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: r, namespace: ml}}\n"
    return f"{head}spec: {{rules: [{{backendRefs: [{backend}]}}]}}\n"


def monitor(endpoints: str, more: str = "", kind: str = "ServiceMonitor") -> str:
    """Return a monitor of what has the label app: a."""
    lists = "endpoints" if kind == "ServiceMonitor" else "podMetricsEndpoints"
    head = f"---\napiVersion: monitoring.coreos.com/v1\nkind: {kind}\nmetadata: {{name: m, namespace: ml}}\n"
    return f"{head}spec: {{selector: {{matchLabels: {{app: a}}}}, {lists}: [{endpoints}]{more}}}\n"


SERVED = workload("ports: [{name: web, containerPort: 80}]") + service(
    "{app: a}", "{name: http, port: 80, targetPort: web}"
)
LABELLED = SERVED.replace("{name: s}", "{name: s, namespace: ml, labels: {app: a}}").replace(
    "{name: a}", "{name: a, namespace: ml}"
)
CUSTOM = "---\n{apiVersion: example.com/v1, kind: Fleet, metadata: {name: f}}\n"
ROUTED = {
    "an Ingress to a port by number": Case(SERVED + ingress("{name: s, port: {number: 80}}")),
    "an Ingress to a port by name": Case(SERVED + ingress("{name: s, port: {name: http}}")),
    "an Ingress to the port of the pod": Case(
        SERVED + ingress("{name: s, port: {name: web}}"), ("backend-port-missing:23",)
    ),
    "an Ingress to a Service of a similar name": Case(
        SERVED + ingress("{name: t, port: {number: 1}}"), ("backend-missing:23",)
    ),
    "a Service of another namespace than the Ingress": Case(
        LABELLED + ingress("{name: s, port: {number: 1}}", "other"),
    ),
    "a Service without ports": Case(
        "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {type: ExternalName, externalName: x.example}}\n"
        + ingress("{name: s, port: {number: 80}}")
    ),
    "what may make Services": Case(SERVED + CUSTOM + ingress("{name: t, port: {number: 1}}")),
    "a route": Case(LABELLED + route("{name: s, port: 80}, {name: x, kind: InferencePool, group: y}")),
    "a route to another port": Case(LABELLED + route("{name: s, port: 81}", "GRPCRoute"), ("backend-port-missing:22",)),
    "a route to another namespace": Case(LABELLED + route("{name: s, namespace: other, port: 81}")),
    "a route of another group": Case(
        LABELLED + route("{name: s, port: 81}").replace("gateway.networking", "x.networking")
    ),
    "a ServiceMonitor": Case(LABELLED + monitor("{port: http}, {targetPort: 1}")),
    "a ServiceMonitor with the port of the pod": Case(LABELLED + monitor("{port: web}"), ("monitor-port-missing:22",)),
    "a PodMonitor": Case(LABELLED + monitor("{port: web}", kind="PodMonitor")),
    "a PodMonitor with the port of the Service": Case(
        LABELLED + monitor("{port: http}", kind="PodMonitor"), ("monitor-port-missing:22",)
    ),
    "a monitor of another namespace": Case(
        LABELLED + monitor("{port: x}", ", namespaceSelector: {matchNames: [other]}")
    ),
    "a monitor of all namespaces": Case(
        LABELLED + monitor("{port: x}", ", namespaceSelector: {any: true}"), ("monitor-port-missing:22",)
    ),
    "an autoscaler of another kind": Case(
        SERVED + "---\n{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: h},\n"
        "  spec: {maxReplicas: 2, scaleTargetRef: {apiVersion: apps/v1, kind: StatefulSet, name: a}}}\n",
        ("scale-target-missing:20",),
    ),
}
CASES = {
    "expressions select": Case(
        workload().replace("{matchLabels: {app: a}}", "{matchExpressions: [{key: app, operator: In, values: [a, b]}]}")
    ),
    "expressions do not select": Case(
        workload().replace("{matchLabels: {app: a}}", "{matchExpressions: [{key: app, operator: NotIn, values: [a]}]}"),
        ("selector-mismatch:5",),
    ),
    "a label is missing": Case(workload().replace("{app: a}}\n  t", "{app: a, x: z}}\n  t"), ("selector-mismatch:5",)),
    "a sidecar mounts": Case(workload(pod=f"{SIDECAR}volumes: [{{name: v, emptyDir: {{}}}}]")),
    "claims of a StatefulSet": Case(
        workload("volumeMounts: [{name: data, mountPath: /d}]", spec=f"serviceName: s\n{CLAIMS}", kind="StatefulSet")
    ),
    "a StatefulSet without a service": Case(workload(kind="StatefulSet")),
    "a worker's probe and the variables of LWS": Case(LWS, ("kubernetes-field-unknown:5",)),
    "a probe by number": Case(workload(f"readinessProbe: {{{PROBE % 8000}}}")),
    "a probe by the name of another container's port": Case(
        workload(
            f"readinessProbe: {{{PROBE % 'web'}}}",
            "initContainers: [{name: i, image: x, ports: [{name: web, containerPort: 1}]}]",
        ),
        ("port-name-unresolved:13",),
    ),
    "zeros are defaults": Case(workload(f"livenessProbe: {{{PROBE % 1}, periodSeconds: 0, timeoutSeconds: 0}}")),
    "a probe without a handler": Case(workload("livenessProbe: {periodSeconds: 5}"), ("probe-unusable:12",)),
    "a probe with two handlers": Case(
        workload("livenessProbe:\n  httpGet: {port: 1}\n  tcpSocket: {port: 1}"), ("probe-unusable:14",)
    ),
    "a start as long as a rollout may take by default": Case(
        workload(f"startupProbe: {{{PROBE % 1}, periodSeconds: 1, failureThreshold: 600}}"),
        ("deadline-below-startup:4",),
    ),
    "a start that is a second shorter": Case(
        workload(f"startupProbe: {{{PROBE % 1}, periodSeconds: 1, failureThreshold: 599}}")
    ),
    "a volume in memory below the limit": Case(IN_MEMORY % "1Gi"),
    "a volume in memory as large as the limit": Case(IN_MEMORY % "2Gi", ("volume-in-memory-above-limit:9",)),
    "a volume in memory above the limit": Case(IN_MEMORY % "3Gi", ("volume-in-memory-above-limit:9",)),
    "claims of a group of pods": Case(
        LWS.replace("livenesProbe: {}", "volumeMounts: [{name: data, mountPath: /d}]").replace(
            "{size: 2,", f"{{size: 2, {CLAIMS},"
        )
    ),
    "a variable set twice, and one that is set below": Case(
        workload("env:\n  - {name: A, value: x}\n  - {name: B, value: $(A)}\n  - {name: A, value: z}"),
        ("env-name-twice:15",),
    ),
    "success of liveness": Case(
        workload(f"livenessProbe: {{{PROBE % 1}, successThreshold: 2}}"), ("probe-unusable:12",)
    ),
    "a Service of another selector": Case(workload() + service("{app: b}"), ("selects-nothing:16",)),
    "a Service of another namespace": Case(
        workload().replace("name: a}", "name: a, namespace: x}") + service("{app: a}", namespace="z"),
        ("selects-nothing:16",),
    ),
    "a Service of the labels that a controller adds": Case(workload() + service("{app: a, pod-template-hash: x}")),
    "a Service for pods of another kind": Case(
        workload() + service("{app: b}") + "---\napiVersion: ray.io/v1\nkind: RayCluster\nmetadata: {name: r}\n"
    ),
    "a Service without a selector": Case(workload() + service("{}")),
    "a port in the arguments": Case(
        workload("args: ['--metrics=:9090']\nports: [{containerPort: 80}]") + service("{app: a}", "{port: 9090}")
    ),
    "a target port by number": Case(
        workload("ports: [{containerPort: 81}]") + service("{app: a}", "{port: 80, targetPort: 81}")
    ),
    "a port in a variable": Case(
        workload("env: [{name: LISTEN, value: ':9090'}]\nports: [{containerPort: 80}]")
        + service("{app: a}", "{port: 9090}")
    ),
    "a probe of TCP by the name of no port": Case(
        workload("livenessProbe: {tcpSocket: {port: web}}"), ("port-name-unresolved:12",)
    ),
    "a port of a Service that is too large": Case(
        workload() + service("{}", "{port: 70000}"), ("port-out-of-range:16",)
    ),
    "a size of a volume": Case(IN_MEMORY % "8GB", ("quantity-unreadable:9",)),
    "a vertical autoscaler of another workload": Case(
        workload() + VERTICAL % "b" + VERTICAL % "a", ("scale-target-missing:16",)
    ),
    "a variable of a link": Case(workload("args: ['$(REDIS_SERVICE_HOST)', '$$(X)', 'echo $(date); true']")),
    "a variable that is set below": Case(
        workload("env:\n  - {name: A, value: $(B)}\n  - {name: B, value: x}"), ("env-reference-undefined:13",)
    ),
    "variables from elsewhere": Case(workload("envFrom: [{secretRef: {name: s}}]\nargs: [$(X)]")),
    "placeholders and paths are no secrets": Case(
        workload(
            "env:\n  - {name: HF_TOKEN, value: <TOKEN>}\n  - {name: A_TOKEN, value: /t}\n"
            "  - {name: MAX_TOKENS, value: '5'}"
        )
    ),
    "pods whose namespace is not known": Case(
        workload() + service("{app: a}", "{port: 80, targetPort: x}", namespace="ml"), ("service-port-unresolved:16",)
    ),
    "a list of one kind": Case(
        "apiVersion: apps/v1\nkind: DeploymentList\nitems:\n  - metadata: {name: a}\n    spec: {template: {}}\n",
        ("selector-missing:5",),
    ),
    "keys that are too short to be any": Case(
        workload("env: [{name: NGC_API_KEY, value: nvapi-NVKEY}, {name: HF_TOKEN, value: hf_xxx}]")
    ),
    "a known key in an argument": Case(workload(f"args: [--key, sk-{'a1' * 12}]"), ("secret-as-plain-value:12",)),
    "a request without a limit": Case(
        workload("resources: {requests: {nvidia.com/gpu: 1}}"), ("gpu-request-differs:12",)
    ),
    "equal amounts": Case(workload(f"{GPU}, requests: {{nvidia.com/gpu: '1', cpu: 1000m, memory: 1024Mi}}}}")),
    "liveness of a GPU": Case(workload(f"{GPU}}}\nlivenessProbe: {{{PROBE % 1}}}"), ("liveness-without-startup:13",)),
    "a hook by its own field": Case(
        workload("lifecycle: {preStop: {sleep: {seconds: 31}}}"), ("grace-below-pre-stop:12",)
    ),
    "a script as a hook": Case(workload("lifecycle: {preStop: {exec: {command: [sh, -c, sleep 5 && x]}}}")),
    "a port of a number and a protocol twice": Case(
        workload("ports: [{containerPort: 1}, {containerPort: 1, protocol: UDP}]")
    ),
    "one name in two groups": Case(
        "apiVersion: v1\nkind: Event\nmetadata: {name: a}\ninvolvedObject: {}\n---\n"
        "apiVersion: events.k8s.io/v1\nkind: Event\nmetadata: {name: a}\neventTime: null\n",
        ("kubernetes-field-missing:9",),
    ),
    "a List": Case(
        "apiVersion: v1\nkind: List\nitems:\n  - apiVersion: v1\n    kind: Pd\n    metadata: {name: a}\n",
        ("kubernetes-kind-unknown:5",),
    ),
    "custom resources are not judged": Case("apiVersion: example.com/v1\nkind: Odd\nspec: {replicas: x}\n"),
    "a kind without its apiVersion": Case(
        "kind: Pod\nmetadata: {name: a}\nspec: {containers: []}\n", ("kubernetes-kind-unknown:1",)
    ),
    "null is no value": Case(
        workload("resources: null\nargs: null").replace("{name: a}", "{name: a, labels: {x: null}}")
    ),
    "an image that is null": Case(workload("image: null").replace("          image: registry.example/c:1\n", "")),
    "integers as floats": Case(workload(spec="replicas: 2.0")),
    "times and other fields of any type": Case(
        workload().replace("{name: a}", "{name: a, creationTimestamp: null, managedFields: [{fieldsV1: {x: {}}}]}")
    ),
    "base64 on several lines": Case(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata:\n  a: |\n    aGVs\n    bG8=\n"
    ),
    "wrong shapes everywhere": Case(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: []\nspec: {selector: x, template: [], replicas: {}}\n",
        (
            "kubernetes-field-type:3",
            "kubernetes-name-missing:3",
            "kubernetes-field-type:4",
            "kubernetes-field-type:4",
            "kubernetes-field-type:4",
            "selector-missing:4",
        ),
    ),
}


@tabled("case", (CASES | ROUTED).values(), ids=CASES | ROUTED)
def test_the_rules_say_this_of_manifests_and_nothing_else(case: Case) -> None:
    found = judged({"a.yaml": of_bytes(case.text.encode())}).diagnostics
    own = [each for each in found if RULES[each.rule].check.__module__.startswith(FAMILY)]
    loud = [f"{each.rule}:{each.at.line}" for each in own if each.severity != "info"]
    assert sorted(loud) == sorted(case.says)


def test_quantities() -> None:
    rows = {"1Ki": 1024, "500m": 0.5, "1e3": 1000, "1E3": 1000, "1E": 1e18, "0.5": 0.5, "-1": -1, ".5G": 5e8}
    assert {text: quantity(text) for text in rows} == rows
    assert [text for text in ("", "1KB", "Gi", "1 Gi", "1e", "0x1", "1i", "١") if quantity(text) is not None] == []


def test_the_stable_and_newest_api_comes_first() -> None:
    assert apis("HorizontalPodAutoscaler")[:2] == ("autoscaling/v2", "autoscaling/v1")
    assert apis("Deployment") == ("apps/v1",)
    assert apis("Nothing") == ()


GONE = {
    "1.16": """
        extensions/v1beta1 Deployment DaemonSet ReplicaSet NetworkPolicy
        apps/v1beta1 Deployment StatefulSet
        apps/v1beta2 Deployment StatefulSet DaemonSet ReplicaSet
    """,
    "1.22": """
        extensions/v1beta1 Ingress
        networking.k8s.io/v1beta1 Ingress IngressClass
        apiextensions.k8s.io/v1beta1 CustomResourceDefinition
        apiregistration.k8s.io/v1beta1 APIService
        admissionregistration.k8s.io/v1beta1 MutatingWebhookConfiguration ValidatingWebhookConfiguration
        coordination.k8s.io/v1beta1 Lease
        certificates.k8s.io/v1beta1 CertificateSigningRequest
        scheduling.k8s.io/v1beta1 PriorityClass
        rbac.authorization.k8s.io/v1beta1 Role RoleBinding ClusterRole ClusterRoleBinding
        storage.k8s.io/v1beta1 CSIDriver CSINode StorageClass VolumeAttachment
    """,
    "1.25": """
        batch/v1beta1 CronJob
        discovery.k8s.io/v1beta1 EndpointSlice
        events.k8s.io/v1beta1 Event
        autoscaling/v2beta1 HorizontalPodAutoscaler
        policy/v1beta1 PodDisruptionBudget PodSecurityPolicy
        node.k8s.io/v1beta1 RuntimeClass
    """,
    "1.26": "autoscaling/v2beta2 HorizontalPodAutoscaler",
}
"""Source: Kubernetes, Deprecated API Migration Guide."""


def test_what_a_release_no_longer_serves_is_told_with_it() -> None:
    listed = {release: [line.split() for line in lines.strip().splitlines()] for release, lines in GONE.items()}
    found = {
        release: [[api, *(kind for kind in kinds if removed(of(api, kind)) == release)] for api, *kinds in rows]
        for release, rows in listed.items()
    }
    assert found == listed
    assert [removed(of("apps/v1", "Deployment")), removed(of("example.com/v1", "Deployment"))] == ["", ""]


def of(api: str, kind: str) -> Object:
    return Object(parse(f"apiVersion: {api}\nkind: {kind}\n".encode(), "a.yaml"))


def test_a_secret_is_not_printed_wherever_the_fault_of_its_line_is() -> None:
    text = (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {a: 'word', b: word}\n"
        "stringData:\n  a: |\n    word\n    word\n"
        "---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"
        "spec: {containers: [{name: c, env: [{name: X_TOKEN, value: word}]}]}\n"
    )
    lines = without_secrets(resource(text.encode(), "a.yaml"))
    assert "word" not in "\n".join(lines)
    assert [len(line) for line in lines] == [len(line) for line in text.split("\n")]


def test_fields_are_those_of_the_newest_release() -> None:
    found = facts("kubernetes")
    assert found["releases"][1] == KUBERNETES
    assert found["types"]["core.v1.Container"]["name!"] == "s"
    assert set(found["kinds"].values()) <= found["types"].keys()


def test_the_quantity_that_is_meant_is_in_the_hint() -> None:
    rows = {
        "1kb": "1k",
        "2 MB": "2M",
        "3GB": "3G",
        "4TB": "4T",
        "5KiB": "5Ki",
        "6mib": "6Mi",
        "7 GIB": "7Gi",
        "8TiB": "8Ti",
    }
    for typed, meant in rows.items():
        text = workload(f"resources: {{limits: {{memory: {typed}}}}}")
        (found,) = judged({"a.yaml": of_bytes(text.encode())}).diagnostics
        assert (found.rule, meant in (found.hint or "")) == ("quantity-unreadable", True), typed
