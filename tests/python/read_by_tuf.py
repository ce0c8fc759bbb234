"""Reads a catalogue with tuf's own client, from a folder and from a plain file server."""

import contextlib
import functools
import hashlib
import http.server
import json
import pathlib
import tempfile
import threading
from datetime import datetime, timedelta, timezone

from tuf.api.exceptions import DownloadHTTPError, RepositoryError
from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface


class Folder(FetcherInterface):
    """Answers for addresses that begin with the folder's path."""

    def _fetch(self, url):
        path = pathlib.Path(url)
        if not path.is_file():
            raise DownloadHTTPError("not there", 404)
        yield path.read_bytes()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(folder):
    """The folder as any web server gives it: no program of ours stands behind it."""
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def client(folder, scratch, now, base=None):
    """Over the folder itself, or with tuf's own fetcher from the address `base`."""
    updater = Updater(
        metadata_dir=scratch,
        metadata_base_url=f"{base or folder}/",
        target_dir=scratch,
        target_base_url=f"{base or folder}/",
        fetcher=None if base else Folder(),
        bootstrap=(folder / "1.root.json").read_bytes(),
    )
    # Vectors do not age: they are judged by the time they were made for.
    updater._trusted_set.reference_time = now
    return updater


def check_catalogue(checks, folder):
    issued = json.loads((folder / "timestamp.json").read_bytes())["signed"]["issued"]
    now = datetime.strptime(issued, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    read(checks, folder, now, None)
    with served(folder) as base:
        read(checks, folder, now, base)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            client(folder, scratch, now + timedelta(days=8)).refresh()
            checks.that(False, "tuf refuses an expired timestamp")
        except RepositoryError:
            checks.that(True, "tuf refuses an expired timestamp")


def read(checks, folder, now, base):
    where = "over HTTP" if base else "from a folder"
    with tempfile.TemporaryDirectory() as scratch:
        updater = client(folder, scratch, now, base)
        updater.refresh()
        wanted = {
            "policy/policy.toml": None,
            "scripts/low/cache.clear-3.rhai": ("cache.clear", 3, "low"),
            "scripts/medium/service.restart-1.rhai": ("service.restart", 1, "medium"),
        }
        for path, script in wanted.items():
            info = updater.get_targetinfo(path)
            checks.that(info is not None, f"tuf finds {path} {where}")
            if info is None:
                continue
            target = pathlib.Path(updater.download_target(info, str(pathlib.Path(scratch) / "target")))
            digest = hashlib.sha256(target.read_bytes()).hexdigest()
            checks.that(digest == info.hashes["sha256"], f"tuf downloads {path} {where}")
            if script:
                manifest = info.custom
                found = (manifest["name"], manifest["version"], manifest["risk"])
                checks.that(found == script, f"tuf reads the manifest of {path} {where}")
        for path in ["scripts/high/cache.clear-3.rhai", "scripts/low/a/b-1.rhai", "other.txt"]:
            checks.that(updater.get_targetinfo(path) is None, f"tuf does not find {path} {where}")
