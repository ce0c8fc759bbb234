//! What differs between two policies, entry by entry. Compares the files as TOML, so that no field is
//! forgotten when one is added.

use policy::PolicyFile;
use serde::Serialize;
use toml::{Table, Value};

/// One entry that a draft adds, takes away or alters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Where, as in `rules fix-low: approvals`.
    pub at: String,
    /// What stands there in force; none where it is new.
    pub before: Option<String>,
    /// What the draft has; none where it is gone.
    pub after: Option<String>,
}

/// What names an entry in each list of tables.
fn name_of(list: &str, entry: &Value) -> Option<String> {
    let key = match list {
        "rules" => "id",
        "people" | "break_glass" => "name",
        "enrollers" => "key",
        _ => return None,
    };
    entry.get(key)?.as_str().map(str::to_owned)
}

/// Everything that differs, in the order of the file; the order of rules counts and is said.
///
/// # Errors
/// Where a policy has no TOML form; none of ours is like that.
pub fn changes(before: &PolicyFile, after: &PolicyFile) -> Result<Vec<Change>, toml::ser::Error> {
    let (before, after) = (Table::try_from(before)?, Table::try_from(after)?);
    let mut all = Vec::new();
    tables(&mut all, "", &before, &after);
    let order = |table: &Table| -> Vec<String> {
        let rules = table.get("rules").and_then(Value::as_array);
        rules.into_iter().flatten().filter_map(|rule| name_of("rules", rule)).collect()
    };
    let (old, new) = (order(&before), order(&after));
    let common = |of: &[String], other: &[String]| -> Vec<String> {
        of.iter().filter(|id| other.contains(id)).cloned().collect()
    };
    let (old, new) = (common(&old, &new), common(&new, &old));
    if old != new {
        let (before, after) = (Some(old.join(", ")), Some(new.join(", ")));
        all.push(Change { at: "order of the rules".to_owned(), before, after });
    }
    Ok(all)
}

fn tables(all: &mut Vec<Change>, at: &str, before: &Table, after: &Table) {
    let new = after.keys().filter(|key| !before.contains_key(*key));
    for key in before.keys().chain(new) {
        let here = match at {
            "" => key.clone(),
            at if at.contains(' ') && !at.contains(':') => format!("{at}: {key}"),
            at => format!("{at}.{key}"),
        };
        values(all, &here, before.get(key), after.get(key));
    }
}

fn values(all: &mut Vec<Change>, at: &str, before: Option<&Value>, after: Option<&Value>) {
    match (before, after) {
        (before, after) if before == after => {}
        (Some(Value::Table(before)), Some(Value::Table(after))) => tables(all, at, before, after),
        (None, Some(Value::Table(after))) => tables(all, at, &Table::new(), after),
        (Some(Value::Table(before)), None) => tables(all, at, before, &Table::new()),
        (before, after) if named(at, before) || named(at, after) => {
            entries(all, at, before, after);
        }
        (before, after) => {
            let text = |value: &Value| value.to_string();
            let (before, after) = (before.map(text), after.map(text));
            all.push(Change { at: at.to_owned(), before, after });
        }
    }
}

fn named(list: &str, value: Option<&Value>) -> bool {
    let first = value.and_then(Value::as_array).and_then(|all| all.first());
    first.is_some_and(|entry| name_of(list, entry).is_some())
}

/// Entries of a list by their names: one that is new or gone is one change, whatever is in it.
fn entries(all: &mut Vec<Change>, list: &str, before: Option<&Value>, after: Option<&Value>) {
    let of = |value: Option<&Value>| -> Vec<(String, Table)> {
        let entries = value.and_then(Value::as_array).into_iter().flatten();
        let named = entries.filter_map(|e| Some((name_of(list, e)?, e.as_table()?.clone())));
        named.collect()
    };
    let (before, after) = (of(before), of(after));
    let find = |all: &[(String, Table)], name: &str| {
        all.iter().find(|(named, _)| named == name).map(|(_, entry)| entry.clone())
    };
    for (name, entry) in &before {
        let here = format!("{list} {name}");
        match find(&after, name) {
            Some(now) => tables(all, &here, entry, &now),
            None => all.push(Change { at: here, before: Some(inline(entry)), after: None }),
        }
    }
    for (name, entry) in after.iter().filter(|(name, _)| find(&before, name).is_none()) {
        all.push(Change { at: format!("{list} {name}"), before: None, after: Some(inline(entry)) });
    }
}

fn inline(entry: &Table) -> String {
    Value::Table(entry.clone()).to_string()
}
