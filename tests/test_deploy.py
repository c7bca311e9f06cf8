"""`deploy docker` writes a Compose file that the real docker-compose reads as it is meant, whatever names are in it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import EXAMPLE
from tests.pushes import CODE
from tests.servers.packages import HADOLINT, compose, installed
from tests.tabled import tabled
from tritonrepo.cli import run
from tritonrepo.flows import deployed
from tritonrepo.releases import NVIDIA, RELEASES
from tritonrepo.server.runtime import find
from tritonrepo.stores.directory import DirectoryStore

PYTHON = 'backend: "python"\nmax_batch_size: %s\n' + "".join(
    f'{side} {{ name: "{side}" data_type: TYPE_FP32 dims: [ %s ] }}\n' for side in ("input", "output")
)
ENSEMBLE = """platform: "ensemble"
ensemble_scheduling { step { model_name: "a" model_version: 1 input_map { key: "input" value: "input" }
  output_map { key: "output" value: "output" } } }
"""


def made(name: str, files: dict[str, str | dict[str, Any]]) -> Path:
    """Write files below a directory in the current one."""
    for path, content in files.items():
        place = Path(name) / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return Path(name)


def one(config: str = PYTHON % (0, 4, 4), name: str = "a", root: str = "models") -> Path:
    return made(root, {f"{name}/config.pbtxt": config, f"{name}/1/model.py": CODE})


def engine(model: str = "o/m", *, root: str = "models", **arguments: object) -> Path:
    return made(root, {"llm/config.pbtxt": 'backend: "vllm"\ninstance_group { kind: KIND_MODEL }\n',
                           "llm/1/model.json": {"model": model, **arguments}})  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def docker(*words: str) -> int:
    return run(["deploy", "docker", *words])


def read(out: str = "deploy", **variables: str) -> dict[str, Any]:
    """Return the service that the real docker-compose finds in a directory; what it prints is escaped once more."""
    command = [str(compose()), "--file", f"{out}/compose.yaml", "config", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"HOME": "/", **variables})
    assert done.returncode == 0, done.stderr
    service: dict[str, Any] = json.loads(done.stdout.replace("$$", "$"))["services"]["triton"]
    return service


def test_a_directory_becomes_a_container_that_only_reads_it() -> None:
    one()
    assert docker("models") == 0
    service = read()
    assert service["image"] == f"{NVIDIA}:26.08-py3"
    assert service["user"] == "1000:1000"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert [(port["host_ip"], port["published"], port["target"]) for port in service["ports"]] == [
        ("127.0.0.1", "8000", 8000),
        ("127.0.0.1", "8001", 8001),
        ("127.0.0.1", "8002", 8002),
    ]
    (mount,) = service["volumes"]
    assert (mount["source"], mount["target"], mount["read_only"]) == (str(Path("models").resolve()), "/models", True)
    assert service["command"] == [
        "tritonserver",
        "--model-repository=/models",
        "--model-control-mode=none",
        "--metrics-config=histogram_latencies=true",
        "--exit-timeout-secs=30",
    ]
    assert service["healthcheck"]["test"][-3:] == ["--noproxy", "*", "http://127.0.0.1:8000/v2/health/ready"]
    assert service["deploy"]["resources"]["reservations"]["devices"] == [
        {"capabilities": ["gpu"], "driver": "nvidia", "count": 1}
    ]
    assert Path("deploy/.env.example").read_text("utf-8").endswith("\n\n# This server needs no values.\n")
    assert "../models" in Path("deploy/compose.yaml").read_text("utf-8")


def test_a_flag_is_one_that_the_real_server_knows() -> None:
    """It prints its options if it is asked for help."""
    runtime = find()
    environment = {"LD_LIBRARY_PATH": ":".join(map(str, runtime.library_path))}
    asked = [str(runtime.server), "--help"]
    known = subprocess.run(asked, capture_output=True, text=True, check=False, env=environment)
    one()
    flags = set[str]()
    for words in (["--poll", "1"], ["--explicit"], ["--once"]):
        assert docker("models", *words) == 0
        flags |= set(re.findall(r"--[a-z-]+", " ".join(read()["command"])))
    options = set(re.findall(r"--[a-z-]+", known.stdout + known.stderr))
    assert len(flags) == 8
    assert flags <= options
    assert "--disable-auto-complete-config" in options


def test_a_stack_is_deployed_for_its_target_with_what_it_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert docker(str(EXAMPLE.parent / "vllm-llama"), "--repository", "built/models") == 0
    said = capsys.readouterr().err
    assert said.startswith("built/models: warning: the directory of the model repository does not exist")
    assert said.endswith("vllm-llama/tritonrepo.yaml -o built/models`.\n")
    service = read()
    assert service["image"] == f"{NVIDIA}:26.07-vllm-python-py3"
    assert service["deploy"]["resources"]["reservations"]["devices"][0]["count"] == 2
    assert "--disable-auto-complete-config" in service["command"]
    assert [mount["target"] for mount in service["volumes"]] == ["/models", "/mnt/adapters/support", "/cache"]
    assert service["volumes"][0]["source"] == str(Path("built/models").resolve())
    text = Path("deploy/compose.yaml").read_text("utf-8")
    assert f"comes with driver {RELEASES['26.07'].versions['driver']}: nvidia-smi shows the host's" in text
    assert "\n# HF_TOKEN=\n" in Path("deploy/.env.example").read_text("utf-8")
    assert service["stop_grace_period"] == "45s"


@pytest.mark.parametrize(("address", "shown"), [("10.1.2.3", "10.1.2.3"), ("::1", "::1"), ("0::0", "::")])
def test_ports_and_variables_are_those_that_are_asked_for(address: str, shown: str) -> None:
    one()
    ports = ["--http-port", "18000", "--grpc-port", "18001", "--metrics-port", "18002"]
    assert docker("models", "--bind", address, *ports, *["--env", "DATABASE_URL", "--env", "HOME"] * 2) == 0
    service = read(DATABASE_URL="postgresql://u:p@h/d")
    assert [(port["host_ip"], port["published"], port["target"]) for port in service["ports"]] == [
        (shown, "18000", 8000),
        (shown, "18001", 8001),
        (shown, "18002", 8002),
    ]
    assert service["environment"] == {"DATABASE_URL": "postgresql://u:p@h/d", "HOME": "/tmp"}
    assert "\nDATABASE_URL=\n" in Path("deploy/.env.example").read_text("utf-8")
    assert "postgresql" not in Path("deploy/compose.yaml").read_text("utf-8")


@pytest.mark.parametrize(
    "words", [["models"], ["models", "--poll", "5", "--gpu-id", "0", "--mount", "/m"], ["models", "--gpus", "0"]]
)
def test_each_value_has_its_reason(words: list[str]) -> None:
    """A comment is above its key, or inside; what belongs to the key before it has none of its own."""
    one()
    engine()
    assert docker(*words) == 0
    text = Path("deploy/compose.yaml").read_text("utf-8")
    service = text.partition("  triton:\n")[2].partition("\n\n")[0]
    values = re.findall(r"((?:^    #.*\n)*)^    (\w+):(.*\n(?:^     .*\n?)*)", service, re.MULTILINE)
    assert {key for _, key, _ in values} >= {"image", "command", "shm_size", "volumes", "ports", "healthcheck", "user"}
    assert {key for above, key, value in values if "#" not in above + value} <= {"build", "cap_drop", "security_opt"}


def test_the_gpus_are_those_that_the_configs_list() -> None:
    one(PYTHON % (0, 4, 4) + "instance_group { kind: KIND_GPU gpus: [ 0, 3 ] }\n")
    assert docker("models") == 0
    assert read()["deploy"]["resources"]["reservations"]["devices"][0]["count"] == 4


@pytest.mark.parametrize(("arch", "platform"), [("x86_64", "linux/amd64"), ("aarch64", "linux/arm64")])
def test_the_platform_is_the_processor_of_the_target(arch: str, platform: str) -> None:
    one()
    made("models", {"tritonrepo.json": {"schema": 1, "name": "Über", "files": {}, "local": {},
                                        "target": {"release": "25.08", "arch": arch, "gpus": 0}}})  # fmt: skip
    assert docker("models") == 0
    service = read()
    assert (service["platform"], service["image"]) == (platform, f"{NVIDIA}:25.08-py3")
    assert "--disable-auto-complete-config" in service["command"]
    assert "deploy" not in service


@tabled("name", ["0", "1e3", "null", "on", "--"])
def test_a_name_that_yaml_would_take_for_something_else_is_one(name: str) -> None:
    one(root=name)
    assert docker(f"./{name}") == 0
    read()
    written = yaml.safe_load(Path("deploy/compose.yaml").read_text("utf-8"))
    assert written["name"] == (name if name != "--" else "triton")


HOSTILE = {
    "quotes": "a\"b'c",
    "a variable": "${HOME}$x$$",
    "a comment": "a #b: c",
    "line breaks": "a\nb: [\rc\u2028d",
    "letters": "modèle-模型-\U0001f600",
    "a tag": "!!python/x &a *a | > %",
    "a backslash": "a\\nb\\",
}


@tabled("name", HOSTILE.values(), ids=HOSTILE)
def test_no_name_leaves_its_place(name: str) -> None:
    """A model, the repository's directory, a Hub model and a path have it."""
    root = f"models {name}"
    one(name=name, root=root)
    made(root, {"llm/config.pbtxt": 'backend: "vllm"\n', "llm/1/model.json": {"model": f"o/{name}", "tokenizer": "/t"}})
    assert docker(root, "--poll", "7", "--mount", f"/t/{name}") == 0
    service = read()
    sources = {mount["target"]: mount.get("source") for mount in service["volumes"]}
    assert sources == {"/models": str(Path(root).resolve()), f"/t/{name}": f"/t/{name}", "/cache": "cache"}
    asked = [word for word in service["healthcheck"]["test"] if word.startswith("http")]
    assert len(asked) == 2
    assert all("\n" not in url and "$" not in url for url in asked)
    assert service["environment"].keys() == {"HOME", "HF_HOME", "VLLM_CACHE_ROOT", "HF_TOKEN"}
    assert set(yaml.safe_load(Path("deploy/compose.yaml").read_text("utf-8"))) == {"name", "services", "volumes"}
    lines = Path("deploy/.env.example").read_text("utf-8").splitlines()
    assert {line for line in lines if not line.startswith("#")} == {""}


