//! The rules by id, for documentation and `salve scripts lint`. Each has a good and a bad example
//! in `docs/lint.md`, and a test runs them.

/// One rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Its id, as in a fault.
    pub id: &'static str,
    /// What it asks for.
    pub asks: &'static str,
}

const fn rule(id: &'static str, asks: &'static str) -> Rule {
    Rule { id, asks }
}

/// All of them, in the documentation's order.
pub const RULES: &[Rule] = &[
    rule("source-size", "a script has at most 64 KiB"),
    rule("parse", "it is rhai, without eval, Fn, import and export"),
    rule("top-level", "only `const` and `fn` stand at the top level"),
    rule("const-literal", "constants are literal values"),
    rule("about-missing", "there is a `const ABOUT`"),
    rule("about-twice", "`ABOUT` is set once and nowhere else"),
    rule("about-literal", "`ABOUT` is a literal map"),
    rule("about-key", "only known keys and permissions"),
    rule("about-value", "every key has a value of its kind"),
    rule("phases", "`detect(p)`, `remediate(p, found)` and `verify(p, found)` are there"),
    rule("shadow", "no function hides a word of the language or another function"),
    rule("unknown-function", "every function, method and constant exists"),
    rule("arity", "every call has as many arguments as it takes"),
    rule("argument", "literal arguments are of the right type"),
    rule("options", "options are a literal map of known keys"),
    rule("break-value", "no `break` with a value"),
    rule("empty-catch", "no empty `catch`"),
    rule("action-phase", "actions are reached from `remediate` only"),
    rule("permission-missing", "what is called is declared"),
    rule("permission-unused", "what is declared is called"),
    rule("noun", "nouns are of the kind that the permission takes"),
    rule("noun-call", "nouns that stand literally in a call are declared"),
    rule("risk", "the risk covers every permission"),
    rule("parameter-unknown", "parameters that are read are declared"),
    rule("parameter-unused", "parameters that are declared are read"),
];
