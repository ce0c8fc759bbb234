//! `user.*`: local accounts, read from the files; changed by three programs and read again.
//!
//! Never touches root, system accounts or accounts that may not sign in; never puts a secret
//! anywhere but on a program's stdin. What a program says counts less than what the files say.

use std::time::Duration;

use protocol::{EffectState, PlanLine};
use surface::Value;
use zeroize::Zeroizing;

use crate::book;
use crate::fail::Fail;
use crate::guard::Checked;
use crate::overlay::PlannedAccount;
use crate::people::{self, Account, Shadow};
use crate::process::{self, Ended, Program};
use crate::run::{Go, Run};

/// Longest that an account program may take: password policies may ask the kernel, never a network.
const PROGRAM_MAX: Duration = Duration::from_secs(20);
/// Longest secret that is set as a password, bytes.
const SECRET_MAX: usize = 512;

/// `user.get`.
pub(crate) fn get(run: &mut Run, call: &Checked<'_>) -> Result<Value, Fail> {
    let name = call.text(0)?;
    let Some(account) = run.people.get(name).cloned() else {
        if people::has_directory(&run.root) {
            let message = "the account is not in this machine's files and may be in a directory";
            return Err(Fail::new("unknowable", message));
        }
        return Ok(Value::Unit);
    };
    let unread = |error| Fail::failed(format!("could not read the accounts: {error}"));
    let shadow = people::shadow(&run.root, name).map_err(unread)?;
    let planned = run.overlay.accounts.get(name).copied().unwrap_or_default();
    let today = i64::try_from(run.clock.now().0 / 86_400).unwrap_or(i64::MAX);
    let days = |shadow: &Shadow| shadow.changed.map(|day| Value::Int((today - day).max(0)));
    let word = match &shadow {
        _ if planned.password => "set",
        Some(shadow) => shadow.password(),
        None => "none",
    };
    let failures = if planned.cleared { Some(0) } else { people::failures(&run.root, &account) };
    let must_change = shadow.as_ref().is_some_and(|shadow| shadow.changed == Some(0));
    let changed = if planned.password {
        Some(Value::Int(0))
    } else {
        shadow.as_ref().filter(|_| !must_change).and_then(days)
    };
    let expires = shadow.as_ref().and_then(|shadow| shadow.expires);
    Ok(Value::map([
        ("name", Value::text(name)),
        ("uid", Value::Int(account.uid.into())),
        ("human", Value::Bool(run.people.is_human(&account))),
        ("source", Value::text("local")),
        ("password", Value::text(word)),
        ("locked", Value::Bool(word == "locked")),
        ("must_change", Value::Bool(planned.must_change || (must_change && !planned.password))),
        ("changed_days", changed.unwrap_or_default()),
        ("failures", failures.map_or(Value::Unit, Value::count)),
        ("expired", Value::Bool(expires.is_some_and(|day| day > 0 && day <= today))),
    ]))
}

/// `user.set_password`.
pub(crate) fn set_password(run: &mut Run, call: &Checked<'_>) -> Result<Value, Fail> {
    let account = human(run, call)?;
    let handle = call.secret(1)?;
    if !run.vault.has(handle) {
        return Err(Fail::argument("there is no such secret in this run"));
    }
    let want = book::exact(call.row.name, &account.name, &format!("password of {}", account.name));
    let input = run.vault.open(handle).map(|secret| line(&account.name, secret)).transpose()?;
    let input = input.unwrap_or_default();
    let before = shadow(run, &account)?;
    let plan = |planned: &mut PlannedAccount| {
        (planned.password, planned.must_change) = (true, false);
    };
    let changed = move |now: &Shadow, _: Option<u64>| Some(now.differs(&before));
    act(run, &account, &want, (Program::SetPassword, &input), plan, changed)
}

/// `user.require_change`.
pub(crate) fn require_change(run: &mut Run, call: &Checked<'_>) -> Result<Value, Fail> {
    let account = human(run, call)?;
    let label = format!("new password at the next sign-in of {}", account.name);
    let want = book::exact(call.row.name, &account.name, &label);
    let plan = |planned: &mut PlannedAccount| planned.must_change = true;
    let asked = |now: &Shadow, _: Option<u64>| Some(now.changed == Some(0));
    act(run, &account, &want, (Program::RequireChange, b""), plan, asked)
}

