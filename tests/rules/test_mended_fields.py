"""What fixes make of configs that are written in other ways than on the rules' pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tests.pages import judged
from tests.tabled import tabled
from tritonrepo.fixes import after, applied
from tritonrepo.tree import Entry, File, of_text

IO = 'input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }\noutput { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }\n'
CONFIG = 'backend: "identity"\n' + IO
WEIGHTS = {"1/weights": ""}


class Case(NamedTuple):
    """A rule, a config of model "m" that it complains about, and what all its fixes make of it; None: it has none."""

    rule: str
    config: str
    becomes: str | None
    safe: bool = True
    files: Mapping[str, str] = WEIGHTS
    options: str = ""


def tree(case: Case) -> dict[str, Entry]:
    """Return the case's repository."""
    files = {"config.pbtxt": case.config, **case.files}
    return {f"m/{path}": of_text(text) for path, text in files.items()}


def text(entry: Entry) -> str:
    """Return a config's text."""
    assert isinstance(entry, File)
    return entry.content().decode("utf-8", "surrogateescape")


POLICY = CONFIG + "version_policy { "
STRATEGY = '{ key: "TRITON_BATCH_STRATEGY_PATH" value { string_value: "/opt/b.so" } }'
OTHER = '{ key: "a" value { string_value: "b" } }'
SEQUENCE = CONFIG + "max_batch_size: 8\nsequence_batching { }\n"
CACHED = CONFIG + "model_transaction_policy { decoupled: true }\n"
SAMPLE = 'inputs { key: "IN" value { data_type: TYPE_FP32 dims: [ 4 ] zero_data: true } }'
ALL = {
    "latest of nothing": Case("policy-latest-zero", POLICY + "latest { } }", POLICY + "latest { num_versions: 1 } }"),
    "latest in angle brackets": Case(
        "policy-latest-zero", POLICY + "latest <> }", POLICY + "latest < num_versions: 1 > }"
    ),
    "latest 0 may be meant": Case(
        "policy-latest-zero",
        POLICY + "latest { num_versions: 0 # none\n} }",
        POLICY + "latest { num_versions: 1 # none\n} }",
        safe=False,
    ),
    "latest 0 twice": Case(
        "policy-latest-zero",
        POLICY + "latest { num_versions: 0 num_versions: 0 } }",
        POLICY + "latest { num_versions: 0 num_versions: 1 } }",
        safe=False,
    ),
    "a version in two fields": Case(
        "policy-specific-duplicate",
        POLICY + "specific { versions: 1 versions: [ 1 ] } }",
        POLICY + "specific { versions: 1 } }",
    ),
    "a version three times": Case(
        "policy-specific-duplicate",
        POLICY + "specific { versions: [ 1, 1, 1 ] } }",
        POLICY + "specific { versions: [ 1 ] } }",
    ),
    "two versions twice": Case(
        "policy-specific-duplicate",
        POLICY + "specific { versions: [ 1, 2, 1, # again\n 2 ] } }",
        POLICY + "specific { versions: [ 1, 2 # again\n  ] } }",
        files={"1/weights": "", "2/weights": ""},
    ),
    "a missing version is served because it is there twice": Case(
        "policy-specific-duplicate", POLICY + "specific { versions: [ 7, 7 ] } }", None
    ),
    "an empty policy": Case(
        "policy-empty-means-all", POLICY + "# all?\n}", POLICY.rstrip() + " all { } # all?\n}", safe=False
    ),
    "no agents": Case(
        "repository-agents-empty", CONFIG + "model_repository_agents { agents [ ] } # c", CONFIG + " # c"
    ),
    "an agent that is commented out": Case(
        "repository-agents-empty",
        'model_repository_agents {\n  # agents { name: "checksum" }\n}\n' + CONFIG,
        '# agents { name: "checksum" }\n' + CONFIG,
    ),
    "a name with a blank": Case("name-differs-from-directory", 'name: "m ", ' + CONFIG, " " + CONFIG, safe=False),
    "a name after an empty one": Case(
        "name-differs-from-directory", 'name: ""\r\nname: "n"\r\n' + CONFIG, CONFIG, safe=False
    ),
    "a shape tensor twice": Case(
        "shape-tensor-not-tensorrt",
        CONFIG.replace("[ 4 ] }\n", "[ 4 ] is_shape_tensor: false is_shape_tensor: true }\n"),
        CONFIG,
    ),
    "a shape tensor in a list, with a separator": Case(
        "shape-tensor-not-tensorrt",
        CONFIG.replace("input {", "input [ { is_shape_tensor: true;", 1).replace("}\n", "} ]\n", 1),
        CONFIG.replace("input {", "input [ {", 1).replace("}\n", "} ]\n", 1),
    ),
    "a cache that a decoupled model cannot use": Case(
        "response-cache-with-decoupled",
        CACHED + "response_cache <\n  enable: true  # fast\n>",
        CACHED + "# fast",
        safe=False,
    ),
    "a cache of vLLM, which sets decoupled": Case(
        "response-cache-with-decoupled",
        'backend: "vllm"\nresponse_cache { enable: true }\n',
        'backend: "vllm"\n',
        files={"1/model.json": '{"model": "gpt2"}'},
    ),
    "a strategy in a list of parameters": Case(
        "batch-strategy-with-sequence",
        f"{SEQUENCE}parameters [\n  {OTHER},  # a\n  {STRATEGY}  # b\n]\n",
        f"{SEQUENCE}parameters [\n  {OTHER}  # a\n    # b\n]\n",
        safe=False,
    ),
    "a strategy twice": Case(
        "batch-strategy-with-sequence",
        f"{SEQUENCE}parameters {STRATEGY}\nparameters {OTHER}\nparameters {STRATEGY}",
        f"{SEQUENCE}parameters {OTHER}\n",
        safe=False,
    ),
    "a warmup without a batch": Case(
        "warmup-batch-zero",
        CONFIG + f'model_warmup [ {{ name: "w" {SAMPLE} }} ]',
        CONFIG + f'model_warmup [ {{ name: "w" batch_size: 1 {SAMPLE} }} ]',
        safe=False,
    ),
    "a warmup without a batch and without inputs": Case(
        "warmup-batch-zero", CONFIG + 'model_warmup [ { name: "w" } ]', None
    ),
}

