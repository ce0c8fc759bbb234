//! The host API for who writes scripts: a page and an editor's definitions, made from the registry.
//!
//! `docs/host-api.md` is [`page`] of all rows, and a test holds it to that.

use surface::{Class, Kind, Noun, PlanKey, REGISTRY, Row, Spec, Ty, Undo};

use crate::words::UNITS;

/// A word of the language that is ours: its definition, what it does, and a use of it.
struct Word {
    definition: &'static str,
    doc: &'static str,
    sample: &'static str,
}

const fn word(definition: &'static str, doc: &'static str, sample: &'static str) -> Word {
    Word { definition, doc, sample }
}

/// As [`crate::words`] registers them.
const WORDS: &[Word] = &[
    word("fn needed(summary: String) -> Map;", "A finding: it helps here.", r#"needed("why")"#),
    word(
        "fn needed(summary: String, facts: Map) -> Map;",
        "A finding with facts, which `remediate` and `verify` get as `found`.",
        r#"needed("why", #{ size: 1 })"#,
    ),
    word(
        "fn healthy(summary: String) -> Map;",
        "A finding: nothing is to do, or after a fix: it helped.",
        r#"healthy("fine")"#,
    ),
    word(
        "fn healthy(summary: String, facts: Map) -> Map;",
        "The same, with facts.",
        r#"healthy("fine", #{ size: 1 })"#,
    ),
    word("fn get human(bytes: int) -> String;", "Bytes for people, as in `3.1 GiB`.", "7.human"),
    word("fn get ago(seconds: int) -> String;", "Seconds for people, as in `3 days`.", "7.ago"),
    word("fn get len(text: String) -> int;", "Characters.", r#""text".len"#),
    word("fn len(text: String) -> int;", "Characters.", r#""text".len()"#),
    word("fn is_empty(text: String) -> bool;", "Has no characters.", r#""".is_empty()"#),
    word(
        "fn contains(text: String, part: String) -> bool;",
        "Holds a part.",
        r#""ab".contains("a")"#,
    ),
    word(
        "fn starts_with(text: String, part: String) -> bool;",
        "Begins so.",
        r#""ab".starts_with("a")"#,
    ),
    word("fn ends_with(text: String, part: String) -> bool;", "Ends so.", r#""ab".ends_with("b")"#),
    word(
        "fn trimmed(text: String) -> String;",
        "Without blanks at its ends.",
        r#"" a ".trimmed()"#,
    ),
    word("fn lower(text: String) -> String;", "In small letters.", r#""A".lower()"#),
    word("fn lines(text: String) -> Array;", "Its lines.", r#""a".lines()"#),
    word("fn split(text: String, by: String) -> Array;", "Its parts.", r#""a b".split(" ")"#),
    word(
        "fn start(text: String, chars: int) -> String;",
        "Its first characters.",
        r#""abc".start(2)"#,
    ),
    word(
        "fn join(texts: Array, by: String) -> String;",
        "Texts as one.",
        r#"["a", "b"].join(", ")"#,
    ),
];

/// The rows of a function (`fs.find`, `fs::find`) or of an area (`fs`); all where nothing is named.
///
/// # Errors
/// The nearest name, if any, where there is no such function or area.
pub fn rows(name: Option<&str>) -> Result<Vec<&'static Row>, Option<String>> {
    let Some(name) = name else { return Ok(REGISTRY.iter().collect()) };
    let name = name.replace("::", ".");
    let rows: Vec<_> =
        REGISTRY.iter().filter(|row| row.name == name || area(row) == name).collect();
    if rows.is_empty() {
        let known = REGISTRY.iter().flat_map(|row| [row.name, area(row)]);
        return Err(crate::lint::nearest(&name, known).map(str::to_owned));
    }
    Ok(rows)
}

fn area(row: &Row) -> &'static str {
    row.name.split_once('.').map_or(row.name, |(area, _)| area)
}

/// Rows as a page of Markdown that also reads well on a terminal.
#[must_use]
pub fn page(rows: &[&Row]) -> String {
    let mut out = String::new();
    for row in rows {
        out.push_str(&format!("## `{}`\n\n{}\n\n", row.name, row.doc));
        out.push_str(&format!("    {}\n\n", usage(row)));
        for arg in row.args {
            out.push_str(&format!("- `{}`, {}: {}\n", arg.name, arg.ty.word(), arg.doc));
        }
        for option in row.options {
            out.push_str(&format!(
                "- option `{}`, {}: {}\n",
                option.name,
                option.ty.word(),
                option.doc
            ));
        }
        for (label, text) in [
            ("gives", row.gives.to_owned()),
            ("errors", listed(row.errors)),
            ("kind", kind(row)),
            ("permission", permission(row)),
            ("plan", plan(row.plan).to_owned()),
            (
                "undo",
                if row.kind == Kind::Action { undo(row.undo).to_owned() } else { String::new() },
            ),
            ("verified by", row.verify.to_owned()),
        ] {
            if !text.is_empty() {
                out.push_str(&format!("- {label}: {text}\n"));
            }
        }
        out.push('\n');
    }
    out
}

/// The whole of `docs/host-api.md`.
#[must_use]
pub fn document() -> String {
    let rows: Vec<_> = REGISTRY.iter().collect();
    format!(
        "# The host API\n\n\
         Made by `salve scripts api` from the registry; a test holds it to that. A query reads, an action changes\n\
         and works only in `remediate`, a report speaks. Besides its own errors every function has `not_permitted`,\n\
         `not_now` and `bad_argument`. How a script is written: [scripts/README.md](../scripts/README.md).\n\n{}",
        page(&rows).trim_end()
    ) + "\n"
}

fn usage(row: &Row) -> String {
    let mut args: Vec<String> = row.args.iter().map(|arg| arg.name.to_owned()).collect();
    if !row.options.is_empty() {
        let names: Vec<_> =
            row.options.iter().map(|option| format!("{}: ..", option.name)).collect();
        args.push(format!("#{{ {} }}", names.join(", ")));
    }
    format!("{}({})", row.name.replace('.', "::"), args.join(", "))
}

fn listed(words: &[&str]) -> String {
    let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

fn kind(row: &Row) -> String {
    match row.kind {
        Kind::Query => "query".to_owned(),
        Kind::Report => "report".to_owned(),
        Kind::Action => {
            format!("action; a script that has it is at least of {} risk", row.least_risk)
        }
    }
}

fn permission(row: &Row) -> String {
    let nouns = match row.noun {
        Noun::Free => return "none is needed".to_owned(),
        Noun::Bare => "without nouns (`[]`)".to_owned(),
        Noun::Paths => "path patterns".to_owned(),
        Noun::Units => "systemd units, or `{parameter}`".to_owned(),
        Noun::Accounts => "`humans`, or `{parameter}`".to_owned(),
        Noun::Programs => "program names".to_owned(),
        Noun::Words(words) => listed(words),
    };
    let personal = if row.personal { "; only where policy lists it under `personal`" } else { "" };
    let rights = match row.class {
        Class::Look => "reads only".to_owned(),
        class => class.word().to_owned(),
    };
    format!("`\"{}\"`, {nouns}; rights: {rights}{personal}", row.name)
}

const fn plan(plan: PlanKey) -> &'static str {
    match plan {
        PlanKey::None => "",
        PlanKey::Exact => "the thing itself",
        PlanKey::Within => "the permission's pattern, with count and bytes",
    }
}

const fn undo(undo: Undo) -> &'static str {
    match undo {
        Undo::Nothing => "nothing to undo",
        Undo::Never => "never",
        Undo::Full => "exactly",
        Undo::Partial => "to the earlier state only",
    }
}

/// Definitions for rhai's language server: one file, as in `salve.d.rhai`.
#[must_use]
pub fn definitions() -> String {
    let mut out = String::from("module static;\n");
    for word in WORDS {
        out.push_str(&format!(
            "\n/// {} As in `{}`.\n{}\n",
            word.doc, word.sample, word.definition
        ));
    }
    for (name, factor) in UNITS {
        out.push_str(&format!("\n/// Times {factor}.\nfn get {name}(number: int) -> int;\n"));
    }
    let mut areas: Vec<&str> = REGISTRY.iter().map(area).collect();
    areas.dedup();
    for name in areas {
        out.push_str(&format!("\nmodule {name} {{\n"));
        for row in REGISTRY.iter().filter(|row| area(row) == name) {
            defined(row, &mut out);
        }
        out.push_str("}\n");
    }
    out
}

/// A row with its arguments, and once more with its options.
fn defined(row: &Row, out: &mut String) {
    let typed = |spec: &Spec| format!("{}: {}", spec.name, type_name(spec.ty));
    let args: Vec<String> = row.args.iter().map(typed).collect();
    let name = row.name.split_once('.').map_or(row.name, |(_, name)| name);
    let mut forms = vec![args.clone()];
    if !row.options.is_empty() {
        forms.push(args.into_iter().chain(["options: Map".to_owned()]).collect());
    }
    for form in forms {
        out.push_str(&format!("\n/// {}\n", row.doc));
        for option in row.options.iter().filter(|_| form.len() > row.args.len()) {
            out.push_str(&format!("/// Option `{}`: {}\n", option.name, option.doc));
        }
        if !row.gives.is_empty() {
            out.push_str(&format!("/// Gives {}.\n", row.gives));
        }
        out.push_str(&format!("fn {name}({}) -> {};\n", form.join(", "), result(row.gives)));
    }
}

const fn type_name(ty: Ty) -> &'static str {
    match ty {
        Ty::Bool => "bool",
        Ty::Int => "int",
        Ty::Text => "String",
        Ty::List => "Array",
        Ty::Map => "Map",
        Ty::Secret => "Secret",
        Ty::Any => "?",
    }
}

/// The type of what a row gives, by the words that begin it; open where it may be nothing.
fn result(gives: &str) -> &'static str {
    let begins = [
        ("map", "Map"),
        ("list", "Array"),
        ("text", "String"),
        ("bytes", "int"),
        ("a secret", "Secret"),
    ];
    if gives.is_empty() {
        return "()";
    }
    if gives.starts_with("nothing") || gives.contains("; nothing where") {
        return "?";
    }
    begins.iter().find(|(word, _)| gives.starts_with(word)).map_or("?", |(_, ty)| ty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reader;

    #[test]
    fn the_page_in_docs_is_the_registry() {
        let kept = include_str!("../../../docs/host-api.md");
        assert_eq!(kept, document(), "write it anew: salve scripts api > docs/host-api.md");
    }

    #[test]
    fn every_row_is_defined_with_as_many_arguments_as_it_takes() {
        let text = definitions();
        for row in REGISTRY {
            let (module, name) = row.name.split_once('.').unwrap();
            let (_, body) = text.split_once(&format!("\nmodule {module} {{\n")).unwrap();
            let (body, _) = body.split_once("\n}\n").unwrap();
            let forms: Vec<usize> = body
                .lines()
                .filter_map(|line| line.strip_prefix(&format!("fn {name}(")))
                .map(|rest| rest.split_once(')').unwrap().0.matches(": ").count())
                .collect();
            let most = row.args.len() + usize::from(!row.options.is_empty());
            assert_eq!(forms, (row.args.len()..=most).collect::<Vec<_>>(), "{}", row.name);
        }
    }

    #[test]
    fn what_a_row_gives_has_a_type_or_may_be_nothing() {
        for row in REGISTRY {
            let open = result(row.gives) == "?";
            assert_eq!(
                open,
                row.gives.contains("nothing,") || row.gives.contains("; nothing"),
                "{}",
                row.name
            );
        }
    }

    #[test]
    fn every_word_that_is_defined_is_one_of_the_engine() {
        for word in WORDS {
            let script = Reader::default().compile(&format!("{};", word.sample)).unwrap();
            assert!(
                script.engine.eval_ast::<rhai::Dynamic>(&script.ast).is_ok(),
                "{}",
                word.sample
            );
            let name = word.definition.trim_start_matches("fn ").trim_start_matches("get ");
            let (name, _) = name.split_once('(').unwrap();
            assert!(word.sample.contains(name), "{name}");
        }
    }

    #[test]
    fn an_area_a_function_and_a_slip_are_told_apart() {
        let names =
            |name| rows(Some(name)).map(|rows| rows.iter().map(|row| row.name).collect::<Vec<_>>());
        assert_eq!(names("fs.space"), Ok(vec!["fs.space"]));
        assert_eq!(names("fs::space"), Ok(vec!["fs.space"]));
        assert!(names("fs").unwrap().contains(&"fs.remove"));
        assert_eq!(names("fs.spase"), Err(Some("fs.space".to_owned())));
        assert_eq!(names("xxxxxxxxxx"), Err(None));
        assert_eq!(rows(None).unwrap().len(), REGISTRY.len());
    }
}
