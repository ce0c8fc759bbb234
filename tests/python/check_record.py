#!/usr/bin/env python3
"""Checks one exported run with securesystemslib and in_toto_attestation, none of our own code.

usage: check_record.py FOLDER      (as `salve runs show RUN --export FOLDER` writes it)
"""

import base64
import hashlib
import json
import pathlib
import sys

from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey


def key(public):
    value = {"keytype": "ed25519", "keyval": {"public": public}, "scheme": "ed25519"}
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    return SSlibKey(hashlib.sha256(canonical).hexdigest(), "ed25519", "ed25519", {"public": public})


def opened(path, keys):
    envelope = Envelope.from_dict(json.loads(path.read_text()))
    envelope.verify(keys, 1)
    return envelope.payload


def signers(path, agents):
    """The keys one of which sealed an order: the agents', or that of a session that an agent lent it to."""
    claimed = json.loads(base64.b64decode(json.loads(path.read_text())["payload"]))
    if "session_key" not in claimed:
        return agents
    paper = Envelope.from_dict(claimed["session_key"])
    paper.verify(agents, 1)
    assert paper.payload_type == "application/vnd.salve.session-key.v1+json", "another paper"
    lent = json.loads(paper.payload)
    assert lent["person"] == claimed["agent"] and lent["risk"] != "high", "not lent for this"
    assert lent["not_before"] <= claimed["not_before"] and claimed["not_after"] <= lent["not_after"], "too late"
    return [key(lent["key"])]


def main(folder):
    papers = pathlib.Path(folder)
    anchors = json.loads((papers / "keys.json").read_text())
    enrollers = [key(one["keyval"]["public"]) for one in anchors["enrollers"]]
    agents = [key(one["keyval"]["public"]) for one in anchors["agents"].values()]
    card = json.loads(opened(papers / "card.json", enrollers))
    record = opened(papers / "record.json", [key(card["record_key"])])
    order = opened(papers / "order.json", signers(papers / "order.json", agents))
    message = json_format.Parse(record, statement_pb2.Statement())
    Statement.copy_from_pb(message).validate()
    subjects = {one["name"]: one["digest"]["sha256"] for one in json.loads(record)["subject"]}
    assert subjects["order"] == hashlib.sha256(order).hexdigest(), "the record is about another order"
    effects = (papers / "effects.jsonl").read_bytes()
    assert subjects["effects"] == hashlib.sha256(effects).hexdigest(), "the effects file was changed"
    print(f"good signature of {card['name']}")


if __name__ == "__main__":
    main(sys.argv[1])
