//! What the described machine answers, row by row.

use protocol::facts::Facts;
use protocol::{Mode, limits};
use surface::{HostError, Kind, Row, Value};

use super::{FakeHost, Service, error, paths};

type Answer = Result<Value, HostError>;

fn text(args: &[Value], index: usize) -> &str {
    args.get(index).and_then(Value::as_text).unwrap_or_default()
}

fn list<T>(items: &[T], each: impl Fn(&T) -> Value) -> Value {
    Value::List(items.iter().map(each).collect())
}

fn share(part: i64, whole: i64) -> i64 {
    part.saturating_mul(100).checked_div(whole).unwrap_or(0)
}

impl FakeHost {
    pub(super) fn answer(&mut self, row: &Row, args: &[Value]) -> Answer {
        match row.kind {
            Kind::Report => self.report(row, args),
            Kind::Action => self.act(row, args),
            Kind::Query => match row.name.split_once('.') {
                Some(("host" | "backup", _)) => self.condition(row),
                Some(("service", _)) => self.service(row, args),
                Some(("pkg", _)) => self.packages(row),
                _ => self.look(row, args),
            },
        }
    }

    fn report(&mut self, row: &Row, args: &[Value]) -> Answer {
        if row.name == "report.facts" {
            let json = args.first().map(surface::Value::to_json).unwrap_or_default();
            let read = Facts::read(json.to_string().as_bytes());
            let facts = read.map_err(|e| error(row, "bad_argument", &e.to_string()))?;
            let bytes = protocol::json::write(&facts).unwrap_or_default();
            self.heard.facts = String::from_utf8(bytes).ok();
            return Ok(Value::Unit);
        }
        let said = text(args, 0).to_owned();
        let chars = said.chars().count();
        if !(1..=limits::SAY_CHARS_MAX).contains(&chars) {
            let why = format!("{chars} characters, 1 to {} may be said", limits::SAY_CHARS_MAX);
            return Err(error(row, "bad_argument", &why));
        }
        match row.name {
            "report.note" => self.heard.notes.push(said),
            "report.skipped" => self.heard.skipped.push(said),
            "report.say" => self.heard.say = Some(said),
            "report.attach" => self.heard.attached.push(said),
            _ => {}
        }
        Ok(Value::Unit)
    }

    fn condition(&self, row: &Row) -> Answer {
        let m = &self.machine;
        let unknown = || error(row, "unknowable", "the case does not say");
        Ok(match row.name {
            "host.info" => Value::map([
                ("name", Value::text(&m.host.name)),
                ("system", Value::text(&m.host.system)),
                ("kernel", Value::text("6.1.0")),
                ("uptime", Value::Int(m.host.uptime)),
                ("boot", Value::text("00000000-0000-0000-0000-000000000000")),
            ]),
            "host.memory" => {
                let memory = m.memory.as_ref().ok_or_else(unknown)?;
                Value::map([
                    ("total", Value::Int(memory.total)),
                    ("available", Value::Int(memory.available)),
                    ("swap_total", Value::Int(0)),
                    ("swap_free", Value::Int(0)),
                ])
            }
            "host.pressure" => m.pressure.as_ref().map_or(Value::Unit, |p| {
                let pairs = [("cpu", p.cpu), ("memory", p.memory), ("io", p.io)];
                Value::map(pairs.map(|(name, n)| (name, Value::Int(n))))
            }),
            "host.disks" => list(&m.disks, |disk| {
                Value::map([
                    ("mount", Value::text(&disk.mount)),
                    ("device", Value::text("/dev/vda1")),
                    ("total", Value::Int(disk.total)),
                    ("free", Value::Int(disk.free)),
                    ("free_pct", Value::Int(share(disk.free, disk.total))),
                    ("inodes_free_pct", Value::Int(disk.inodes_free_pct)),
                    ("read_only", Value::Bool(disk.read_only)),
                ])
            }),
            "host.reboot_needed" => {
                let reboot = m.reboot.as_ref().ok_or_else(unknown)?;
                Value::map([
                    ("needed", Value::Bool(reboot.needed)),
                    ("packages", list(&reboot.packages, |name| Value::text(name))),
                ])
            }
            "host.boots" => m.boots.map_or(Value::Unit, |boots| {
                Value::map([
                    ("count", Value::Int(boots.count)),
                    ("unclean", Value::Int(boots.unclean)),
                ])
            }),
            "host.clock" => Value::map([
                (
                    "synced",
                    m.clock.as_ref().and_then(|c| c.synced).map_or(Value::Unit, Value::Bool),
                ),
                ("source", Value::text("case")),
                ("zone", Value::text("Etc/UTC")),
            ]),
            "host.certificates" => m.certificates.as_ref().map_or(Value::Unit, |all| {
                list(all, |one| {
                    Value::map([
                        ("path", Value::text(&one.path)),
                        ("subject", Value::text(&one.subject)),
                        ("days_left", Value::Int(one.days_left)),
                    ])
                })
            }),
            "backup.last" => m.backup.as_ref().map_or(Value::Unit, |backup| {
                Value::map([
                    ("job", Value::text(&backup.job)),
                    ("age", Value::Int(backup.age)),
                    ("ok", Value::Bool(backup.ok)),
                ])
            }),
            _ => return Err(unknown()),
        })
    }

