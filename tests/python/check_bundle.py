#!/usr/bin/env python3
"""Checks an evidence bundle with securesystemslib and tuf, none of our own code. docs/trust.md walks through it.

usage: check_bundle.py BUNDLE ROOT.json      (ROOT.json came on another way)
"""

import base64
import hashlib
import json
import sys
import tomllib

from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey
from tuf.api.metadata import Metadata


def key(public):
    value = {"keytype": "ed25519", "keyval": {"public": public}, "scheme": "ed25519"}
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    return SSlibKey(hashlib.sha256(canonical).hexdigest(), "ed25519", "ed25519", {"public": public})


def opened(envelope, keys):
    """The payload of a sealed document, if one of these keys sealed it; raises where none did."""
    return unsealed(json.loads(base64.b64decode(envelope)), keys)


def unsealed(envelope, keys):
    envelope = Envelope.from_dict(envelope)
    envelope.verify([key(public) for public in keys], 1)
    return envelope.payload


def signer(envelope, person):
    """Whose key must have sealed an order: the person's, or that of the session that the person lent it to."""
    claimed = json.loads(base64.b64decode(json.loads(base64.b64decode(envelope))["payload"]))
    if "session_key" not in claimed:
        return person
    assert claimed["session_key"]["payloadType"] == "application/vnd.salve.session-key.v1+json", "another paper"
    paper = json.loads(unsealed(claimed["session_key"], [person]))
    assert paper["person"] == claimed["agent"] and paper["risk"] != "high", "not lent for this"
    assert paper["not_before"] <= claimed["not_before"] and claimed["not_after"] <= paper["not_after"], "too late"
    return paper["key"]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def delegated(over, role, metadata):
    over.signed.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    return metadata


def main(bundle, root):
    head, body = open(bundle, "rb").read().split(b"\n", 1)
    assert head == b"salve evidence 1 sha256 " + sha256(body).encode(), "not what was written"
    bundle = json.loads(body)
    files = {name: base64.b64decode(data) for name, data in bundle["catalogue"].items()}
    # Who may sign what, from the root on.
    first = open(root, "rb").read()
    assert files["1.root.json"] == first, "another root"
    trusted = Metadata.from_bytes(first)
    roots = {1: delegated(trusted, "root", trusted)}
    while (name := f"{trusted.signed.version + 1}.root.json") in files:
        newer = delegated(trusted, "root", Metadata.from_bytes(files[name]))
        trusted = roots[newer.signed.version] = delegated(newer, "root", newer)
    print(f"root      {len(roots)} of them, each signed by the one before, from the one that came another way")
    for run in bundle["runs"]:
        check_run(run, files, roots)
    print(f"ticket    {bundle['ticket']}: {len(bundle['runs'])} records, {len(bundle['unanswered'])} runs without one")


def check_run(run, files, roots):
    # What the record claims is believed when its seal has been checked below.
    claimed = json.loads(base64.b64decode(json.loads(base64.b64decode(run["record"]))["payload"]))["predicate"]
    used, script = claimed["catalogue"], claimed["script"]
    targets = delegated(roots[used["root"]], "targets", Metadata.from_bytes(files[f"{used['targets']}.targets.json"]))
    policy_list = delegated(targets, "policy", Metadata.from_bytes(files[f"{used['policy']}.policy.json"]))
    digest = policy_list.signed.targets["policy/policy.toml"].hashes["sha256"]
    text = files[f"policy/{digest}.policy.toml"]
    assert sha256(text) == digest, "another policy"
    policy = tomllib.loads(text.decode())
    print(f"policy    {used['policy']}, signed by its administrators")
    enrollers = [one["key"] for one in policy["enrollers"]]
    card = json.loads(opened(run["card"], enrollers))
    record = json.loads(opened(run["record"], [card["record_key"]]))
    here = record["predicate"]
    print(f"record    of {card['name']}, number {here['counter']}, {here['outcome']}: {here['summary']}")
    people = {one["name"]: one.get("signing_key") for one in policy["people"]}
    if "order" not in run:
        print(f"order     erased by {run['erased']['by']} on {run['erased']['at']}; by {here['agent']}, as the record says")
        return
    order_payload = opened(run["order"], [signer(run["order"], people[here["agent"]])])
    order = json.loads(order_payload)
    subjects = {one["name"]: one["digest"]["sha256"] for one in record["subject"]}
    assert subjects["order"] == sha256(order_payload), "the record is of another order"
    print(f"order     by {order['agent']}: {order['mode']} {order['script']['name']}")
    dispatch = json.loads(opened(run["dispatch"], [order["dispatch_key"]]))
    assert dispatch["order"] == subjects["order"] and dispatch["endpoint"] == card["endpoint"], "another dispatch"
    lists = {role: f"{used[role.replace('-', '_')]}.{role}.json" for role in ("risk-low", "risk-medium", "risk-high")}
    listed = {role: delegated(targets, role, Metadata.from_bytes(files[name])) for role, name in lists.items()}
    found = [role for role, names in listed.items() for target in names.signed.targets.values()
             if target.hashes["sha256"] == script["digest"]]
    assert len(found) == 1, "no list has that script"
    print(f"script    {script['name']} {script['version']}, listed and signed as {found[0]}")
    if "head" in run:
        check_head(run, record, opened(run["record"], [card["record_key"]]), card, people)
    if "effects" in run:
        effects = base64.b64decode(run["effects"])
        assert subjects["effects"] == sha256(effects), "the effects were altered"
        print(f"effects   {len(effects.splitlines())} lines, as the endpoint signed them")


def check_head(run, record, payload, card, people):
    """A head that a person saw later: the hello is the endpoint's, the chain of records leads there."""
    said = json.loads(base64.b64decode(json.loads(base64.b64decode(run["head"]["seen"]))["payload"]))
    seen = json.loads(opened(run["head"]["seen"], [people[said["person"]]]))
    hello = opened(run["head"]["hello"], [card["record_key"]])
    assert seen["hello"] == sha256(hello) and seen["head"] == json.loads(hello)["head"], "another hello"
    assert seen["endpoint"] == card["endpoint"], "another endpoint"
    number, last = record["predicate"]["counter"], sha256(payload)
    for link in [run["after"], *run.get("links", [])] if "after" in run else []:
        if number == seen["head"]["counter"]:
            break
        payload = opened(link, [card["record_key"]])
        here = json.loads(payload)["predicate"]
        assert (here["counter"], here["previous"]) == (number + 1, last), "the chain is broken"
        number, last = here["counter"], sha256(payload)
    whole = number == seen["head"]["counter"]
    assert not whole or last == seen["head"]["hash"], "other records than the person saw"
    print(f"head      {seen['head']['counter']}, seen by {seen['person']}" + ("" if whole else "; not all before it are here"))


if __name__ == "__main__":
    main(*sys.argv[1:])
