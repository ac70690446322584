"""A Bento starts and answers as a user without a home, on a root that nobody can write to: as in its container."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from serving.pack import pack
from tests.serving import servers
from tests.serving.bundles import stand_in_bundle

pytestmark = pytest.mark.slow

NOBODY = "65534"
SCRIPT = r"""
mount --make-rprivate /
mount -t tmpfs tmpfs /srv -o mode=755
for name in bento venv python; do mkdir /srv/$name; mount --bind "${!name}" /srv/$name; done
if [ -n "$closed" ]; then  # to others: an empty folder in its place leads to the interpreter alone
  mount -t tmpfs tmpfs "$closed" -o mode=755; mkdir -p "$python"; mount --bind /srv/python "$python"
fi
mount -t tmpfs tmpfs /tmp -o mode=1777
cut -d' ' -f5 /proc/self/mountinfo | grep -vE '^/(tmp|proc|sys|dev)(/|$)' | while read -r at; do
  mount -o remount,bind,ro "$at"
done
cd /srv/bento
exec setpriv --reuid=$nobody --regid=$nobody --clear-groups --no-new-privs --bounding-set=-all env -i \
  PATH=/usr/bin:/bin BENTOML_HOME=/tmp/bentoml BENTOML_DO_NOT_TRACK=True "$@"
"""
"""In a mount namespace of its own: the Bento, the environment and the interpreter below /srv, and all but /tmp
read-only; then, as another user, the arguments."""


def command(bento: Path, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """What runs the arguments on a read-only root, with its environment."""
    python = Path(sys.base_prefix)
    closed = next((folder for folder in reversed(python.parents) if not folder.stat().st_mode & stat.S_IXOTH), "")
    environment = {"PATH": os.environ["PATH"], "nobody": NOBODY, "closed": str(closed)}
    environment |= {"bento": str(bento), "venv": sys.prefix, "python": str(python)}
    return ["unshare", "--mount", "bash", "-ec", SCRIPT, "bash", *arguments], environment


@pytest.fixture(scope="module")
def bento(tmp_path_factory):
    """The folder of a packed bundle; it is skipped where the kernel forbids such a root."""
    for tool in ("unshare", "setpriv", "mount"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    folder = tmp_path_factory.mktemp("read_only")
    folder.chmod(0o755)
    test = "touch /tmp/here; for at in / /srv /srv/bento /var; do ! touch $at/x; done; /srv/venv/bin/python -V; id -u"
    line, environment = command(folder, "bash", "-ec", test)
    tried = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=60, check=False)
    if tried.returncode:
        pytest.skip(f"no read-only root for another user here: {tried.stderr.strip()[-200:]}")
    assert tried.stdout.splitlines()[-1] == NOBODY
    assert tried.stderr.count("Read-only file system") == 4
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENTOML_HOME", str(folder / "bentoml"))
        patch.setenv("PYTHONPATH", str(servers.ROOT))
        tag = pack(stand_in_bundle(folder / "bundle"))
    found = folder / "bentoml" / "bentos" / tag.replace(":", os.sep)
    subprocess.run(["chmod", "-R", "a+rX", found], check=True)  # a container's build gives it to the user it makes
    return found


def test_a_bento_starts_and_answers_on_a_read_only_root_as_another_user_without_a_home(bento, tmp_path, monkeypatch):
    port = servers.free_port()
    line, environment = command(bento, "/srv/venv/bin/python", "-m", "bentoml", "serve", ".", "--port", str(port))
    monkeypatch.setattr(servers, "command", lambda _port: line)
    monkeypatch.setattr(servers, "environment", lambda _folder, **_settings: environment)
    with servers.serving(tmp_path, bento, port=port) as server:
        answer = httpx.post(f"{server.url}/predict", json={"text": "i am happy"}, timeout=10)
        assert answer.status_code == 200
        owner = Path(f"/proc/{server.process.pid}").stat().st_uid
        assert str(owner) == NOBODY
        assert "Traceback" not in server.log
