//! Between rhai's values and the surface's. Never turns a secret into anything but its handle.

use protocol::limits;
use rhai::{Array, Dynamic, Map};
use surface::Value;

/// Deepest nesting that crosses: a list of maps of lists is three.
const DEPTH_MAX: usize = 16;

/// A secret in a script's hands: a number that only the executor can turn into bytes. It has no
/// text, no order and no equality.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Secret(pub(crate) u32);

/// For rhai.
pub(crate) fn to_dynamic(value: Value) -> Dynamic {
    match value {
        Value::Unit => Dynamic::UNIT,
        Value::Bool(yes) => yes.into(),
        Value::Int(n) => n.into(),
        Value::Text(text) => text.into(),
        Value::List(list) => Dynamic::from_array(list.into_iter().map(to_dynamic).collect()),
        Value::Map(map) => {
            Dynamic::from_map(map.into_iter().map(|(k, v)| (k.into(), to_dynamic(v))).collect())
        }
        Value::Secret(handle) => Dynamic::from(Secret(handle)),
    }
}

/// From rhai; the error says what cannot cross.
pub(crate) fn to_value(value: Dynamic) -> Result<Value, String> {
    let mut room = limits::PEER_BYTES_MAX / 2;
    walk(value, 0, &mut room)
}

fn walk(value: Dynamic, depth: usize, room: &mut usize) -> Result<Value, String> {
    if depth > DEPTH_MAX {
        return Err(format!("a value nested deeper than {DEPTH_MAX}"));
    }
    let value = value.flatten();
    spend(room, 8)?;
    if value.is_unit() {
        return Ok(Value::Unit);
    }
    if let Ok(yes) = value.as_bool() {
        return Ok(Value::Bool(yes));
    }
    if let Ok(n) = value.as_int() {
        return Ok(Value::Int(n));
    }
    if let Ok(c) = value.as_char() {
        return Ok(Value::Text(c.to_string()));
    }
    if value.is_string() {
        let text = value.into_string().map_err(str::to_owned)?;
        spend(room, text.len())?;
        return Ok(Value::Text(text));
    }
    if let Some(secret) = value.read_lock::<Secret>() {
        return Ok(Value::Secret(secret.0));
    }
    if value.is_array() {
        let list: Array = value.cast();
        let list = list.into_iter().map(|item| walk(item, depth + 1, room));
        return list.collect::<Result<_, _>>().map(Value::List);
    }
    if value.is_map() {
        let map: Map = value.cast();
        let mut out = std::collections::BTreeMap::new();
        for (key, item) in map {
            spend(room, key.len())?;
            out.insert(key.to_string(), walk(item, depth + 1, room)?);
        }
        return Ok(Value::Map(out));
    }
    if value.is_fnptr() {
        return Err("a function".to_owned());
    }
    Err(format!("a value of type {}", short(value.type_name())))
}

fn spend(room: &mut usize, bytes: usize) -> Result<(), String> {
    *room = room.checked_sub(bytes).ok_or("more than fits into one call")?;
    Ok(())
}

/// The last part of a Rust type's name.
fn short(name: &str) -> &str {
    name.rsplit("::").next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cross_unchanged_and_secrets_stay_handles() {
        let value = Value::map([
            ("a", Value::List(vec![Value::Int(-1), Value::Bool(true), Value::Unit])),
            ("b", Value::text("é")),
            ("s", Value::Secret(7)),
        ]);
        assert_eq!(to_value(to_dynamic(value.clone())).unwrap(), value);
        assert_eq!(to_dynamic(Value::Secret(7)).to_string(), std::any::type_name::<Secret>());
    }

    #[test]
    fn what_is_too_deep_too_big_or_a_function_does_not_cross() {
        let mut deep = Dynamic::UNIT;
        for _ in 0..20 {
            deep = Dynamic::from_array(vec![deep]);
        }
        assert!(to_value(deep).unwrap_err().contains("nested"));
        let big = Dynamic::from("x".repeat(limits::PEER_BYTES_MAX));
        assert!(to_value(big).unwrap_err().contains("more than fits"));
        let pointer = Dynamic::from(rhai::FnPtr::new("f").unwrap());
        assert!(to_value(pointer).is_err());
    }
}