def test_a_name_that_is_not_utf8_is_asked_for_by_its_bytes(here: Path) -> None:
    one()
    (here / "models" / "b\udcff" / "1").mkdir(parents=True)
    (here / "models" / "b\udcff" / "config.pbtxt").write_text(PYTHON % (0, 4, 4))
    assert docker("models", "--poll", "5") == 0
    assert read()["healthcheck"]["test"][-1].endswith("/v2/models/b%FF/ready")


def test_a_server_under_push_asks_the_models_that_no_other_calls() -> None:
    one()
    made("models", {"b/config.pbtxt": ENSEMBLE, "b/1/.keep": ""})
    for words, mode in ((["--poll", "9"], "poll"), (["--explicit"], "explicit")):
        assert docker("models", *words) == 0
        service = read()
        assert f"--model-control-mode={mode}" in service["command"]
        assert {"--strict-readiness=false", "--exit-on-error=false"} <= set(service["command"])
        assert service["healthcheck"]["test"][-1] == "http://127.0.0.1:8000/v2/models/b/ready"
    assert "--load-model=*" in read()["command"]


GPUS = {
    "none": (["--gpus", "0"], None),
    "several": (["--gpus", "4"], {"count": 4}),
    "chosen ones": (["--gpu-id", "2", "--gpu-id", "MIG-4b0a/1/0"], {"device_ids": ["2", "MIG-4b0a/1/0"]}),
}


