//! P8: a plan has no effects; every action of a fix falls under a plan key of its plan.
//! What is undoable has no script yet; undo comes with the first one.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{Lab, fingerprint, sh, wait_for};

/// What plans must leave as it is.
const WATCHED: [&str; 3] = ["/home", "/var/cache/apt", "/etc"];

/// An account with a home of its own, made anew.
fn person(name: &str) -> PathBuf {
    sh(&format!("userdel -rf {name} 2>/dev/null || true; useradd -m -s /bin/bash {name}"))
        .expect(0);
    sh(&format!("echo {name}:once | chpasswd")).expect(0);
    Path::new("/home").join(name)
}

/// `count` files of `bytes` bytes each beneath a folder.
fn fill(folder: &Path, name: &str, count: usize, bytes: usize) {
    fs::create_dir_all(folder).expect("a folder");
    for i in 0..count {
        fs::write(folder.join(format!("{name}{i}")), vec![b'x'; bytes]).expect("written");
    }
}

fn files(folder: &Path) -> usize {
    let done = sh(&format!("find {} -type f | wc -l", folder.display())).expect(0);
    done.out.trim().parse().expect("a number")
}

fn line<'v>(plan: &'v Value, key: &str) -> &'v Value {
    let lines = plan["plan"]["lines"].as_array().expect("lines");
    lines.iter().find(|line| line["key"] == key).unwrap_or_else(|| panic!("no {key} in {plan}"))
}

#[test]
fn a_plan_changes_nothing() {
    let lab = Lab::solo_with(&["planned.service"]);
    let pc = lab.endpoint("pc");
    let home = person("planned");
    fill(&home.join(".cache/mozilla/firefox/x/cache2"), "entry", 50, 2_000_000);
    fill(Path::new("/var/cache/apt/archives"), "planned_1_amd64.deb", 0, 0);
    fs::write("/var/cache/apt/archives/planned_1_amd64.deb", vec![0; 5_000_000]).expect("written");
    sh("chown -R planned: /home/planned; \
        systemd-run --quiet --unit=planned.service -p StartLimitIntervalSec=0 sh -c 'exit 3'; \
        while systemctl is-active --quiet planned.service; do :; done")
    .expect(0);
    let failed =
        || sh("systemctl show planned.service -p ActiveState -p InvocationID").expect(0).out;
    let (before, unit) = (fingerprint(&WATCHED), failed());
    for args in [
        vec!["plan", "cache.clear"],
        vec!["plan", "service.restart", "--arg", "unit=planned.service"],
        vec!["plan", "user.password.reset", "--arg", "user=planned", "--ticket", "1"],
    ] {
        if args.contains(&"--ticket") {
            lab.salve(&["tickets", "new", "Forgot", "--for", "jo.meyer", "--on", "pc"]).expect(0);
        }
        let args = [&["--json"], args.as_slice(), &["--on", "pc"]].concat();
        let done = lab.salve(&args).expect(0);
        let plan = done.json();
        assert_eq!(plan["verified"], true, "{args:?}: {}", done.out);
        assert!(!plan["plan"]["lines"].as_array().expect("lines").is_empty(), "{}", done.out);
        assert_eq!(plan["effects"], serde_json::json!({}), "{}", done.out);
        assert_eq!(fingerprint(&WATCHED), before, "{args:?} changed something");
        assert_eq!(failed(), unit, "{args:?} touched the unit");
    }
    drop(pc);
}

#[test]
fn a_fix_does_what_its_plan_said_and_nothing_else() {
    let lab = Lab::solo();
    let _pc = lab.endpoint("pc");
    let home = person("fixed");
    // As many as a browser keeps: their account is larger than what one pipe holds at once.
    let cache = home.join(".cache/mozilla/firefox/x.default/cache2/entries");
    fill(&cache, "entry", 9_000, 7_000);
    fill(&home.join("Documents"), "thesis", 3, 100);
    fill(&home.join(".mozilla/firefox/x.default"), "logins", 2, 100);
    sh("chown -R fixed: /home/fixed").expect(0);
    let kept = ["/home/fixed/Documents", "/home/fixed/.mozilla", "/etc"];
    let before = fingerprint(&kept);
    const KEY: &str = "{homes}/.cache/mozilla/firefox/**";
    let plan = lab.salve(&["--json", "plan", "cache.clear", "--on", "pc"]).expect(0).json();
    assert_eq!(line(&plan, KEY)["count"], 9_000, "{plan}");
    assert_eq!(line(&plan, KEY)["bytes"], 63_000_000, "{plan}");
    assert_eq!(files(&cache), 9_000);

    lab.salve(&["tickets", "new", "Full", "--for", "jo.meyer", "--on", "pc"]).expect(0);
    let done = lab.salve(&["--json", "run", "cache.clear", "--ticket", "1", "--yes"]).expect(0);
    let fix = done.json();
    assert_eq!((&fix["outcome"], &fix["verified"]), (&"succeeded".into(), &true.into()), "{fix}");
    assert_eq!(files(&cache), 0);
    assert_eq!(fingerprint(&kept), before, "the fix touched what it had no business with");
    let sum = |field: &str, of: &Value| -> u64 {
        let lines = of["plan"]["lines"].as_array().expect("lines");
        lines.iter().map(|line| line[field].as_u64().expect("a number")).sum()
    };
    let done_sum = |field: &str| -> u64 {
        let all = fix["effects"].as_object().expect("effects");
        all.values().map(|effect| effect[field].as_u64().expect("a number")).sum()
    };
    assert_eq!(done_sum("done"), sum("count", &plan), "{fix}");
    assert_eq!(done_sum("bytes"), sum("bytes", &plan), "{fix}");
    assert_eq!(done_sum("failed"), 0);
}

