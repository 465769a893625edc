"""`_core.pyi` is written by hand: it must name exactly what the native module has."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import proveil
import pytest
from proveil import _core

STUB = ast.parse((Path(proveil.__file__).parent / "_core.pyi").read_text(encoding="utf-8"))
TYPE_ONLY = {"Buffer", "Document", "Headers", "Time", "Wake", "Verdict", "T_co"}
# What Python gives every object, or what stubs need not repeat.
IMPLIED = {"__doc__", "__module__", "__new__", "__repr__", "__reduce__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__eq__",
           "__hash__"}


def names(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    found: dict[str, ast.stmt] = {}
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found[node.name] = node
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = node
    return found


def parameters(node: ast.FunctionDef) -> list[str]:
    kinds = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return [argument.arg for argument in kinds if argument.arg not in ("self", "cls")]


def signature(value: object) -> list[str]:
    assert callable(value)
    return [name for name in inspect.signature(value).parameters if name not in ("self", "cls")]


def test_top_level() -> None:
    module = {name for name in vars(_core) if not name.startswith("__")} - {"_test_panic"} | {"__version__"}
    assert set(names(STUB.body)) - TYPE_ONLY == module - TYPE_ONLY


def test_classes_and_signatures() -> None:
    compared = 0
    for name, node in names(STUB.body).items():
        value = getattr(_core, name, None)
        if isinstance(node, ast.FunctionDef):
            assert parameters(node) == signature(value), name
            compared += 1
        if not isinstance(node, ast.ClassDef):
            continue
        real = {member for member in vars(value) if not member.startswith("__")}
        stub = {member for member in names(node.body) if not member.startswith("__")}
        assert real == stub, name
        for member, declared in names(node.body).items():
            if isinstance(declared, ast.FunctionDef) and "property" not in [ast.unparse(d) for d in declared.decorator_list]:
                if member in ("__eq__", "__hash__", "__bool__"):
                    assert member in vars(value), f"{name}.{member}"
                elif member == "__new__":
                    assert parameters(declared) == signature(value), name
                else:
                    assert parameters(declared) == signature(getattr(value, member)), f"{name}.{member}"
                compared += 1
        special = {member for member in vars(value) if member.startswith("__")} - IMPLIED
        assert special <= set(names(node.body)), f"{name}: {special}"
    assert compared > 40


def test_everything_public_is_documented() -> None:
    for name in proveil.__all__:
        value = getattr(proveil, name)
        if name == "__version__":
            continue
        assert value.__doc__, name
        if inspect.isclass(value) and value.__module__.startswith("proveil"):
            for member, real in vars(value).items():
                if not member.startswith("_") and (callable(real) or isinstance(real, property)):
                    assert getattr(value, member).__doc__, f"{name}.{member}"


def test_all_is_complete() -> None:
    public = {name for name in dir(proveil) if not name.startswith("_")}
    modules = {"aio", "client", "config", "errors", "annotations", "TYPE_CHECKING"}
    for name in proveil.__all__:
        assert getattr(proveil, name) is not None
    with pytest.raises(AttributeError):
        getattr(proveil, "Klient")
    assert public - modules == set(proveil.__all__) - {"__version__"}
