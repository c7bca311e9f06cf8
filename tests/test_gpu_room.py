"""GPUs of manifests by what `fit` computes: which hold an engine, what is said of others, and how many requests run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.test_deploy_vllm import MODEL, repository
from tritonrepo.deploy import room
from tritonrepo.deploy.generators import Generator
from tritonrepo.deploy.kube.wanted import Wanted
from tritonrepo.deploy.serving.wanted import Choices
from tritonrepo.diagnostics import Stop
from tritonrepo.flows.deploy_nim import NimOptions, plan_nim
from tritonrepo.flows.deploy_vllm import VllmOptions, plan_vllm
from tritonrepo.flows.deployed import with_product
from tritonrepo.flows.deployment import Deployment
from tritonrepo.flows.gpu_room import gpus_of
from tritonrepo.flows.kubernetes import KubeOptions, plan_k8s
from tritonrepo.flows.workspace import Workspace
from tritonrepo.llm.gpus import gpus
from tritonrepo.llm.table import known
from tritonrepo.repository import Said, Target, target
from tritonrepo.sync.plan import Put
from tritonrepo.tree import File

LARGE = "meta-llama/Llama-3.1-70B-Instruct"
NIM = "nvcr.io/nim/nvidia/model-free-nim:2.1.6"


def of(model: str, product: str = "", memory: int | None = None, **arguments: object) -> room.Room:
    written = {"gpu_memory_utilization": 0.9, **arguments}
    return room.room(room.Engine(known(model), written, "0.32.0"), product, memory)


def planned(tmp_path: Path, product: str, **arguments: Any) -> Deployment:  # noqa: ANN401  of all types
    made = repository(tmp_path, **arguments)
    wanted = VllmOptions(version="0.32.0", choices=Choices(Wanted(replicas=1, product=product)))
    return plan_vllm(made, tmp_path / "out", Workspace(), wanted)


def deployment(found: Deployment) -> str:
    (action,) = (each for each in found.plan.actions if each.path.endswith("base/deployment.yaml"))
    assert isinstance(action, Put)
    assert isinstance(action.file, File)
    return action.file.content().decode()


def container(text: str) -> Any:  # noqa: ANN401  YAML
    (only,) = yaml.safe_load(text)["spec"]["template"]["spec"]["containers"]
    return only


def said(found: Deployment) -> list[tuple[str, str]]:
    return [(each.message, each.hint or "") for each in found.warnings if each.rule == "deploy-gpu-memory"]


def test_the_gpus_are_those_of_the_label_of_the_target_or_the_smallest() -> None:
    """In rows: what is asked, the GPUs that are told of, and what is short."""
    rows: list[tuple[room.Room, str, str, str]] = [
        (of(MODEL, "NVIDIA-L40S", max_model_len=8192), "NVIDIA-L40S", "What each holds", ""),
        (of(MODEL, "NVIDIA-A100-SXM4-80GB", max_model_len=8192), "NVIDIA-A100-SXM4-80GB", "What each holds", ""),
        (of(MODEL, "", 24 << 30, max_model_len=8192), "GPU with 24.0 GiB, as the target says", "What each holds", ""),
        (of(MODEL, "NVIDIA-L40S", 24 << 30), "NVIDIA-L40S", "What each holds", ""),
        (of(MODEL, "NVIDIA-B200", 180 << 30), "NVIDIA-B200", "What each holds", ""),
        (of(MODEL, max_model_len=8192), "L4", "The model fits on GPUs such as L4,", ""),
        (of(MODEL), "A100-40GB", "The model fits on GPUs such as A100-40GB,", ""),
        (of(LARGE, tensor_parallel_size=2, max_model_len=8192), "H200", "The model fits on GPUs such as H200,", ""),
        (of("HuggingFaceTB/SmolLM2-135M-Instruct"), "L4", "The model fits on GPUs such as L4,", ""),
        (of("HuggingFaceTB/SmolLM2-135M-Instruct", dtype="half"), "T4", "The model fits on GPUs such as T4,", ""),
        (of(LARGE, max_model_len=8192), "H200", "Not even the largest", "the engine needs"),
        (of(MODEL, "NVIDIA-L4"), "NVIDIA-L4", "What each holds", "a sequence of max_model_len, 131,072 tokens, needs"),
        (of(MODEL, "NVIDIA-B200"), "NVIDIA-B200", "Whether the model fits is not known: the memory", ""),
        (of(MODEL, "A100-SXM4-80GB-MIG-1g.10gb"), "A100-SXM4-80GB-MIG-1g.10gb", "Whether the model fits is not", ""),
        (of("owner/unknown", "NVIDIA-L4"), "NVIDIA-L4", "Whether the model fits is not known: its config.json", ""),
        (
            of(MODEL, "", 24 << 30, dtype=[], max_model_len=8192),
            "GPU with 24.0 GiB, as the target says",
            "What each",
            "",
        ),
        (of(MODEL, dtype={}), "A100-40GB", "The model fits on GPUs such as A100-40GB,", ""),
        (of("owner/unknown"), "L4", "Whether the model fits is not known: its config.json is not at hand.", ""),
        (of(MODEL, "NVIDIA-L4", max_model_len="8k"), "NVIDIA-L4", "Whether the model fits is not known: max_", ""),
        (of(MODEL, "NVIDIA-L40S", enable_lora=True), "NVIDIA-L40S", "An estimate of what each holds", ""),
    ]
    assert room.sentence(of(MODEL, "NVIDIA-B200")).endswith(" It fits on GPUs such as A100-40GB, with 39.4 GiB each.")
    for found, gpu, sentence, short in rows:
        assert found.gpu == gpu, rows.index((found, gpu, sentence, short))
        assert room.sentence(found).startswith(sentence), room.sentence(found)
        assert room.short(found).startswith(short), gpu
        assert bool(room.short(found)) is bool(short), gpu
        assert bool([*room.rows(found)]) is (found.share is not None)


def test_the_arithmetic_is_written_above_the_number_of_gpus(tmp_path: Path) -> None:
    text = deployment(planned(tmp_path, "NVIDIA-L40S", max_model_len=8192))
    for line in (
        "44.3 to 44.4 GiB: memory of each GPU, as drivers report it",
        "15.0 GiB: weights",
        "22.1 to 24.6 GiB: left for the KV cache, 181,088 to 201,360 tokens",
        "that is 22 to 24 sequences of max_model_len, 8,192 tokens",
    ):
        assert f"#   {line}\n" in text


def test_gpus_that_certainly_do_not_hold_the_engine_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Stop) as stop:
        planned(tmp_path, "NVIDIA-L4")
    (found,) = stop.value.diagnostics
    assert found.rule == "deploy-gpu-too-small"
    assert found.hint == "It fits with tensor_parallel_size 4 or GPUs such as A100-40GB."
    assert not (tmp_path / "out").exists()
    for product in ("Tesla-T4", "Tesla-V100-SXM2-16GB"):
        with pytest.raises(Stop, match="dtype is bfloat16, but"):
            planned(tmp_path, product, max_model_len=512, dtype="bfloat16", quantization="awq")
    assert said(planned(tmp_path, "Tesla-V100-SXM2-16GB", dtype="half")) == []
    with pytest.raises(Stop):  # adapters only take more memory
        planned(tmp_path, "NVIDIA-L4", enable_lora=True)
    doubted = planned(tmp_path, "NVIDIA-L4", load_format="tensorizer")
    assert [message.partition(",")[0] for message, _ in said(doubted)] == ["a sequence of max_model_len"]


def test_what_is_not_certain_or_crowded_is_a_warning(tmp_path: Path) -> None:
    """It may fit; 64 sequences do not fit where 4 do; a stack's target is not what the user has named."""
    pair = {"model": LARGE, "tensor_parallel_size": 2, "max_model_len": 8192}
    ((message, hint),) = said(planned(tmp_path, "NVIDIA-A100-SXM4-80GB", **pair))
    assert "has 0.0 to 5.1 GiB" in message
    assert "tensor_parallel_size 4 or GPUs such as H200" in hint
    many = planned(tmp_path, "NVIDIA-A100-SXM4-80GB", **pair, gpu_memory_utilization=0.92, max_num_seqs=64)
    ((message, _),) = said(many)
    assert message.startswith("max_num_seqs is 64, but 1 to 5 sequences of max_model_len, 8,192 tokens, fit")
    assert said(planned(tmp_path, "NVIDIA-H200", **pair, max_num_seqs=64)) == []
    small = plan_nim(repository(tmp_path), tmp_path / "nim", Workspace(), NimOptions(NIM, choices=nodes("NVIDIA-L4")))
    assert len(said(small)) == 1


