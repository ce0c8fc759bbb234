//! Facts from a real machine: taken by a signed check, proved by its record, shown where people look.

use support::{Lab, free_port};

use crate::bench::COUNTER;
use crate::shared_desk::begun_with;

fn policy(lab: &Lab, change: impl FnOnce(String) -> String) {
    let draft = lab.folder().join("policy.toml");
    let text = lab.salve(&["policy", "show", "--toml"]).expect(0).out;
    std::fs::write(&draft, change(text)).expect("written");
    lab.salve(&["policy", "sign", draft.to_str().expect("UTF-8"), "--yes"]).expect(0);
}

/// A session of logind, as it writes them.
struct Session(&'static str);

impl Session {
    fn of(person: &str) -> Self {
        let file = "/run/systemd/sessions/salve-facts-test";
        let text = format!("UID=1000\nUSER={person}\nSTATE=active\nCLASS=user\nACTIVE=1\n");
        std::fs::create_dir_all("/run/systemd/sessions").expect("a folder");
        std::fs::write(file, text).expect("written");
        Self(file)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.0);
    }
}

#[test]
fn a_machine_tells_what_policy_lets_it_and_is_found_by_who_is_signed_in() {
    let lab = Lab::solo();
    lab.salve(&["scripts", "show", "host.facts"]).expect(0);
    let _pc = lab.endpoint("pc");
    let _session = Session::of("r.vogel");
    lab.salve(&["endpoints", "facts", "pc"]).expect(1).says("no facts of pc are known");

    // Off by default: the question is not asked, and that is said.
    lab.salve(&["endpoints", "refresh"]).expect(0).says("1 of 1 told.");
    let shown = lab.salve(&["endpoints", "facts", "pc"]).expect(0);
    for words in ["System     Debian", "Signed in  policy does not allow", "Disk       /", "kernel"]
    {
        assert!(shown.out.contains(words), "{words}\n{}", shown.out);
    }
    lab.salve(&["endpoints", "find", "vogel"]).expect(1);
    let page = lab.salve(&["--json", "endpoints", "facts", "pc"]).expect(0).json();
    let packages = page["facts"]["packages"].as_array().expect("dpkg is here");
    assert!(packages.iter().any(|package| package["name"] == "bash"), "{}", packages.len());

    policy(&lab, |text| {
        text.replacen("ticket_keys =", "personal = [\"user.sessions\"]\nticket_keys =", 1)
    });
    let told = lab.salve(&["check", "host.facts", "--on", "pc"]).expect(0);
    assert!(told.out.contains("1 signed in"), "{}{}", told.out, told.err);
    lab.salve(&["endpoints", "find", "vogel"])
        .expect(0)
        .says("r.vogel (signed in), jo.meyer (owner)");
    lab.salve(&["endpoints", "facts", "pc"]).expect(0).says("Signed in  r.vogel");
}

#[test]
fn a_shared_desk_keeps_facts_and_its_word_on_them_is_judged_at_the_console() {
    let (lab, mut desk, _pc, colleague) = begun_with(free_port(), COUNTER);
    colleague.salve(&["check", "host.facts", "--on", "pc"]).expect(0);
    let shown = colleague.salve(&["endpoints", "facts", "pc"]).expect(0);
    assert!(shown.out.contains("System     Debian"), "{}", shown.out);
    // What lies in the desk's store is not what the machine signed.
    desk.going.kill();
    let db = lab.home().join("desk.db");
    support::sh(&format!(
        "python3 - <<'E'\nimport sqlite3\ndb = sqlite3.connect('{}')\n\
         db.execute(\"UPDATE facts SET bytes = CAST(replace(bytes, 'Debian', 'Windoze') AS BLOB)\")\n\
         db.commit()\nE",
        db.display()
    ))
    .expect(0);
    lab.salve(&["endpoints", "facts", "pc"]).expect(3).says("not what the machine signed");
    desk = crate::shared_desk::Served::start(
        &lab,
        desk.address.rsplit(':').next().and_then(|p| p.parse().ok()).expect("a port"),
    );
    colleague.salve(&["endpoints", "facts", "pc"]).expect(3).says("are not to be believed");
    drop(desk);
}
