//! Reads a script as a vetter would: known calls, right arguments, permissions exactly as reached.
//! Advice for signing, never the guard: the executor checks every call again.

mod calls;
mod nouns;
mod rules;

use std::collections::{BTreeMap, BTreeSet};

use protocol::Manifest;

use crate::about::{self, Function, Outline, outline};
use crate::engine::Script;
use crate::fault::{At, Fault};
use crate::lex::{Token, tokens};
use calls::{Reached, Target};

pub use rules::{RULES, Rule};

/// Everything that is wrong with a script, in the order of the file; empty is what a vetter signs.
#[must_use]
pub fn lint(source: &str) -> Vec<Fault> {
    let script = match Script::compile(source) {
        Ok(script) => script,
        Err(fault) => return vec![fault],
    };
    let tokens = tokens(source);
    let mut lint = Lint {
        source,
        tokens: &tokens,
        top: outline(&tokens),
        manifest: None,
        faults: Vec::new(),
        reached: BTreeMap::new(),
    };
    match about::read_compiled(source, &script, &tokens, about::Author::Anybody) {
        Ok(manifest) => lint.manifest = Some(manifest),
        Err(faults) => lint.faults = faults,
    }
    lint.functions_agree(&script);
    lint.phases();
    for function in lint.top.functions.clone() {
        lint.body(&function);
    }
    lint.actions_stay_in_remediate();
    if let Some(manifest) = lint.manifest.take() {
        lint.permissions(&manifest);
        nouns::check(&mut lint, &manifest);
        nouns::calls(&mut lint, &manifest);
        lint.parameters(&manifest);
    }
    lint.faults.sort_by_key(|fault| (fault.line, fault.column, fault.rule));
    lint.faults.dedup();
    lint.faults
}

struct Lint<'a> {
    source: &'a str,
    tokens: &'a [Token],
    top: Outline,
    manifest: Option<Manifest>,
    faults: Vec<Fault>,
    reached: BTreeMap<String, Vec<Reached>>,
}

/// Phases and their parameters.
const PHASES: [(&str, usize); 3] = [("detect", 1), ("remediate", 2), ("verify", 2)];

