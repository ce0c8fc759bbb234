//! `salve scripts`: api, lint, sign, publish, list, show, search.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use desk::catalogue::{self, CatalogueTrouble, Pending, ScriptFile};
use desk::home::{Held, Organisation};
use desk::org::Desk;
use protocol::{AgentName, Manifest, Risk, ScriptName};
use serde::Serialize;

use crate::cli::adopt::{self, AdoptArgs};
use crate::cli::signers::Signers;
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::view::review::{Cases, proposal_words, review_words};
use crate::view::safe;
use crate::view::script::{
    LintLine, Shown, hits as hits_words, label, lint_words, name_version, pending_words, rows,
    show_words, text,
};

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
    /// What a script may ask of a machine: the host functions
    Api {
        /// A function or an area, as in fs.find or fs [all]
        name: Option<String>,
        /// Print definitions for an editor (salve.d.rhai)
        #[arg(long, conflicts_with = "name")]
        definitions: bool,
    },
    /// Reads scripts as a vetter would and lists every fault
    Lint {
        /// A script, or a folder of them
        path: PathBuf,
    },
    /// What scripts would change if they were signed: permissions, arguments, cases, text; without
    /// files, of what waits
    Review {
        /// Scripts, or folders of them
        files: Vec<PathBuf>,
    },
    /// Signs scripts for publication; without files, signs what waits
    Sign {
        /// Scripts, or folders of them
        files: Vec<PathBuf>,
        /// Whose vetter key [you]
        #[arg(long = "as", value_name = "NAME")]
        vetter: Option<AgentName>,
    },
    /// Take scripts from another house's signed release into this house's lists, under its own
    /// vetters' keys and as many of them as its lists ask for
    Adopt(AdoptArgs),
    /// Publishes what waits, once enough people signed
    Publish,
    /// Gives the policy and all lists of scripts a new end, as they are
    Renew {
        /// Who signs it.
        #[command(flatten)]
        signers: Signers,
    },
    /// Withdraws a script, or one version of it: no machine runs it any more
    Withdraw {
        /// As in cache.clear
        name: ScriptName,
        /// Only this version
        #[arg(long, value_name = "N")]
        version: Option<u32>,
        /// Who signs it.
        #[command(flatten)]
        signers: Signers,
    },
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
    if !path.exists() {
        return Err(Failure::usage(format!("there is no file or folder `{}`", path.display()))
            .next("name a script:  salve scripts lint FILE"));
    }
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
        What::Api { name, definitions } => api(ctx, name.as_deref(), definitions),
        What::Lint { path } => lint(ctx, &path),
        What::Review { files } => review(ctx, &files),
        What::Sign { files, vetter } => sign(ctx, &files, vetter),
        What::Adopt(which) => adopt::run(ctx, &which),
        What::Publish => publish(ctx),
        What::Renew { signers } => renew(ctx, &signers),
        What::Withdraw { name, version, signers } => withdraw(ctx, &name, version, &signers),
        What::List => list(ctx),
        What::Show { name, source } => show(ctx, &name, source),
        What::Search { words } => search(ctx, &words.join(" ")),
    }
}

fn api(ctx: &Ctx, name: Option<&str>, definitions: bool) -> Result<Exit, Failure> {
    let rows = script::api::rows(name).map_err(|near| {
        let none =
            format!("there is no host function or area `{}`", safe(name.unwrap_or_default()));
        Failure::usage(none).next(match near {
            Some(near) => format!("did you mean:  salve scripts api {near}"),
            None => "all of them:  salve scripts api".to_owned(),
        })
    })?;
    ctx.show(&rows, |rows| match name {
        _ if definitions => script::api::definitions(),
        Some(_) => script::api::page(rows),
        None => script::api::document(),
    })?;
    Ok(Exit::Fine)
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

/// Scripts without a fault, each with its place; none are named where something waits.
fn good(
    ctx: &Ctx,
    desk: &Desk,
    files: &[PathBuf],
    author: &AgentName,
) -> Result<Vec<(PathBuf, ScriptFile)>, Failure> {
    let mut scripts = Vec::new();
    for path in files {
        for read in read_all(path, author)? {
            let script = read.file.map_err(|trouble| {
                let mut failure = Failure::from(trouble);
                let path = safe(&read.path.to_string_lossy());
                failure.sentence = format!("{path}: {}", failure.sentence);
                failure
            })?;
            scripts.push((read.path, script));
        }
    }
    if scripts.is_empty() && catalogue::pending(&desk.home, ctx.now())?.is_empty() {
        return Err(CatalogueTrouble::NothingPending.into());
    }
    Ok(scripts)
}

#[derive(Debug, Serialize)]
struct Reviewed<'a> {
    script: &'a ScriptName,
    version: u32,
    compared_with: Option<u32>,
    permissions: Vec<catalogue::PermissionChange>,
    least_risk: Risk,
    cases: Option<Cases>,
}

