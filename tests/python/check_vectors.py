#!/usr/bin/env python3
"""Checks the vectors with other people's libraries, none of our own code.

Every envelope by securesystemslib, every record by in_toto_attestation, the catalogue by tuf's client;
and the other way round: a catalogue that tuf's metadata API writes is read by ours (--reader).
Prints `N checked`; exits 1 where nothing was checked or anything failed.
"""

import argparse
import base64
import hashlib
import json
import pathlib
import sys
import tomllib

import written
from checks import Checks
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from read_by_tuf import check_catalogue
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError
from securesystemslib.signer import Signature, SSlibKey

VECTORS = pathlib.Path(__file__).resolve().parent.parent / "vectors"
IN_TOTO = "application/vnd.in-toto+json"


def load(name):
    return json.loads((VECTORS / name).read_bytes())


def key_of(public):
    """The key as securesystemslib names it, from the 32 bytes alone."""
    value = {"keytype": "ed25519", "keyval": {"public": public}, "scheme": "ed25519"}
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    keyid = hashlib.sha256(canonical).hexdigest()
    return SSlibKey(keyid, "ed25519", "ed25519", {"public": public})


def opens(text, keys, threshold):
    """Whether securesystemslib takes the envelope: any error of its reader is a no."""
    try:
        envelope = Envelope.from_dict(json.loads(text))
        envelope.verify(keys, threshold)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, VerificationError):
        return None
    return envelope


def check_documents(checks, keys):
    for listed in load("documents.json"):
        name = listed["name"]
        text = (VECTORS / listed["file"]).read_text()
        envelope = opens(text, [keys[listed["signer"]]], 1)
        checks.that(envelope is not None, f"{name}: the signature of {listed['signer']}")
        if envelope is None:
            continue
        digest = hashlib.sha256(envelope.payload).hexdigest()
        checks.that(digest == listed["digest"], f"{name}: the digest is of the payload")
        checks.that(envelope.payload_type == listed["payload_type"], f"{name}: the payload type")
        others = [key for signer, key in keys.items() if signer != listed["signer"]]
        checks.that(opens(text, others, 1) is None, f"{name}: opens for nobody else")
        changed = json.loads(text)
        changed["payloadType"] += "x"
        refused = opens(json.dumps(changed), [keys[listed["signer"]]], 1) is None
        checks.that(refused, f"{name}: not as another kind")
        if envelope.payload_type == IN_TOTO:
            check_statement(checks, name, envelope.payload)


def check_session(checks, keys):
    """An order under a session key: its paper, inside it, is the person's; the paper's key signed the order."""
    order = opens((VECTORS / "documents/session-order.json").read_text(), [keys["session"]], 1)
    said = json.loads(order.payload)
    paper = opens(json.dumps(said["session_key"]), [keys["a.kaya"]], 1)
    checks.that(paper is not None, "session: the paper is the person's")
    checks.that(paper.payload_type == "application/vnd.salve.session-key.v1+json", "session: the payload type")
    lent = json.loads(paper.payload)
    checks.that(key_of(lent["key"]).keyid == keys["session"].keyid, "session: the key that signed the order")
    checks.that(lent["person"] == said["agent"] and lent["risk"] != "high", "session: whose, and for what")
    inside = lent["not_before"] <= said["not_before"] and said["not_after"] <= lent["not_after"]
    checks.that(inside, "session: the order lies within its life")


def check_metrics(checks):
    text = (VECTORS / "metrics.txt").read_text()
    try:
        families = {family.name: family for family in text_string_to_metric_families(text)}
    except ValueError as error:
        checks.that(False, f"metrics: not OpenMetrics: {error}")
        return
    checks.that(len(families) == text.count("# TYPE "), "metrics: every family once")
    for name, family in families.items():
        checks.that(family.documentation != "", f"metrics: {name} says what it is")
        unit = family.unit
        checks.that(unit == "" or name.endswith(unit), f"metrics: {name} ends in its unit")
    outcomes = {s.labels["outcome"]: s.value for s in families["salve_runs"].samples}
    checks.that(outcomes["succeeded"] == 2, "metrics: runs by outcome")
    labels = {key for f in families.values() for s in f.samples for key in s.labels}
    known = {"outcome", "state", "role", "reason"}
    checks.that(labels == known, f"metrics: labels {labels}")
    for bad in [text.replace("# EOF\n", ""), text.replace(" 40000", " x"), text + "x 1\n"]:
        try:
            list(text_string_to_metric_families(bad))
            checks.that(False, "metrics: the parser takes anything")
        except ValueError:
            checks.that(True, "metrics: the parser is strict")


def check_statement(checks, name, payload):
    message = statement_pb2.Statement()
    json_format.Parse(payload, message)
    statement = Statement.copy_from_pb(message)
    try:
        statement.validate()
    except ValueError as error:
        checks.that(False, f"{name}: in-toto says {error}")
        return
    checks.that(message.predicate_type == "urn:salve:record:v1", f"{name}: the predicate type")
    subjects = {subject.name: dict(subject.digest) for subject in message.subject}
    checks.that(set(subjects) == {"order", "effects"}, f"{name}: the subjects")
    predicate = json.loads(payload)["predicate"]
    effects = predicate["effects"]["digest"]
    checks.that(subjects["effects"] == {"sha256": effects}, f"{name}: the effects' digest")
    if "identity_checked" in predicate:
        check_identity(checks, name, predicate)
    for secret in predicate.get("secrets", []):
        named = set(secret) == {"handle", "sealed", "not_after"} and len(bytes.fromhex(secret["sealed"])) == 32
        checks.that(named, f"{name}: a secret by the sha256 of its sealed bytes")


