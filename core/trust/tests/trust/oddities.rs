//! Envelopes and signatures at the edge of their formats, with what salve says and what Python's
//! securesystemslib says. Where the two differ, salve is the stricter or reads `keyid` as the hint
//! that DSSE makes it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use protocol::{Bytes, Envelope, PayloadType, Signature, documents::Order};
use serde_json::{Value, json};
use trust::{Signer as _, key_id, seal};

use crate::sample::{self, Try, key};

struct Table(Vec<Value>);

impl Table {
    /// `salve` opens it as exactly one order of a.kaya; `python` finds one signature of hers.
    fn add(&mut self, name: &str, text: String, salve: bool, python: bool) {
        self.0.push(json!({ "name": name, "envelope": text, "salve": salve, "python": python }));
    }
}

fn text(envelope: &Envelope) -> Try<String> {
    Ok(String::from_utf8(envelope.write()?)?)
}

/// `from` must be there: an oddity that changes nothing would test nothing.
fn swap(text: &str, from: &str, to: &str) -> Try<String> {
    if !text.contains(from) {
        return Err(format!("`{from}` is not there to be changed").into());
    }
    Ok(text.replacen(from, to, 1))
}

pub(crate) fn envelopes() -> Try<Value> {
    let (kaya, ruiz) = (key("a.kaya"), key("m.ruiz"));
    let good = seal::seal(&sample::order()?, &[&kaya])?;
    let plain = text(&good)?;
    let mut table = Table(Vec::new());
    table.add("plain", plain.clone(), true, true);
    base64_oddities(&mut table, &good, &plain)?;
    json_oddities(&mut table, &plain)?;
    signature_oddities(&mut table, &good, &plain)?;

    let both = seal::seal(&sample::order()?, &[&kaya, &ruiz])?;
    table.add("a second signature by somebody else", text(&both)?, false, true);
    let other = seal::seal(&sample::order()?, &[&ruiz])?;
    table.add("somebody else's signature alone", text(&other)?, false, false);
    let mut dressed = other;
    for signature in &mut dressed.signatures {
        signature.keyid = key_id(&kaya.public_key());
    }
    table.add("her key id with somebody else's signature", text(&dressed)?, false, false);
    let kind = swap(&plain, "salve.order.v1", "salve.order.v2")?;
    table.add("another payload type", kind, false, false);
    let escaped = swap(
        &plain,
        "application/vnd.salve.order.v1+json",
        "\\u0061pplication/vnd.salve.order.v1+json",
    )?;
    table.add("a payload type with an escape", escaped, true, true);
    Ok(Value::Array(table.0))
}

fn base64_oddities(table: &mut Table, good: &Envelope, plain: &str) -> Try<()> {
    let payload = STANDARD.encode(&good.payload.0);
    let Some(signature) = good.signatures.first() else { return Err("no signature".into()) };
    let sig = STANDARD.encode(&signature.sig.0);
    let url = URL_SAFE.encode(&signature.sig.0);
    if url == sig || !sig.ends_with("==") {
        return Err("the sample's signature needs `+` or `/` and padding".into());
    }
    table.add("signature in the URL-safe alphabet", swap(plain, &sig, &url)?, false, true);
    let bare = sig.trim_end_matches('=');
    table.add("signature without padding", swap(plain, &sig, bare)?, false, false);
    table.add(
        "signature with too much padding",
        swap(plain, &sig, &format!("{sig}="))?,
        false,
        false,
    );
    // The last character before `==` carries four bits that mean nothing.
    let other = match bare.chars().last() {
        Some(c @ ('A' | 'Q' | 'g' | 'w')) => char::from_u32(c as u32 + 1),
        _ => None,
    };
    let mut spare: String = bare.chars().take(bare.len() - 1).collect();
    spare.push(other.ok_or("the sample's base64 is not canonical")?);
    table.add(
        "signature with spare bits set",
        swap(plain, &sig, &format!("{spare}=="))?,
        false,
        true,
    );
    let (head, tail) = payload.split_at(40);
    for (name, middle) in
        [("a space", " "), ("a line feed", "\\n"), ("a NUL", "\\u0000"), ("a dash", "-")]
    {
        let changed = swap(plain, &payload, &format!("{head}{middle}{tail}"))?;
        table.add(&format!("payload with {name} in it"), changed, false, false);
    }
    table.add("an empty payload", swap(plain, &payload, "")?, false, false);
    table.add(
        "payload that is a number",
        swap(plain, &format!("\"{payload}\""), "7")?,
        false,
        false,
    );
    Ok(())
}

fn json_oddities(table: &mut Table, plain: &str) -> Try<()> {
    table.add("white space around it", format!(" \n{plain}\t "), true, true);
    table.add("a byte-order mark", format!("\u{feff}{plain}"), false, false);
    table.add("trailing bytes", format!("{plain}x"), false, false);
    table.add("two envelopes", format!("{plain}{plain}"), false, false);
    table.add("cut", plain.chars().take(plain.len() - 2).collect(), false, false);
    table.add("an unknown field", swap(plain, "{", "{\"x\":[1,{\"y\":null}],")?, true, true);
    let evil = swap(plain, "{", "{\"payload\":\"ZXZpbA==\",")?;
    table.add("the payload twice, the last one good", evil, false, true);
    let twice = swap(plain, "{", "{\"payloadType\":\"application/vnd.salve.order.v1+json\",")?;
    table.add("the payload type twice, alike", twice, false, true);
    let float = swap(plain, "{", "{\"x\":1.5,")?;
    table.add("a float in an unknown field", float, false, true);
    let deep = format!("{{\"x\":{}{},", "[".repeat(10_000), "]".repeat(10_000));
    table.add("10,000 lists within each other", swap(plain, "{", &deep)?, false, false);
    table.add("no signatures field", swap(plain, "\"signatures\"", "\"signature\"")?, false, false);
    table.add("a list", format!("[{plain}]"), false, false);
    table.add("nothing", String::new(), false, false);
    Ok(())
}

