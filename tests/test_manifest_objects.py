"""Objects of manifests: where their parts are, which pods they make, and which fields and values they can have."""

from __future__ import annotations

import re

from tritonrepo.manifests.objects import Manifests, Object, Pod, find, objects, place, text
from tritonrepo.manifests.pods import PROBES, key_at, lists, mounts, number, numbers, port_names, title
from tritonrepo.manifests.queries import LONGEST, metrics, queries
from tritonrepo.manifests.reading import read, resource, without_secrets
from tritonrepo.manifests.schema import VALUES, Fault, apis, groups, is_own, known, wrong
from tritonrepo.manifests.secrets import hidden, plain
from tritonrepo.manifests.selecting import has, is_beside, is_empty, likely, selects
from tritonrepo.spec.nodes import Keys, documents, parse

POD = "spec: {containers: [{name: c, image: x%s}]%s}"


def node(given: str) -> Keys:
    return parse(given.encode(), "m.yaml")


def one(given: str, api: str = "v1", kind: str = "Pod") -> Object:
    return Object(node(f"apiVersion: {api}\nkind: {kind}\n{given}\n"))


def several(*given: str) -> Manifests:
    return Manifests(tuple(objects(each for one in given for each in documents(one.encode(), "m.yaml"))))


def faults(of: Object) -> list[str]:
    """Return each fault of an object's fields: its line, its kind, its path, and what it needs."""
    return [f"{each.at.line} {each.fault} {each.path} {each.needed}".rstrip() for each in wrong(of)]


def test_a_place_is_that_of_the_last_key_which_exists() -> None:
    given = node("a:\n  c: 1\n  b:\n    c: 2\nc: 3\n")
    rows = {"a": 1, "a.b": 3, "a.b.c": 4, "a.x": 1, "a.x.c": 1, "x": 1, "x.c": 1, "a.c.b": 2}
    assert {path: place(given, path).line for path in rows} == rows
    assert [text(given, path) for path in ("a.c", "a.b.c", "a.b", "a.x.c", "x")] == ["1", "2", "", "", ""]
    assert find(node("a: null"), "a") is None


def test_the_pods_of_an_object_are_those_of_its_templates() -> None:
    template = "{metadata: {labels: {app: a}}, spec: {}}"
    usual = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job")
    rows = {
        "Pod": ("metadata: {labels: {app: a}}", 1),
        **dict.fromkeys(usual, (f"spec: {{template: {template}}}", 1)),
        "CronJob": (f"spec: {{jobTemplate: {{spec: {{template: {template}}}}}}}", 1),
        "LeaderWorkerSet": (
            f"spec: {{leaderWorkerTemplate: {{leaderTemplate: {template}, workerTemplate: {template}}}}}",
            2,
        ),
        "ConfigMap": (f"spec: {{template: {template}}}", 0),
    }
    found = {kind: Manifests((one(given, kind=kind),)) for kind, (given, _) in rows.items()}
    counts = {kind: (len(each.pods), len(each.labelled("app", "a"))) for kind, each in found.items()}
    assert counts == {kind: (count, count) for kind, (_, count) in rows.items()}


def test_the_first_of_equal_objects_counts_whatever_its_version() -> None:
    names = ("a/v1 Pod n", "a/v2 Pod n", "b/v1 Pod n", "a/v1 Job n", "a/v1 Pod m", "v1 Pod n", "v2 Pod n")
    texts = [
        f"apiVersion: {api}\nkind: {kind}\nmetadata: {{name: {name}}}\n"
        for api, kind, name in (each.split() for each in names)
    ]
    other = "apiVersion: a/v1\nkind: Pod\nmetadata: {name: n, namespace: x}\n"
    found = several(*texts, other)
    first = [found.objects.index(found.first(each)) for each in found.objects]
    assert first == [0, 0, 2, 3, 4, 5, 5, 7]
    assert [str(each) for each in found.of("Job", "None")] == ["Job n"]
    assert ("a/v2", "Pod") in found.kinds
    assert str(one("")) == "Pod"