def nodes(product: str) -> Choices:
    return Choices(Wanted(replicas=1, product=product))


def test_as_many_requests_run_as_the_cache_holds(tmp_path: Path) -> None:
    """The queue is bounded by the same number; the user's own number, and vLLM's where more fit, stay."""
    rows: list[tuple[str, dict[str, Any], int | None, int]] = [
        ("NVIDIA-L40S", {"max_model_len": 8192}, 88, 176),  # 181,088 tokens of 2,048
        ("NVIDIA-L4", {"max_model_len": 4096}, 15, 30),  # 16,224 tokens of 1,024
        ("NVIDIA-H100-80GB-HBM3", {}, 192, 384),  # of 2,048, although max_model_len is 131,072
        ("NVIDIA-L40S", {"max_model_len": 8192, "data_parallel_size": 2}, 72, 288),
        ("NVIDIA-L40S", {"max_model_len": 8192, "max_num_seqs": 40}, None, 80),
        ("NVIDIA-L40S", {"max_model_len": 2048}, None, 512),
        ("NVIDIA-L40S", {"max_model_len": 8192, "enable_lora": True}, None, 512),
        ("", {"max_model_len": 8192}, None, 512),
        ("NVIDIA-B200", {"max_model_len": 8192}, None, 512),
    ]
    for product, arguments, running, waiting in rows:
        args = container(deployment(planned(tmp_path, product, **arguments)))["args"]
        own = [f"--max-num-seqs={arguments['max_num_seqs']}"] if "max_num_seqs" in arguments else []
        assert [each for each in args if each.startswith("--max-num-seqs")] == (
            [f"--max-num-seqs={running}"] if running else own
        ), (product, arguments)
        assert f"--max-num-queued-reqs={waiting}" in args, (product, arguments)
    text = deployment(planned(tmp_path, "NVIDIA-L40S", max_model_len=8192))
    assert "#   181,088 tokens: in the KV cache at least, see nvidia.com/gpu\n" in text
    assert (
        "#   2,048 tokens: a request with its answer (assumed: set max_num_seqs if yours are longer or shorter)\n"
        in text
    )


