//! `salve scripts`: lint, sign, publish, list, show, search.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use desk::catalogue::{self, CatalogueTrouble, Pending, PendingScript, ScriptFile};
use desk::home::{Held, Organisation};
use desk::org::Desk;
use protocol::{AgentName, Consent, Manifest, ScriptName};
use serde::Serialize;

use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::view::{Table, count, safe};

/// `salve scripts`
#[derive(Debug, Args)]
pub struct ScriptsArgs {
    /// What to do.
    #[command(subcommand)]
    pub what: What,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Reads scripts as a vetter would and lists every fault
    Lint {
        /// A script, or a folder of them
        path: PathBuf,
    },
    /// Signs scripts for publication; without files, signs what waits
    Sign {
        /// Scripts, or folders of them
        files: Vec<PathBuf>,
        /// Whose vetter key [you]
        #[arg(long = "as", value_name = "NAME")]
        vetter: Option<AgentName>,
    },
    /// Publishes what waits, once enough people signed
    Publish,
    /// Gives the policy and all lists of scripts a new end, as they are
    Renew,
    /// Scripts in force, and what waits
    List,
    /// What a script may do, who vetted it, and its text
    Show {
        /// As in cache.clear
        name: ScriptName,
        /// Print the script's text only
        #[arg(long)]
        source: bool,
    },
    /// Finds scripts by the words of a ticket
    Search {
        /// As in "disk full"
        words: Vec<String>,
    },
}

/// A file that was read, and what came of it.
#[derive(Debug)]
pub struct ReadScript {
    /// Where it lies.
    pub path: PathBuf,
    /// The script or its faults.
    pub file: Result<ScriptFile, CatalogueTrouble>,
}

/// Folders below a folder of scripts: `<area>/<name>.rhai` and one to spare.
const DEPTH_MAX: usize = 3;

/// Every script at `path`, in the order of their paths.
///
/// # Errors
/// A folder or file that cannot be read, or no script at all.
pub fn read_all(path: &Path, author: &AgentName) -> Result<Vec<ReadScript>, Failure> {
    let mut files = Vec::new();
    let fail = |e: std::io::Error| {
        Failure::usage(format!("could not read `{}`", path.display())).because(e)
    };
    if path.is_dir() {
        find(path, 0, &mut files).map_err(fail)?;
    } else {
        files.push(path.to_owned());
    }
    files.sort();
    if files.is_empty() {
        return Err(Failure::usage(format!("there is no .rhai file in `{}`", path.display())));
    }
    let read = |path: PathBuf| -> Result<ReadScript, Failure> {
        let source = desk::home::read(&path)?;
        Ok(ReadScript { file: ScriptFile::read(&source, author), path })
    };
    files.into_iter().map(read).collect()
}

fn find(folder: &Path, depth: usize, out: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && depth < DEPTH_MAX {
            find(&path, depth + 1, out)?;
        } else if path.extension().is_some_and(|end| end == "rhai") {
            out.push(path);
        }
    }
    Ok(())
}

/// Runs `salve scripts ...`.
///
/// # Errors
/// What the subcommand says.
pub async fn run(ctx: &Ctx, args: ScriptsArgs) -> Result<Exit, Failure> {
    match args.what {
        What::Lint { path } => lint(ctx, &path),
        What::Sign { files, vetter } => sign(ctx, &files, vetter),
        What::Publish => publish(ctx),
        What::Renew => renew(ctx),
        What::List => list(ctx),
        What::Show { name, source } => show(ctx, &name, source),
        What::Search { words } => search(ctx, &words.join(" ")),
    }
}

#[derive(Debug, Serialize)]
struct LintLine {
    path: PathBuf,
    script: Option<String>,
    faults: Vec<String>,
}

fn lint(ctx: &Ctx, path: &Path) -> Result<Exit, Failure> {
    // The author matters to a signature, not to the faults.
    let home = desk::home::Home::new(&ctx.home);
    let me = Organisation::read(&home).map(|o| o.me).or_else(|_| "nobody".parse());
    let me = me.map_err(|e| Failure::broken("no author").because(e))?;
    let mut lines = Vec::new();
    for read in read_all(path, &me)? {
        let (script, faults) = match read.file {
            Ok(file) => (Some(label(&file.manifest)), Vec::new()),
            Err(CatalogueTrouble::Script(faults)) => {
                (None, faults.iter().map(ToString::to_string).collect())
            }
            Err(CatalogueTrouble::NotText) => (None, vec![CatalogueTrouble::NotText.to_string()]),
            Err(other) => return Err(other.into()),
        };
        lines.push(LintLine { path: read.path, script, faults });
    }
    let faulty = lines.iter().filter(|line| !line.faults.is_empty()).count();
    ctx.show(&lines, |lines| lint_words(lines))?;
    Ok(if faulty == 0 { Exit::Fine } else { Exit::NeedsPerson })
}

