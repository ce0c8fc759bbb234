//! Runs the tables under `cases/`: decisions, faults of files, parameters. Never reads a clock.

#[cfg(test)]
mod tables {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::path::Path;

    use policy::{
        Decision, Facts, Glass, Initial, Person, Policy, PolicyFile, Profile, check_parameters,
        decide, deciding, explain, fill_permissions,
    };
    use protocol::documents::{Asked, ConsentAnswer, Heard};
    use protocol::{
        Consent, Manifest, Mode, ParamSpec, ParamValue, Params, PublicKey, Refusal, Risk,
    };
    use serde::Deserialize;
    use trust::{Signer as _, SigningKey};

    fn text(name: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases").join(name);
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    fn key(name: &str) -> PublicKey {
        if name == "weak" {
            let mut identity = [0; 32];
            identity[0] = 1;
            return PublicKey(identity);
        }
        SigningKey::from_seed(protocol::Digest::of(name.as_bytes()).0).public_key()
    }

    /// `"@name"` becomes the key of that name.
    fn with_keys(text: &str) -> String {
        let mut parts = text.split("\"@");
        let mut out = parts.next().unwrap().to_owned();
        for part in parts {
            let (name, rest) = part.split_once('"').unwrap();
            out += &format!("\"{}\"{rest}", key(name));
        }
        out
    }

    fn policy(name: &str) -> Policy {
        PolicyFile::read(&with_keys(&text(&format!("policies/{name}.toml")))).unwrap()
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Table<C> {
        policy: String,
        case: Vec<C>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct DecideCase {
        say: String,
        agent: Option<String>,
        script: Option<String>,
        risk: Option<Risk>,
        mode: Option<Mode>,
        consent: Option<Consent>,
        answer: Option<ConsentAnswer>,
        asked: Option<Heard>,
        group: Option<String>,
        ticket: Option<bool>,
        #[serde(default)]
        attested: bool,
        #[serde(default)]
        identified: bool,
        #[serde(default)]
        identity_checked: bool,
        #[serde(default)]
        planned: bool,
        #[serde(default)]
        approved_by: Vec<String>,
        glass: Option<protocol::Label>,
        why: Option<String>,
        #[serde(default)]
        own_key: bool,
        session: Option<Risk>,
        #[serde(default)]
        secrets: bool,
        at: Option<protocol::Time>,
        #[serde(default)]
        parameters: protocol::Params,
        permit: Option<String>,
        refuse: Option<String>,
        /// All reasons of a permit, the rule first.
        reasons: Option<Vec<String>>,
        /// The sentence of a refusal by policy itself.
        because: Option<String>,
    }

    fn facts(case: &DecideCase) -> Facts {
        let or = |value: &Option<String>, preset: &str| value.clone().unwrap_or(preset.into());
        let group = or(&case.group, "office");
        Facts {
            agent: or(&case.agent, "a.kaya").parse().unwrap(),
            script: or(&case.script, "cache.clear").parse().unwrap(),
            risk: case.risk.unwrap_or(Risk::Low),
            mode: case.mode.unwrap_or(Mode::Fix),
            consent: case.consent.unwrap_or(Consent::None),
            labels: BTreeMap::from([("group".parse().unwrap(), group.parse().unwrap())]),
            ticket: case.ticket.unwrap_or(true),
            attested: case.attested,
            identified: case.identified,
            identity_checked: case.identity_checked,
            answer: case.answer,
            asked: case.asked.map(|heard| Asked::nobody(heard, None, protocol::Time(0))),
            planned: case.planned,
            approved_by: case.approved_by.iter().map(|n| n.parse().unwrap()).collect(),
            glass: case.glass.clone().map(|key| Glass { key, reason: or(&case.why, "2 am") }),
            own_key: case.own_key,
            session: case.session,
            secrets: case.secrets,
            at: case.at.unwrap_or(protocol::Time(1_795_000_000)),
            parameters: case.parameters.clone(),
        }
    }

    #[test]
    fn decisions() {
        let table: Table<DecideCase> = toml::from_str(&text("decide.toml")).unwrap();
        let policy = policy(&table.policy);
        for case in &table.case {
            match (decide(&facts(case), &policy), &case.permit, &case.refuse) {
                (Decision::Permit(permit), Some(reason), None) => {
                    assert_eq!(&permit.reasons()[0], reason, "{}", case.say);
                    let reasons = case.reasons.as_deref().unwrap_or(permit.reasons());
                    assert_eq!(permit.reasons(), reasons, "{}", case.say);
                }
                (Decision::Refuse(refusal), None, Some(code)) => {
                    assert_eq!(refusal.code(), code, "{}", case.say);
                    if let Some(wanted) = &case.because {
                        let because = Refusal::NotAllowed { because: wanted.clone() };
                        assert_eq!(refusal, because, "{}", case.say);
                    }
                }
                (other, ..) => panic!("{}: {other:?}", case.say),
            }
            // What people are told of the rules is what decides.
            let told = explain(&facts(case), &policy).into_iter().find(|(_, no)| no.is_none());
            let rule = deciding(&facts(case), &policy).map(|rule| rule.id.as_str());
            assert_eq!(told.map(|(id, _)| id), rule, "{}", case.say);
        }
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct FaultCase {
        say: String,
        from: String,
        to: String,
        and_from: Option<String>,
        and_to: Option<String>,
        keys: BTreeSet<String>,
    }

    #[test]
    fn every_fault_is_told_with_its_key_and_line() {
        let table: Table<FaultCase> = toml::from_str(&text("faults.toml")).unwrap();
        let good = text(&format!("policies/{}.toml", table.policy));
        for case in &table.case {
            assert!(good.contains(&case.from), "{}", case.say);
            let mut bad = good.replacen(&case.from, &case.to, 1);
            if let (Some(from), Some(to)) = (&case.and_from, &case.and_to) {
                assert!(bad.contains(from), "{}", case.say);
                bad = bad.replacen(from, to, 1);
            }
            let faults = PolicyFile::read(&with_keys(&bad)).expect_err(&case.say);
            let keys: BTreeSet<_> = faults.iter().map(|f| f.key.clone()).collect();
            for key in &case.keys {
                assert!(keys.contains(key), "{}: {faults:#?}", case.say);
            }
            for fault in &faults {
                assert!(fault.line >= 1 && fault.line <= bad.lines().count(), "{fault:?}");
                assert!(!fault.why.is_empty() && !fault.try_this.is_empty(), "{fault:?}");
            }
        }
    }

    #[test]
    fn a_fault_names_its_line() {
        let text = with_keys(&text("policies/office.toml"));
        let bad = text.replacen("name = \"trainee\"", "name = \"Trainee\"", 1);
        let faults = PolicyFile::read(&bad).expect_err("a capital letter");
        let line = bad.lines().position(|l| l == "name = \"Trainee\"").unwrap() + 1;
        assert_eq!((faults.len(), faults[0].line), (1, line), "{faults:?}");
        // What is only found when the whole file was read names its line too.
        let bad = text.replacen("orders_a_minute = 30", "orders_a_minute = 0", 1);
        let faults = PolicyFile::read(&bad).expect_err("no orders at all");
        let line = bad.lines().position(|l| l == "orders_a_minute = 0").unwrap() + 1;
        assert_eq!((faults.len(), faults[0].line), (1, line), "{faults:?}");
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct ParamCase {
        kind: String,
        min: Option<i64>,
        max: Option<i64>,
        of: Option<Vec<String>>,
        from: Option<String>,
        value: ParamValue,
        bad: Option<String>,
    }

    fn manifest(parameters: &[(&str, ParamSpec)]) -> Manifest {
        Manifest {
            name: "cache.clear".parse().unwrap(),
            version: 1,
            title: "t".into(),
            does: "d".into(),
            author: "a.kaya".parse().unwrap(),
            risk: Risk::Low,
            consent: Consent::None,
            question: None,
            platforms: vec!["linux".into()],
            runs_on: protocol::RunsOn::Endpoint,
            limit_seconds: 60,
            parameters: parameters.iter().map(|(n, s)| ((*n).to_owned(), s.clone())).collect(),
            permissions: BTreeMap::new(),
            words: vec![],
        }
    }

    fn spec(json: &str) -> ParamSpec {
        protocol::json::read(json.as_bytes()).unwrap()
    }

    #[test]
    fn parameters_are_named_and_never_shown() {
        let table: Table<ParamCase> = toml::from_str(&text("parameters.toml")).unwrap();
        let policy = policy(&table.policy);
        for case in &table.case {
            let mut spec = spec(&format!(r#"{{"kind":"{}","ask":"?"}}"#, case.kind));
            spec.min = case.min;
            spec.max = case.max;
            spec.choices = case.of.clone().map(protocol::Choices::Of);
            spec.choices = case.from.clone().map(protocol::Choices::From).or(spec.choices.take());
            let given = Params::from([("target".to_owned(), case.value.clone())]);
            let got = check_parameters(&manifest(&[("target", spec)]), &given, &policy);
            match (got, &case.bad) {
                (Ok(all), None) => assert_eq!(all, given),
                (Err(refusal), Some(code)) => {
                    assert_eq!(refusal.code(), code, "{:?}", case.value);
                    assert!(refusal.sentence().contains("target"), "{refusal:?}");
                    assert!(!format!("{refusal:?}").contains("SECRETVALUE"), "{refusal:?}");
                }
                (other, _) => panic!("{:?}: {other:?}", case.value),
            }
        }
    }

    #[test]
    fn unknown_and_missing_parameters_are_named_printably() {
        let policy = policy("office");
        let text = spec(r#"{"kind":"text","ask":"?"}"#);
        let preset = spec(r#"{"kind":"int","ask":"?","preset":7}"#);
        let manifest = manifest(&[("a", text), ("b", preset)]);
        let one = |name: &str, value: ParamValue| Params::from([(name.to_owned(), value)]);
        let evil = "x\u{202e}\n".repeat(100_000);
        let refusal = check_parameters(&manifest, &one(&evil, ParamValue::Bool(true)), &policy);
        let Err(Refusal::ParameterUnknown { name }) = refusal else { panic!("{refusal:?}") };
        assert!(name.len() <= 64 && name.is_ascii() && !name.contains('\n'));
        let refusal = check_parameters(&manifest, &Params::new(), &policy);
        assert_eq!(refusal, Err(Refusal::ParameterMissing { name: "a".into() }));
        let all = check_parameters(&manifest, &one("a", ParamValue::Text("x".into())), &policy);
        assert_eq!(all.unwrap().get("b"), Some(&ParamValue::Int(7)));
        let long = ParamValue::Text("x".repeat(1024 * 1024));
        let refusal = check_parameters(&manifest, &one("a", long), &policy).unwrap_err();
        assert_eq!(refusal.code(), "parameter-range");
    }

    #[test]
    fn a_parameter_cannot_widen_a_permission() {
        let mut manifest = manifest(&[]);
        let nouns = vec!["{homes}/.cache/**".to_owned(), "/srv/{user}/tmp/*".to_owned()];
        manifest.permissions = BTreeMap::from([("fs.remove".to_owned(), nouns)]);
        let with = |text: &str| {
            let given = Params::from([("user".to_owned(), ParamValue::Text(text.to_owned()))]);
            fill_permissions(&manifest, &given, |_| true)
        };
        assert_eq!(with("jo").unwrap()["fs.remove"], ["{homes}/.cache/**", "/srv/jo/tmp/*"]);
        let homes = Params::from([("homes".to_owned(), ParamValue::Text("jo".into()))]);
        let filled = fill_permissions(&manifest, &homes, |_| true).unwrap();
        assert_eq!(filled["fs.remove"][0], "{homes}/.cache/**", "no parameter is the homes");
        for wide in ["*", "**", "a/b", "{homes}", "", "[a-z]", "?"] {
            assert_eq!(with(wide).unwrap_err().code(), "parameter-range", "{wide}");
        }
    }

    #[test]
    fn what_tells_of_people_is_permitted_where_policy_lists_it() {
        let mut manifest = manifest(&[]);
        let names = ["user.sessions", "host.boots"];
        manifest.permissions = names.map(|name| (name.to_owned(), Vec::new())).into();
        let granted = |policy: &Policy| {
            let filled =
                fill_permissions(&manifest, &Params::new(), |name| policy.allows_personal(name))
                    .unwrap();
            filled.into_keys().collect::<Vec<_>>()
        };
        let office = policy("office");
        assert_eq!(granted(&office), ["host.boots"], "off by default");
        let with = |personal: &str| {
            let mut file = office.file().clone();
            file.personal = vec![personal.to_owned()];
            PolicyFile::read(&file.write().unwrap())
        };
        assert_eq!(granted(&with("user.sessions").unwrap()), ["host.boots", "user.sessions"]);
        let faults = with("host.boots").unwrap_err();
        assert_eq!(faults[0].key, "personal[0]", "{faults:?}");
    }

    #[test]
    fn the_first_policy_reads_back_and_says_what_it_does_not_ask() {
        for profile in [Profile::Solo, Profile::Small, Profile::Regulated] {
            let file = PolicyFile::initial(Initial {
                organisation: "Demo Ltd".into(),
                profile,
                people: vec![Person {
                    name: "a.kaya".parse().unwrap(),
                    roles: vec![],
                    signing_key: Some(key("kaya")),
                    sealing_key: Some(protocol::documents::SealingKey {
                        algorithm: "x".into(),
                        key: vec![1, 2].into(),
                    }),
                    vetter_key: Some(key("vetter")),
                    admin_key: None,
                    valid_until: None,
                    only_ticket: false,
                }],
                enroller_key: key("enroller"),
                ticket_key: key("ticket"),
                people_ca: vec![1],
                endpoints_ca: vec![2],
                units: vec!["nginx.service".into()],
            });
            let text = file.write().unwrap();
            let policy = PolicyFile::read(&text).unwrap_or_else(|f| panic!("{f:#?}\n{text}"));
            assert_eq!(policy.file(), &file);
            let asked = |risk: &str| {
                let weak = format!("fixes of {risk} risk need no approval by another person");
                !policy.weaknesses().contains(&weak)
            };
            let wanted = match profile {
                Profile::Solo => (false, false),
                Profile::Small => (false, true),
                Profile::Regulated => (true, true),
            };
            assert_eq!((asked("medium"), asked("high")), wanted);
            let case: DecideCase = toml::from_str("say = \"x\"\nrisk = \"high\"").unwrap();
            let mut facts = facts(&case);
            facts.own_key = true;
            let identity = decide(&facts, &policy);
            assert_eq!(identity, Decision::Refuse(Refusal::IdentityRequired));
            facts.identified = true;
            facts.planned = true;
            match (decide(&facts, &policy), profile) {
                (Decision::Permit(permit), Profile::Solo) => {
                    assert_eq!(permit.rule(), "fix-high");
                    let said = permit.reasons().iter().any(|r| r.contains("no approval"));
                    assert!(said, "{permit:?}");
                }
                (decided, _) => {
                    let count = if profile == Profile::Small { 1 } else { 2 };
                    assert_eq!(decided, Decision::Refuse(Refusal::ApprovalRequired { count }));
                }
            }
            assert!(policy.site("site.units").is_some() && policy.site("units").is_some());
        }
    }

    #[test]
    fn a_policy_without_people_is_none_and_its_weaknesses_are_its_own() {
        let mut file = policy("office").file().clone();
        let weak =
            |file: &PolicyFile| PolicyFile::read(&file.write().unwrap()).unwrap().weaknesses();
        let found = weak(&file);
        assert!(found.iter().any(|w| w.contains("medium risk need no approval")), "{found:?}");
        assert!(!found.iter().any(|w| w.contains("high risk")), "high asks for one: {found:?}");
        assert!(found.iter().any(|w| w.contains("not attested")), "{found:?}");
        for rule in file.rules.iter_mut().filter(|rule| rule.modes.contains(&Mode::Fix)) {
            rule.approvals = 1;
            rule.ticket_required = true;
            rule.attestation_required = true;
        }
        assert_eq!(weak(&file), ["a break-glass key can stand in for the approvals of rule high"]);
        file.rules.iter_mut().for_each(|rule| rule.break_glass = false);
        assert_eq!(weak(&file), Vec::<String>::new());
        file.people.clear();
        let faults = PolicyFile::read(&file.write().unwrap()).expect_err("nobody");
        assert!(faults.iter().any(|fault| fault.key == "people"), "{faults:?}");
    }

    #[test]
    fn whoever_has_not_joined_is_known_by_other_keys_and_orders_nothing() {
        let mut file = policy("office").file().clone();
        let read = |file: &PolicyFile| PolicyFile::read(&file.write().unwrap());
        let mut founder = file.people[0].clone();
        founder.name = "f.new".parse().unwrap();
        (founder.signing_key, founder.sealing_key) = (None, None);
        (founder.vetter_key, founder.admin_key) = (Some(key("new-vetter")), None);
        file.people.push(founder);
        let read_back = read(&file).unwrap();
        let whose = |name: &str| read_back.person_of(&key(name)).map(|p| p.name.to_string());
        assert_eq!(whose("new-vetter").as_deref(), Some("f.new"));
        assert_eq!(whose("new"), None);
        let founder = read_back.person(&"f.new".parse().unwrap()).unwrap();
        assert!(!read_back.is_withdrawn(founder, "2026-11-22T00:00:00Z".parse().unwrap()));
        let last = file.people.len() - 1;
        let faults = |file: &PolicyFile| -> Vec<String> {
            read(file).unwrap_err().into_iter().map(|fault| fault.key).collect()
        };
        let mut sealed = file.clone();
        sealed.people[last].sealing_key = file.people[0].sealing_key.clone().or_else(|| {
            let (algorithm, key) = ("x".into(), vec![1].into());
            Some(protocol::documents::SealingKey { algorithm, key })
        });
        assert_eq!(faults(&sealed), [format!("people[{last}].sealing_key")]);
        file.people[last].vetter_key = None;
        assert_eq!(faults(&file), [format!("people[{last}].signing_key")]);
    }

    #[test]
    fn a_look_says_nothing_of_approvals_that_nobody_would_ask_for() {
        let policy = policy("office");
        let text = "say = \"x\"\nrisk = \"high\"\nmode = \"check\"\nown_key = true";
        let case: DecideCase = toml::from_str(text).unwrap();
        let Decision::Permit(permit) = decide(&facts(&case), &policy) else { panic!("refused") };
        assert_eq!(permit.reasons(), ["rule look"]);
    }

    #[test]
    fn broken_glass_is_said_by_name_reason_and_number() {
        let mut file = policy("office").file().clone();
        let case =
            "say = \"x\"\nrisk = \"high\"\nown_key = true\nidentified = true\nglass = \"safe-1\"";
        let case: DecideCase = toml::from_str(case).unwrap();
        for (approvals, instead) in [(1, "1 approval"), (2, "2 approvals")] {
            let rule = file.rules.iter_mut().find(|rule| rule.id == "high").unwrap();
            rule.approvals = approvals;
            let policy = PolicyFile::read(&file.write().unwrap()).unwrap();
            let Decision::Permit(permit) = decide(&facts(&case), &policy) else { panic!() };
            let said =
                format!("BREAK GLASS by a.kaya with key safe-1 instead of {instead}: \"2 am\"");
            assert_eq!(permit.reasons(), ["rule high", said.as_str()]);
            assert!(said.starts_with(policy::BREAK_GLASS));
        }
        let policy = policy("office");
        let counts = |name: &str, at: &str| {
            policy.glass_key(&name.parse().unwrap(), at.parse().unwrap()).is_some()
        };
        assert!(counts("safe-1", "2030-01-01T00:00:00Z"));
        assert!(counts("safe-old", "2026-11-01T00:00:00Z"));
        assert!(!counts("safe-old", "2026-11-01T00:00:01Z"));
        assert!(!counts("safe-2", "2026-01-01T00:00:00Z"));
    }

    #[test]
    fn withdrawn_people_and_raised_risks() {
        let policy = policy("office");
        let person = |name: &str| policy.person(&name.parse().unwrap()).unwrap();
        let day = |text: &str| text.parse().unwrap();
        assert!(policy.is_withdrawn(person("gone"), day("2026-11-22T00:00:00Z")));
        assert!(!policy.is_withdrawn(person("m.ruiz"), day("2027-01-01T00:00:00Z")));
        assert!(policy.is_withdrawn(person("m.ruiz"), day("2027-01-01T00:00:01Z")));
        assert_eq!(policy.least_risk("fs.remove"), Risk::Medium);
        assert_eq!(policy.least_risk("no.such"), Risk::High);
        assert_eq!(policy.person_of(&key("okafor-vetter")).unwrap().name.as_str(), "s.okafor");
        assert!(
            policy.enroller(&key("enroller")).is_some() && policy.enroller(&key("kaya")).is_none()
        );
    }
}
