#!/bin/sh
# mypy --strict on the four packages through a link tree that shows them where they import from.
set -eu
cd "$(dirname "$0")/.."
PY=${PY:-python3}
rm -rf .typecheck && mkdir -p .typecheck/cnnc
for entry in cnnc/*; do
    case "$entry" in *__pycache__*) continue ;; esac
    ln -s "../../$entry" ".typecheck/cnnc/$(basename "$entry")"
done
for package in passes frontends runtime; do ln -s "../../$package" ".typecheck/cnnc/$package"; done
cd .typecheck
"$PY" -m mypy --config-file ../pyproject.toml --cache-dir ../.mypy_cache -p cnnc
