//! `salve init`: a new organisation. Says in the end who holds what and what is weak.

mod team;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use desk::catalogue::ScriptFile;
use desk::home::{Home, Organisation};
use desk::org::{Founder, Founding, InitError, Ready, Step, check_founders, profile_word};
use protocol::{AgentName, Label};
use serde::Serialize;

use crate::cli::scripts::{ReadScript, read_all};
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::view::safe;

/// How duties are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProfileWord {
    /// One person does everything; every record says so
    Solo,
    /// A few people who know each other
    Small,
    /// Duties are separated
    Regulated,
}

impl From<ProfileWord> for policy::Profile {
    fn from(word: ProfileWord) -> Self {
        match word {
            ProfileWord::Solo => Self::Solo,
            ProfileWord::Small => Self::Small,
            ProfileWord::Regulated => Self::Regulated,
        }
    }
}

/// `salve init`
#[derive(Debug, Args)]
pub struct InitArgs {
    /// How duties are divided
    #[arg(long, value_enum, default_value = "small")]
    pub profile: ProfileWord,
    /// The organisation's name, as in "Demo Ltd"
    #[arg(long)]
    pub name: String,
    /// Your name in orders, as in a.kaya
    #[arg(long, value_name = "NAME")]
    pub me: AgentName,
    /// Somebody who founds it with you and is here to choose a passphrase: two with profile small,
    /// four with regulated
    #[arg(long = "person", value_name = "NAME")]
    pub people: Vec<AgentName>,
    /// Vet and publish every script in this folder [the project's, beside the program]
    #[arg(long, value_name = "DIR", conflicts_with = "no_scripts")]
    pub scripts: Option<PathBuf>,
    /// Begin with an empty catalogue
    #[arg(long)]
    pub no_scripts: bool,
    /// A systemd unit that agents may name to scripts; may be repeated
    #[arg(long = "unit", value_name = "UNIT")]
    pub units: Vec<String>,
}

#[derive(Debug, Serialize)]
struct View {
    organisation: String,
    id: Label,
    profile: &'static str,
    me: AgentName,
    people: Vec<AgentName>,
    vetted_by: Vec<AgentName>,
    home: PathBuf,
    resumed: bool,
    scripts: Vec<String>,
    weaknesses: Vec<String>,
}

/// Sets an organisation up.
///
/// # Errors
/// Already there, wrong passphrase, a profile that one person cannot be.
pub async fn run(ctx: &Ctx, args: InitArgs) -> Result<Exit, Failure> {
    let home = Home::new(&ctx.home);
    let profile = policy::Profile::from(args.profile);
    // Before anybody is asked for anything.
    let named: Vec<&AgentName> = std::iter::once(&args.me).chain(&args.people).collect();
    check_founders(profile, &named)?;
    if home.is_ready() && !home.init_marker().is_file() {
        let name = Organisation::read(&home)?.name;
        return Err(InitError::AlreadyReady { path: ctx.home.clone(), name }.into());
    }
    let folder = args.scripts.clone().or_else(|| ctx.scripts_beside.clone());
    let scripts = match folder.filter(|_| !args.no_scripts) {
        Some(folder) => vetted(&folder, &args.me)?,
        None => Vec::new(),
    };
    let names: Vec<String> = scripts.iter().map(script_line).collect();
    let ask = |person: &AgentName| -> Result<Founder, Failure> {
        let whose = if named.len() == 1 { "the".to_owned() } else { format!("{person}'s own") };
        let what = format!("Passphrase for {whose} root, admin and vetter keys");
        let passphrase = ctx.new_passphrase(person, &what)?;
        Ok(Founder { name: person.clone(), passphrase })
    };
    let passphrase = ask(&args.me)?.passphrase;
    let others = args.people.iter().map(ask).collect::<Result<_, Failure>>()?;
    let founding = Founding {
        name: args.name,
        profile,
        me: args.me,
        passphrase,
        others,
        units: args.units,
        scripts,
    };
    let mut quiet = |_: Step| ControlFlow::Continue(());
    let ready = desk::org::init(&home, &founding, ctx.now(), &mut quiet)?;
    let view = view(&ctx.home, ready, names);
    ctx.show(&view, |view| words(view, profile))?;
    Ok(Exit::Fine)
}

fn vetted(folder: &Path, me: &AgentName) -> Result<Vec<ScriptFile>, Failure> {
    let read = read_all(folder, me)?;
    let faulty: Vec<&ReadScript> = read.iter().filter(|script| script.file.is_err()).collect();
    if let Some(first) = faulty.first() {
        let path = safe(&first.path.to_string_lossy());
        return Err(Failure::needs_person(format!("`{path}` has faults and cannot be vetted"))
            .next(format!("see them:  salve scripts lint {path}\nbegin without:  --no-scripts")));
    }
    Ok(read.into_iter().filter_map(|script| script.file.ok()).collect())
}

