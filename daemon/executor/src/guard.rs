//! The one gate that every call passes: known, in its phase, rightly typed, permitted.
//!
//! Trusts nothing that the interpreter says; looks at the registry and the grants only.

use std::collections::{BTreeMap, BTreeSet};

use protocol::Mode;
use protocol::frames::Phase;
use surface::{Call, Class, Kind, Noun, Row, Spec, Ty, Value};

use crate::fail::Fail;

/// What the run may do.
#[derive(Debug)]
pub(crate) struct Guard {
    mode: Mode,
    classes: BTreeSet<Class>,
    grants: BTreeMap<String, Vec<String>>,
    phase: Option<Phase>,
}

/// A call that passed, with its arguments told apart.
#[derive(Debug)]
pub(crate) struct Checked<'a> {
    /// Its row.
    pub(crate) row: &'static Row,
    args: &'a [Value],
    options: Option<&'a BTreeMap<String, Value>>,
}

impl Guard {
    /// For a run of this mode with these permissions and classes.
    pub(crate) fn new(
        mode: Mode,
        classes: BTreeSet<Class>,
        grants: BTreeMap<String, Vec<String>>,
    ) -> Self {
        Self { mode, classes, grants, phase: None }
    }
    /// The nouns granted for a function; none where it is not granted.
    pub(crate) fn nouns(&self, function: &str) -> Option<&[String]> {
        self.grants.get(function).map(Vec::as_slice)
    }
    /// Whether a function of this module is granted, as in `user`.
    pub(crate) fn reaches(&self, module: &str) -> bool {
        let of_it = |name: &String| name.split_once('.').is_some_and(|(of, _)| of == module);
        self.grants.keys().any(of_it)
    }
    /// Whether actions are written down and not done.
    pub(crate) fn plans(&self) -> bool {
        self.mode == Mode::Plan
    }
    /// Goes to a phase; false where it does not follow the one before, and nothing changes.
    pub(crate) fn enter(&mut self, phase: Phase) -> bool {
        let follows = match (self.phase, phase) {
            (None, Phase::Detect) => true,
            (Some(Phase::Detect), Phase::Remediate) => self.mode != Mode::Check,
            (Some(Phase::Remediate), Phase::Verify) => self.mode == Mode::Fix,
            _ => false,
        };
        if follows {
            self.phase = Some(phase);
        }
        follows
    }
    /// Checks a call.
    pub(crate) fn check<'a>(&self, call: &'a Call) -> Result<Checked<'a>, Fail> {
        let row = surface::find(&call.function)
            .ok_or_else(|| Fail::fatal("not_permitted", "there is no such host function"))?;
        if row.needs_permission() && !self.grants.contains_key(row.name) {
            let message = format!("`{}` is not among the script's permissions", row.name);
            return Err(Fail::new("not_permitted", message));
        }
        if row.kind == Kind::Action {
            self.may_act(row)?;
        }
        let checked = typed(row, &call.args)?;
        self.noun(&checked)?;
        Ok(checked)
    }
    fn may_act(&self, row: &Row) -> Result<(), Fail> {
        if self.phase != Some(Phase::Remediate) {
            return Err(Fail::new("not_now", "actions work in `remediate` only"));
        }
        match self.mode {
            Mode::Plan => Ok(()),
            Mode::Fix if self.classes.contains(&row.class) => Ok(()),
            Mode::Fix => {
                let message = format!("this run has no rights of class {}", row.class.word());
                Err(Fail::new("not_permitted", message))
            }
            Mode::Check | Mode::Undo => {
                let message = format!("mode {} changes nothing", self.mode.word());
                Err(Fail::new("not_now", message))
            }
        }
    }
    fn noun(&self, checked: &Checked<'_>) -> Result<(), Fail> {
        let Some(place) = checked.row.noun_arg else { return Ok(()) };
        let granted = self.nouns(checked.row.name).unwrap_or_default();
        let noun = checked.text(place)?;
        let permitted = granted.iter().any(|one| one == noun)
            || (checked.row.noun == Noun::Accounts && granted.iter().any(|one| one == "humans"));
        if permitted {
            return Ok(());
        }
        let message =
            format!("`{noun}` is not among the nouns of permission `{}`", checked.row.name);
        Err(Fail::new("not_permitted", message))
    }
}

fn fits(ty: Ty, value: &Value) -> bool {
    match ty {
        Ty::Bool => matches!(value, Value::Bool(_)),
        Ty::Int => matches!(value, Value::Int(_)),
        Ty::Text => matches!(value, Value::Text(_)),
        Ty::List => matches!(value, Value::List(_)),
        Ty::Map => matches!(value, Value::Map(_)),
        Ty::Secret => matches!(value, Value::Secret(_)),
        Ty::Any => !matches!(value, Value::Secret(_)),
    }
}