/// Nothing is signed, and no key is asked for.
fn review(ctx: &Ctx, files: &[PathBuf]) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    let scripts = good(ctx, &desk, files, &desk.organisation.me.clone())?;
    let mut cases = std::collections::BTreeMap::new();
    for (path, script) in &scripts {
        if let Some(played) = play(path, script)? {
            cases.insert((script.manifest.name.clone(), script.manifest.version), played);
        }
    }
    let scripts: Vec<ScriptFile> = scripts.into_iter().map(|(_, script)| script).collect();
    let proposals = catalogue::proposals(&desk.home, &scripts, ctx.now())?;
    let of = |m: &Manifest| cases.get(&(m.name.clone(), m.version)).cloned();
    let reviewed = proposals.iter().flat_map(|list| &list.added).map(|added| Reviewed {
        script: &added.manifest.name,
        version: added.manifest.version,
        compared_with: added.before.as_ref().map(|before| before.version),
        permissions: added.permissions(),
        least_risk: added.least_risk(),
        cases: of(&added.manifest),
    });
    let reviewed: Vec<Reviewed<'_>> = reviewed.collect();
    let good = cases.values().all(|cases| cases.wrong.is_empty());
    ctx.show(&reviewed, |_| {
        let next = match (good && !proposals.is_empty(), files) {
            (false, _) => String::new(),
            (true, []) => "\n\nTo sign it:  salve scripts sign".to_owned(),
            (true, files) => {
                let files = files.iter().map(|file| safe(&file.to_string_lossy()));
                format!(
                    "\n\nTo sign it:  salve scripts sign {}",
                    files.collect::<Vec<_>>().join(" ")
                )
            }
        };
        format!("{}{next}", review_words(&proposals, &of))
    })?;
    Ok(if good { Exit::Fine } else { Exit::NeedsPerson })
}

/// Runs the cases that lie beside a script, on the described machine; none where there are none.
fn play(path: &Path, script: &ScriptFile) -> Result<Option<Cases>, Failure> {
    let beside = path.with_extension("cases.toml");
    if !beside.exists() {
        return Ok(None);
    }
    let text = desk::home::read_text(&beside)?;
    let unreadable = |why: String| {
        let sentence = format!("the cases in `{}` cannot be read", safe(&beside.to_string_lossy()));
        Failure::usage(sentence).because(why)
    };
    let cases = script.play(&text).map_err(unreadable)?;
    let wrong = cases
        .iter()
        .filter_map(|(name, done)| done.as_ref().err().map(|why| (name.clone(), why.clone())));
    Ok(Some(Cases { all: cases.len(), wrong: wrong.collect() }))
}

fn sign(ctx: &Ctx, files: &[PathBuf], vetter: Option<AgentName>) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    let who = vetter.unwrap_or_else(|| desk.organisation.me.clone());
    let scripts: Vec<ScriptFile> =
        good(ctx, &desk, files, &who)?.into_iter().map(|(_, script)| script).collect();
    // The whole of what the signature means, before the passphrase is asked.
    let now = ctx.now();
    let proposals = catalogue::proposals(&desk.home, &scripts, now)?;
    if !ctx.json {
        ctx.say(proposal_words(&proposals));
    }
    let key = ctx.held_key(&desk, Held::Vetter, &who)?;
    let waiting = catalogue::sign_shown(&desk.home, &scripts, &proposals, &key, now)?;
    ctx.show(&waiting, |waiting| pending_words(waiting))?;
    Ok(Exit::Fine)
}

fn publish(ctx: &Ctx) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    let published =
        catalogue::change(&desk, ctx.now(), |home| catalogue::publish(home, ctx.now()))?;
    ctx.show(&published, |published| {
        let names: Vec<String> = published.iter().map(name_version).collect();
        format!("Published: {}. Endpoints take it with the next order or hello.", names.join(", "))
    })?;
    Ok(Exit::Fine)
}

fn renew(ctx: &Ctx, signers: &Signers) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    let signers = signers.all(ctx, &desk)?;
    let ends = catalogue::change(&desk, ctx.now(), |home| {
        catalogue::renew_lists(home, &signers, ctx.now())
    })?;
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
    let policy = catalogue::policy_of(&catalogue)?;
    let mut newest: std::collections::BTreeMap<ScriptName, Manifest> = Default::default();
    for entry in catalogue.scripts().filter(|entry| !policy.is_denied_script(&entry.digest)) {
        // In the order of versions: the last one stays.
        newest.insert(entry.manifest.name.clone(), entry.manifest.clone());
    }
    Ok(newest.into_values().collect())
}

#[derive(Debug, Serialize)]
struct Withdrawn {
    withdrawn: ScriptName,
    versions: Vec<u32>,
}

fn withdraw(
    ctx: &Ctx,
    name: &ScriptName,
    version: Option<u32>,
    signers: &Signers,
) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    let admins = signers.admins(ctx, &desk)?;
    let versions = desk.withdraw_script(name, version, &admins, ctx.now())?;
    ctx.show(&Withdrawn { withdrawn: name.clone(), versions }, |gone| {
        let versions: Vec<String> = gone.versions.iter().map(ToString::to_string).collect();
        format!(
            "{name} {} is withdrawn: no machine starts it from its next update on, and what runs of it \
             ends.\n  Records of it stay, and say that it was withdrawn since.",
            versions.join(", ")
        )
    })?;
    Ok(Exit::Fine)
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

fn search(ctx: &Ctx, words: &str) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    let newest = newest(&desk, ctx)?;
    let hits: Vec<Manifest> =
        catalogue::search(&newest, words).into_iter().map(|hit| hit.manifest).collect();
    if hits.is_empty() {
        return Err(Failure::needs_person(format!("no script is known for \"{words}\""))
            .next("all of them:  salve scripts list"));
    }
    ctx.show(&hits, |found| hits_words(found))?;
    Ok(Exit::Fine)
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
    let policy = catalogue::policy_of(&catalogue)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::script::tests::manifest;

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
