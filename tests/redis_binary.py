"""A Redis 8 to start: the machine's own, or Debian 13's, unpacked beside the cached models.

Debian 12 has no Redis 8. Its packages of Debian 13 run there with the libraries that come with them, started
through their own loader; nothing of the machine is changed, and its own package lists are not touched.
"""

from __future__ import annotations

import fcntl
import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from platformdirs import user_cache_path

OLDEST = 8  # the first with vector sets
RELEASE = "trixie"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# What Debian's redis-tools depends on: the server is in it, under the name of redis-check-rdb.
PACKAGES = (
    "redis-tools", "libc6", "libstdc++6", "libgcc-s1", "libatomic1", "libjemalloc2",
    "liblzf1", "libssl3t64", "libsystemd0", "libzstd1", "zlib1g", "libcap2",
)  # fmt: skip
PATIENCE_S = 100


class NoRedis(Exception):
    """None is here, and none can be had; the message says why."""


def find() -> list[str]:
    """How a Redis server is started, arguments to follow. The first call may download 20 MB. Raises NoRedis."""
    installed = shutil.which("redis-server")
    if installed and _version([installed]) >= OLDEST:
        return [installed]
    folder = user_cache_path("cacheguard") / f"redis-{RELEASE}-{platform.machine()}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with folder.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir():
                _unpack(folder)
        return _program(folder)
    except OSError as error:
        raise NoRedis(f"{folder} can't be filled: {error}") from error


def _version(program: list[str]) -> int:
    """The major one; 0 where the program doesn't tell."""
    said = subprocess.run([*program, "--version"], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    found = re.search(r"v=(\d+)", said.stdout)
    return int(found[1]) if found else 0


def _program(folder: Path) -> list[str]:
    [loader] = folder.glob("usr/lib/*-linux-gnu/ld-linux-*.so.*")
    program = [str(loader), "--argv0", "redis-server", "--library-path", str(loader.parent)]
    program.append(str(folder / "usr/bin/redis-check-rdb"))
    if _version(program) < OLDEST:
        raise NoRedis(f"the server in {folder} doesn't start: remove that folder, so that it is made again")
    return program


def _unpack(folder: Path) -> None:
    """Beside, then moved there in one step: a run that is killed leaves no half of it."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        work = Path(name)
        _configure(work)
        _run(work, "apt-get", "-c", work / "apt.conf", "update")
        _run(work, "apt-get", "-c", work / "apt.conf", "download", *PACKAGES)
        for package in work.glob("*.deb"):
            _run(work, "dpkg-deb", "-x", package, work / "root")
        (work / "root").rename(folder)


def _configure(work: Path) -> None:
    """An apt of its own: lists, state and cache under `work`, the mirror that this machine takes Debian from."""
    for part in ("state/lists/partial", "cache/archives/partial", "none"):
        (work / part).mkdir(parents=True)
    (work / "status").touch()
    (work / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "{work}/debian.sources";\nDir::Etc::sourceparts "{work}/none";\n'
        f'Dir::State "{work}/state";\nDir::State::status "{work}/status";\nDir::Cache "{work}/cache";\n'
        # Hooks of the machine would tell others of an update that isn't theirs.
        "#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n"
    )
    (work / "debian.sources").write_text(
        f"Types: deb\nURIs: {_mirror(work)}\nSuites: {RELEASE}\nComponents: main\nSigned-By: {KEYRING}\n"
    )


def _mirror(work: Path) -> str:
    release = platform.freedesktop_os_release()
    targets = _run(work, "apt-get", "indextargets", "--no-release-info", "--format", "$(REPO_URI) $(RELEASE)")
    mirrors = [
        line.split()[0] for line in targets.splitlines() if line.split()[1:] == [release.get("VERSION_CODENAME")]
    ]
    if release["ID"] != "debian" or not mirrors:
        raise NoRedis("no redis-server 8 or newer on the PATH, and no Debian mirror among this machine's apt sources")
    return mirrors[0]


def _run(folder: Path, *command: object) -> str:
    try:
        ended = subprocess.run(
            list(map(str, command)), cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, check=True
        )
    except FileNotFoundError as error:
        raise NoRedis(f"no redis-server 8 or newer on the PATH, and no {command[0]} to get one with") from error
    except subprocess.CalledProcessError as error:
        raise NoRedis(f"{command[0]} could not get Redis: {error.stderr.strip()}") from error
    except subprocess.TimeoutExpired as error:
        raise NoRedis(f"{command[0]} took longer than {PATIENCE_S} s to get Redis") from error
    return ended.stdout