fn lint_words(lines: &[LintLine]) -> String {
    let mut out = String::new();
    for line in lines {
        let path = safe(&line.path.to_string_lossy());
        match &line.script {
            Some(script) => out.push_str(&format!("{path}: {script}: no faults\n")),
            None => {
                out.push_str(&format!("{path}: {}\n", count(line.faults.len() as u64, "fault")))
            }
        }
        for text in line.faults.iter().flat_map(|fault| fault.lines()) {
            out.push_str(&format!("  {}\n", safe(text)));
        }
    }
    out
}

fn label(manifest: &Manifest) -> String {
    format!("{} {} ({} risk)", manifest.name, manifest.version, manifest.risk)
}

fn sign(ctx: &Ctx, files: &[PathBuf], vetter: Option<AgentName>) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    let who = vetter.unwrap_or_else(|| desk.organisation.me.clone());
    let mut scripts = Vec::new();
    for path in files {
        for read in read_all(path, &who)? {
            let path = safe(&read.path.to_string_lossy());
            scripts.push(read.file.map_err(|trouble| {
                let mut failure = Failure::from(trouble);
                failure.sentence = format!("{path}: {}", failure.sentence);
                failure
            })?);
        }
    }
    if scripts.is_empty() && catalogue::pending(&desk.home, ctx.now())?.is_empty() {
        return Err(CatalogueTrouble::NothingPending.into());
    }
    let passphrase = ctx.passphrase(&format!("Passphrase of {who}'s vetter key"))?;
    let key = desk.home.held_key(Held::Vetter, &who, &passphrase)?;
    let waiting = catalogue::sign(&desk.home, &scripts, &key, ctx.now())?;
    ctx.show(&waiting, |waiting| pending_words(waiting))?;
    Ok(Exit::Fine)
}

fn pending_words(waiting: &[Pending]) -> String {
    if waiting.is_empty() {
        return "Nothing waits: these versions are published already.".to_owned();
    }
    let mut out = String::new();
    let mut missing = false;
    for list in waiting {
        let names: Vec<String> = list.scripts.iter().map(name_version).collect();
        let people: Vec<&str> = list.signed.iter().map(AgentName::as_str).collect();
        let by = if people.is_empty() { "nobody".to_owned() } else { people.join(", ") };
        out.push_str(&format!(
            "{} risk waits: {}; signed by {by} ({} of {})\n",
            list.risk,
            names.join(", "),
            list.signed.len(),
            list.wanted
        ));
        missing |= list.signed.len() < list.wanted;
    }
    out.push_str(if missing {
        "  Next   another vetter signs what waits:  salve scripts sign --as NAME"
    } else {
        "  Next   salve scripts publish"
    });
    out
}

fn name_version(script: &PendingScript) -> String {
    format!("{} {}", script.name, script.version)
}

fn publish(ctx: &Ctx) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    let published = catalogue::publish(&desk.home, ctx.now())?;
    ctx.show(&published, |published| {
        let names: Vec<String> = published.iter().map(name_version).collect();
        format!("Published: {}. Endpoints take it with the next order or hello.", names.join(", "))
    })?;
    Ok(Exit::Fine)
}

fn renew(ctx: &Ctx) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    let me = &desk.organisation.me;
    let passphrase = ctx.passphrase("Passphrase of your admin and vetter keys")?;
    let key = |kind| desk.home.held_key(kind, me, &passphrase);
    let signers = [key(Held::Admin)?, key(Held::Vetter)?];
    let ends = catalogue::renew_lists(&desk.home, &signers, ctx.now())?;
    ctx.show(&ends, |ends| {
        let line = |(role, end): &(String, protocol::Time)| format!("  {role:<12} until {end}");
        let lines: Vec<String> = ends.iter().map(line).collect();
        format!("Renewed, nothing else changed:\n{}", lines.join("\n"))
    })?;
    Ok(Exit::Fine)
}

#[derive(Debug, Serialize)]
struct Listing {
    scripts: Vec<Manifest>,
    waiting: Vec<Pending>,
}

fn newest(desk: &Desk, ctx: &Ctx) -> Result<Vec<Manifest>, Failure> {
    let catalogue = catalogue::open(&desk.home, ctx.now())?;
    let mut newest: std::collections::BTreeMap<ScriptName, Manifest> = Default::default();
    for entry in catalogue.scripts() {
        // In the order of versions: the last one stays.
        newest.insert(entry.manifest.name.clone(), entry.manifest.clone());
    }
    Ok(newest.into_values().collect())
}