/// Removes what lies in two folders; the second only where there is something.
fn sweep(id: &str, risk: &str) -> String {
    format!(
        r#"
const ABOUT = #{{
    id: "{id}", version: 1, title: "Sweep", does: "empties two folders",
    risk: "{risk}", consent: "none", platforms: ["linux"], limit: "1m",
    permissions: #{{
        "fs.find":   ["/var/tmp/sweep/one/**", "/var/tmp/sweep/two/**"],
        "fs.remove": ["/var/tmp/sweep/one/**", "/var/tmp/sweep/two/**"],
    }},
    words: ["sweep"],
}};
fn detect(p) {{
    let all = fs::find("/var/tmp/sweep/one/**").len() + fs::find("/var/tmp/sweep/two/**").len();
    if all == 0 {{ healthy("swept") }} else {{ needed(`${{all}} files`) }}
}}
fn remediate(p, found) {{
    fs::remove(fs::find("/var/tmp/sweep/one/**"));
    let more = fs::find("/var/tmp/sweep/two/**");
    if !more.is_empty() {{ fs::remove(more); }}
}}
fn verify(p, found) {{ detect(p) }}
"#
    )
}

/// Twenty files are planned; `meanwhile` happens between plan and go. The fix's own word.
fn fix_after(lab: &Lab, id: &str, meanwhile: impl FnOnce(&Path)) -> Value {
    let place = Path::new("/var/tmp/sweep");
    let _ = fs::remove_dir_all(place);
    fill(&place.join("one"), "planned", 20, 10);
    fs::create_dir_all(place.join("two")).expect("a folder");
    let mut going = lab.on_terminal(&["run", id, "--ticket", "1"]);
    going.says("Go? [y/N]");
    meanwhile(place);
    going.answer("y");
    let done = going.end();
    let shown = lab.salve(&["--json", "runs", "show", "last"]).json();
    let told = shown["record"]["predicate"].clone();
    assert_eq!(told["mode"], "fix", "{}", done.out);
    told
}

fn swept() -> (Lab, support::Endpoint) {
    let lab = Lab::solo();
    let pc = lab.endpoint("pc");
    lab.publish(&sweep("lab.sweep", "low"));
    lab.publish(&sweep("lab.scour", "medium"));
    lab.salve(&["tickets", "new", "Sweep", "--for", "jo.meyer", "--on", "pc"]).expect(0);
    (lab, pc)
}

fn left(place: &str) -> usize {
    files(&Path::new("/var/tmp/sweep").join(place))
}

fn stopped(told: &Value, drift: &str) {
    assert_eq!(told["reason"], "plan-drift", "{told}");
    let summary = told["summary"].as_str().expect("words");
    assert_eq!(summary, format!("stopped, it would have left its plan: {drift}"));
}

#[test]
fn a_machine_that_changed_after_the_plan_stops_the_fix() {
    let (lab, _pc) = swept();
    // A tenth more is what a cache may grow while a person reads the plan.
    let told = fix_after(&lab, "lab.sweep", |place| fill(&place.join("one"), "more", 2, 10));
    assert_eq!((&told["outcome"], left("one")), (&"succeeded".into(), 0), "{told}");

    let told = fix_after(&lab, "lab.sweep", |place| fill(&place.join("one"), "more", 3, 10));
    stopped(&told, "more than planned under `/var/tmp/sweep/one/**`: planned 20, wanted 23");
    assert_eq!((&told["outcome"], left("one")), (&"failed".into(), 23), "{told}");

    let told = fix_after(&lab, "lab.sweep", |place| fill(&place.join("two"), "other", 1, 10));
    assert_eq!(told["reason"], "plan-drift", "{told}");
    assert!(told["summary"].as_str().expect("words").ends_with("is not in the plan"), "{told}");
    assert_eq!((&told["outcome"], left("one"), left("two")), (&"partial".into(), 0, 1), "{told}");
}

#[test]
fn medium_risk_may_not_grow_at_all() {
    let (lab, mut pc) = swept();
    // What the killed keepers of other tests left is their successors' to remove.
    let others = pc.run_folders();
    let told = fix_after(&lab, "lab.scour", |_| ());
    assert_eq!((&told["outcome"], left("one")), (&"succeeded".into(), 0), "{told}");

    let told = fix_after(&lab, "lab.scour", |place| fill(&place.join("one"), "more", 1, 10));
    stopped(&told, "more than planned under `/var/tmp/sweep/one/**`: planned 20, wanted 21");
    assert_eq!((&told["outcome"], left("one")), (&"failed".into(), 21), "{told}");
    wait_for("no folder of a run or for the next", 30, || {
        pc.run_folders().iter().all(|folder| others.contains(folder)).then_some(())
    });
    assert!(pc.alive());
}
