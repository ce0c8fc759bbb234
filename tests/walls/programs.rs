//! Product code starts programs in its rooms only, and never a shell. Never runs one itself.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::{root, tracked};

/// The rooms that hold a call which starts a program: the executor's closed table, and the one place
/// where a process of the endpoint is born.
const ROOMS: [&str; 2] = ["daemon/executor/src/process.rs", "daemon/hatch/src/sys/spawn.rs"];
/// The one room that calls `hatch::spawn`, with the process that is reaped by others.
const KEEPER: &str = "daemon/keeper/src/spawn/";
/// Its calls that start something; `hatch::spawn` itself makes them of `sys::spawn`.
const BIRTHS: [&str; 3] = ["sys::spawn", "spawn::spawn", "spawn_in("];

/// Calls and names that start programs, as code without its spaces has them.
const STARTS: [&str; 11] = [
    "Command::new(",
    "process::Command",
    "CommandExt",
    "tokio::process",
    "libc::exec",
    "libc::fork",
    "libc::vfork",
    "libc::system",
    "libc::popen",
    "posix_spawn",
    "SYS_clone3,&",
];

/// Names of shells, and of programs that look for one.
const SHELLS: [&str; 7] = ["sh", "bash", "dash", "zsh", "ksh", "busybox", "env"];

/// Code without comments, and without modules of tests that stand in the file.
fn code(text: &str) -> String {
    let mut out = String::new();
    let (mut lines, mut held) = (text.lines(), false);
    while let Some(line) = lines.next() {
        let inline = held && line.starts_with("mod ") && line.ends_with('{');
        held = line == "#[cfg(test)]";
        if inline {
            let _ = lines.by_ref().find(|line| *line == "}");
            continue;
        }
        let comment = line.trim_start().starts_with("//");
        out.push_str(if comment { "" } else { line });
        out.push('\n');
    }
    out
}

/// Shells in this code: a text that is the name of one or its option, or a path to one anywhere.
fn shells(code: &str) -> Vec<String> {
    let ends = |rest: &str| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '-');
    let path = |name: &str| {
        let wanted = format!("/bin/{name}");
        code.match_indices(&wanted).any(|(at, _)| ends(&code[at + wanted.len()..]))
    };
    let text = |name: &str| code.contains(&format!("\"{name}\"")) && name != "env";
    let named =
        SHELLS.iter().filter(|name| text(name) || path(name)).map(|name| (*name).to_owned());
    named.chain(code.contains("\"-c\"").then(|| "-c".to_owned())).collect()
}

/// What a file has that product code has not.
fn faults(path: &str, text: &str) -> Vec<String> {
    let code = code(text);
    let shells = shells(&code).into_iter().map(|name| format!("{path}: a shell: {name}"));
    let mut found: Vec<String> = shells.collect();
    let dense: String = code.split_whitespace().collect();
    let grouped = dense.split("process::{").skip(1).any(|rest| {
        rest.split(';').next().is_some_and(|names| names.split(['{', '}', ',']).any(is_command))
    });
    if !ROOMS.contains(&path) {
        let starts = STARTS.iter().filter(|start| dense.contains(**start)).map(ToString::to_string);
        let starts = starts.chain(grouped.then(|| "process::{Command}".to_owned()));
        found.extend(starts.map(|start| format!("{path}: starts a program: {start}")));
    }
    let mine = path.starts_with(KEEPER) || path.starts_with("daemon/hatch/src/");
    let births = BIRTHS.iter().filter(|birth| !mine && dense.contains(**birth));
    found.extend(births.map(|birth| format!("{path}: a process is born: {birth}")));
    found
}

fn is_command(name: &str) -> bool {
    name == "Command" || name.starts_with("Commandas")
}