    fn service(&mut self, row: &Row, args: &[Value]) -> Answer {
        let name = text(args, 0).to_owned();
        if row.name == "service.failed" {
            let failed = self.machine.services.iter().filter(|(_, s)| s.state == "failed");
            return Ok(Value::List(failed.map(|(name, _)| Value::text(name)).collect()));
        }
        let missing = Service { state: "missing".to_owned(), ..Service::default() };
        let unit = self.machine.services.get(&name).unwrap_or(&missing).clone();
        if row.name != "service.status" && self.planned.contains(&name) {
            let why = format!("what {name} does after its restart");
            let mut error = error(row, "unknowable", &why);
            error.fatal = true;
            return Err(error);
        }
        Ok(match row.name {
            "service.status" => Value::map([
                ("unit", Value::text(name)),
                ("state", Value::text(unit.state)),
                ("sub", Value::text("")),
                ("result", Value::text(unit.result)),
                ("since", Value::text("2026-11-22T10:00:00Z")),
                ("restarts", Value::Int(unit.restarts)),
            ]),
            "service.log" => Value::text(unit.log),
            _ => self.stays(&name, &unit, args),
        })
    }

    fn stays(&mut self, name: &str, unit: &Service, args: &[Value]) -> Value {
        let wanted = args.get(2).and_then(Value::as_int).unwrap_or(0);
        let falls = unit.falls_after.filter(|after| *after <= wanted);
        let held = unit.state == text(args, 1) && falls.is_none();
        let after = if unit.state == text(args, 1) { falls.unwrap_or(wanted) } else { 0 };
        let waited = u64::try_from(after).unwrap_or(0).saturating_mul(1000);
        self.clock.set(self.clock.get().saturating_add(waited));
        let mut state = unit.state.clone();
        if falls.is_some() && after > 0 {
            state = "failed".to_owned();
            if let Some(unit) = self.machine.services.get_mut(name) {
                unit.state.clone_from(&state);
            }
        }
        Value::map([
            ("held", Value::Bool(held)),
            ("state", Value::text(state)),
            ("after", Value::Int(after)),
            ("restarts", Value::Int(i64::from(falls.is_some()))),
        ])
    }