fn typed<'a>(row: &'static Row, args: &'a [Value]) -> Result<Checked<'a>, Fail> {
    let wanted = row.args.len();
    let (plain, last) = args.split_at_checked(wanted).unwrap_or((args, &[]));
    let options = match last {
        [] => None,
        [Value::Map(map)] if !row.options.is_empty() => Some(map),
        [other] if !row.options.is_empty() => {
            let message = format!("options are a map, not {}", other.type_word());
            return Err(Fail::argument(message));
        }
        _ => return Err(count(row, args.len())),
    };
    if plain.len() != wanted {
        return Err(count(row, args.len()));
    }
    for (spec, value) in row.args.iter().zip(plain) {
        one(spec, value)?;
    }
    for (key, value) in options.into_iter().flatten() {
        let Some(spec) = row.options.iter().find(|spec| spec.name == key) else {
            let known: Vec<&str> = row.options.iter().map(|spec| spec.name).collect();
            let message = format!("unknown option `{key}`; known: {}", known.join(", "));
            return Err(Fail::argument(message));
        };
        one(spec, value)?;
    }
    Ok(Checked { row, args: plain, options })
}

fn count(row: &Row, given: usize) -> Fail {
    let options = if row.options.is_empty() { "" } else { " and a map of options" };
    let wanted = row.args.len();
    Fail::argument(format!("it takes {wanted} arguments{options}, not {given}"))
}

fn one(spec: &Spec, value: &Value) -> Result<(), Fail> {
    if fits(spec.ty, value) {
        return Ok(());
    }
    let (wanted, given) = (spec.ty.word(), value.type_word());
    Err(Fail::argument(format!("`{}` is {wanted}, not {given}", spec.name)))
}

impl<'a> Checked<'a> {
    /// A call of a row without arguments, as no interpreter could send it.
    #[cfg(test)]
    pub(crate) fn bare(row: &'static Row) -> Self {
        Self { row, args: &[], options: None }
    }
    fn wrong(&self, place: usize) -> Fail {
        let name = self.row.args.get(place).map_or("argument", |spec| spec.name);
        Fail::argument(format!("`{name}` is missing or of another type"))
    }
    /// A text argument.
    pub(crate) fn text(&self, place: usize) -> Result<&'a str, Fail> {
        self.args.get(place).and_then(Value::as_text).ok_or_else(|| self.wrong(place))
    }
    /// An argument of whatever type its row says.
    pub(crate) fn value(&self, place: usize) -> Result<&'a Value, Fail> {
        self.args.get(place).ok_or_else(|| self.wrong(place))
    }
    /// A number within a range.
    pub(crate) fn int(&self, place: usize, from: i64, to: i64) -> Result<i64, Fail> {
        let value = self.args.get(place).and_then(Value::as_int);
        let name = self.row.args.get(place).map_or("argument", |spec| spec.name);
        in_range(name, value.ok_or_else(|| self.wrong(place))?, from, to)
    }
    /// A list argument.
    pub(crate) fn list(&self, place: usize) -> Result<&'a [Value], Fail> {
        self.args.get(place).and_then(Value::as_list).ok_or_else(|| self.wrong(place))
    }
    /// A secret's handle.
    pub(crate) fn secret(&self, place: usize) -> Result<u32, Fail> {
        match self.args.get(place) {
            Some(Value::Secret(handle)) => Ok(*handle),
            _ => Err(self.wrong(place)),
        }
    }
    fn option(&self, key: &str) -> Option<&'a Value> {
        self.options.and_then(|options| options.get(key))
    }
    /// A text option.
    pub(crate) fn text_option(&self, key: &str) -> Option<&'a str> {
        self.option(key).and_then(Value::as_text)
    }
    /// A yes-or-no option, no where it is absent.
    pub(crate) fn bool_option(&self, key: &str) -> bool {
        self.option(key).and_then(Value::as_bool).unwrap_or(false)
    }
    /// A number option within a range.
    pub(crate) fn int_option(&self, key: &str, from: i64, to: i64) -> Result<Option<i64>, Fail> {
        let value = self.option(key).and_then(Value::as_int);
        value.map(|value| in_range(key, value, from, to)).transpose()
    }
}