/// Files of modules that only tests have, as the files beside them declare them.
fn of_tests(files: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut out = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(file).expect("readable");
        let (folder, stem) = (file.parent().expect("a folder"), file.file_stem().expect("a name"));
        let own = ["mod", "lib", "main"].iter().any(|name| stem == *name);
        let place = if own { folder.to_path_buf() } else { folder.join(stem) };
        let mut held = false;
        for line in text.lines() {
            let declared = line.split_once("mod ").and_then(|(_, rest)| rest.strip_suffix(';'));
            if let Some(name) = declared.filter(|_| held) {
                out.insert(place.join(format!("{name}.rs")));
                out.insert(place.join(name));
            }
            held = line.trim() == "#[cfg(test)]";
        }
    }
    out
}

/// The sources of what is shipped: every crate's `src`, without what only tests have.
fn product() -> Vec<(String, String)> {
    let root = root();
    let within = |file: &Path| {
        let path = file.strip_prefix(&root).expect("of this workspace").to_string_lossy();
        let crates = ["core/", "daemon/", "console/", "certs/"];
        let shipped = crates.iter().any(|room| path.starts_with(room)) && path.contains("/src/");
        shipped.then(|| path.into_owned())
    };
    let files: Vec<PathBuf> = tracked(".rs").into_iter().filter(|f| within(f).is_some()).collect();
    let tests = of_tests(&files);
    let only_tests = |file: &PathBuf| file.ancestors().any(|part| tests.contains(part));
    let product = files.iter().filter(|file| !only_tests(file));
    let read = |file: &PathBuf| std::fs::read_to_string(file).expect("readable");
    product.filter_map(|file| Some((within(file)?, read(file)))).collect()
}

/// Salt CVE-2020-16846: what came from outside became a line of a shell.
#[test]
fn product_code_has_no_shell_and_starts_programs_in_its_rooms_only() {
    let product = product();
    assert!(product.len() > 200, "only {} files were read", product.len());
    let paths: BTreeSet<&str> = product.iter().map(|(path, _)| path.as_str()).collect();
    for room in ROOMS {
        assert!(paths.contains(room), "{room} is not there");
    }
    let spawn = paths.iter().any(|path| path.starts_with(KEEPER));
    assert!(spawn, "{KEEPER} is not there");
    assert!(!paths.contains("daemon/executor/src/testing.rs"), "a file of tests was read");
    let found: Vec<String> = product.iter().flat_map(|(path, text)| faults(path, text)).collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn this_wall_sees_what_it_looks_for() {
    let bad = [
        r#"run("sh", &[line]);"#,
        r#"run("/bin/sh", &[line]);"#,
        r#"run("/usr/bin/bash", &[line]);"#,
        r#"run("/usr/bin/env", &[line]);"#,
        r#"run(program, &["-c", line]);"#,
        r#"run(c"/bin/sh -c true");"#,
        "let x = std::process::Command\n    ::new(program);",
        "use std::process::{\n    Child, Command as Start,\n};",
        "use tokio::process;",
        "let gone = libc::execve(a, b, c);",
        "let gone = libc::system(a);",
        "let child = hatch::spawn::spawn(&program, &[], &[]);",
        "// a word\n#[cfg(test)]\nmod tests {\n    f();\n}\nlet x = Command::new(program);",
    ];
    for text in bad {
        assert!(!faults("core/x/src/lib.rs", text).is_empty(), "{text}");
    }
    let good = [
        r#"// run("/bin/sh")"#,
        r#"let line = "no such thing as sh -c here";"#,
        r#"let tool = "/usr/bin/sha256sum"; let name = "env";"#,
        "#[cfg(test)]\nmod tests {\n    let x = Command::new(\"/bin/sh\");\n}",
        "use std::process::{ExitCode, Child};",
        "enum Command { Run }",
    ];
    for text in good {
        assert_eq!(faults("core/x/src/lib.rs", text), Vec::<String>::new(), "{text}");
    }
    let shell = r#"let x = Command::new("/bin/sh");"#;
    assert_eq!(faults(ROOMS[0], shell).len(), 1, "a room starts programs, and no shell");
}