impl Lint<'_> {
    fn fault(&mut self, rule: &'static str, at: At, why: impl Into<String>) {
        self.faults.push(Fault::at(self.source, rule, at, why));
    }
    fn fault_near(
        &mut self,
        rule: &'static str,
        at: At,
        why: impl Into<String>,
        near: Option<String>,
    ) {
        let mut fault = Fault::at(self.source, rule, at, why);
        if let Some(near) = near {
            fault = fault.hint(near);
        }
        self.faults.push(fault);
    }
    /// Where a text stands first; permissions and nouns are texts in `ABOUT`.
    fn place_of(&self, text: &str) -> At {
        use crate::lex::Tok;
        let same = |token: &&Token| match &token.tok {
            Tok::Text(t) | Tok::Word(t) => t == text,
            _ => false,
        };
        self.tokens.iter().find(same).map(|token| token.at).unwrap_or_default()
    }

    /// Both readers see the same functions; else what follows would look at the wrong text.
    fn functions_agree(&mut self, script: &Script) {
        let theirs: BTreeSet<(String, usize)> = script
            .ast
            .iter_functions()
            .filter(|f| !f.name.starts_with("anon$"))
            .map(|f| (f.name.to_owned(), f.params.len()))
            .collect();
        let ours: BTreeSet<_> =
            self.top.functions.iter().map(|f| (f.name.clone(), f.params.len())).collect();
        if theirs != ours && self.top.stray.is_none() {
            let why = "the functions do not read the same in two readers; write it more plainly";
            self.faults.push(Fault::file("top-level", why));
        }
    }

    fn phases(&mut self) {
        for (name, arity) in PHASES {
            let found = self.top.functions.iter().find(|f| f.name == name);
            match found.map(|f| (f.params.len(), f.at)) {
                None => {
                    let args = if arity == 1 { "p" } else { "p, found" };
                    let why = format!("`fn {name}({args})` is missing");
                    self.faults.push(Fault::file("phases", why));
                }
                Some((n, at)) if n != arity => {
                    self.fault("phases", at, format!("`{name}` takes {arity} parameters, not {n}"));
                }
                Some(_) => {}
            }
        }
        let words: Vec<_> = self.top.functions.iter().map(|f| (f.name.clone(), f.at)).collect();
        for (index, (name, at)) in words.iter().enumerate() {
            if calls::BUILT_IN.contains(&name.as_str()) {
                self.fault("shadow", *at, format!("`{name}` is a word of the language"));
            } else if words.iter().take(index).any(|(other, _)| other == name) {
                self.fault("shadow", *at, format!("there are two functions called `{name}`"));
            }
        }
    }

    fn body(&mut self, function: &Function) {
        let reached = calls::collect(self.tokens, function.body.clone());
        for call in &reached {
            self.call(call);
        }
        for (rule, at, why) in calls::forms(self.tokens, function.body.clone()) {
            self.fault(rule, at, why);
        }
        self.reached.insert(function.name.clone(), reached);
    }

    fn call(&mut self, call: &Reached) {
        match &call.target {
            Target::Host(name) => self.host_call(call, name),
            Target::Constant(name) => {
                if !self.top.constants.iter().any(|constant| constant.name == *name) {
                    let all = self.top.constants.iter().map(|c| c.name.as_str());
                    let near = nearest(name, all).map(str::to_owned);
                    let why = format!("there is no constant `{name}`");
                    self.fault_near("unknown-function", call.at, why, near);
                }
            }
            Target::Method(name) => {
                if !calls::METHODS.contains(&name.as_str()) {
                    let near = nearest(name, calls::METHODS.iter().copied()).map(str::to_owned);
                    let why = format!("there is no method `{name}`");
                    self.fault_near("unknown-function", call.at, why, near);
                }
            }
            Target::Own(name) => self.own_call(call, name),
        }
    }

    fn own_call(&mut self, call: &Reached, name: &str) {
        let own = self.top.functions.iter().find(|f| f.name == name);
        if let Some(function) = own {
            let (wants, has) = (function.params.len(), call.args.len());
            if wants != has {
                self.fault(
                    "arity",
                    call.at,
                    format!("`{name}` takes {wants} arguments, got {has}"),
                );
            }
        } else if !calls::BUILT_IN.contains(&name) {
            let all = self.top.functions.iter().map(|f| f.name.as_str());
            let near = nearest(name, all.chain(calls::BUILT_IN.iter().copied())).map(str::to_owned);
            self.fault_near(
                "unknown-function",
                call.at,
                format!("there is no function `{name}`"),
                near,
            );
        }
    }

    fn host_call(&mut self, call: &Reached, name: &str) {
        let shown = name.replace('.', "::");
        let Some(row) = surface::find(name) else {
            let near = nearest(name, surface::REGISTRY.iter().map(|row| row.name));
            let near = near.map(|near| near.replace('.', "::"));
            let why = format!("there is no host function `{shown}`");
            return self.fault_near("unknown-function", call.at, why, near);
        };
        let (least, has) = (row.args.len(), call.args.len());
        let most = least + usize::from(!row.options.is_empty());
        if !(least..=most).contains(&has) {
            let names: Vec<_> = row.args.iter().map(|spec| spec.name).collect();
            let why = format!("`{shown}` takes ({}), got {has} arguments", names.join(", "));
            return self.fault("arity", call.at, why);
        }
        for (index, range) in call.args.iter().enumerate() {
            let arg = self.tokens.get(range.clone()).unwrap_or_default();
            for (rule, at, why) in calls::argument(&shown, row, index, arg, call.at) {
                self.fault(rule, at, why);
            }
        }
    }

    /// Actions reached from `detect` or `verify`, through any function.
    fn actions_stay_in_remediate(&mut self) {
        let mut seen = BTreeSet::new();
        let mut open = vec!["detect".to_owned(), "verify".to_owned()];
        while let Some(name) = open.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            for call in self.reached.get(&name).cloned().unwrap_or_default() {
                match call.target {
                    Target::Own(next) => open.push(next),
                    Target::Host(host) => {
                        let row = surface::find(&host);
                        if row.is_some_and(|row| row.kind == surface::Kind::Action) {
                            let why = format!(
                                "`{}` changes the machine; detect and verify only look",
                                host.replace('.', "::")
                            );
                            self.fault("action-phase", call.at, why);
                        }
                    }
                    Target::Constant(_) | Target::Method(_) => {}
                }
            }
        }
    }

    /// What is declared is what is reached, no more and no less; the risk covers it.
    fn permissions(&mut self, manifest: &Manifest) {
        let mut reached: BTreeMap<&str, At> = BTreeMap::new();
        for call in self.reached.values().flatten() {
            let Target::Host(name) = &call.target else { continue };
            if let Some(row) = surface::find(name).filter(|row| row.needs_permission()) {
                reached.entry(row.name).or_insert(call.at);
            }
        }
        let missing = reached.iter().filter(|(name, _)| !manifest.permissions.contains_key(**name));
        let missing: Vec<_> = missing.map(|(name, at)| (*name, *at)).collect();
        for (name, at) in missing {
            let why = format!("ABOUT does not declare permission `{name}`");
            self.fault("permission-missing", at, why);
        }
        for name in manifest.permissions.keys() {
            if !reached.contains_key(name.as_str()) {
                let at = self.place_of(name);
                let why = format!("permission `{name}` is declared and never used");
                self.fault("permission-unused", at, why);
            }
        }
        if let Some((name, least)) = surface::least_risk(manifest) {
            let why = format!("permission `{name}` makes this script {least} risk at least");
            self.fault("risk", self.place_of("risk"), why);
        }
    }

    /// Parameters that are read exist, and those that exist are read.
    fn parameters(&mut self, manifest: &Manifest) {
        let mut used = BTreeSet::new();
        let mut unknown = Vec::new();
        for function in &self.top.functions {
            let phase = PHASES.iter().any(|(name, _)| *name == function.name);
            let body = self.tokens.get(function.body.clone()).unwrap_or_default();
            for window in body.windows(3) {
                let [name, dot, key] = window else { continue };
                let (Some(name), true, Some(key)) = (name.word(), dot.is("."), key.word()) else {
                    continue;
                };
                used.insert(key.to_owned());
                let first = function.params.first().is_some_and(|first| first == name);
                if phase && first && !manifest.parameters.contains_key(key) {
                    unknown.push((window.last().map(|t| t.at).unwrap_or_default(), key.to_owned()));
                }
            }
        }
        for (at, key) in unknown {
            let near = nearest(&key, manifest.parameters.keys().map(String::as_str));
            let near = near.map(str::to_owned);
            let why = format!("ABOUT has no parameter `{key}`");
            self.fault_near("parameter-unknown", at, why, near);
        }
        for name in manifest.parameters.keys() {
            let hole = format!("{{{name}}}");
            let in_noun = manifest.permissions.values().flatten().any(|noun| noun.contains(&hole));
            if !in_noun && !used.contains(name) {
                let at = self.place_of(name);
                self.fault("parameter-unused", at, format!("parameter `{name}` is never used"));
            }
        }
    }
}

/// The word that was probably meant.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = (word.chars().count() / 3).clamp(1, 3);
    known
        .map(|other| (strsim::damerau_levenshtein(word, other), other))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, other)| other)
}

#[cfg(test)]
mod tests;