fn signature_oddities(table: &mut Table, good: &Envelope, plain: &str) -> Try<()> {
    let Some(first) = good.signatures.first() else { return Err("no signature".into()) };
    let with = |signatures: Vec<Signature>| text(&Envelope { signatures, ..good.clone() });
    let sig = |bytes: &[u8]| with(vec![Signature { sig: Bytes(bytes.to_vec()), ..first.clone() }]);
    table.add("no signatures", with(Vec::new())?, false, false);
    table.add("the same signature twice", with(vec![first.clone(); 2])?, false, false);
    table.add("17 signatures", with(vec![first.clone(); 17])?, false, false);
    let renamed = Signature { keyid: "22".repeat(32), ..first.clone() };
    table.add("her signature under an unknown key id", with(vec![renamed])?, true, false);
    let nameless = Signature { keyid: String::new(), ..first.clone() };
    table.add("her signature under an empty key id", with(vec![nameless])?, true, false);
    let absent = swap(plain, &format!("\"keyid\":\"{}\",", first.keyid), "")?;
    table.add("no key id", absent, false, false);
    let null = swap(plain, &format!("\"{}\"", first.keyid), "null")?;
    table.add("a key id that is null", null, false, false);
    let bytes = first.sig.0.as_slice();
    table.add("an empty signature", sig(&[])?, false, false);
    table.add(
        "a signature of 63 bytes",
        sig(bytes.split_last().map_or(bytes, |(_, rest)| rest))?,
        false,
        false,
    );
    table.add("a signature of 65 bytes", sig(&[bytes, &[0]].concat())?, false, false);
    table.add("a signature with S + L", sig(&plus_order(bytes))?, false, false);
    let over = key("a.kaya").sign(&good.payload.0)?;
    table.add("a signature over the payload alone", sig(&over)?, false, false);
    let pae = Envelope::pae("application/vnd.salve.recall.v1+json", &good.payload.0);
    let other = key("a.kaya").sign(&pae)?;
    table.add("a signature for another payload type", sig(&other)?, false, false);
    debug_assert_eq!(good.payload_type, Order::PAYLOAD_TYPE);
    Ok(())
}

/// The order of ed25519's group, little endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The same signature with S + L in the place of S: lax verifiers take it as another one.
fn plus_order(signature: &[u8]) -> Vec<u8> {
    let mut carry = 0_u16;
    let (r, s) = signature.split_at(signature.len().min(32));
    let sum = s.iter().zip(ORDER).map(|(a, b)| {
        let sum = u16::from(*a) + u16::from(b) + carry;
        carry = sum >> 8;
        u8::try_from(sum & 0xff).unwrap_or(0)
    });
    r.iter().copied().chain(sum.collect::<Vec<u8>>()).collect()
}

/// Points of small order and their other spellings: under them signatures prove nothing.
const SMALL: [&str; 14] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// `python` is null where salve refuses the key itself, so that the other's answer is its own.
pub(crate) fn signatures() -> Try<Value> {
    let signer = key("a.kaya");
    let message = "salve";
    let good = signer.sign(message.as_bytes())?;
    let public = signer.public_key().to_string();
    let mut rows = Vec::new();
    let mut add = |name: &str, key: &str, signature: &[u8], salve: bool, python: Value| {
        rows.push(json!({
            "name": name, "public": key, "message": message, "signature": hex(signature),
            "salve": salve, "python": python,
        }));
    };
    add("plain", &public, &good, true, json!(true));
    add("S + L", &public, &plus_order(&good), false, json!(false));
    add("63 bytes", &public, good.split_last().map_or(&[], |(_, rest)| rest), false, json!(false));
    add("65 bytes", &public, &[&good[..], &[0]].concat(), false, json!(false));
    add("empty", &public, &[], false, json!(false));
    for (name, point) in
        [("the identity", SMALL[0]), ("y = p + 1", SMALL[12]), ("y = p", SMALL[10])]
    {
        let r: protocol::Digest = point.parse()?;
        let mut changed = good;
        changed.iter_mut().zip(r.0).for_each(|(slot, byte)| *slot = byte);
        add(&format!("R is {name}"), &public, &changed, false, json!(false));
    }
    let mut zero = [0; 64];
    zero.iter_mut().take(1).for_each(|byte| *byte = 1);
    for point in SMALL {
        add("key of small order, R the identity, S zero", point, &zero, false, Value::Null);
        let own: protocol::Digest = point.parse()?;
        let mut same = [0; 64];
        same.iter_mut().zip(own.0).for_each(|(slot, byte)| *slot = byte);
        add("key of small order, R the key, S zero", point, &same, false, Value::Null);
    }
    let wrong = key("m.ruiz").public_key().to_string();
    add("another key", &wrong, &good, false, json!(false));
    let off_curve = "0200000000000000000000000000000000000000000000000000000000000000";
    add("key off the curve", off_curve, &good, false, json!(false));
    Ok(Value::Array(rows))
}
