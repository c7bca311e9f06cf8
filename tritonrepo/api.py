"""The Python API: one function per command, the values that go in and come out, and `Stop`, which callers catch.

Importing it loads only the standard library; a function imports whatever else it needs when it is called.
"""

from __future__ import annotations

from tritonrepo.bench.figures import Slo as BenchSlo
from tritonrepo.bench.load import Load, Sampling, Shape
from tritonrepo.bench.planning import Asked as Peak
from tritonrepo.bench.planning import Plan
from tritonrepo.bench.rates import rate
from tritonrepo.bench.result import Result as BenchResult
from tritonrepo.bench.slo import slo
from tritonrepo.bench.targets import targets
from tritonrepo.cost.costs import Costs
from tritonrepo.deploy.kube.wanted import Wanted as Pods
from tritonrepo.deploy.observe.watched import Slo
from tritonrepo.deploy.serving.wanted import Choices as EngineChoices
from tritonrepo.diagnostics import Diagnostic, Severity, Span, State, Stop, Verdict
from tritonrepo.flows.adopt import Adopted, adopt
from tritonrepo.flows.asking import Found, Passage, Pipelines, answer, ask, passages, pipelines
from tritonrepo.flows.bench import Benched, BenchOptions, bench
from tritonrepo.flows.bench_check import Facts, Judged
from tritonrepo.flows.bench_check import check as bench_check
from tritonrepo.flows.bench_compare import File as ResultFile
from tritonrepo.flows.bench_compare import bench_compare
from tritonrepo.flows.bench_prompts import PromptOptions
from tritonrepo.flows.bench_prompts import sources as prompts
from tritonrepo.flows.bench_sweep import SweepOptions
from tritonrepo.flows.bench_sweep import sweep as bench_sweep
from tritonrepo.flows.build import apply_build, plan_build
from tritonrepo.flows.built import Build
from tritonrepo.flows.checks import Check
from tritonrepo.flows.containers import DeployOptions
from tritonrepo.flows.cost import cost
from tritonrepo.flows.cost import init as cost_init
from tritonrepo.flows.deploy import plan_deploy
from tritonrepo.flows.deploy_nim import NimOptions, plan_nim
from tritonrepo.flows.deploy_vllm import VllmOptions, plan_vllm
from tritonrepo.flows.deployment import Deployment, apply_deploy
from tritonrepo.flows.differences import Compared, diff
from tritonrepo.flows.doctor import Examination, doctor
from tritonrepo.flows.events import Built, Busy, Counted, Event, Indexed
from tritonrepo.flows.fit import fit
from tritonrepo.flows.graph import graph
from tritonrepo.flows.image import image
from tritonrepo.flows.index import index
from tritonrepo.flows.init import init
from tritonrepo.flows.kubernetes import KubeOptions, plan_k8s
from tritonrepo.flows.lock import Locked, apply_lock, plan_lock
from tritonrepo.flows.manifests import Against, validate, validate_manifests
from tritonrepo.flows.observe import ObserveOptions, plan_observe
from tritonrepo.flows.plan import Given as PlanInputs
from tritonrepo.flows.plan import plan
from tritonrepo.flows.prepared import Accepted, Push
from tritonrepo.flows.prune import Prune, apply_prune, plan_prune
from tritonrepo.flows.pull import Pull, apply_pull, plan_pull
from tritonrepo.flows.push import Servers, apply_push, paced, plan_push
from tritonrepo.flows.releases import releases
from tritonrepo.flows.rollback import plan_rollback
from tritonrepo.flows.serve import ServeOptions, serve
from tritonrepo.flows.server_status import server_status, server_watch
from tritonrepo.flows.show import show
from tritonrepo.flows.smoke import known, recorded, recording, replay, smoke
from tritonrepo.flows.stack import Loaded, load
from tritonrepo.flows.status import status
from tritonrepo.flows.unlock import Lock, apply_unlock, plan_unlock
from tritonrepo.flows.up import Up, prove, up
from tritonrepo.flows.upgrade import upgrade
from tritonrepo.flows.validate import Judgement
from tritonrepo.flows.workspace import Workspace
from tritonrepo.gateway.gate import GatewayOptions
from tritonrepo.gateway.serving import gateway
from tritonrepo.generate.dockerfile import Image
from tritonrepo.llm.fitting import Fit
from tritonrepo.releases import Release
from tritonrepo.repository import Said, Target, target
from tritonrepo.rules.upgrades import Change, Upgrade
from tritonrepo.server.endpoint import Endpoint, Tls
from tritonrepo.server.launch import Mode
from tritonrepo.server.ports import Ports
from tritonrepo.server.process import Server
from tritonrepo.server.questions import AskOptions
from tritonrepo.server.standing import ServerStatus
from tritonrepo.smoke.case import Outcome, Result
from tritonrepo.smoke.pace import Pace
from tritonrepo.sync.place import Place, open_place
from tritonrepo.sync.revision import Revision
from tritonrepo.sync.status import Status
from tritonrepo.sync.telling import Began, Interrupted, Line, Sent, Waits
from tritonrepo.ui.serving import ui

