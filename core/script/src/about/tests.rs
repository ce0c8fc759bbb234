use protocol::{ParamKind, Risk};

use super::*;
use crate::fault::faults_text;

const GOOD: &str = r#"//! Doc.
const ABOUT = #{
    id: "cache.clear", version: 3, title: "Clear caches", does: "empties caches",
    risk: "low", consent: "tell", platforms: ["linux"], limit: "5m",
    params: #{
        browsers: #{ kind: "bool", preset: true, ask: "Browsers too?" },
        least: #{ kind: "int", min: -5, max: 100_000, preset: 50, ask: "From how much?" },
        unit: #{ kind: "choice", from: "site.units", ask: "Which?" },
        mount: #{ kind: "path", preset: "/", ask: "Where?" },
    },
    permissions: #{ "pkg.clean_cache": [], "fs.remove": ["/var/cache/**"] },
    words: ["disk full"],
};
const OTHER = [1, -2, #{ a: "b" }];
fn detect(p) { healthy("x") }
"#;

fn me() -> AgentName {
    "a.kaya".parse().unwrap()
}

fn rules(source: &str) -> Vec<&'static str> {
    read(source, Some(&me())).unwrap_err().iter().map(|fault| fault.rule).collect()
}

#[test]
fn a_literal_about_becomes_the_manifest() {
    let manifest = read(GOOD, Some(&me())).unwrap_or_else(|f| panic!("{}", faults_text(&f)));
    assert_eq!(manifest.name.as_str(), "cache.clear");
    assert_eq!((manifest.version, manifest.risk), (3, Risk::Low));
    assert_eq!(manifest.limit_seconds, 300);
    assert_eq!(manifest.author, me());
    assert_eq!(manifest.parameters["least"].min, Some(-5));
    assert_eq!(manifest.parameters["unit"].kind, ParamKind::Choice);
    assert_eq!(manifest.permissions["fs.remove"], ["/var/cache/**"]);
    let json = serde_json::to_string(&manifest).unwrap();
    assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), manifest);
}

#[test]
fn a_fault_shows_its_line_and_a_caret() {
    let source = GOOD.replace("consent: \"tell\"", "consnet: \"tell\"");
    let faults = read(&source, Some(&me())).unwrap_err();
    let text = faults_text(&faults);
    assert!(text.contains("line 4: about-key: unknown key `consnet`"), "{text}");
    let caret = text.lines().rfind(|line| line.trim() == "^").unwrap();
    assert_eq!(caret.find('^'), Some(2 + 17), "{text}");
    assert!(text.contains("try: `consent`"), "{text}");
}

#[test]
fn all_faults_are_told_at_once() {
    let source = GOOD
        .replace("version: 3", "version: 0")
        .replace("risk: \"low\"", "risk: \"none\"")
        .replace("\"5m\"", "\"5 minutes\"")
        .replace("preset: true", "preset: 1");
    assert_eq!(rules(&source).len(), 4);
}

#[test]
fn two_abouts_and_hidden_ones_are_refused() {
    let second = format!("{GOOD}const ABOUT = #{{}};");
    assert!(rules(&second).contains(&"about-twice"));
    for hidden in ["let ABOUT = 1;", "const ABOUT = 1;", "for ABOUT in [1] { }"] {
        let source = format!("{GOOD}fn f() {{ {hidden} }}");
        assert_eq!(rules(&source), ["about-twice"], "{hidden}");
    }
    assert_eq!(rules(&GOOD.replace("const ABOUT", "let ABOUT")).first(), Some(&"top-level"));
    assert_eq!(rules("fn detect(p) { }"), ["about-missing"]);
    assert_eq!(rules("fn f() { if true { const ABOUT = #{}; } }"), ["about-missing"]);
    let shown = "// const ABOUT = #{};\nfn f() { `const ABOUT = #{}` }";
    assert_eq!(rules(shown), ["about-missing"]);
}

#[test]
fn what_is_not_literal_is_told_from_what_is_missing() {
    for (literal, other) in [
        ("version: 3", "version: 1 + 2"),
        ("title: \"Clear caches\"", "title: `Clear ${1}`"),
        ("title: \"Clear caches\"", "title: host::info()"),
        ("title: \"Clear caches\"", "title: \"a\" + \"b\""),
        ("title: \"Clear caches\"", "title: || 1"),
        ("platforms: [\"linux\"]", "platforms: [\"linux\"].filter(|x| true)"),
        ("version: 3", "version: if true { 3 } else { 4 }"),
        ("version: 3", "version: 'a'"),
        ("version: 3", "version: (3)"),
    ] {
        let source = GOOD.replace(literal, other);
        assert!(source != GOOD);
        assert_eq!(rules(&source), ["about-literal"], "{other}");
    }
    let named = format!("const N = 3;{}", GOOD.replace("version: 3", "version: N"));
    assert_eq!(rules(&named), ["about-literal"]);
    // rhai reads this as a fraction where it has them; here it is no number at all.
    let big = GOOD.replace("version: 3", "version: 100000000000000000000");
    assert_eq!(rules(&big).len(), 1);
    assert_eq!(
        rules(&GOOD.replace("const OTHER = [1,", "const OTHER = [1 + 1,")),
        ["const-literal"]
    );
}

#[test]
fn only_constants_and_functions_stand_at_the_top() {
    for stray in ["print(1);", "let x = 1;", "{ }", "if true { }", "host::info();"] {
        let source = format!("{GOOD}{stray}");
        assert_eq!(rules(&source), ["top-level"], "{stray}");
    }
}