fn in_range(name: &str, value: i64, from: i64, to: i64) -> Result<i64, Fail> {
    if (from..=to).contains(&value) {
        return Ok(value);
    }
    Err(Fail::argument(format!("`{name}` is {from}..={to}, not {value}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(mode: Mode, classes: &[Class], grants: &[(&str, &[&str])]) -> Guard {
        let own = |nouns: &[&str]| nouns.iter().map(|noun| (*noun).to_owned()).collect();
        let grants = grants.iter().map(|(name, nouns)| ((*name).to_owned(), own(nouns))).collect();
        let classes = classes.iter().copied().chain([Class::Look]).collect();
        Guard::new(mode, classes, grants)
    }

    fn code(guard: &Guard, function: &str, args: &[Value]) -> Result<(), (&'static str, bool)> {
        let call = Call { function: function.into(), args: args.to_vec() };
        guard.check(&call).map(drop).map_err(|fail| (fail.code, fail.fatal))
    }

    #[test]
    fn permissions_by_name_and_by_noun() {
        let unit = |name: &str| [Value::text(name)];
        let grants: &[(&str, &[&str])] = &[("service.restart", &["cups.service"])];
        let mut guard = guard(Mode::Fix, &[Class::Services], grants);
        assert!(guard.enter(Phase::Detect) && guard.enter(Phase::Remediate));
        assert_eq!(code(&guard, "service.restart", &unit("cups.service")), Ok(()));
        let refused = Err(("not_permitted", false));
        assert_eq!(code(&guard, "service.restart", &unit("ssh.service")), refused);
        assert_eq!(
            code(&guard, "service.log", &[Value::text("cups.service"), Value::Int(1)]),
            refused
        );
        assert_eq!(code(&guard, "fs.remove", &[Value::List(vec![])]), refused);
        assert_eq!(code(&guard, "fs.chmod", &[]), Err(("not_permitted", true)));
        assert_eq!(code(&guard, "service.status", &unit("ssh.service")), Ok(()));
    }

    #[test]
    fn an_action_needs_its_phase_its_mode_and_its_class() {
        let grants: &[(&str, &[&str])] = &[("pkg.clean_cache", &[])];
        let not_now = Err(("not_now", false));
        let mut fix = guard(Mode::Fix, &[Class::Files], grants);
        assert_eq!(code(&fix, "pkg.clean_cache", &[]), not_now);
        fix.enter(Phase::Detect);
        assert_eq!(code(&fix, "pkg.clean_cache", &[]), not_now);
        fix.enter(Phase::Remediate);
        assert_eq!(code(&fix, "pkg.clean_cache", &[]), Ok(()));
        fix.enter(Phase::Verify);
        assert_eq!(code(&fix, "pkg.clean_cache", &[]), not_now);
        assert!(!fix.enter(Phase::Remediate), "no way back");

        let mut bare = guard(Mode::Fix, &[], grants);
        assert!(bare.enter(Phase::Detect) && bare.enter(Phase::Remediate));
        assert_eq!(code(&bare, "pkg.clean_cache", &[]), Err(("not_permitted", false)));
        let mut plan = guard(Mode::Plan, &[], grants);
        assert!(plan.enter(Phase::Detect) && plan.enter(Phase::Remediate));
        assert_eq!(code(&plan, "pkg.clean_cache", &[]), Ok(()));
        assert!(!plan.enter(Phase::Verify), "nothing to verify");
        for mode in [Mode::Check, Mode::Undo] {
            let mut run = guard(mode, &[Class::Files], grants);
            run.enter(Phase::Detect);
            run.enter(Phase::Remediate);
            assert_eq!(code(&run, "pkg.clean_cache", &[]), not_now, "{mode:?}");
        }
    }

    #[test]
    fn arguments_are_counted_typed_and_options_known() {
        let guard = guard(Mode::Check, &[], &[("fs.find", &["/tmp/**"])]);
        let pattern = Value::text("/tmp/**");
        let find = |args: &[Value]| {
            let call = Call { function: "fs.find".into(), args: args.to_vec() };
            guard.check(&call).map(drop).map_err(|fail| (fail.code, fail.message))
        };
        assert_eq!(find(std::slice::from_ref(&pattern)), Ok(()));
        let older = |key: &str| Value::map([(key, Value::Int(3))]);
        assert_eq!(find(&[pattern.clone(), older("older")]), Ok(()));
        let (code, message) = find(&[pattern.clone(), older("oldr")]).unwrap_err();
        assert_eq!(code, "bad_argument");
        assert_eq!(message, "unknown option `oldr`; known: only, older");
        for bad in [
            vec![],
            vec![Value::Int(1)],
            vec![pattern.clone(), Value::Int(1)],
            vec![pattern.clone(), Value::map([("older", Value::text("3"))])],
            vec![pattern.clone(), Value::map([]), Value::Unit],
        ] {
            assert_eq!(find(&bad).unwrap_err().0, "bad_argument", "{bad:?}");
        }
        let args = [pattern, Value::map([])];
        assert!(guard.check(&Call { function: "fs.space".into(), args: args.into() }).is_err());
    }

    #[test]
    fn every_row_is_refused_without_its_permission() {
        let guard = guard(Mode::Fix, &[], &[]);
        for row in surface::REGISTRY.iter().filter(|row| row.needs_permission()) {
            let call = Call { function: row.name.into(), args: Vec::new() };
            assert_eq!(guard.check(&call).unwrap_err().code, "not_permitted", "{}", row.name);
        }
    }
}