fn script_line(script: &ScriptFile) -> String {
    format!("{} {} ({})", script.manifest.name, script.manifest.version, script.manifest.risk)
}

fn view(home: &Path, ready: Ready, scripts: Vec<String>) -> View {
    let organisation = ready.organisation;
    View {
        organisation: organisation.name,
        id: organisation.id,
        profile: profile_word(organisation.profile),
        me: organisation.me,
        people: ready.people,
        vetted_by: ready.vetted_by,
        home: home.to_owned(),
        resumed: ready.resumed,
        scripts,
        weaknesses: ready.weaknesses,
    }
}

fn words(view: &View, profile: policy::Profile) -> String {
    let home = safe(&view.home.to_string_lossy());
    let done = if view.resumed { "completed" } else { "set up" };
    let name = safe(&view.organisation);
    let mut lines = vec![format!("Organisation \"{name}\" ({}) is {done} in {home}.", view.id)];
    let alone = view.people.len() < 2;
    lines.extend(if alone { held_alone(view) } else { team::held(view) });
    lines.push(
        "  Also here  keys used without a person, in clear: two CAs, enroller, ticket, freshness, \
            desk"
            .to_owned(),
    );
    if !alone {
        lines.push(team::signs(profile));
    }
    lines.push(format!("  Scripts    {}", vetted_words(view)));
    let mut weak: Vec<String> = view.weaknesses.clone();
    if !weak.is_empty() {
        weak.push("every record says so".to_owned());
    }
    lines.extend(under("Weak", weak));
    lines.extend(if alone { next_alone(&view.me) } else { team::next(view, profile) });
    lines.join("\n")
}

/// Sentences below one another, with their word before the first.
fn under(head: &str, sentences: Vec<String>) -> Vec<String> {
    let heads = std::iter::once(head).chain(std::iter::repeat(""));
    heads.zip(sentences).map(|(head, line)| format!("  {head:<10} {line}")).collect()
}

fn held_alone(view: &View) -> Vec<String> {
    let me = &view.me;
    let held = format!("the root, admin and vetter keys, under the passphrase (keys/*/{me}.pem);");
    let agent = format!("the keys that sign your orders and open your secrets (agents/{me}/)");
    under("You hold", vec![held, agent])
}

fn next_alone(me: &AgentName) -> Vec<String> {
    let stick = format!(
        "move keys/root/{me}.pem to a stick in a drawer: it is needed only to name other keys;"
    );
    let safe = "keep the passphrase safe: without it nothing can be vetted or changed any more";
    let mut lines = under("Do now", vec![stick, safe.to_owned()]);
    lines.extend(under("Next", vec!["salve endpoints enroll NAME".to_owned()]));
    lines
}

fn vetted_words(view: &View) -> String {
    if view.scripts.is_empty() {
        return "none yet:  salve scripts sign FILE, then  salve scripts publish".to_owned();
    }
    let by = match view.vetted_by.as_slice() {
        [me] if view.people.len() == 1 => format!("{me} alone"),
        people => team::list(people),
    };
    format!("{} vetted by {by}: {}", view.scripts.len(), view.scripts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_say_who_holds_what_and_what_is_weak() {
        let view = View {
            organisation: "Demo Ltd".to_owned(),
            id: "demo-ltd".parse().unwrap(),
            profile: "solo",
            me: "a.kaya".parse().unwrap(),
            people: vec!["a.kaya".parse().unwrap()],
            vetted_by: vec!["a.kaya".parse().unwrap()],
            home: "/tmp/x".into(),
            resumed: false,
            scripts: vec!["cache.clear 1 (low)".to_owned()],
            weaknesses: vec!["scripts of every risk need one signature of 1".to_owned()],
        };
        assert_eq!(
            words(&view, policy::Profile::Solo),
            "Organisation \"Demo Ltd\" (demo-ltd) is set up in /tmp/x.\n\
             \x20 You hold   the root, admin and vetter keys, under the passphrase \
             (keys/*/a.kaya.pem);\n\
             \x20            the keys that sign your orders and open your secrets \
             (agents/a.kaya/)\n\
             \x20 Also here  keys used without a person, in clear: two CAs, enroller, ticket, \
             freshness, desk\n\
             \x20 Scripts    1 vetted by a.kaya alone: cache.clear 1 (low)\n\
             \x20 Weak       scripts of every risk need one signature of 1\n\
             \x20            every record says so\n\
             \x20 Do now     move keys/root/a.kaya.pem to a stick in a drawer: it is needed only \
             to name other keys;\n\
             \x20            keep the passphrase safe: without it nothing can be vetted or \
             changed any more\n\
             \x20 Next       salve endpoints enroll NAME"
        );
    }
}
