//! `salve backup` and `salve restore`: the desk in one file, and back.

use std::path::PathBuf;

use clap::Args;
use desk::backup::{self, BackupError, Manifest, Unreadable};
use desk::home::Home;
use serde::Serialize;

use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::failures::first;
use crate::view::{count, safe};

/// Copy the desk to one file, also while it serves
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// Where to; an older backup of that name is replaced
    pub file: PathBuf,
}

/// Put a desk back from its backup, into an empty home
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The backup
    pub file: PathBuf,
}

#[derive(Debug, Serialize)]
struct Copy<'a> {
    file: &'a PathBuf,
    bytes: u64,
    manifest: &'a Manifest,
}

impl<'a> Copy<'a> {
    fn of(file: &'a PathBuf, manifest: &'a Manifest) -> Self {
        Self { file, bytes: manifest.files.iter().map(|part| part.bytes).sum(), manifest }
    }
}

/// Makes a copy.
///
/// # Errors
/// What the command says.
pub fn make(ctx: &Ctx, args: &BackupArgs) -> Result<Exit, Failure> {
    let desk = desk::org::Desk::open(Home::new(&ctx.home))?;
    let manifest = backup::backup(&desk, &args.file, ctx.now())?;
    ctx.show(&Copy::of(&args.file, &manifest), made)?;
    Ok(Exit::Fine)
}

/// Puts one back.
///
/// # Errors
/// What the command says.
pub fn restore(ctx: &Ctx, args: &RestoreArgs) -> Result<Exit, Failure> {
    let home = Home::new(&ctx.home);
    let manifest = backup::restore(&home, &args.file, ctx.now())?;
    ctx.show(&Copy::of(&args.file, &manifest), |copy| restored(copy, &ctx.home.to_string_lossy()))?;
    Ok(Exit::Fine)
}

fn versions(manifest: &Manifest) -> String {
    let named = manifest.catalogue.named();
    named.map(|(role, version)| format!("{role} {version}")).join(", ")
}

fn made(copy: &Copy<'_>) -> String {
    let Copy { file, bytes, manifest } = copy;
    let keys: Vec<&str> = manifest
        .files
        .iter()
        .filter_map(|part| part.path.strip_prefix("keys/online/")?.strip_suffix(".pem"))
        .collect();
    format!(
        "Backup of {} in {} ({bytes} bytes, mode 0600)\n\
         \x20 Store      tickets, notes, orders, records, machines, sealed one-time secrets\n\
         \x20 Catalogue  {}\n\
         \x20 ! KEYS     {} in clear: {}\n\
         \x20            Whoever has this file can be this desk: keep it as you keep those keys.\n\
         \x20 Not in it  root, admin, vetter and agent keys: they have copies of their own.\n",
        manifest.organisation,
        safe(&file.to_string_lossy()),
        versions(manifest),
        count(keys.len() as u64, "key"),
        keys.join(", ")
    )
}

fn restored(copy: &Copy<'_>, home: &str) -> String {
    let manifest = copy.manifest;
    format!(
        "The desk of {} is back in {}, as of {}\n\
         \x20 Catalogue  {}\n\
         \x20 Since then Lists that were published come back with the next command of whoever has them.\n\
         \x20            Orders and records are fetched from their endpoints; tokens to enrol are used up;\n\
         \x20            new tickets are numbered 1000 further on.\n\
         \x20 Next       your agent keys (agents/NAME) from their own copy, then:  salve status\n",
        manifest.organisation,
        safe(home),
        manifest.made,
        versions(manifest),
    )
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Books(error) => error.into(),
            BackupError::File(error) => error.into(),
            BackupError::Occupied { .. } => {
                first(Exit::Usage, error).next("choose another name, or move it away")
            }
            BackupError::NotEmpty { ref path, .. } => {
                let aside = format!(
                    "move it away first:  mv {0} {0}.old\nor restore elsewhere:  salve --home DIR \
                     restore FILE",
                    path.display()
                );
                first(Exit::Usage, error).next(aside)
            }
            BackupError::Unreadable { source: Unreadable::NotABackup, .. } => {
                first(Exit::Usage, error).next("name a file that `salve backup` wrote")
            }
            BackupError::Unreadable { .. } | BackupError::NotADesk { .. } => {
                first(Exit::NotVerified, error).next("take an older backup")
            }
            BackupError::Io { .. } => first(Exit::Broken, error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_of_a_copy_says_what_to_do() {
        let path = || PathBuf::from("/x");
        let unreadable = |source| BackupError::Unreadable { path: path(), source };
        for (error, exit) in [
            (BackupError::Occupied { path: path() }, Exit::Usage),
            (BackupError::NotEmpty { path: path(), found: "org".into() }, Exit::Usage),
            (unreadable(Unreadable::NotABackup), Exit::Usage),
            (unreadable(Unreadable::CutOff), Exit::NotVerified),
            (unreadable(Unreadable::Damaged("x".into())), Exit::NotVerified),
        ] {
            let failure = Failure::from(error);
            assert_eq!(failure.exit, exit, "{failure}");
            assert!(failure.next_step.is_some(), "{failure}");
        }
        assert_eq!(
            Failure::from(unreadable(Unreadable::CutOff)).for_people(),
            "`/x` cannot be put back; nothing was changed: it is cut off\n  take an older backup"
        );
    }
}