    fn look(&mut self, row: &Row, args: &[Value]) -> Answer {
        let m = &self.machine;
        Ok(match row.name {
            "fs.find" => {
                let older = args.get(1).and_then(|o| o.get("older")).and_then(Value::as_int);
                let old = |changed: i64| older.is_none_or(|older| changed >= older);
                let found = m.files.iter();
                let found =
                    found.filter(|f| paths::matches(text(args, 0), &f.path) && old(f.changed));
                let map = |f: &super::File| {
                    Value::map([
                        ("path", Value::text(&f.path)),
                        ("size", Value::Int(f.size)),
                        ("changed", Value::Int(f.changed)),
                    ])
                };
                let found: Vec<_> = found.collect();
                self.given.extend(found.iter().map(|file| file.path.clone()));
                Value::List(found.into_iter().map(map).collect())
            }
            "fs.space" => {
                let disk = m.disks.iter().filter(|disk| text(args, 0).starts_with(&disk.mount));
                let disk = disk.max_by_key(|disk| disk.mount.len());
                let disk = disk.ok_or_else(|| error(row, "no_such_path", "no such path"))?;
                Value::map([
                    ("total", Value::Int(disk.total)),
                    ("free", Value::Int(disk.free)),
                    ("free_pct", Value::Int(share(disk.free, disk.total))),
                    ("inodes_free_pct", Value::Int(disk.inodes_free_pct)),
                    ("device", Value::text(disk.device.as_deref().unwrap_or("/dev/vda1"))),
                    ("read_only", Value::Bool(disk.read_only)),
                ])
            }
            "proc.list" => {
                let mine = m.processes.iter().filter(|p| p.program == text(args, 0));
                let map = |(n, p): (usize, &super::Process)| {
                    Value::map([
                        ("pid", Value::count(n as u64 + 1000)),
                        ("user", Value::text(&p.user)),
                        ("started", Value::Int(60)),
                    ])
                };
                Value::List(mine.enumerate().map(map).collect())
            }
            "user.sessions" => {
                m.signed_in.as_ref().map_or(Value::Unit, |all| list(all, |name| Value::text(name)))
            }
            "user.get" => m.users.get(text(args, 0)).map_or(Value::Unit, |user| {
                Value::map([
                    ("name", Value::text(text(args, 0))),
                    ("uid", Value::Int(user.uid)),
                    ("human", Value::Bool(user.human)),
                    ("source", Value::text("local")),
                    ("password", Value::text(&user.password)),
                    ("locked", Value::Bool(user.locked)),
                    ("must_change", Value::Bool(user.must_change)),
                    ("changed_days", user.changed_days.map_or(Value::Unit, Value::Int)),
                    ("failures", user.failures.map_or(Value::Unit, Value::Int)),
                    ("expired", Value::Bool(user.expired)),
                ])
            }),
            _ => return Err(error(row, "unknowable", "the fake machine does not know this")),
        })
    }

    fn packages(&self, row: &Row) -> Answer {
        let m = &self.machine;
        Ok(match row.name {
            "pkg.installed" => m.packages.installed.as_ref().map_or(Value::Unit, |all| {
                list(all, |one| {
                    let (name, version) = one.split_once(' ').unwrap_or((one, "?"));
                    Value::map([
                        ("name", Value::text(name)),
                        ("version", Value::text(version)),
                        ("idle_days", Value::Unit),
                    ])
                })
            }),
            "pkg.cache_size" => Value::Int(m.packages.cache),
            "pkg.updates" => m.packages.updates.as_ref().map_or(Value::Unit, |updates| {
                Value::map([
                    ("waiting", Value::Int(updates.waiting)),
                    ("security", Value::Int(updates.security)),
                    ("lists_age", Value::Int(updates.lists_age)),
                ])
            }),
            _ => return Err(error(row, "unknowable", "the fake machine does not know this")),
        })
    }