__all__ = [
    "Accepted",
    "Adopted",
    "Against",
    "AskOptions",
    "Began",
    "BenchOptions",
    "BenchResult",
    "BenchSlo",
    "Benched",
    "Build",
    "Built",
    "Busy",
    "Change",
    "Check",
    "Compared",
    "Costs",
    "Counted",
    "DeployOptions",
    "Deployment",
    "Diagnostic",
    "Endpoint",
    "EngineChoices",
    "Event",
    "Examination",
    "Facts",
    "Fit",
    "Found",
    "GatewayOptions",
    "Image",
    "Indexed",
    "Interrupted",
    "Judged",
    "Judgement",
    "KubeOptions",
    "Line",
    "Load",
    "Loaded",
    "Lock",
    "Locked",
    "Mode",
    "NimOptions",
    "ObserveOptions",
    "Outcome",
    "Pace",
    "Passage",
    "Peak",
    "Pipelines",
    "Place",
    "Plan",
    "PlanInputs",
    "Pods",
    "Ports",
    "PromptOptions",
    "Prune",
    "Pull",
    "Push",
    "Release",
    "Result",
    "ResultFile",
    "Revision",
    "Said",
    "Sampling",
    "Sent",
    "ServeOptions",
    "Server",
    "ServerStatus",
    "Servers",
    "Severity",
    "Shape",
    "Slo",
    "Span",
    "State",
    "Status",
    "Stop",
    "SweepOptions",
    "Target",
    "Tls",
    "Up",
    "Upgrade",
    "Verdict",
    "VllmOptions",
    "Waits",
    "Workspace",
    "adopt",
    "answer",
    "apply_build",
    "apply_deploy",
    "apply_lock",
    "apply_prune",
    "apply_pull",
    "apply_push",
    "apply_unlock",
    "ask",
    "bench",
    "bench_check",
    "bench_compare",
    "bench_sweep",
    "cost",
    "cost_init",
    "diff",
    "doctor",
    "fit",
    "gateway",
    "graph",
    "image",
    "index",
    "init",
    "known",
    "load",
    "open_place",
    "paced",
    "passages",
    "pipelines",
    "plan",
    "plan_build",
    "plan_deploy",
    "plan_k8s",
    "plan_lock",
    "plan_nim",
    "plan_observe",
    "plan_prune",
    "plan_pull",
    "plan_push",
    "plan_rollback",
    "plan_unlock",
    "plan_vllm",
    "prompts",
    "prove",
    "rate",
    "recorded",
    "recording",
    "releases",
    "replay",
    "serve",
    "server_status",
    "server_watch",
    "show",
    "slo",
    "smoke",
    "status",
    "target",
    "targets",
    "ui",
    "up",
    "upgrade",
    "validate",
    "validate_manifests",
]
