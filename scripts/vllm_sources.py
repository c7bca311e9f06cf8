"""What the Python files of one vLLM version say on the values that its engine takes, by parsing them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KNOWN = {
    "int": ["int"],
    "float": ["float"],
    "bool": ["bool"],
    "str": ["str"],
    "None": ["null"],
    "list": ["list"],
    "List": ["list"],
    "set": ["list"],
    "dict": ["dict"],
    "Dict": ["dict"],
    "torch.dtype": [],
    "type": [],
    "PlacementGroup": [],
}
"""The JSON types of a Python type; of the last ones, pydantic only accepts instances, which no value in JSON is."""

BOUNDS = {"gt": "above", "ge": "min", "le": "max", "lt": "below"}
COMPARED = {
    "gpu_memory_utilization": ["int", "float", "bool"],
    "max_model_len": ["int", "float", "bool"],
    "max_num_batched_tokens": ["int", "float", "bool"],
    "max_num_seqs": ["int", "float", "bool"],
    "tensor_parallel_size": ["int", "float", "bool"],
    "pipeline_parallel_size": ["int", "float", "bool"],
}
"""Keys whose values all versions before pydantic compare with a number (config.py, `_verify_args` of each class)."""

UNCONDITIONAL = {
    *("CacheConfig", "LoadConfig", "LoRAConfig", "ModelConfig", "ObservabilityConfig", "OffloadConfig"),
    *("ParallelConfig", "PrefetchOffloadConfig", "SchedulerConfig", "UVAOffloadConfig"),
}
"""Classes of which every engine has an instance, or with enable_lora for LoRAConfig."""

RESOLVED = ("kv_cache_dtype", "CacheConfig", "cache_dtype")
"""An argument that vLLM replaces only if it is "auto": resolve_kv_cache_dtype_string, since 0.13."""

OWN = {"max_num_batched_tokens", "max_num_seqs", "block_size", "enable_prefix_caching", "tokenizer"}
"""Arguments that vLLM sets if they are null, and otherwise passes on as they are."""


@dataclass
class Sources:
    """The modules of the configuration: aliases of types, classes, and whether these are pydantic's."""

    aliases: dict[str, ast.expr] = field(default_factory=dict)
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    checked: set[str] = field(default_factory=set)


def values(source: Path) -> dict[str, dict[str, Any]]:
    """Return what is accepted of each key, as far as it is certain."""
    found = sources(source)
    arguments = ast.parse((source / "engine" / "arg_utils.py").read_text("utf-8"))
    facts = {}
    changed = _changed(arguments) - OWN
    for key, owner, name in [RESOLVED, *_passed(arguments)]:
        if owner in found.checked & UNCONDITIONAL and key not in changed:
            accepted = _field(found, found.classes[owner], name)
            if accepted:
                facts[key] = accepted | {"config": owner} | ({"with_lora": True} if owner == "LoRAConfig" else {})
    unchecked = {key for key, owner, name in _passed(arguments) if _unchecked(found, owner, name)}
    facts.update({key: {"types": types} for key, types in COMPARED.items() if key in unchecked})
    facts.update(_written(source, found, facts))
    return facts


def architectures(source: Path) -> set[str]:
    """Return the architectures in the registry: the keys of its dicts whose values name a module and a class."""
    models = source / "model_executor" / "models"
    old = source / "model_executor" / "model_loader.py"
    files = [models / "registry.py", models / "__init__.py", *([old] if old.is_file() else [])]
    return {
        key.value
        for file in files
        if file.is_file()
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(key.value, str) and isinstance(value, ast.Tuple | ast.Name)
        if isinstance(value, ast.Tuple) or file == old
    }


def pipelined(source: Path) -> list[str]:
    """Return the only architectures that run in a pipeline, if the version lists them."""
    file = source / "config.py"
    found = _assigned(ast.parse(file.read_text("utf-8")), "_PP_SUPPORTED_MODELS") if file.is_file() else None
    return sorted(ast.literal_eval(found)) if found is not None else []