    /// Actions change the described machine; a plan changes it too, which is its overlay.
    fn act(&mut self, row: &Row, args: &[Value]) -> Answer {
        match row.name {
            "fs.remove" => self.remove(row, args),
            "pkg.clean_cache" => {
                self.heard.actions.push(row.name.to_owned());
                let (count, bytes) = (self.machine.packages.archives, self.machine.packages.cache);
                self.machine.packages.archives = 0;
                self.machine.packages.cache = 0;
                self.came_free("/var/cache/apt/archives", bytes);
                Ok(Value::map([("count", Value::Int(count)), ("bytes", Value::Int(bytes))]))
            }
            "service.restart" => self.restart(row, text(args, 0)),
            "secret.one_time" => {
                self.heard.actions.push(row.name.to_owned());
                self.secrets += 1;
                Ok(Value::Secret(self.secrets))
            }
            _ => self.account(row, text(args, 0)),
        }
    }

    /// The disk that holds a path has more room.
    fn came_free(&mut self, path: &str, bytes: i64) {
        let under = self.machine.disks.iter_mut().filter(|disk| path.starts_with(&disk.mount));
        if let Some(disk) = under.max_by_key(|disk| disk.mount.len()) {
            disk.free = disk.free.saturating_add(bytes).min(disk.total);
        }
    }

    fn remove(&mut self, row: &Row, args: &[Value]) -> Answer {
        let (mut count, mut bytes, mut skipped) = (0_u64, 0_i64, 0_u64);
        for file in args.first().and_then(Value::as_list).unwrap_or_default() {
            let path = file.get("path").and_then(Value::as_text).or_else(|| file.as_text());
            if !path.is_some_and(|path| self.given.contains(path)) {
                return Err(error(row, "bad_argument", "a path that `fs.find` did not give"));
            }
            let here = self.machine.files.iter().position(|f| Some(f.path.as_str()) == path);
            let Some(index) = here else {
                skipped += 1;
                continue;
            };
            if self.machine.files.get(index).is_some_and(|file| file.busy) {
                skipped += 1;
                continue;
            }
            let file = self.machine.files.remove(index);
            bytes += file.size;
            if !file.open {
                self.came_free(&file.path, file.size);
            }
            count += 1;
        }
        self.heard.actions.push(format!("fs.remove {count} files, {bytes} bytes"));
        if skipped > 0 {
            self.heard.skipped.push(format!("{skipped} files changed since they were found"));
        }
        Ok(Value::map([
            ("count", Value::count(count)),
            ("bytes", Value::Int(bytes)),
            ("skipped", Value::count(skipped)),
        ]))
    }

    fn restart(&mut self, row: &Row, name: &str) -> Answer {
        let plan = self.mode == Mode::Plan;
        let Some(unit) = self.machine.services.get_mut(name) else {
            return Err(error(row, "missing", "there is no such unit"));
        };
        if unit.state == "masked" {
            return Err(error(row, "masked", "the unit is masked"));
        }
        self.heard.actions.push(format!("service.restart {name}"));
        if plan {
            self.planned.insert(name.to_owned());
        }
        // A plan says what we would do, never what it would help.
        let after = unit.after_restart.clone().filter(|_| !plan);
        unit.state = after.unwrap_or_else(|| "active".to_owned());
        if let Some(log) = unit.log_after.clone().filter(|_| !plan) {
            unit.log = log;
        }
        if unit.state == "failed" {
            return Err(error(row, "failed", "the job ended with result failed"));
        }
        Ok(Value::map([("state", Value::text(&unit.state)), ("result", Value::text("done"))]))
    }

    fn account(&mut self, row: &Row, name: &str) -> Answer {
        let Some(user) = self.machine.users.get_mut(name) else {
            return Err(error(row, "failed", "there is no such account"));
        };
        self.heard.actions.push(format!("{} {name}", row.name));
        match row.name {
            _ if user.stubborn => {}
            "user.set_password" => {
                user.password = "set".to_owned();
                user.changed_days = Some(0);
            }
            "user.require_change" => user.must_change = true,
            _ => user.failures = Some(0),
        }
        Ok(Value::Unit)
    }
}
