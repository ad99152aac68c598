"""Joins ECMAScript modules into one script, so that a page needs neither a server nor a build tool.

Each module becomes a function that is called once, after the modules that it imports; its exports are the object that
the function returns. Only one form of each statement is understood, which is all that the page's own modules use:

    import { a, b } from "./name.js";      at the top of a file, on one line or several
    export function a() {}                 likewise export const, export class

Modules that import each other in a circle are refused: none could be first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from cnnc.errors import InternalError

_IMPORT = re.compile(r'^import\s*\{([^}]*)\}\s*from\s*"\./([^"]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function\*?|const|class) (\w+))", re.MULTILINE)
_OTHER = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


def join_modules(sources: Mapping[str, str], entry: str) -> str:
    """One script that runs ``entry`` and what it needs.

    Args:
        sources: text of each module by its file name, such as ``main.js``.
        entry: the module to start with.

    Raises:
        InternalError: a module is missing, imports itself by way of others, or has another form of import or export.
    """
    parts = [_as_function(name, sources[name]) for name in _order(sources, entry)]
    return '(() => {\n"use strict";\nconst modules = {};\n' + "".join(parts) + "})();\n"


def _order(sources: Mapping[str, str], entry: str) -> list[str]:
    """Names of all modules that are needed, each behind those that it imports."""
    done: list[str] = []

    def visit(name: str, importers: tuple[str, ...]) -> None:
        if name in done:
            return
        if name in importers:
            raise InternalError(f"modules import each other in a circle: {' > '.join((*importers, name))}")
        if name not in sources:
            raise InternalError(f"{importers[-1] if importers else 'the page'} imports {name}, which does not exist")
        for imported in _IMPORT.finditer(sources[name]):
            visit(imported[2], (*importers, name))
        done.append(name)

    visit(entry, ())
    return done


def _as_function(name: str, source: str) -> str:
    exported = _EXPORT.findall(source)
    body = _EXPORT.sub("", _IMPORT.sub(lambda found: f'const {{{found[1]}}} = modules["{found[2]}"];\n', source))
    other = _OTHER.search(body)
    if other:
        raise InternalError(f"{name}: this form of import or export is not understood: {other[0]}")
    return f'\nmodules["{name}"] = (() => {{\n{body}\nreturn {{ {", ".join(exported)} }};\n}})();\n'