UNKNOWN, ALIAS, MISMATCH = "platform-unknown", "pytorch-platform-alias", "platform-backend-mismatch"
ENSEMBLE = "ensemble-with-backend"
STEPS = 'ensemble_scheduling { step { model_name: "n" model_version: -1 } }\n'
PLATFORMS = {
    "a backend as platform, beside an empty one": Case(
        UNKNOWN,
        'backend: ""; platform: "Python" # p\n' + IO,
        ' backend: "python" # p\n' + IO,
        files={"1/model.py": ""},
    ),
    "a short name": Case(UNKNOWN, "platform: 'onnx'\n" + IO, 'backend: "onnxruntime"\n' + IO, safe=False),
    "an ensemble in capitals": Case(UNKNOWN, 'platform: "ENSEMBLE"\n' + STEPS, 'platform: "ensemble"\n' + STEPS),
    "a platform with a dash": Case(UNKNOWN, 'platform: "tensorrt-plan"' + IO, 'platform: "tensorrt_plan"' + IO),
    "a misspelt platform": Case(
        UNKNOWN, 'platform: "onnxruntime_onx"\n' + IO, 'platform: "onnxruntime_onnx"\n' + IO, safe=False
    ),
    "a platform that resembles none": Case(UNKNOWN, 'platform: "mine"\n' + IO, None),
    "TensorFlow with a graph": Case(
        UNKNOWN,
        'platform: "TensorFlow"\n' + IO,
        'platform: "tensorflow_graphdef"\n' + IO,
        files={"1/model.graphdef": ""},
    ),
    "TensorFlow without a file": Case(UNKNOWN, 'platform: "tensorflow"\n' + IO, None),
    "a file that names no backend": Case(UNKNOWN, 'default_model_filename: "net.bin"\n' + IO, None),
    "PyTorch with a file of AOTInductor": Case(
        ALIAS,
        'platform: "torch" backend: "pytorch"\n' + IO,
        'platform: "pytorch_libtorch" backend: "pytorch"\n' + IO,
        safe=False,
        files={"1/model.pt2": ""},
    ),
    "a platform of a later release": Case(ALIAS, 'platform: "torch_aoti"\n' + IO, None),
    "an ensemble with a file": Case(
        ENSEMBLE,
        'platform: "ensemble"\n default_model_filename: "model.onnx" # why\n' + STEPS + IO,
        'platform: "ensemble"\n # why\n' + STEPS + IO,
        files={},
    ),
    "a backend that is called an ensemble": Case(ENSEMBLE, 'platform: "ensemble" ' + CONFIG, " " + CONFIG, safe=False),
    "a platform of the same backend": Case(
        MISMATCH, 'platform: "onnx"\nbackend: "onnxruntime"\n' + IO, 'backend: "onnxruntime"\n' + IO
    ),
    "the backend of another file": Case(
        MISMATCH,
        'platform: "onnxruntime_onnx"\nbackend: "tensorrt"\n' + IO,
        'platform: "onnxruntime_onnx"\nbackend: "onnxruntime"\n' + IO,
        safe=False,
        files={"1/model.onnx": ""},
    ),
    "the backend of another file, and no platform": Case(
        MISMATCH,
        'platform: "python"\nbackend: "tensorrt"\n' + IO,
        'backend: "python"\n' + IO,
        safe=False,
        files={"1/model.py": ""},
    ),
    "files of both backends": Case(
        MISMATCH,
        'platform: "onnxruntime_onnx"\nbackend: "tensorrt"\n' + IO,
        'backend: "tensorrt"\n' + IO,
        safe=False,
        files={"1/model.onnx": "", "1/model.plan": ""},
    ),
    "TensorFlow with a graph in another version": Case(
        MISMATCH,
        'backend: "tensorflow"\n' + IO,
        'platform: "tensorflow_graphdef"\nbackend: "tensorflow"\n' + IO,
        safe=False,
        files={"1/x": "", "2/model.graphdef": ""},
    ),
    "TensorFlow without a platform or a file": Case(MISMATCH, 'backend: "tensorflow"\n' + IO, None),
}


@tabled("case", (every := ALL | PLATFORMS).values(), ids=every)
def test_a_config_is_mended(case: Case) -> None:
    found = [each for each in judged(tree(case), case.options).diagnostics if each.rule == case.rule]
    fixes = [each.fix for each in found if each.fix is not None]
    assert found
    assert bool(fixes) is (case.becomes is not None)
    assert {fix.safe for fix in fixes} <= {case.safe}
    mended = after(tree(case), applied(tree(case), fixes).steps)
    assert text(mended["m/config.pbtxt"]) == (case.config if case.becomes is None else case.becomes)
    if case.becomes is not None:
        assert not [each for each in judged(mended, case.options).diagnostics if each.rule == case.rule]