def test_what_is_in_a_pod_is_found_by_its_names() -> None:
    container = (
        "ports: [{name: web, containerPort: 80}, {containerPort: 81}, {name: x}, y],"
        " volumeMounts: [{name: a, mountPath: /a}, {mountPath: /b}], volumeDevices: [{name: d, devicePath: /d}],"
        " args: [], command: [x], env: {a: b}"
    )
    first = "initContainers: [{name: i, ports: [{name: first, containerPort: 1}]}, word]"
    pod = Pod(
        one(""), node(f"spec: {{containers: [word, {{name: c, {container}}}], {first}, volumes: [{{name: v}}, w]}}")
    )
    (held,) = pod.containers
    assert [text(each, "name") for each in pod.every] == ["i", "c"]
    assert [text(each, "name") for each in pod.volumes] == ["v"]
    assert sorted(port_names(pod)) == ["first", "web", "x"]
    assert numbers(held) == {"80", "81"}
    assert [each.value for each in mounts(held)] == ["a", "d"]
    assert [lists(held, key) for key in ("args", "command", "env", "none")] == [False, True, False, False]
    assert [title(held), title(node("image: x"))] == ['container "c"', "a container"]
    assert (key_at(held, "name").column, key_at(held, "x").column) == (held.keys["name"][1].at.column, held.at.column)
    rows = {"5": 5, "-5": -5, "x": 7, "999999999": 999999999, "1234567890": 7, "''": 7, "1.5": 7, "--1": 7}
    assert {given: number(node(f"a: {given}"), "a", 7) for given in rows} == rows
    assert number(None, "a", 3) == 3
    assert PROBES == ("startupProbe", "livenessProbe", "readinessProbe")


ACCEPTED = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: a}
spec:
  selector: {matchExpressions: [
    {key: a, operator: In}, {key: a, operator: NotIn}, {key: a, operator: Exists}, {key: a, operator: DoesNotExist}]}
  strategy: {type: RollingUpdate}
  template:
    spec:
      restartPolicy: Always
      dnsPolicy: ClusterFirst
      tolerations: [
        {operator: Exists, effect: NoSchedule}, {operator: Equal, effect: PreferNoSchedule},
        {operator: Lt, effect: NoExecute}, {operator: Gt}]
      topologySpreadConstraints: [
        {maxSkew: 1, topologyKey: a, whenUnsatisfiable: DoNotSchedule},
        {maxSkew: 1, topologyKey: a, whenUnsatisfiable: ScheduleAnyway}]
      securityContext: {seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: a
          imagePullPolicy: Always
          ports: [{containerPort: 1, protocol: TCP}, {containerPort: 1, protocol: UDP}]
          securityContext: {seccompProfile: {type: Unconfined}}
          livenessProbe: {httpGet: {port: 1, scheme: HTTP}}
        - name: b
          imagePullPolicy: IfNotPresent
          ports: [{containerPort: 1, protocol: SCTP}]
          securityContext: {seccompProfile: {type: Localhost}}
          livenessProbe: {httpGet: {port: 1, scheme: HTTPS}}
        - name: c
          imagePullPolicy: Never
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: b}
spec:
  selector: {}
  strategy: {type: Recreate}
  template: {spec: {containers: [], restartPolicy: OnFailure, dnsPolicy: ClusterFirstWithHostNet}}
---
apiVersion: v1
kind: Pod
metadata: {name: b}
spec: {containers: [], restartPolicy: Never, dnsPolicy: Default}
---
apiVersion: v1
kind: Pod
metadata: {name: b}
spec: {containers: [], dnsPolicy: None}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: a}
spec: {selector: {}, template: {spec: {containers: []}}, updateStrategy: {type: RollingUpdate}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: b}
spec: {selector: {}, template: {spec: {containers: []}}, updateStrategy: {type: OnDelete}}
---
apiVersion: v1
kind: Service
metadata: {name: a}
spec: {type: ClusterIP, sessionAffinity: ClientIP, ports: [
  {port: 1, protocol: TCP}, {port: 1, protocol: UDP}, {port: 1, protocol: SCTP}]}
