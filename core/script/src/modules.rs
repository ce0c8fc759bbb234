//! The host functions as static modules, made from the registry's rows. A script cannot shadow
//! `fs::remove`; never is a call sent whose arguments do not fit their row.

use std::collections::BTreeMap;
use std::rc::Rc;

use rhai::{
    Dynamic, Engine, EvalAltResult, FuncRegistration, Map, Module, NativeCallContext, Position,
};
use surface::{Call, HostError, REGISTRY, Row, Spec, Ty, Value};

use crate::convert::{to_dynamic, to_value};
use crate::engine::{Slot, time_is_over, token};

type Answer = Result<Dynamic, Box<EvalAltResult>>;

/// One module for each area of the registry.
pub(crate) fn register(engine: &mut Engine, slot: &Slot) {
    let mut areas: BTreeMap<&str, Module> = BTreeMap::new();
    for row in REGISTRY {
        let Some((area, name)) = row.name.split_once('.') else { continue };
        let module = areas.entry(area).or_default();
        let arities = [row.args.len(), row.args.len() + 1];
        let used = if row.options.is_empty() { 1 } else { 2 };
        for arity in arities.into_iter().take(used) {
            add(module, name, arity, row, slot);
        }
    }
    for (area, module) in areas {
        engine.register_static_module(area, module.into());
    }
}

/// One closure an arity: rhai chooses by the number of arguments, we check their types.
fn add(module: &mut Module, name: &'static str, arity: usize, row: &'static Row, slot: &Slot) {
    let slot = Rc::clone(slot);
    let new = FuncRegistration::new(name).in_internal_namespace().with_volatility(true);
    match arity {
        0 => new.set_into_module(module, move |c: NativeCallContext| dispatch(&c, &slot, row, [])),
        1 => new.set_into_module(module, move |c: NativeCallContext, a: Dynamic| {
            dispatch(&c, &slot, row, [a])
        }),
        2 => new.set_into_module(module, move |c: NativeCallContext, a: Dynamic, b: Dynamic| {
            dispatch(&c, &slot, row, [a, b])
        }),
        3 => new.set_into_module(
            module,
            move |c: NativeCallContext, a: Dynamic, b: Dynamic, d: Dynamic| {
                dispatch(&c, &slot, row, [a, b, d])
            },
        ),
        _ => new.set_into_module(
            module,
            move |c: NativeCallContext, a: Dynamic, b: Dynamic, d: Dynamic, e: Dynamic| {
                dispatch(&c, &slot, row, [a, b, d, e])
            },
        ),
    };
}

fn dispatch<const N: usize>(
    context: &NativeCallContext<'_>,
    slot: &Slot,
    row: &Row,
    args: [Dynamic; N],
) -> Answer {
    let position = context.call_position();
    let args = read(row, args).map_err(|message| {
        let code = "bad_argument".to_owned();
        refused(HostError { function: row.name.to_owned(), code, message, fatal: false }, position)
    })?;
    let session = slot.borrow().clone();
    let Some(session) = session else {
        let message = "called while no run is on".to_owned();
        let (function, code) = (row.name.to_owned(), "not_now".to_owned());
        return Err(refused(HostError { function, code, message, fatal: true }, position));
    };
    if session.over() {
        return Err(time_is_over(position));
    }
    let call = Call { function: row.name.to_owned(), args };
    let answer = session.host.try_borrow_mut().map_or_else(
        |_| {
            let message = "called from within a call".to_owned();
            let (function, code) = (row.name.to_owned(), "not_now".to_owned());
            Err(HostError { function, code, message, fatal: true })
        },
        |mut host| host.call(&call),
    );
    answer.map(to_dynamic).map_err(|error| refused(error, position))
}

/// A host's no as the script sees it: catchable unless the run ends here.
fn refused(error: HostError, position: Position) -> Box<EvalAltResult> {
    if error.fatal {
        let token = token(&error.code, &error.message);
        return Box::new(EvalAltResult::ErrorTerminated(token, position));
    }
    let entries = [("code", error.code), ("message", error.message), ("function", error.function)];
    let map: Map = entries.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
    Box::new(EvalAltResult::ErrorRuntime(Dynamic::from_map(map), position))
}

fn read<const N: usize>(row: &Row, args: [Dynamic; N]) -> Result<Vec<Value>, String> {
    let call = row.name.replace('.', "::");
    let mut out = Vec::with_capacity(N);
    for (index, arg) in args.into_iter().enumerate() {
        let value = to_value(arg).map_err(|what| format!("{call} cannot take {what}"))?;
        match row.args.get(index) {
            Some(spec) => fits(&call, "parameter", spec, &value)?,
            None => options(&call, row.options, &value)?,
        }
        out.push(value);
    }
    Ok(out)
}

fn options(call: &str, known: &[Spec], value: &Value) -> Result<(), String> {
    let Value::Map(map) = value else {
        return Err(format!("{call}: options must be a map, got {}", value.type_word()));
    };
    for (key, value) in map {
        let Some(spec) = known.iter().find(|spec| spec.name == key) else {
            let names: Vec<_> = known.iter().map(|spec| spec.name).collect();
            return Err(format!("{call} has no option `{key}`; it has {}", names.join(", ")));
        };
        fits(call, "option", spec, value)?;
    }
    Ok(())
}

fn fits(call: &str, what: &str, spec: &Spec, value: &Value) -> Result<(), String> {
    let ok = match spec.ty {
        Ty::Bool => matches!(value, Value::Bool(_)),
        Ty::Int => matches!(value, Value::Int(_)),
        Ty::Text => matches!(value, Value::Text(_)),
        Ty::List => matches!(value, Value::List(_)),
        Ty::Map => matches!(value, Value::Map(_)),
        Ty::Secret => matches!(value, Value::Secret(_)),
        Ty::Any => true,
    };
    let hides = spec.ty != Ty::Secret && holds_secret(value);
    match (ok, hides) {
        (true, false) => Ok(()),
        (true, true) => Err(format!("{call}: {what} `{}` must not hold a secret", spec.name)),
        (false, _) => Err(format!(
            "{call}: {what} `{}` must be {}, got {}",
            spec.name,
            spec.ty.word(),
            value.type_word()
        )),
    }
}

fn holds_secret(value: &Value) -> bool {
    match value {
        Value::Secret(_) => true,
        Value::List(list) => list.iter().any(holds_secret),
        Value::Map(map) => map.values().any(holds_secret),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_an_area_and_fits_the_closures() {
        for row in REGISTRY {
            assert!(row.name.split_once('.').is_some(), "{}", row.name);
            let most = row.args.len() + usize::from(!row.options.is_empty());
            assert!(most <= 4, "{} takes {most} arguments", row.name);
        }
    }
}
