"""Writes catalogues with tuf's metadata API and has our reader read them."""

import copy
import json
import pathlib
import subprocess
import tempfile
from datetime import datetime, timedelta, timezone

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    MetaFile,
    Metadata,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=timezone.utc)
EXPIRES = NOW + timedelta(days=30)
SOURCE = b"fn detect() { 3 }\n"
POLICY = b"# written by Python\n"
SCRIPT = "scripts/medium/service.restart-1.rhai"
MANIFEST = {
    "name": "service.restart",
    "version": 1,
    "title": 'Neu "starten"\nund prüfen',
    "does": "restarts one service",
    "author": "s.okafor",
    "risk": "medium",
    "consent": "none",
    "platforms": ["linux"],
    "limit_seconds": 60,
    "parameters": {},
    "permissions": {"service.restart": ["{unit}"]},
}


class Writer:
    def __init__(self, folder):
        self.folder = folder
        names = ["root", "admin", "vetter a", "vetter b", "online"]
        self.signers = {name: CryptoSigner.generate_ed25519() for name in names}
        self.pins = {}
        self.delegations = self.delegated()

    def key(self, name):
        return copy.deepcopy(self.signers[name].public_key)

    def delegated(self):
        roles = {
            "policy": (["admin"], 1, "policy/*"),
            "risk-low": (["vetter a", "vetter b"], 1, "scripts/low/*"),
            "risk-medium": (["vetter a", "vetter b"], 2, "scripts/medium/*"),
            "risk-high": (["vetter a", "vetter b"], 2, "scripts/high/*"),
        }
        keys = {}
        listed = {}
        for role, (people, threshold, pattern) in roles.items():
            ids = [self.key(name).keyid for name in people]
            keys.update({self.key(name).keyid: self.key(name) for name in people})
            listed[role] = DelegatedRole(role, ids, threshold, True, paths=[pattern])
        return Delegations(keys, listed)

    def sign(self, role, signed, people):
        metadata = Metadata(signed)
        for name in people:
            metadata.sign(self.signers[name], append=True)
        data = metadata.to_bytes()
        name = "timestamp.json" if role == "timestamp" else f"{signed.version}.{role}.json"
        (self.folder / name).write_bytes(data)
        self.pins[f"{role}.json"] = MetaFile.from_data(signed.version, data, ["sha256"])

    def target(self, path, data, custom=None):
        info = TargetFile.from_data(path, data, ["sha256"])
        if custom:
            info.unrecognized_fields["custom"] = custom
        head, name = path.rsplit("/", 1)
        place = self.folder / head / f"{info.hashes['sha256']}.{name}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        return {path: info}

    def write(self, vetters=("vetter a", "vetter b"), top=None, manifest=MANIFEST):
        root = Root(version=1, expires=EXPIRES, consistent_snapshot=True)
        for role, name in [("root", "root"), ("targets", "admin"), ("snapshot", "online"), ("timestamp", "online")]:
            root.add_key(self.key(name), role)
        self.sign("root", root, ["root"])
        self.pins.clear()
        self.sign("targets", Targets(1, expires=EXPIRES, targets=top, delegations=self.delegations), ["admin"])
        policy = self.target("policy/policy.toml", POLICY)
        self.sign("policy", Targets(1, expires=EXPIRES, targets=policy), ["admin"])
        self.sign("risk-low", Targets(1, expires=EXPIRES), vetters)
        script = self.target(SCRIPT, SOURCE, manifest)
        self.sign("risk-medium", Targets(1, expires=EXPIRES, targets=script), vetters)
        self.sign("risk-high", Targets(1, expires=EXPIRES), ["vetter a", "vetter b"])
        self.sign("snapshot", Snapshot(1, expires=EXPIRES, meta=dict(self.pins)), ["online"])
        issued = {"issued": NOW.strftime("%Y-%m-%dT%H:%M:%SZ")}
        pin = self.pins["snapshot.json"]
        self.sign("timestamp", Timestamp(1, expires=EXPIRES, snapshot_meta=pin, unrecognized_fields=issued), ["online"])


def read(reader, folder, now=NOW):
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    answer = subprocess.run([reader, folder, stamp], check=True, capture_output=True, text=True)
    return json.loads(answer.stdout)


def alias(writer):
    """One vetter's key under a second id: tuf counts it as two people."""
    twin = writer.key("vetter a")
    twin.keyid = "11" * 32
    writer.delegations.keys[twin.keyid] = twin
    writer.delegations.roles["risk-medium"].keyids.append(twin.keyid)


def check(checks, reader):
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        Writer(folder).write()
        answer = read(reader, folder)
        checks.that("refused" not in answer, f"our reader takes what tuf writes: {answer}")
        wanted = dict(MANIFEST, runs_on="endpoint", words=[])
        checks.that(answer.get("scripts") == [wanted], "our reader reads the manifest that tuf wrote")
        checks.that(answer.get("policy") == POLICY.decode(), "our reader reads the policy")
        checks.that(answer.get("versions", {}).get("risk_medium") == 1, "our reader reads the versions")
        late = read(reader, folder, EXPIRES)
        checks.that(late.get("refused") == "stale", "our reader refuses what has expired")
    # Each of these is signed as it should be; tuf's client takes the first three.
    refusals = {
        "key": {"prepare": alias},
        "layout": {"top": {"scripts/medium/evil.one-1.rhai": TargetFile(1, {"sha256": "00" * 32}, "x")}},
        "manifest": {"manifest": dict(MANIFEST, risk="low")},
        "threshold": {"vetters": ["vetter a"]},
    }
    for code, forged in refusals.items():
        with tempfile.TemporaryDirectory() as place:
            writer = Writer(pathlib.Path(place))
            forged.pop("prepare", lambda _: None)(writer)
            writer.write(**forged)
            answer = read(reader, place)
            checks.that(answer.get("refused") == code, f"our reader refuses `{code}`: {answer}")
