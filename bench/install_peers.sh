#!/bin/sh
# Installs the gateways that Farebox is compared with, each from its own registry, into one folder.
# usage: bench/install_peers.sh [DIR]     (default /tmp/peers; about 1.1 GB)
set -eu
peers=${1:-/tmp/peers}
python=${PYTHON:-python3}
mkdir -p "$peers"

"$python" -m venv "$peers/rolter"
"$peers/rolter/bin/pip" install --quiet rolter==0.1.0

# @hono/node-server: with the newest 1.x (1.19.19) this version of Portkey answers every stream with 500
# ("immutable"), because it changes headers that the library no longer copies. 1.13.8 streams.
mkdir -p "$peers/portkey"
printf '%s\n' '{"private": true, "dependencies": {"@portkey-ai/gateway": "1.15.2"},' \
    '"overrides": {"@hono/node-server": "1.13.8"}}' >"$peers/portkey/package.json"
(cd "$peers/portkey" && npm install --no-audit --no-fund --silent)

"$python" -m venv "$peers/litellm"
if ! "$peers/litellm/bin/pip" install --quiet "litellm[proxy]==1.109.1"; then
    # An index that is some weeks old lacks three packages in the exact versions it asks for, none of
    # which is on the path of a request: take the newest that is there.
    "$peers/litellm/bin/pip" install --quiet --no-deps litellm==1.109.1
    "$peers/litellm/bin/python" - >"$peers/litellm-requirements.txt" <<'PY'
from importlib.metadata import requires

from pip._vendor.packaging.requirements import Requirement

for text in requires("litellm"):
    need = Requirement(text)
    if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", "proxy")):
        need.marker = None
        print(need.name if need.name in {"certifi", "litellm-proxy-extras", "litellm-enterprise"} else need)
PY
    "$peers/litellm/bin/pip" install --quiet -r "$peers/litellm-requirements.txt"
fi
du -sh "$peers"/rolter "$peers"/portkey "$peers"/litellm
