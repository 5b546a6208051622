"""How mkdocstrings reads this package's docstrings and signatures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|mod|data):`~?([\w.]+)`")


class Docstrings(griffe.Extension):
    """Sphinx roles become links, and ``**kwargs`` the arguments of the private class they are for."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite one docstring."""
        if obj.docstring:
            obj.docstring.value = ROLE.sub(lambda role: _link(obj, role[1]), obj.docstring.value)

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Complete the constructors, now that all classes are known."""
        for cls in _classes(pkg):
            for base in cls.resolved_bases:
                if base.name.startswith("_") and "kwargs" in cls.parameters:
                    for parameter in base.parameters:
                        if parameter.name not in cls.parameters:
                            cls.members["__init__"].parameters.add(parameter)


def _link(obj: griffe.Object, name: str) -> str:
    try:
        target = obj.resolve(name)
    except griffe.NameResolutionError:
        target = name
    return f"[`{name}`][{target}]"


def _classes(module: griffe.Module) -> Iterator[griffe.Class]:
    yield from module.classes.values()
    for inner in module.modules.values():
        yield from _classes(inner)