/// `user.clear_failures`.
pub(crate) fn clear_failures(run: &mut Run, call: &Checked<'_>) -> Result<Value, Fail> {
    let account = human(run, call)?;
    let label = format!("failed sign-ins of {}", account.name);
    let want = book::exact(call.row.name, &account.name, &label);
    let plan = |planned: &mut PlannedAccount| planned.cleared = true;
    let none = |_: &Shadow, failures: Option<u64>| failures.map(|count| count == 0);
    act(run, &account, &want, (Program::ClearFailures, b""), plan, none)
}

/// The account of a call, if it is a person's.
fn human(run: &Run, call: &Checked<'_>) -> Result<Account, Fail> {
    let name = call.text(0)?;
    let not = || Fail::new("not_human", format!("`{name}` is no local account of a person"));
    let account = run.people.get(name).ok_or_else(not)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let spelt = name.chars().all(plain) && !name.starts_with('-') && name.len() <= 32;
    if spelt && run.people.is_human(account) { Ok(account.clone()) } else { Err(not()) }
}

fn shadow(run: &Run, account: &Account) -> Result<Shadow, Fail> {
    let unread = |error| Fail::failed(format!("could not read the accounts: {error}"));
    let none = || Fail::failed(format!("`{}` has no local password", account.name));
    people::shadow(&run.root, &account.name).map_err(unread)?.ok_or_else(none)
}

/// The line for `chpasswd`.
fn line(name: &str, secret: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fail> {
    let odd = |byte: &u8| byte.is_ascii_control();
    if secret.is_empty() || secret.len() > SECRET_MAX || secret.iter().any(odd) {
        return Err(Fail::failed("the secret is empty, too long, or has control characters"));
    }
    // Room for all of it at once: a growing buffer would leave copies behind.
    let mut line = Zeroizing::new(Vec::with_capacity(name.len() + secret.len() + 2));
    line.extend_from_slice(name.as_bytes());
    line.push(b':');
    line.extend_from_slice(secret);
    line.push(b'\n');
    Ok(line)
}

/// Plans, or starts a program and reads the files again. `holds` says whether the files show what
/// was wanted; none where they do not tell.
fn act(
    run: &mut Run,
    account: &Account,
    want: &PlanLine,
    (program, input): (Program, &[u8]),
    plan: impl FnOnce(&mut PlannedAccount),
    holds: impl FnOnce(&Shadow, Option<u64>) -> Option<bool>,
) -> Result<Value, Fail> {
    let n = match run.begin(want, &account.name)? {
        Go::Planned => {
            plan(run.overlay.accounts.entry(account.name.clone()).or_default());
            return Ok(Value::Unit);
        }
        Go::Act(n) => n,
    };
    let until = run.clock.within(PROGRAM_MAX);
    let ended = process::run(&run.root, program, &account.name, input, until);
    let now = people::shadow(&run.root, &account.name).ok().flatten();
    let failures = people::failures(&run.root, account);
    let shown = now.and_then(|now| holds(&now, failures));
    let (state, word) = match shown {
        Some(true) => (EffectState::Done, "done"),
        Some(false) => (EffectState::Failed, "not done"),
        None => (EffectState::Unknown, "unknown whether it was done"),
    };
    run.ended(n, want, &account.name, state)?;
    let why = said(&ended, input);
    if state == EffectState::Done {
        if ended != Ended::Code(0, String::new()) && !matches!(ended, Ended::Code(0, _)) {
            let text = format!("{} of `{}` is done, although {why}", want.function, account.name);
            run.news(protocol::frames::Event::Line { text })?;
        }
        return Ok(Value::Unit);
    }
    Err(Fail::failed(format!("{word}: {why}")))
}

/// How a program ended, in words without its input.
fn said(ended: &Ended, input: &[u8]) -> String {
    let secret = input.split(|byte| *byte == b':').nth(1).unwrap_or_default();
    let secret = String::from_utf8_lossy(secret);
    let secret = secret.trim_end();
    match ended {
        Ended::Code(code, text) if text.is_empty() => format!("the program ended with {code}"),
        Ended::Code(code, text) if !secret.is_empty() && text.contains(secret) => {
            format!("the program ended with {code} and said what may not be repeated")
        }
        Ended::Code(code, text) => format!("the program ended with {code}: {text}"),
        Ended::Late => "the program did not end in time".to_owned(),
        Ended::Broken(text) => text.clone(),
    }
}

#[cfg(test)]
mod tests;