def test_engines_in_triton_are_counted_by_the_same_gpus(tmp_path: Path) -> None:
    """With the label's memory in the place of the target's; other models on the GPU and several engines are told of."""
    made = repository(tmp_path, max_model_len=8192)

    def k8s(product: str) -> Deployment:
        wanted = KubeOptions(Wanted(product=product, image_name="r/x:1"), "pvc://models")
        return plan_k8s(made, tmp_path / "k8s", Workspace(), wanted, release)

    found = k8s("NVIDIA-L40S")
    assert said(found) == []
    assert "#   44.3 to 44.4 GiB: memory of each GPU, as drivers report it\n" in deployment(found)
    assert "max_num_seqs" not in deployment(found)
    with pytest.raises(Stop) as stop:
        k8s("Tesla-T4")
    assert [each.rule for each in stop.value.diagnostics] == ["deploy-gpu-too-small"]
    assert "The model fits on GPUs such as L4," in flat(deployment(k8s("")))
    (made / "second").mkdir()
    (made / "second" / "config.pbtxt").write_text((made / "llm" / "config.pbtxt").read_text())
    (made / "second" / "1").mkdir()
    (made / "second" / "1" / "model.json").write_text('{"model": "owner/unknown", "dtype": "bfloat16"}')
    (made / "encoder" / "1").mkdir(parents=True)
    (made / "encoder" / "config.pbtxt").write_text('backend: "onnxruntime"\n')
    (made / "encoder" / "1" / "model.onnx").write_bytes(b"0" * 999)
    text = flat(deployment(k8s("NVIDIA-L40S")))
    assert "Other models on the same GPUs are not counted. llm: What each holds (NVIDIA-L40S):" in text
    assert "second: Whether the model fits is not known: its config.json is not at hand. llm: 44.3" in text


