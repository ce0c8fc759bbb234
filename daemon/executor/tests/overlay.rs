//! Accounts, units and homes of a real system: inside the throw-away overlay only.
//!
//! `overlay.sh FOLDER .../overlay-* --ignored --test-threads=1`; outside of a container they fail
//! before they touch anything.

#[cfg(test)]
mod support;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
    use std::path::Path;

    use hatch::messages::{FromExecutor, FromHost, ToExecutor, ToHost};
    use protocol::frames::Phase;
    use protocol::{Bytes, Mode};
    use surface::{Call, Value};

    use crate::support::{Keeper, start};

    /// Runs a program of the overlay and gives what it says.
    #[expect(
        clippy::disallowed_methods,
        reason = "prepares the overlay, as an administrator would"
    )]
    fn sh(script: &str) -> String {
        let place = std::fs::read_to_string("/run/systemd/container").unwrap_or_default();
        assert_eq!(place.trim(), "systemd-nspawn", "only inside the overlay");
        let out = std::process::Command::new("/bin/sh").args(["-ec", script]).output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(out.status.success(), "{script}: {said} {}", String::from_utf8_lossy(&out.stderr));
        said
    }

    fn write(path: &str, bytes: &[u8], owner: u32) {
        let path = Path::new(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::io::Write::write_all(&mut std::fs::File::create(path).unwrap(), bytes).unwrap();
        chown(path, Some(owner), Some(owner)).unwrap();
    }

    fn uid(name: &str) -> u32 {
        sh(&format!("id -u {name}")).trim().parse().unwrap()
    }

    fn one_time(keeper: &mut Keeper, secret: &str) -> Value {
        let call = Call { function: "secret.one_time".to_owned(), args: Vec::new() };
        keeper.call.send(&ToHost::Call(call)).unwrap();
        let handle = loop {
            match keeper.from.recv().unwrap() {
                Some(FromExecutor::OneTime { handle, .. }) => break handle,
                Some(_) => {}
                None => panic!("the executor is gone"),
            }
        };
        let clear = Some(Bytes(secret.as_bytes().to_vec()));
        keeper.to.send(&ToExecutor::Secret { handle, clear }).unwrap();
        match keeper.answer.recv().unwrap() {
            Some(FromHost::Value(secret)) => secret,
            other => panic!("{other:?}"),
        }
    }

    fn shadow(name: &str) -> Vec<String> {
        let line = sh(&format!("getent shadow {name}"));
        line.trim().split(':').map(str::to_owned).collect()
    }

    #[test]
    #[ignore = "changes accounts: run it inside the overlay"]
    fn a_password_is_reset_under_the_lock_of_class_accounts() {
        sh("useradd -m -s /bin/bash jo; printf 'jo:First-Passw0rd\\n' | chpasswd");
        let jo = uid("jo");
        let mut tally = [0u8; 128];
        (tally[54], tally[118]) = (1, 1);
        write("/var/run/faillock/jo", &tally, jo);
        std::fs::set_permissions("/var/run/faillock/jo", std::fs::Permissions::from_mode(0o600))
            .unwrap();
        let before = shadow("jo");
        let grants: &[(&str, &[&str])] = &[
            ("secret.one_time", &[]),
            ("user.get", &[]),
            ("user.set_password", &["humans"]),
            ("user.require_change", &["humans"]),
            ("user.clear_failures", &["humans"]),
        ];
        let (mut keeper, defences) = Keeper::begin(start(Mode::Fix, grants, &["accounts"]));
        assert!(defences["landlock"].contains("enforced"), "{defences:?}");
        keeper.remediate();
        let name = Value::text("jo");
        let user = keeper.call("user.get", std::slice::from_ref(&name)).unwrap();
        assert_eq!(user.get("failures"), Some(&Value::Int(2)));
        let secret = one_time(&mut keeper, "Temp-4711-Zx");
        keeper.call("user.set_password", &[name.clone(), secret]).unwrap();
        keeper.call("user.require_change", std::slice::from_ref(&name)).unwrap();
        keeper.call("user.clear_failures", std::slice::from_ref(&name)).unwrap();
        keeper.phase(Phase::Verify);
        let user = keeper.call("user.get", std::slice::from_ref(&name)).unwrap();
        for (key, value) in [
            ("password", Value::text("set")),
            ("must_change", Value::Bool(true)),
            ("failures", Value::Int(0)),
        ] {
            assert_eq!(user.get(key), Some(&value), "{user:?}");
        }
        let after = shadow("jo");
        assert!(after[1] != before[1] && after[1].starts_with('$'));
        assert_eq!(after[2], "0");
        let effects = std::fs::read_to_string(&keeper.effects).unwrap();
        assert!(!effects.contains("4711") && !effects.contains("\"failed\""), "{effects}");
        keeper.done();
        // The bytes are what a person would type: the right ones are taken, wrong ones are not.
        sh("printf 'auth required pam_unix.so\\naccount required pam_permit.so\\n' \
            >/etc/pam.d/salve-test");
        sh("printf 'Temp-4711-Zx\\n' | pamtester salve-test jo authenticate");
        sh("! printf 'First-Passw0rd\\n' | pamtester salve-test jo authenticate");
    }

    #[test]
    #[ignore = "changes units: run it inside the overlay"]
    fn a_unit_is_restarted_under_the_lock_and_looked_at_as_nobody() {
        write(
            "/etc/systemd/system/web.service",
            b"[Service]\nExecStart=/bin/sh -c 'echo hello from web; test -e /run/web-ok && exec \
              sleep 600; exit 3'\n",
            0,
        );
        sh("systemctl daemon-reload; systemctl start web.service; sleep 1; journalctl --sync");
        let unit = Value::text("web.service");
        let grants: &[(&str, &[&str])] =
            &[("service.restart", &["web.service"]), ("service.log", &["web.service"])];
        let (mut look, defences) = Keeper::begin(start(Mode::Check, grants, &["services"]));
        assert_eq!(defences["bus"], "connected as nobody");
        look.phase(Phase::Detect);
        let status = look.call("service.status", std::slice::from_ref(&unit)).unwrap();
        assert_eq!(status.get("state"), Some(&Value::text("failed")));
        assert_eq!(status.get("result"), Some(&Value::text("exit-code")));
        let failed = look.call("service.failed", &[]).unwrap();
        assert!(failed.as_list().unwrap().contains(&unit));
        let log = look.call("service.log", &[unit.clone(), Value::Int(20)]).unwrap();
        let log = log.as_text().unwrap();
        assert!(log.contains("hello from web") && log.contains("Failed with result"), "{log}");
        let names = sh("busctl list --no-legend --no-pager");
        let ours = names.lines().find(|line| line.contains("salve-executor")).unwrap();
        assert!(ours.contains("nobody"), "{ours}");
        look.done();

        sh("touch /run/web-ok");
        let (mut fix, defences) = Keeper::begin(start(Mode::Fix, grants, &["services"]));
        assert!(defences["bus"].starts_with("connected as root"), "{defences:?}");
        fix.remediate();
        let options = Value::map([("clear_failed", Value::Bool(true)), ("wait", Value::Int(20))]);
        let went = fix.call("service.restart", &[unit.clone(), options]).unwrap();
        assert_eq!(went.get("state"), Some(&Value::text("active")));
        fix.phase(Phase::Verify);
        let stays = [unit.clone(), Value::text("active"), Value::Int(2)];
        let stays = fix.call("service.stays", &stays).unwrap();
        assert_eq!(stays.get("held"), Some(&Value::Bool(true)), "{stays:?}");
        fix.done();
        assert_eq!(sh("systemctl is-active web.service").trim(), "active");

        sh("systemctl stop web.service; systemctl mask --runtime --now web.service 2>&1 || \
            ln -sf /dev/null /run/systemd/system/web.service; systemctl daemon-reload");
        let (mut fix, _) = Keeper::begin(start(Mode::Fix, grants, &["services"]));
        fix.remediate();
        let gone = fix.call("service.status", &[Value::text("no-such.service")]).unwrap();
        assert_eq!(gone.get("state"), Some(&Value::text("missing")));
        fix.done();
    }

    #[test]
    #[ignore = "makes people: run it inside the overlay"]
    fn caches_in_homes_go_in_their_persons_name_under_the_lock() {
        sh(
            "useradd -m -s /bin/bash ada; useradd -m -s /bin/bash eve; chmod 700 /home/ada /home/eve",
        );
        let (ada, eve) = (uid("ada"), uid("eve"));
        for n in 0..20 {
            write(&format!("/home/ada/.cache/x/d/f{n}"), b"12345", ada);
        }
        sh(
            "chown -R ada: /home/ada/.cache; mkdir -p /home/eve/.cache; ln -s /etc /home/eve/.cache/x",
        );
        chown("/home/eve/.cache", Some(eve), Some(eve)).unwrap();
        let pattern = "{homes}/.cache/x/**";
        let grants: &[(&str, &[&str])] = &[("fs.find", &[pattern]), ("fs.remove", &[pattern])];
        let find = [Value::text(pattern)];
        let (mut plan, _) = Keeper::begin(start(Mode::Plan, grants, &["files"]));
        plan.remediate();
        let found = plan.call("fs.find", &find).unwrap();
        let planned = plan.call("fs.remove", &[found]).unwrap();
        assert_eq!(planned.get("count"), Some(&Value::Int(20)));
        let mut order = start(Mode::Fix, grants, &["files"]);
        order.plan = plan.done().plan;
        let (mut fix, _) = Keeper::begin(order);
        fix.remediate();
        let found = fix.call("fs.find", &find).unwrap();
        assert_eq!(fix.call("fs.remove", &[found]), Ok(planned));
        fix.done();
        assert_eq!(sh("find /home/ada/.cache -type f | wc -l").trim(), "0");
        assert_eq!(std::fs::metadata("/home/ada/.cache/x").unwrap().uid(), ada);
        assert!(Path::new("/etc/passwd").exists());
    }
}
