use std::collections::BTreeSet;

use super::*;

const DOC: &str = include_str!("../../../../docs/lint.md");

const ABOUT: &str = r#"const ABOUT = #{
    id: "docs.example", version: 1, title: "Example", does: "shows a rule",
    risk: "low", consent: "none", platforms: ["linux"], permissions: #{},
};
"#;

/// Fills an example up to a whole script.
fn whole(example: &str) -> String {
    let mut source = String::new();
    let bare = example.contains("// no ABOUT");
    if !example.contains("ABOUT = ") && !bare {
        source.push_str(ABOUT);
    }
    source.push_str(example);
    for (name, text) in [
        ("fn detect(", "fn detect(p) { healthy(\"fine\") }\n"),
        ("fn remediate(", "fn remediate(p, found) { report::note(\"x\"); }\n"),
        ("fn verify(", "fn verify(p, found) { healthy(\"fine\") }\n"),
    ] {
        if !example.contains(name) {
            source.push_str(text);
        }
    }
    source
}

fn rules(source: &str) -> BTreeSet<&'static str> {
    lint(source).iter().map(|fault| fault.rule).collect()
}

/// Rule, bad examples, good examples.
fn examples() -> Vec<(String, Vec<String>, Vec<String>)> {
    let mut out: Vec<(String, Vec<String>, Vec<String>)> = Vec::new();
    let mut open: Option<(bool, String)> = None;
    for line in DOC.lines() {
        if let Some((good, text)) = &mut open {
            if line == "```" {
                let (_, bads, goods) = out.last_mut().unwrap();
                if *good {
                    goods.push(text.clone())
                } else {
                    bads.push(text.clone())
                }
                open = None;
            } else {
                text.push_str(line);
                text.push('\n');
            }
        } else if let Some(rule) = line.strip_prefix("### `") {
            out.push((rule.trim_end_matches('`').to_owned(), Vec::new(), Vec::new()));
        } else if let Some(kind) = line.strip_prefix("```rhai ") {
            open = Some((kind == "good", String::new()));
        }
    }
    out
}

#[test]
fn every_rule_is_documented_and_its_examples_do_what_they_say() {
    let examples = examples();
    let documented: Vec<_> = examples.iter().map(|(rule, ..)| rule.as_str()).collect();
    let known: Vec<_> = RULES.iter().map(|rule| rule.id).collect();
    assert_eq!(documented, known);
    for (rule, bads, goods) in &examples {
        // What is too long to print is shown by its own test.
        if rule != "source-size" {
            assert!(!bads.is_empty(), "{rule} has no bad example");
        }
        assert!(!goods.is_empty(), "{rule} has no good example");
        for bad in bads {
            let found = rules(&whole(bad));
            assert_eq!(found, BTreeSet::from([rule.as_str()]), "{rule}:\n{bad}");
        }
        for good in goods {
            let faults = lint(&whole(good));
            assert!(faults.is_empty(), "{rule}:\n{good}\n{}", crate::faults_text(&faults));
        }
    }
}

#[test]
fn each_rule_says_in_the_documentation_what_it_asks() {
    for rule in RULES {
        let heading = format!("### `{}`\n\n{}", rule.id, rule.asks);
        assert!(DOC.to_lowercase().contains(&heading.to_lowercase()), "{heading}");
    }
}

#[test]
fn calls_are_seen_wherever_they_stand() {
    let hidden = [
        "let f = || fs::remove(found);",
        "[1].map(|x| fs::remove(x));",
        "print(`${fs::remove(found)}`);",
        "print(`${`${fs::remove(found)}`}`);",
        "if fs::remove(found).count > 0 { }",
        "while fs::remove(found).count > 0 { }",
        "switch 1 { 1 if fs::remove(found) == 1 => 2, _ => fs::remove(found) }",
        "try { throw 1; } catch (e) { fs::remove(found); }",
        "let x = () ?? fs::remove(found);",
        "return fs::remove(found);",
        "throw fs::remove(found);",
        "let m = #{ a: [1, #{ b: fs::remove(found) }] };",
        "for x in fs::remove(found) { print(x); }",
        "let x = loop { if true { break; } fs::remove(found); };",
        "fs /* :: */ :: /* x */ remove(found);",
        "fs\n::\nremove\n(found);",
        "do { } until fs::remove(found) == 1;",
        "if false { fs::remove(found); }",
        "let x = true && fs::remove(found) == 1;",
        "const X = fs::remove(found);",
    ];
    for body in hidden {
        let source = whole(&format!("fn remediate(p, found) {{ {body} }}\n"));
        assert!(rules(&source).contains("permission-missing"), "{body}\n{:?}", lint(&source));
    }
    for harmless in [
        "// fs::remove(found);",
        "/* fs::remove(found); /* */ */",
        "print(\"fs::remove(found)\");",
        "print(#\"fs::remove(found)\"#);",
        "print(`\\${fs::remove(found)}`);",
    ] {
        let source = whole(&format!("fn remediate(p, found) {{ {harmless}\n}}\n"));
        assert!(lint(&source).is_empty(), "{harmless}\n{:?}", lint(&source));
    }
}

#[test]
fn a_mistyped_function_is_found_and_the_right_one_named() {
    for (typed, meant) in [
        ("fs::remvoe([])", "fs::remove"),
        ("host::inof()", "host::info"),
        ("servcie::status(\"x\")", "service"),
        ("helathy(\"x\")", "healthy"),
        ("[1].fliter(|x| true)", "filter"),
        ("helpre()", "helper"),
    ] {
        let source = whole(&format!(
            "fn helper() {{ 1 }}\nfn detect(p) {{ {typed}; helper(); healthy(\"x\") }}\n"
        ));
        let faults = lint(&source);
        let fault = faults.iter().find(|f| ["unknown-function", "parse"].contains(&f.rule));
        let fault = fault.unwrap_or_else(|| panic!("{typed}: {faults:?}"));
        assert_eq!(fault.hint.as_deref(), Some(meant), "{typed}");
    }
}

#[test]
fn actions_are_followed_through_helpers() {
    let source = whole(
        "fn a() { b() }\nfn b() { pkg::clean_cache() }\nfn detect(p) { a(); healthy(\"x\") }\n",
    );
    assert!(rules(&source).contains("action-phase"));
    let source = whole("fn a() { pkg::clean_cache() }\nfn remediate(p, found) { a(); }\n");
    assert_eq!(rules(&source), BTreeSet::from(["permission-missing"]));
}

#[test]
fn a_script_that_is_too_long_is_one_fault() {
    let long = "\n".repeat(protocol::limits::SCRIPT_BYTES_MAX + 1);
    assert_eq!(rules(&long), BTreeSet::from(["source-size"]));
}