def sources(source: Path) -> Sources:
    """Return the modules of the configuration of one version."""
    found = Sources()
    package = source / "config"
    files = sorted(package.glob("*.py")) if package.is_dir() else [source / "config.py"]
    files.append(source / "model_executor" / "layers" / "quantization" / "__init__.py")
    pydantic = package.is_dir() and "pydantic.dataclasses" in (package / "utils.py").read_text("utf-8")
    for file in files:
        text = file.read_text("utf-8")
        for node in ast.parse(text).body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                found.aliases[ast.unparse(target)] = node.value
            if isinstance(node, ast.ClassDef):
                found.classes[node.name] = node
                decorated = {ast.unparse(each).partition("(")[0] for each in node.decorator_list}
                if ("dataclass" in decorated and "from pydantic.dataclasses import dataclass" in text) or (
                    "config" in decorated and pydantic
                ):
                    found.checked.add(node.name)
    return found


def _passed(tree: ast.Module) -> Iterator[tuple[str, str, str]]:
    """Yield each argument that is passed on as it is: its name, the class, and the name there."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            continue
        for keyword in call.keywords:
            value = keyword.value
            if isinstance(value, ast.Attribute) and ast.unparse(value.value) == "self" and keyword.arg:
                yield value.attr, call.func.id, keyword.arg
        for value in call.args:
            if isinstance(value, ast.Attribute) and ast.unparse(value.value) == "self":
                yield value.attr, call.func.id, value.attr


def _changed(tree: ast.Module) -> set[str]:
    """Return the arguments that are assigned before they are passed on."""
    return {
        target.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self"
    }


def _field(found: Sources, owner: ast.ClassDef, name: str) -> dict[str, Any]:
    """Return what a field of a pydantic dataclass accepts; nothing if that is not certain."""
    node = next((n for n in owner.body if isinstance(n, ast.AnnAssign) and ast.unparse(n.target) == name), None)
    if node is None or _converted(owner, name):
        return {}
    types, choices = _types(found, node.annotation)
    if types is None:
        return {}
    facts: dict[str, Any] = {"types": sorted({*types, "null"})}
    if choices and not set(types) & {"str"}:
        facts["choices"] = choices
        facts["types"] = sorted({*types, "null", *(type(choice).__name__ for choice in choices)})
    elif choices:
        facts["types"] = sorted({*types, "null"})
    if isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "Field":
        facts |= {BOUNDS[k.arg]: ast.literal_eval(k.value) for k in node.value.keywords if k.arg in BOUNDS}
    return facts


def _unchecked(found: Sources, owner: str, name: str) -> bool:
    """Whether a class takes a value as it is: one without pydantic, or a field that pydantic skips."""
    if owner not in found.classes or owner not in found.checked:
        return owner in found.classes
    fields = {ast.unparse(n.target): n for n in found.classes[owner].body if isinstance(n, ast.AnnAssign)}
    return name in fields and ast.unparse(fields[name].annotation).startswith("SkipValidation")


def _converted(owner: ast.ClassDef, name: str) -> bool:
    """Whether a validator sees the value before its type is checked, other than to let null pass."""
    for function in owner.body:
        if not isinstance(function, ast.FunctionDef) or function.name == "_skip_none_validation":
            continue
        for call in function.decorator_list:
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "field_validator":
                named = {each.value for each in call.args if isinstance(each, ast.Constant)}
                mode = next((ast.literal_eval(k.value) for k in call.keywords if k.arg == "mode"), "after")
                if mode != "after" and named & {name, "*"}:
                    return True
    return False


def _types(found: Sources, node: ast.expr) -> tuple[list[str] | None, list[Any]]:
    """Return the JSON types and the values of an annotation; None for types that are not known."""
    if isinstance(node, ast.BinOp):
        return _union(found, [node.left, node.right])
    if isinstance(node, ast.Subscript):
        return _generic(found, node)
    name = ast.unparse(node)
    alias = found.aliases.get(name.rpartition(".")[2])
    if name not in KNOWN and isinstance(alias, ast.Subscript | ast.BinOp):
        return _types(found, alias)
    return KNOWN.get(name), []


def _generic(found: Sources, node: ast.Subscript) -> tuple[list[str] | None, list[Any]]:
    outer = ast.unparse(node.value)
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if outer == "InitVar":
        return _types(found, parts[0])
    if outer in {"Optional", "Union"}:
        return _union(found, [*parts, *([ast.Constant(None)] if outer == "Optional" else [])])
    if outer == "Literal" and all(isinstance(each, ast.Constant) for each in parts):
        return [], [ast.literal_eval(each) for each in parts]
    return KNOWN.get(outer), []


def _union(found: Sources, parts: list[ast.expr]) -> tuple[list[str] | None, list[Any]]:
    types, choices = [], []
    for part in parts:
        known, some = _types(found, part)
        if known is None:
            return None, []
        types += known
        choices += some
    return types, choices


def _written(source: Path, found: Sources, facts: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the values that the code itself compares with a list."""
    for key, (choices, lower) in _lists(source, found).items():
        before = facts.get(key, {})
        if choices and not before.get("choices"):
            yield (
                key,
                {
                    **({"types": before["types"]} if "types" in before else {}),
                    "choices": choices,
                    **({"lower": True} if lower else {}),
                    **({"config": before["config"]} if "config" in before else {}),
                    **({"with_lora": True} if key == "max_lora_rank" else {}),
                },
            )