fn list(ctx: &Ctx) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    let scripts = newest(&desk, ctx)?;
    let waiting = catalogue::pending(&desk.home, ctx.now())?;
    ctx.show(&Listing { scripts, waiting }, |view| {
        let mut out = if view.scripts.is_empty() {
            "No script is in force yet:  salve scripts sign FILE, then  salve scripts publish\n"
                .to_owned()
        } else {
            rows(&view.scripts)
        };
        if !view.waiting.is_empty() {
            out.push_str(&pending_words(&view.waiting));
        }
        out
    })?;
    Ok(Exit::Fine)
}

fn rows(scripts: &[Manifest]) -> String {
    let mut table = Table::new(["SCRIPT", "VERSION", "RISK", "PERSON", "DOES"]);
    for manifest in scripts {
        table.row([
            manifest.name.as_str(),
            &manifest.version.to_string(),
            manifest.risk.word(),
            consent(manifest.consent),
            &manifest.does,
        ]);
    }
    table.render()
}

const fn consent(consent: Consent) -> &'static str {
    match consent {
        Consent::None => "not asked",
        Consent::Tell => "told",
        Consent::Ask => "asked",
        Consent::Identity => "identified",
    }
}

fn search(ctx: &Ctx, words: &str) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    let newest = newest(&desk, ctx)?;
    let hits: Vec<Manifest> =
        catalogue::search(&newest, words).into_iter().map(|hit| hit.manifest).collect();
    if hits.is_empty() {
        return Err(Failure::needs_person(format!("no script is known for \"{words}\""))
            .next("all of them:  salve scripts list"));
    }
    ctx.show(&hits, |hits| rows(hits))?;
    Ok(Exit::Fine)
}

#[derive(Debug, Serialize)]
struct Shown {
    manifest: Manifest,
    digest: protocol::Digest,
    vetted_by: Vec<String>,
    wanted: usize,
    source: String,
}

fn show(ctx: &Ctx, name: &ScriptName, source_only: bool) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    let catalogue = catalogue::open(&desk.home, ctx.now())?;
    let Some(entry) = catalogue.latest(name) else {
        let near = near(&newest(&desk, ctx)?, name);
        let failure = Failure::usage(format!("there is no script `{name}`"));
        return Err(match near {
            Some(near) => failure.next(format!("did you mean:  salve scripts show {near}")),
            None => failure.next("all of them:  salve scripts list"),
        });
    };
    let policy = catalogue::policy(&desk.home, ctx.now())?;
    let person = |key: &protocol::PublicKey| {
        policy.person_of(key).map_or_else(|| "nobody known".to_owned(), |p| p.name.to_string())
    };
    let shown = Shown {
        manifest: entry.manifest.clone(),
        digest: entry.digest,
        vetted_by: entry.signers.iter().map(person).collect(),
        wanted: catalogue.thresholds().get(entry.risk.role()).map_or(1, |(wanted, _)| *wanted),
        source: String::from_utf8_lossy(catalogue.source(entry).unwrap_or_default()).into_owned(),
    };
    ctx.show(&shown, |shown| if source_only { text(&shown.source) } else { show_words(shown) })?;
    Ok(Exit::Fine)
}

fn near(newest: &[Manifest], name: &ScriptName) -> Option<ScriptName> {
    let alike = |m: &&Manifest| strsim::damerau_levenshtein(m.name.as_str(), name.as_str());
    newest.iter().filter(|m| alike(m) <= 3).min_by_key(alike).map(|m| m.name.clone())
}

/// A vetted text keeps its line breaks and nothing else that could move the cursor.
fn text(source: &str) -> String {
    source.lines().map(|line| safe(&line.replace('\t', "    "))).collect::<Vec<_>>().join("\n")
}