def check_identity(checks, name, predicate):
    """The desk's word stands beside the agent's statement, for this agent and script, before the run, masked."""
    said = predicate["identity_checked"]
    fields = {"by", "contact", "masked", "on_file_since", "person", "agent", "script", "at", "endpoint"}
    checks.that(set(said) == fields and said["by"] == "code", f"{name}: what the desk checked")
    checks.that(predicate["identified"] == {"by": "code"}, f"{name}: the agent states the same way")
    own = said["agent"] == predicate["agent"] and said["script"] == predicate["script"]["name"]
    checks.that(own, f"{name}: the check is of this agent and script")
    checks.that(said["at"] <= predicate["accepted"], f"{name}: it was checked before")
    checks.that(said["endpoint"] == predicate["endpoint"]["id"], f"{name}: the check is for this machine")
    checks.that("…" in said["masked"], f"{name}: the contact is masked")


def check_attestation(checks, documents):
    """The record says of the check what the desk's attestation says, word for word."""
    payload = {name: json.loads(base64.b64decode(text["payload"])) for name, text in documents.items()}
    said = payload["ticket-attestation-checked"]["identity_checked"]
    checks.that(said == payload["record-checked"]["predicate"]["identity_checked"], "attestation: copied to the record")
    checks.that("identity_checked" not in payload["ticket-attestation"], "attestation: nothing where none was checked")
    checks.that(payload["ticket-attestation-checked"]["ticket"] == payload["order-by-code"]["ticket"], "attestation: of its ticket")


def check_bundle(checks):
    head, body = (VECTORS / "evidence.bundle").read_bytes().split(b"\n", 1)
    checks.that(head == b"salve evidence 1 sha256 " + hashlib.sha256(body).hexdigest().encode(), "bundle: its head")
    bundle = json.loads(body)
    files = {name: base64.b64decode(text) for name, text in bundle["catalogue"].items()}
    root = (VECTORS / "evidence-root.json").read_bytes()
    checks.that(files["1.root.json"] == root, "bundle: its chain of roots begins with the root")
    policy = json.loads(files["1.policy.json"])["signed"]["targets"]["policy/policy.toml"]["hashes"]["sha256"]
    rules = tomllib.loads(files[f"policy/{policy}.policy.toml"].decode())
    for run in bundle["runs"]:
        card = opens(base64.b64decode(run["card"]), [key_of(e["key"]) for e in rules["enrollers"]], 1)
        record = opens(base64.b64decode(run["record"]), [key_of(json.loads(card.payload)["record_key"])], 1)
        checks.that(record is not None, "bundle: its record is signed by the card's key")
        check_statement(checks, "bundle", record.payload)
        effects = json.loads(record.payload)["predicate"]["effects"]["digest"]
        kept = hashlib.sha256(base64.b64decode(run["effects"])).hexdigest()
        checks.that(kept == effects, "bundle: the effects are those that were signed")


def check_odd_envelopes(checks, keys):
    differ = 0
    for odd in load("dsse-table.json"):
        taken = opens(odd["envelope"], [keys["a.kaya"]], 1) is not None
        differ += odd["salve"] != odd["python"]
        checks.that(taken == odd["python"], f"odd envelope, {odd['name']}: taken = {taken}")
    return differ


def check_odd_signatures(checks):
    unlike = 0
    for odd in load("signature-table.json"):
        key = key_of(odd["public"])
        try:
            key.verify_signature(Signature(key.keyid, odd["signature"]), odd["message"].encode())
            good = True
        except (UnverifiedSignatureError, VerificationError):
            good = False
        if odd["python"] is None:
            # Keys that salve refuses for themselves: what others say is theirs to say.
            unlike += good
        else:
            checks.that(good == odd["python"], f"odd signature, {odd['name']}: good = {good}")
    return unlike


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reader", type=pathlib.Path, help="our reader of a catalogue's folder")
    arguments = parser.parse_args()
    checks = Checks()
    listed = load("keys.json")
    keys = {name: key_of(key["public"]) for name, key in listed.items()}
    for name, key in keys.items():
        checks.that(key.keyid == listed[name]["keyid"], f"key id of {name}")
    check_metrics(checks)
    check_documents(checks, keys)
    check_session(checks, keys)
    check_attestation(checks, {listed["name"]: load(listed["file"]) for listed in load("documents.json")})
    check_bundle(checks)
    differ = check_odd_envelopes(checks, keys)
    unlike = check_odd_signatures(checks)
    check_catalogue(checks, VECTORS / "catalogue")
    if arguments.reader:
        written.check(checks, arguments.reader)
    print(f"{differ} odd envelopes and {unlike} odd signatures are taken otherwise here, as the tables say")
    return checks.report()


if __name__ == "__main__":
    sys.exit(main())
