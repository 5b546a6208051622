"""How mkdocstrings reads this package's docstrings and signatures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import griffe

LINKED = re.compile(r":(?:class|func|meth):`~?([\w.]+)`")
NAMED = re.compile(r":(?:mod|data):(`[\w.]+`)")


class Docstrings(griffe.Extension):
    """Sphinx roles become links or code, and constants their values."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite one docstring."""
        if obj.docstring:
            text = NAMED.sub(r"\1", obj.docstring.value)
            obj.docstring.value = LINKED.sub(lambda role: _link(obj, role[1]), text)

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Complete the signatures, now that everything is known."""
        for cls in _classes(pkg):
            for parameter in cls.parameters:
                parameter.default = _value(pkg, parameter.default)


def _link(obj: griffe.Object, name: str) -> str:
    try:
        target = obj.resolve(name)
    except griffe.NameResolutionError:
        target = name
    return f"[`{name}`][{target}]"


def _value(pkg: griffe.Module, default: Any) -> Any:
    """The value of a constant of this package, given its name."""
    path = getattr(default, "canonical_path", "")
    if path.startswith(f"{pkg.name}."):
        with suppress(KeyError, griffe.AliasResolutionError):
            named = pkg[path.removeprefix(f"{pkg.name}.")]
            if named.is_attribute:
                return named.value
    return default


def _classes(module: griffe.Module) -> Iterator[griffe.Class]:
    yield from module.classes.values()
    for inner in module.modules.values():
        yield from _classes(inner)
