"""Modules are joined in the order in which they need each other, and what the joiner does not understand is refused."""

from __future__ import annotations

import pytest

from cnnc.errors import InternalError
from cnnc.report.es_modules import join_modules


def test_a_module_stands_behind_those_that_it_imports() -> None:
    joined = join_modules(
        {
            "main.js": 'import { twice } from "./numbers.js";\nimport {\n  ONE,\n} from "./one.js";\nrun(ONE);\n',
            "numbers.js": 'import { ONE } from "./one.js";\nexport function twice(x) { return x + x * ONE; }\n',
            "one.js": "export const ONE = 1;\nexport class Unit {}\n",
            "other.js": "export const NEVER = 0;\n",
        },
        "main.js",
    )
    places = [joined.index(f'modules["{name}"] =') for name in ("one.js", "numbers.js", "main.js")]
    assert places == sorted(places)
    assert "other.js" not in joined
    assert 'const { ONE } = modules["one.js"];' in joined
    assert "return { ONE, Unit };" in joined
    assert "import" not in joined
    assert "export" not in joined


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (
            {"main.js": 'import { a } from "./a.js";\n', "a.js": 'import { b } from "./main.js";\n'},
            "main.js > a.js > main.js",
        ),
        ({"main.js": 'import { a } from "./a.js";\n'}, "main.js imports a.js, which does not exist"),
        ({"main.js": 'import * as a from "./a.js";\n'}, "main.js: this form"),
        ({"main.js": "export default 1;\n"}, "main.js: this form"),
    ],
)
def test_what_cannot_be_joined_is_refused(sources: dict[str, str], message: str) -> None:
    with pytest.raises(InternalError, match=message):
        join_modules(sources, "main.js")