def test_a_model_that_does_not_load_on_the_gpus_is_told_of_with_them(tmp_path: Path) -> None:
    made = repository(tmp_path, model="HuggingFaceTB/SmolLM2-135M-Instruct", dtype="bfloat16")
    wanted = KubeOptions(Wanted(product="Tesla-T4"), "pvc://models")
    found = plan_k8s(made, tmp_path / "k8s", Workspace(), wanted, release)
    (hint,) = (each.hint or "" for each in found.warnings if each.rule == "deploy-refused")
    assert hint == f"`tritonrepo validate {made} --gpu Tesla-T4` says why."


def flat(text: str) -> str:
    return " ".join(text.replace("#", " ").split())


def release(record: Said, stack: Said) -> Target:
    return target(Said("26.07"), record=record, stack=stack)


def test_the_gpus_of_a_target_are_only_doubted_and_are_not_those_of_an_endpoint(tmp_path: Path) -> None:
    def small(record: Said, stack: Said) -> Target:
        return target(Said("26.07", gpu_memory=24 << 30), record=record, stack=stack)

    def without(record: Said, stack: Said) -> Target:
        return target(Said("26.07", gpus=0), record=record, stack=stack)

    made, out = repository(tmp_path), tmp_path / "out"
    ((message, _),) = said(plan_vllm(made, out, Workspace(), VllmOptions(), small))
    assert message.startswith(
        "a sequence of max_model_len, 131,072 tokens, needs 16.0 GiB for the KV cache of each GPU ("
    )
    assert len(said(plan_k8s(made, out, Workspace(), KubeOptions(uri="pvc://models"), small))) == 1
    on_cpu = KubeOptions(Wanted(product="NVIDIA-L4"), "pvc://models")
    assert said(plan_k8s(made, out, Workspace(), on_cpu, without)) == []
    engine = room.Engine(known(MODEL), {"max_model_len": 8192}, "0.32.0")
    for url, gpu in {"": "GPU with 24.0 GiB, as the target says", "http://llm:8000/v1": "L4"}.items():
        one = Generator(name="llm", served="llm", source=MODEL, where="llm", url=url)
        assert gpus_of(one, engine, small(Said(), Said()), Choices()).gpu == gpu
    for product, memory in {"NVIDIA-L4": gpus()["L4"].memory, "NVIDIA-B200": 24 << 30, "": 24 << 30}.items():
        assert with_product(small, product)(Said(), Said()).gpu_memory == memory


def test_what_is_not_certain_limits_nothing() -> None:
    """An engine that may start holds one sequence at least; early versions of vLLM start with less."""
    may = of(LARGE, "NVIDIA-A100-SXM4-80GB", tensor_parallel_size=2, max_model_len=8192)
    assert (may.sequences, of(MODEL, "NVIDIA-L4").sequences) == (4, None)
    model = known(MODEL)
    assert model is not None
    seeing = room.Engine(replace(model, multimodal=True), {"max_model_len": 8192, "max_num_seqs": 512}, "0.32.0")
    assert room.crowded(room.room(seeing, "NVIDIA-L40S", None)) == ""
    assert room.crowded(room.room(seeing._replace(facts=model), "NVIDIA-L40S", None)) != ""
    early = [room.Engine(model, {"max_model_len": 131072}, version).held(22 << 30) for version in ("0.2.3", "0.32.0")]
    assert [each.refused for each in early] == [False, True]