#[test]
fn values_are_of_their_kind() {
    for (good, bad) in [
        ("id: \"cache.clear\"", "id: \"../x\""),
        ("id: \"cache.clear\"", "id: \"cache\""),
        ("version: 3", "version: -1"),
        ("version: 3", "version: \"3\""),
        ("version: 3", "version: 9_007_199_254_740_993"),
        ("title: \"Clear caches\"", "title: \"\""),
        ("title: \"Clear caches\"", "title: \"a\\nb\""),
        ("title: \"Clear caches\"", "title: \"a\\u202eb\""),
        ("platforms: [\"linux\"]", "platforms: []"),
        ("platforms: [\"linux\"]", "platforms: [\"linux\", \"linux\"]"),
        ("platforms: [\"linux\"]", "platforms: [\"beos\"]"),
        ("limit: \"5m\"", "limit: \"13h\""),
        ("limit: \"5m\"", "limit: \"0s\""),
        ("limit: \"5m\"", "limit: \"-5m\""),
        ("limit: \"5m\"", "limit: \"99999999999999999999h\""),
        ("consent: \"tell\"", "consent: \"ask\""),
        ("consent: \"tell\"", "consent: \"tell\", question: \"May I?\""),
        ("preset: 50", "preset: 100_001"),
        ("min: -5", "min: 200_000"),
        ("from: \"site.units\"", "from: \"units\""),
        ("from: \"site.units\"", "from: \"site.units\", of: [\"a\"]"),
        ("from: \"site.units\"", "of: []"),
        ("from: \"site.units\"", "of: [\"a\"], preset: \"b\""),
        ("preset: \"/\"", "preset: \"/a/../b\""),
        ("browsers: #{ kind: \"bool\"", "browsers: #{ kind: \"bool\", min: 1"),
        ("browsers: #{ kind: \"bool\"", "browsers: #{ kind: \"flag\""),
        ("browsers:", "Browsers:"),
        ("\"fs.remove\": [\"/var/cache/**\"]", "\"fs.remove\": \"/var/cache/**\""),
        ("\"fs.remove\"", "\"fs.remvoe\""),
        ("\"fs.remove\"", "\"host.info\""),
    ] {
        let source = GOOD.replace(good, bad);
        assert!(source != GOOD, "{good}");
        let faults = read(&source, Some(&me())).unwrap_err();
        assert!(faults.iter().all(|fault| fault.line > 0), "{bad}: {faults:?}");
    }
}

#[test]
fn an_author_is_named_once() {
    let named = GOOD.replace("version: 3", "author: \"m.ruiz\", version: 3");
    assert_eq!(read(&named, None).unwrap().author.as_str(), "m.ruiz");
    assert!(read(&named, Some(&"m.ruiz".parse().unwrap())).is_ok());
    assert_eq!(rules(&named), ["about-value"]);
    assert!(read(GOOD, None).is_err());
}

/// A target for fuzzers: whatever the text, reading ends, and what is read is what rhai saw.
fn target(source: &str) {
    let read = read(source, Some(&me()));
    let _ = crate::lint::lint(source);
    if let Ok(manifest) = read {
        let script = Script::compile(source).unwrap();
        let seen: Vec<_> = script.ast.iter_literal_variables(true, true).collect();
        let abouts: Vec<_> = seen.iter().filter(|(name, ..)| *name == "ABOUT").collect();
        assert_eq!(abouts.len(), 1, "{source}");
        let about = to_value(abouts[0].2.clone()).unwrap();
        assert_eq!(about.get("id").unwrap().as_text(), Some(manifest.name.as_str()));
        let declared = about.get("permissions").unwrap();
        let surface::Value::Map(declared) = declared else { panic!("{declared:?}") };
        assert!(declared.keys().eq(manifest.permissions.keys()));
    } else if let Err(faults) = read {
        assert!(!faults.is_empty());
        assert!(!faults_text(&faults).is_empty());
    }
}

#[test]
fn mutated_scripts_never_break_the_reader() {
    const WORDS: &[&str] = &[
        "ABOUT", "const", "let", "fn", "#{", "}", "{", "(", ")", "[", "]", "\"", "`", "${", "/*",
        "*/", "//", "\\", ":", ",", ";", "::", "\n", "'", "#\"", "\"#", "1e9", "-", "é",
        "\u{202e}", "\0",
    ];
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts");
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below.max(1) as u64).unwrap()
    };
    let names = ["cache/clear", "user/password-reset", "service/restart", "health/check"];
    let scripts =
        names.map(|name| std::fs::read_to_string(root.join(format!("{name}.rhai"))).unwrap());
    for source in &scripts {
        target(source);
    }
    for _ in 0..600 {
        let mut chars: Vec<char> = scripts[next(scripts.len())].chars().collect();
        // Half of the changes hit ABOUT, which stands in the first part of each file.
        for _ in 0..=next(4) {
            let within = if next(2) == 0 { chars.len().min(1500) } else { chars.len() };
            let at = next(within);
            match next(4) {
                0 => drop(chars.remove(at)),
                1 => chars.swap(at, next(within)),
                2 => {
                    let end = (at + next(60)).min(chars.len());
                    let piece: Vec<char> = chars[at..end].to_vec();
                    let to = next(within);
                    chars.splice(to..to, piece);
                }
                _ => {
                    let word = WORDS[next(WORDS.len())];
                    chars.splice(at..at, word.chars());
                }
            }
        }
        target(&chars.into_iter().collect::<String>());
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        failure_persistence: None,
        cases: 200,
        ..Default::default()
    })]
    #[test]
    fn any_text_is_read_to_an_end(source in ".{0,200}") {
        target(&source);
    }
    #[test]
    fn any_text_in_a_value_comes_back_or_is_a_fault(text in "[^\"\\\\\\n]{1,40}") {
        let source = GOOD.replace("Clear caches", &text);
        if let Ok(manifest) = read(&source, Some(&me())) {
            proptest::prop_assert_eq!(manifest.title, text);
        }
    }
}