@pytest.mark.parametrize(("words", "device"), GPUS.values(), ids=GPUS)
def test_the_container_has_the_gpus_of_the_target(words: list[str], device: dict[str, Any] | None) -> None:
    one()
    assert docker("models", *words) == 0
    service = read()
    if device is None:
        assert "deploy" not in service
        assert "ulimits" not in service
    else:
        (found,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert found == {"capabilities": ["gpu"], "driver": "nvidia", **device}


@pytest.mark.parametrize("release", [name for name, release in RELEASES.items() if release.images])
def test_the_image_is_one_of_the_release(release: str, capsys: pytest.CaptureFixture[str]) -> None:
    one(PYTHON.replace("python", "onnxruntime") % (0, 4, 4))
    assert docker("models", "--release", release, "--dry-run", "--diff") == 0
    said = capsys.readouterr().out
    assert f'+    image: "{NVIDIA}:{release}-py3"' in said
    assert f"(server {RELEASES[release].server_version})" in said
    assert (f"driver {RELEASES[release].versions['driver']}:" in said) == bool(RELEASES[release].versions["driver"])
    assert not Path("deploy").exists()


IMAGES = {
    "your own": (["--image", "mine:1", "--release", "26.07"], "mine:1"),
    "one of a release whose backends are not known": (
        ["--image", f"{NVIDIA}:26.11-py3"],
        f"{NVIDIA}:26.11-py3",
    ),
    "a mixed one": (["--release", "26.07"], "models:26.07"),
}


@pytest.mark.parametrize(("words", "image"), IMAGES.values(), ids=IMAGES)
def test_the_image_can_be_another(words: list[str], image: str) -> None:
    one(PYTHON.replace("python", "onnxruntime") % (0, 4, 4))
    engine()
    assert docker("models", *words) == 0
    service = read()
    assert service["image"] == image
    assert (service.get("pull_policy") == "build") == ("build" in service) == Path("deploy/Dockerfile").exists()
    if "build" in service:
        assert Path("deploy/compose.yaml").read_text("utf-8").count("build:") == 1
        assert "pull_policy: never" in Path("deploy/compose.yaml").read_text("utf-8")
        done = subprocess.run([installed(HADOLINT), "deploy/Dockerfile"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "")
        assert docker("models", "--image", "py3", "--image", "mine:1") == 0
        assert not Path("deploy/Dockerfile").exists()


def test_what_models_need_is_added_up() -> None:
    """In Python, two instances on each of 2 GPUs, whose batches are 2 of 32 MiB; an engine on both GPUs."""
    one(f"{PYTHON % (8, 1 << 20, 1 << 20)}instance_group {{ kind: KIND_GPU count: 2 }}\n")
    engine("meta-llama/Llama-3.1-8B-Instruct", tensor_parallel_size=2)
    assert docker("models", "--gpus", "2", "--release", "26.07") == 0
    text = Path("deploy/compose.yaml").read_text("utf-8")
    assert "#   516.0 MiB: a, 4 instances of 129.0 MiB\n" in text
    assert "#   64.0 MiB: llm, 1 instance of 64.0 MiB\n" in text
    assert "#   2.0 GiB: llm, an engine on 2 GPUs: messages of its workers, NCCL\n" in text
    assert read()["shm_size"] == str((2048 + 516 + 64 + 20 + 64) // 64 * 64 << 20)
    assert "s: 15.0 GiB of meta-llama/Llama-3.1-8B-Instruct from the Hub at 50.0 MiB/s, once" in text
    seconds = [int(line.split()[1]) for line in text.splitlines() if " s: " in line]
    assert read()["healthcheck"]["start_period"] == f"{-(-2 * sum(seconds) // 60)}m0s"


def bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let URIs lead to the current directory, in which prod is the repository."""
    monkeypatch.setattr(deployed, "open_store", lambda *_: (DirectoryStore(Path.cwd()), "prod"))


def test_a_bucket_is_polled_with_keys_that_only_the_environment_has(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket(monkeypatch)
    one(f"{PYTHON % (0, 4, 4)}version_policy {{ all {{}} }}\n", root="prod")
    made("prod", {"a/2/model.py": CODE})
    with Path("prod/a/2/data").open("wb") as data:
        data.truncate((50 << 20) - 2 * len(CODE) - len(Path("prod/a/config.pbtxt").read_bytes()))
    uri = "s3://https://store.example:9000/models/prod"
    assert docker(uri) == 0
    service = read(AWS_SECRET_ACCESS_KEY="$x")
    assert service["command"][1:4] == [
        f"--model-repository={uri}",
        "--model-control-mode=poll",
        "--repository-poll-secs=15",
    ]
    assert service["environment"] == {
        "AWS_ACCESS_KEY_ID": None,
        "AWS_SECRET_ACCESS_KEY": "$x",
        "AWS_DEFAULT_REGION": None,
        "AWS_SESSION_TOKEN": None,
        "HOME": "/tmp",
        "TRITON_AWS_MOUNT_DIRECTORY": "/scratch",
    }
    assert [mount["target"] for mount in service["volumes"]] == ["/scratch"]
    text = Path("deploy/compose.yaml").read_text("utf-8")
    assert "#   2 s: 100.0 MiB from the bucket at 50.0 MiB/s\n" in text
    assert "#   1 s: 50.0 MiB of models from the disk at 200.0 MiB/s\n" in text
    assert service["depends_on"]["volumes-owner"]["condition"] == "service_completed_successfully"
    Path("deploy/.env.example").rename("deploy/.env")
    assert {read()["environment"][name] for name in service["environment"] if name.startswith("AWS_")} == {"", None}
    assert docker("gs://models/prod", "--once") == 0
    (key,) = (mount for mount in read(GOOGLE_APPLICATION_CREDENTIALS="/k")["volumes"] if mount["source"] == "/k")
    assert read(GOOGLE_APPLICATION_CREDENTIALS="/k")["environment"]["GOOGLE_APPLICATION_CREDENTIALS"] == key["target"]
    assert not read()["environment"]["GOOGLE_APPLICATION_CREDENTIALS"]
    assert "=" not in "".join(line.removesuffix("=") for line in Path("deploy/.env.example").read_text().splitlines())


WRONG = {
    "no models": (["models"], 2, "the path does not exist or has no models"),
    "a password": (["s3://user:pass@models/prod"], 2, "has a user or password"),
    "a store that is not supported": (["as://models/prod"], 2, "as:// buckets are not supported yet"),
    "a revision": (["s3://models/prod@3"], 2, "a server reads what is at a URI now"),
    "fewer GPUs": (["r", "--gpus", "2", "--gpu-id", "0"], 2, "the target has 2 GPUs, but --gpu-id names 1"),
    "more GPUs": (
        ["r", "--gpus", "1", "--gpu-id", "0", "--gpu-id", "1"],
        2,
        "the target has 1 GPU, but --gpu-id names 2",
    ),
    "no image": (["r", "--image", "vllm-python-py3"], 1, 'no image of the target has the backend "onnxruntime"'),
    "images that are not known": (["r", "--release", "26.11"], 1, "of Triton 26.11 are not known yet"),
    "the repository": (["r", "-o", "r/deploy"], 2, "the output directory is in the model repository r"),
    "a URI": (["r", "-o", "s3://b/p"], 2, "the output must be a directory, not a URI"),
    "a file": (["r", "-o", "f"], 2, "the output cannot be a directory: Not a directory"),
    "no address": (["r", "--bind", "localhost"], 2, '"localhost" is not an IP address'),
    "no variable": (["r", "--env", "A=1"], 2, '"A=1" is not the name of a variable'),
    "no GPU": (["r", "--gpu-id", "0,1"], 2, '"0,1" is not the ID of a GPU'),
    "two modes": (["r", "--once", "--poll", "3"], 2, "--once, --poll and --explicit cannot be combined"),
    "a name that is not UTF-8": (["b\udcff"], 2, "the name is not UTF-8, so a file cannot have it"),
    "ensembles without a scheduler": (
        ["e", "--release", "24.05"],
        1,
        "in image vllm-python-py3 of Triton 24.05 does not run",
    ),
    "an empty path": ([""], 2, "[STACK|DIR|URI] is empty"),
    "two stacks": (["r", "-f", "x"], 2, "[STACK|DIR|URI] and --file cannot be combined"),
}


@pytest.mark.parametrize(("words", "code", "message"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_deployed_is_told_and_nothing_is_written(
    words: list[str], code: int, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one(PYTHON.replace("python", "onnxruntime") % (0, 4, 4), root="r")
    made(".", {"f": "", "e/a/config.pbtxt": ENSEMBLE, "e/b/config.pbtxt": 'backend: "vllm"\n'})
    one(root="b\udcff")
    if words[0].endswith("@3"):
        monkeypatch.setattr(deployed, "addressed", lambda text: (text[:-2], 3))
    before = sorted(Path().rglob("*"))
    assert docker(*words) == code
    assert message in capsys.readouterr().err
    assert sorted(Path().rglob("*")) == before


LACKING = {
    "another image has it": ("onnxruntime", ["--image", "vllm-python-py3"], "`--image vllm-python-py3 --image py3`"),
    "an earlier release has it": ("tensorflow", [], "Use Triton 25.02, or an image of your own"),
    "none has it": ("rapids-identity", [], "Name an image of your own that has it, as in `--image my-triton:1`."),
}


@pytest.mark.parametrize(("backend", "words", "hint"), LACKING.values(), ids=LACKING)
def test_a_backend_that_the_image_lacks_is_looked_for(
    backend: str, words: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    one(PYTHON.replace("python", backend) % (0, 4, 4))
    assert docker("models", *words) == 1
    assert hint in capsys.readouterr().err
    made("models", {f"a/libtriton_{backend}.so": ""})
    assert docker("models", *words) == 0


def test_another_kind_of_server_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["deploy", "k9s"]) == 2
    said = capsys.readouterr().err
    assert 'unknown kind of server "k9s". Use ' in said
    assert "`tritonrepo deploy docker`" in said


def test_a_path_outside_is_mounted_only_if_somebody_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    paths = {"x": "/srv/my adapters", "y": 1, "z": "/models/elsewhere", "s": "/run/docker.sock"}
    made(".", {"models/llm/1/multi_lora.json": paths})
    engine("/srv/weights/", tokenizer="/models/llm/1/tokenizer")
    assert docker("models") == 0
    said = capsys.readouterr().err
    assert 'models/llm: warning: model "llm" reads /srv/weights, which the container does not have' in said
    assert "add `--mount '/srv/my adapters'`" in said
    assert "the container has something else at /models/elsewhere" in said
    assert "the container has something else at /run/docker.sock" in said
    assert said.count("[deploy-path]") == 4
    assert docker("models", "--mount", "/srv/weights", "--mount", "/srv/my adapters") == 0
    assert capsys.readouterr().err.count("[deploy-path]") == 2
    assert {"/srv/weights", "/srv/my adapters"} <= {mount["target"] for mount in read()["volumes"]}
    for taken in ("/", "/opt", "/models", "/cache/x", "/run/docker.sock"):
        assert docker("models", "--mount", taken) == 2
        assert f"{taken}: fatal: the container has something else at this path" in capsys.readouterr().err


def test_where_links_lead_is_mounted_too(here: Path) -> None:
    one()
    made(".", {"weights/w.bin": "x"})
    Path("models/a/1/w.bin").symlink_to(here / "weights" / "w.bin")
    assert docker("models", "--allow-links", "weights") == 0
    assert [mount["target"] for mount in read()["volumes"]] == ["/models", str(here / "weights")]


def test_models_that_would_not_load_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    one()
    for name in "bcdef":
        one(f"{PYTHON % (0, 4, 4)}instance_group {{ kind: KIND_GPU gpus: [ 9 ] }}\n", name)
    assert docker("models", "--gpus", "1") == 0
    said = capsys.readouterr().err
    assert (
        'models: warning: 5 of 6 models would not load on this server: "b", "c", "d" and others [deploy-refused]'
        in said
    )
    assert "`tritonrepo validate models` says why" in said


def test_a_store_at_an_address_of_this_machine_is_a_mistake(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket(monkeypatch)
    one(root="prod")
    assert docker("s3://http://127.0.0.1:9000/models/prod") == 0
    assert "127.0.0.1 is the container itself" in capsys.readouterr().err
    one()
    assert run(["deploy", "k8s", "models", "--uri", "s3://http://localhost:9000/models/prod", "--dry-run"]) == 0
    assert "in a pod, localhost is the pod itself" in capsys.readouterr().err