fn show_words(shown: &Shown) -> String {
    let m = &shown.manifest;
    let mut lines = vec![
        format!("{} {}: {} ({} risk)", m.name, m.version, safe(&m.title), m.risk),
        format!("  Does       {}", safe(&m.does)),
        format!("  Person     {}", consent(m.consent)),
    ];
    lines.extend(m.question.iter().map(|q| format!("  Question   \"{}\"", safe(q))));
    lines.push(format!("  Written    by {}", m.author));
    let by = shown.vetted_by.join(", ");
    lines.push(format!("  Vetted     by {by} ({} of {})", shown.vetted_by.len(), shown.wanted));
    lines.push(format!("  Limit      {} s on {}", m.limit_seconds, safe(&m.platforms.join(", "))));
    let mut head = "  Arguments";
    for (name, spec) in &m.parameters {
        lines.push(format!("{head:<13}{}: {}", safe(name), safe(&spec.ask)));
        head = "";
    }
    let mut head = "  May use";
    for (function, nouns) in &m.permissions {
        let nouns: Vec<String> = nouns.iter().map(|noun| safe(noun)).collect();
        lines.push(
            format!("{head:<13}{} {}", safe(function), nouns.join(" ")).trim_end().to_owned(),
        );
        head = "";
    }
    if m.permissions.is_empty() {
        lines.push("  May use    nothing beyond looking".to_owned());
    }
    lines.push(format!("  Digest     {}", shown.digest));
    lines.push(format!("  Text       salve scripts show {} --source", m.name));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use protocol::Risk;

    use super::*;

    fn manifest() -> Manifest {
        serde_json::from_value(serde_json::json!({
            "name": "cache.clear", "version": 3, "title": "Clear caches", "author": "a.kaya",
            "does": "empties package\u{1b}[31m caches", "risk": "low", "consent": "tell",
            "platforms": ["linux"], "limit_seconds": 300,
            "parameters": { "browsers": { "kind": "bool", "ask": "Browser caches too?" } },
            "permissions": { "fs.remove": ["{homes}/.cache/**"], "pkg.clean_cache": [] },
        }))
        .unwrap()
    }

    #[test]
    fn lists_and_pages_read_as_promised_and_hostile_text_stays_text() {
        assert_eq!(
            rows(&[manifest()]),
            "SCRIPT       VERSION  RISK  PERSON  DOES\n\
             cache.clear  3        low   told    empties package\\u{1b}[31m caches\n"
        );
        let shown = Shown {
            manifest: manifest(),
            digest: protocol::Digest::of(b"x"),
            vetted_by: vec!["a.kaya".to_owned()],
            wanted: 1,
            source: "a\tb\n\u{1b}c".to_owned(),
        };
        assert_eq!(
            show_words(&shown),
            "cache.clear 3: Clear caches (low risk)\n\
             \x20 Does       empties package\\u{1b}[31m caches\n\
             \x20 Person     told\n\
             \x20 Written    by a.kaya\n\
             \x20 Vetted     by a.kaya (1 of 1)\n\
             \x20 Limit      300 s on linux\n\
             \x20 Arguments  browsers: Browser caches too?\n\
             \x20 May use    fs.remove {homes}/.cache/**\n\
             \x20            pkg.clean_cache\n\
             \x20 Digest     2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881\n\
             \x20 Text       salve scripts show cache.clear --source"
        );
        assert_eq!(text(&shown.source), "a    b\n\\u{1b}c");
    }

    #[test]
    fn what_waits_says_who_signed_and_what_is_missing() {
        let mut list = Pending {
            risk: Risk::Medium,
            scripts: vec![PendingScript {
                name: "disk.free".parse().unwrap(),
                version: 4,
                risk: Risk::Medium,
            }],
            signed: vec!["a.kaya".parse().unwrap()],
            wanted: 2,
        };
        assert_eq!(
            pending_words(std::slice::from_ref(&list)),
            "medium risk waits: disk.free 4; signed by a.kaya (1 of 2)\n\
             \x20 Next   another vetter signs what waits:  salve scripts sign --as NAME"
        );
        list.signed.push("m.ruiz".parse().unwrap());
        assert!(pending_words(&[list]).ends_with("Next   salve scripts publish"));
    }

    #[test]
    fn a_folder_of_scripts_is_read_in_order_and_cases_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("b")).unwrap();
        for name in ["b/x.rhai", "a.rhai", "a.cases.toml"] {
            std::fs::File::create(dir.path().join(name)).unwrap();
        }
        let author = "x".parse().unwrap();
        let read = read_all(dir.path(), &author).unwrap();
        let names: Vec<_> = read.iter().filter_map(|r| r.path.file_name()).collect();
        assert_eq!(names, ["a.rhai", "x.rhai"]);
        assert!(read_all(&dir.path().join("none"), &author).is_err());
    }

    #[test]
    fn a_slip_in_a_name_finds_the_script_that_was_meant() {
        let meant = near(&[manifest()], &"cache.clera".parse().unwrap());
        assert_eq!(meant.unwrap().as_str(), "cache.clear");
        assert_eq!(near(&[manifest()], &"net.dns.flush".parse().unwrap()), None);
    }
}