def _lists(source: Path, found: Sources) -> dict[str, tuple[list[Any], bool]]:
    package = source / "config"
    files = sorted(package.glob("*.py")) if package.is_dir() else [source / "config.py"]
    functions = {
        node.name: node
        for file in files
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
    dtypes = found.aliases.get("_STR_DTYPE_TO_TORCH_DTYPE")
    lists: dict[str, tuple[list[Any], bool]] = {}
    if isinstance(dtypes, ast.Dict):
        lists["dtype"] = ["auto", *(ast.literal_eval(key) for key in dtypes.keys if key)], True
    for key, name, variable in (
        ("tokenizer_mode", "_verify_tokenizer_mode", "tokenizer_mode"),
        ("kv_cache_dtype", "_verify_cache_dtype", "self.cache_dtype"),
    ):
        if name in functions:
            choices = _compared(found, functions[name], variable)
            lists[key] = choices, ".lower()" in ast.unparse(functions[name])
    verify = functions.get("_verify_quantization")
    if verify is not None:
        lists["quantization"] = _methods(found, verify), ".lower()" in ast.unparse(verify)
    trees = [ast.parse(file.read_text("utf-8")) for file in files]
    ranks = next((r for tree in trees if (r := _assigned(tree, "possible_max_ranks")) is not None), None)
    if ranks is not None:
        lists["max_lora_rank"] = list(ast.literal_eval(ranks)), False
    return lists


def _compared(found: Sources, function: ast.FunctionDef, variable: str) -> list[Any]:
    """Return the values with which a function compares a variable."""
    choices: list[Any] = []
    for node in ast.walk(function):
        if isinstance(node, ast.Compare) and ast.unparse(node.left) == variable:
            other = node.comparators[0]
            if isinstance(other, ast.Call) and ast.unparse(other.func) == "get_args":
                choices += _types(found, other.args[0])[1]
            elif isinstance(other, ast.Constant):
                choices.append(other.value)
            elif all(isinstance(each, ast.Constant) for each in _elements(other)):
                choices += [ast.literal_eval(each) for each in _elements(other)]
    return list(dict.fromkeys(choices))


def _methods(found: Sources, verify: ast.FunctionDef) -> list[str]:
    listed = _assigned(verify, "supported_quantization")
    if isinstance(listed, ast.List) and all(isinstance(each, ast.Constant) for each in listed.elts):
        return list(ast.literal_eval(listed))
    known = found.aliases.get("QuantizationMethods")
    if known is not None:
        return _types(found, known)[1]
    annotated = found.aliases["QUANTIZATION_METHODS"]
    return [each.value for each in _elements(annotated) if isinstance(each, ast.Constant)]


def _elements(node: ast.expr) -> list[ast.expr]:
    return [key for key in node.keys if key] if isinstance(node, ast.Dict) else list(getattr(node, "elts", []))


def _assigned(tree: ast.AST, name: str) -> ast.expr | None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and any(ast.unparse(target) == name for target in node.targets):
            return node.value
    return None