---
apiVersion: v1
kind: Service
metadata: {name: b}
spec: {type: NodePort, sessionAffinity: None}
---
apiVersion: v1
kind: Service
metadata: {name: c}
spec: {type: LoadBalancer}
---
apiVersion: v1
kind: Service
metadata: {name: d}
spec: {type: ExternalName}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: a}
spec:
  maxReplicas: 1
  scaleTargetRef: {kind: Deployment, name: a}
  metrics: [
    {type: Resource, resource: {name: cpu, target: {type: Utilization}}},
    {type: ContainerResource, containerResource: {name: cpu, container: c, target: {type: Value}}},
    {type: Pods, pods: {metric: {name: a}, target: {type: AverageValue}}},
    {type: Object}, {type: External}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: a}
spec: {rules: [{http: {paths: [
  {backend: {}, pathType: Exact}, {backend: {}, pathType: Prefix}, {backend: {}, pathType: ImplementationSpecific}]}}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: a}
spec: {volumeMode: Filesystem, accessModes: [ReadWriteOnce, ReadOnlyMany, ReadWriteMany, ReadWriteOncePod]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: b}
spec: {volumeMode: Block}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
"""
"""Each value of each field that has a fixed set of them. Source: Kubernetes, API reference of 1.37."""

FIXED = (
    "imagePullPolicy|restartPolicy|dnsPolicy|protocol|type|sessionAffinity|operator|effect|whenUnsatisfiable|scheme"
    "|pathType|accessModes|volumeMode|policyTypes"
)
FIELD = re.compile(rf"\b({FIXED}): (\[)?((?(2)[A-Za-z, ]+|[A-Z][A-Za-z]+))")


def test_a_field_with_a_fixed_set_of_values_has_one_of_them() -> None:
    assert [fault for each in several(ACCEPTED).objects for fault in faults(each)] == []
    odd = FIELD.sub(lambda found: f"{found[1]}: {found[2] or ''}{re.sub('[A-Z][A-Za-z]+', 'Odd', found[3])}", ACCEPTED)
    found = [each for of in several(odd).objects for each in wrong(of)]
    assert {each.fault for each in found} == {Fault.VALUE}
    assert len(found) == odd.count("Odd") == sum(map(len, VALUES.values()))


def test_fields_have_their_types() -> None:
    rows = {
        POD % ("", ""): [],
        POD % (", tty: 'true'", ""): ["3 type spec.containers[0].tty true or false"],
        POD % (", tty: true, stdin: 1", ""): ["3 type spec.containers[0].stdin true or false"],
        POD % (", workingDir: 1", ""): ["3 type spec.containers[0].workingDir a string"],
        POD % (", args: x", ""): ["3 type spec.containers[0].args a list"],
        POD % (", args: [x, 1, null]", ""): ["3 type spec.containers[0].args[1] a string"],
        POD % (", ports: [{containerPort: '1'}]", ""): ["3 type spec.containers[0].ports[0].containerPort an integer"],
        POD % (", ports: [{containerPort: 1.0}, {containerPort: 1.5}]", ""): [
            "3 type spec.containers[0].ports[1].containerPort an integer"
        ],
        POD % (", ports: [{containerPort: null}, {name: x}]", ""): [
            "3 missing spec.containers[0].ports[0] containerPort",
            "3 missing spec.containers[0].ports[1] containerPort",
        ],
        POD % (", livenessProbe: {httpGet: {port: web}, tcpSocket: {port: 1}}", ""): [],
        POD % (", livenessProbe: {httpGet: {port: true}}", ""): [
            "3 type spec.containers[0].livenessProbe.httpGet.port a number or a name"
        ],
        POD % (", livenessProbe: []", ""): ["3 type spec.containers[0].livenessProbe a mapping"],
        POD % (", livenessProbe: {}", ""): [],
        POD % (", resources: {limits: {cpu: 1, memory: 1.5, x: 1Gi, z: true}}", ""): [
            "3 type spec.containers[0].resources.limits.z a quantity"
        ],
        POD % (", resources: {limits: [cpu]}", ""): ["3 type spec.containers[0].resources.limits a mapping"],
        POD % ("", ", nodeSelector: {a: b, c: 1}"): ["3 type spec.nodeSelector.c a string"],
        POD % ("", ", colour: red"): ["3 unknown spec.colour"],
        POD % ("", ", hostPID: null"): [],
        "metadata: {creationTimestamp: [1]}\nspec: {containers: []}\ncolour: red": ["5 unknown colour"],
        "spec: {}": ["3 missing spec containers"],
        "spec: {containers: null}": ["3 missing spec containers"],
        "spec: x": ["3 type spec a mapping"],
    }
    assert {given: faults(one(given)) for given in rows} == rows
    (unknown,) = wrong(one("spec: {containers: [], hostpid: true}"))
    assert {"hostPID", "containers"} <= set(unknown.choices)
    definition = one(
        "spec: {group: g, names: {kind: K, plural: ks}, scope: Namespaced, versions: [{name: v1, served: true,"
        " storage: true, schema: {openAPIV3Schema:"
        " {type: object, maximum: 1.5, multipleOf: 2, minimum: x, default: {a: 1}, items: [1]}}}]}",
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
    )
    assert faults(definition) == ["3 type spec.versions[0].schema.openAPIV3Schema.minimum a number"]


def test_both_templates_of_a_group_of_pods_have_their_fields_checked() -> None:
    template = "{spec: {containers: [{name: c, colour: red}]}}"
    group = f"spec: {{leaderWorkerTemplate: {{leaderTemplate: {template}, workerTemplate: {template}}}}}"
    above = "spec.leaderWorkerTemplate"
    assert faults(one(group, "leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet")) == [
        f"3 unknown {above}.{which}Template.spec.containers[0].colour" for which in ("leader", "worker")
    ]
    assert faults(one("spec: {leaderWorkerTemplate: {}}", "leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet")) == []
    assert faults(one("spec: {colour: red}", "example.com/v1", "Other")) == []


def test_the_apis_of_a_kind_begin_with_the_stable_and_newest() -> None:
    assert apis("HorizontalPodAutoscaler") == ("autoscaling/v2", "autoscaling/v1")
    betas = [each.rpartition("/")[2] for each in apis("ResourceClaim")]
    assert betas == ["v1", "v1beta2", "v1beta1"]
    assert [each.rpartition("/")[2] for each in apis("StorageVersion")] == ["v1alpha1"]
    assert (known("v1", "Pod"), known("v2", "Pod")) == ("core.v1.Pod", "")
    assert [is_own(each) for each in ("v1", "apps/v9", "batch/v1", "keda.sh/v1alpha1")] == [True, True, True, False]
    assert {"", "apps", "policy"} <= groups()


def test_a_value_is_a_secret_by_its_name_or_by_how_it_looks() -> None:
    key = "a1B2" * 6
    rows = {
        "HF_TOKEN": {"abc": True, "": False, "/run/t": False, "./t": False, "$(T)": False, "<t>": False, "True": False},
        "API_KEY": {"abc": True, "changeme": False, "YOUR-KEY": False, "api_key": False, "none": False, "12": False},
        "MY_APIKEY": {"abc": True, "false": False, "xxxx": False, "replace-me": False, "example": False},
        "AWS_SESSION_TOKEN": {"abc": True},
        "AWS_REGION": {"abc": False},
        "NVIDIA_KEY_X": {"abc": True},
        "PASSWORD": {"abc": True, "1a": True},
        "TOKENS": {"abc": False, f"hf_{key}": True, f"nvapi-{key}": True, f"sk-{key}": True, f"ghp_{key}": True},
        "OTHER": {"AKIAABCDEFGHIJKLMNOP": True, "AKIAABC": False, f"xhf_{key}": False, "hf_short": False},
    }
    found = {
        name: {value: any(plain(one(POD % (f", env: [{{name: {name}, value: '{value}'}}]", "")))) for value in values}
        for name, values in rows.items()
    }
    assert found == rows
    words = one(POD % (f", args: [sk-{key}, x, [y]], command: [hf_{key}]", ", initContainers: [{env: [x, {name: A}]}]"))
    assert [(name, value.text[:3]) for name, value in plain(words)] == [("an argument", "sk-"), ("an argument", "hf_")]


def test_what_a_secret_holds_is_hidden_and_what_a_config_map_holds_is_not() -> None:
    held = "data: {a: one, b: '', c: [x]}\nstringData: {d: two}\nother: {e: three}"
    for kind, values in {"Secret": ["one", "two"], "ConfigMap": [], "Zone": [], "A": []}.items():
        assert [each.text for each in hidden(one(held, kind=kind))] == values
    assert not list(hidden(one("data: x", kind="Secret")))
    content = (
        b"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData:\n  a: 'key' # ours\n  b: |\n"
        b"    one\n    two!\n  c: end\nlast: line\n"
    )
    lines = without_secrets(resource(content, "m.yaml"))
    assert lines[3:] == [
        "stringData:",
        "  a: ***** # ours",
        "  b: *",
        "*******",
        "********",
        "  c: ***",
        "last: line",
        "",
    ]


def test_a_text_is_a_manifest_if_it_says_two_of_what_one_says() -> None:
    rows = {
        "apiVersion: v1\nkind: Pod\n": True,
        "kind: Pod\nmetadata: {}\n": True,
        "apiVersion: v1\nspec: {}\n": True,
        "apiVersion: v2\nname: chart\n": False,
        "kind: Pod\nname: metadata\n": False,
        "name: apiVersion\n": False,
        "models: []\n": False,
        "  apiVersion: v1\n  kind: [\n": True,
        '{"kind": "Pod", "metadata": [}': True,
        "name: [apiVersion\n": False,
        "# apiVersion\n" + "#\n" * 40000 + "apiVersion: [": False,
        "": False,
    }
    assert {given: read(given.encode(), "m.yaml") is not None for given in rows} == rows
    texts = ("kind: A\nmetadata: {}\n---\napiVersion: v1\nkind: Pod\n", "---\n", "kind: Pod\n")
    found = [resource(given.encode(), "m.yaml") for given in texts]
    assert [(len(each.objects), each.meant) for each in found] == [(2, True), (0, False), (1, False)]


def test_a_template_is_told_at_its_first_action() -> None:
    head = "apiVersion: v1\nkind: Pod\n"
    rows = {
        f'{head}x: "{{{{ .Values.x }}}}"\n': (3, 5),
        f'{head}x: "{{{{ $x }}}}"\ny: "{{{{ include .Release.Name }}}}"\n': (4, 5),
        f"{head}x: {{{{ $x }}}}\ny: [\n": (3, 4),
        f'{head}x: "{{{{ $labels.instance }}}}"\n': None,
    }
    found = {}
    for given in rows:
        faulty = resource(given.encode(), "m.yaml").faults
        found[given] = (faulty[0].at.line, faulty[0].at.column) if faulty else None
    assert found == rows
    assert resource(next(iter(rows)).encode(), "m.yaml").objects == ()


def test_a_selector_selects_by_labels_and_expressions() -> None:
    labels = {"app": "a", "tier": "b"}
    rows = {
        "matchLabels: {app: a}": True,
        "matchLabels: {app: b}": False,
        "matchLabels: {x: a}": False,
        "matchLabels: {pod-template-hash: x, app: a}": True,
        "matchLabels: {leaderworkerset.sigs.k8s.io/name: x}": True,
        "matchExpressions: [{key: app, operator: In, values: [b, a, [c]]}]": True,
        "matchExpressions: [{key: app, operator: In, values: [b]}]": False,
        "matchExpressions: [{key: app, operator: NotIn, values: [b]}]": True,
        "matchExpressions: [{key: app, operator: NotIn, values: [a]}]": False,
        "matchExpressions: [{key: app, operator: Exists}]": True,
        "matchExpressions: [{key: x, operator: Exists}]": False,
        "matchExpressions: [{key: x, operator: DoesNotExist}]": True,
        "matchExpressions: [{key: app, operator: DoesNotExist}]": False,
        "matchExpressions: [{key: app, operator: Odd}]": True,
        "matchExpressions: [{key: app, operator: Exists}, {key: x, operator: Exists}]": False,
        "matchLabels: {app: b}\nmatchExpressions: [{key: app, operator: Exists}]": False,
        "matchLabels: {app: a}\nmatchExpressions: [{key: x, operator: Exists}]": False,
        "other: {}": True,
    }
    assert {given: selects(node(given), labels) for given in rows} == rows
    empty = {given: is_empty(node(given)) for given in rows}
    assert [given for given, is_so in empty.items() if is_so] == ["other: {}"]
    assert is_empty(None)
    assert has({"pod-template-hash": "y"}, {"pod-template-hash": "x"}) is False


def test_the_pods_of_labels_are_looked_for_among_those_that_may_have_them() -> None:
    found = several(
        *(f"apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{app: {name}}}}}\n" for name in "abc")
    )
    rows = {("app", "a"): 1, ("app", "x"): 0, ("pod-template-hash", "x"): 3}
    assert {pair: len(likely(found, dict([pair]))) for pair in rows} == rows
    assert len(likely(found, {"job-name": "x", "app": "b"})) == 1


def test_objects_are_together_unless_both_name_another_namespace() -> None:
    rows = {("a", "a"): True, ("a", "b"): False, ("a", ""): True, ("", "b"): True, ("", ""): True}
    beside = {pair: bool(is_beside(*(one(f"metadata: {{namespace: {name!r}}}") for name in pair))) for pair in rows}
    assert beside == rows


def test_queries_are_those_of_scalers_and_of_rules() -> None:
    trigger = "triggers: [{metadata: {query: up}}, {metadata: {}}, {metadata: {query: ''}}, x]"
    metric = "[{pods: {metric: {name: a}}}, {external: {metric: {name: b}}}, {object: {metric: {name: c}}}]"
    rows = {
        "ScaledObject": (f"spec: {{{trigger}}}", [("up", True)]),
        "ScaledJob": (f"spec: {{{trigger}}}", [("up", True)]),
        "PrometheusRule": (
            "spec: {groups: [{rules: [{expr: up}, {record: x}]}, {rules: [{expr: down}]}]}",
            [("up", False), ("down", False)],
        ),
        "HorizontalPodAutoscaler": (f"spec: {{metrics: {metric}}}", [("a", True), ("b", True), ("c", True)]),
        "Deployment": (f"spec: {{{trigger}}}", []),
    }
    found = {kind: [(q.text, q.scales) for q in queries(one(given, kind=kind))] for kind, (given, _) in rows.items()}
    assert found == {kind: expected for kind, (_, expected) in rows.items()}
    lengths = [
        len(list(queries(one(f"spec: {{triggers: [{{metadata: {{query: '{'x' * long}'}}}}]}}", kind="ScaledJob"))))
        for long in (LONGEST, LONGEST + 1)
    ]
    assert (lengths, LONGEST) == ([1, 0], 16384)


def test_a_metric_has_the_function_right_before_it() -> None:
    rows = {
        "rate(nv_x[1m])": ("rate", True),
        "rate ( nv_x [1m] )": ("rate", True),
        "x + nv_x": ("", False),
        "(nv_x)": ("", False),
        f"rate({' ' * 60}nv_x[1m])": ("", True),
        f"rate({' ' * 40}nv_x[1m])": ("rate", True),
        "increase(DCGM_FI_DEV{a!='x',b!~'y'}[5m])": ("increase", True),
        f"{'x + ' * 20}delta(vllm:y)": ("delta", False),
    }
    found = {query: [(each.function, each.ranged) for each in metrics(query)] for query in rows}
    assert found == {query: [expected] for query, expected in rows.items()}
    labels = [each.labels for each in metrics('nv_a{b!="x", c=~"y",d!~"z"} + nv_e{} + xnv_f')]
    assert labels == [("b", "c", "d"), ()]
    assert next(metrics("sum(nv_a)")).end == 8
