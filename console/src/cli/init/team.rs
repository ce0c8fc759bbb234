//! The last words of `salve init` where several people found an organisation: who holds what, who
//! must sign what, and what stops when somebody is away. Never more than the thresholds say.

use desk::org::{Shape, lifetimes, shape};
use policy::Profile;
use protocol::AgentName;

use super::{View, under};

/// As in `a.kaya, m.ruiz and s.okafor`.
pub(super) fn list(people: &[AgentName]) -> String {
    let names: Vec<&str> = people.iter().map(AgentName::as_str).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.join(""),
    }
}

/// Who holds what.
pub(super) fn held(view: &View) -> Vec<String> {
    let (all, me) = (list(&view.people), &view.me);
    let mut lines = under(
        "They hold",
        vec![
            format!("{all}: each a root, an admin and a vetter key,"),
            "each under their own passphrase (keys/{root,admin,vetter}/NAME.pem)".to_owned(),
        ],
    );
    lines.extend(under(
        "You hold",
        vec![format!("also the keys that sign your orders and open your secrets (agents/{me}/)")],
    ));
    lines
}

/// Who must sign what.
pub(super) fn signs(profile: Profile) -> String {
    let Shape { people, root, admin, vetters: [low, medium, high] } = shape(profile);
    format!(
        "  Sign       of {people} people: root {root}; roles, people and rules {admin}; scripts of \
         low risk {low}, medium {medium}, high {high}"
    )
}

/// What stops when somebody is away, and what is to be done now.
pub(super) fn next(view: &View, profile: Profile) -> Vec<String> {
    let mut lines = under("Away", away(profile));
    let first = view.people.iter().find(|person| **person != view.me);
    let others: Vec<AgentName> =
        view.people.iter().filter(|person| **person != view.me).cloned().collect();
    lines.extend(under(
        "Do now",
        vec![
            "each takes keys/*/NAME.pem away on a stick: while they lie here, whoever takes this \
             machine"
                .to_owned(),
            "needs nothing but passphrases; for a signature:  --keys DIR (the stick's folder)"
                .to_owned(),
            "copy keys/online to a safe place: nothing can be published or renewed without it"
                .to_owned(),
            format!("{} can order nothing until they have joined", list(&others)),
        ],
    ));
    let signers = view.people.iter().take(shape(profile).admin);
    let signers: Vec<String> = signers.map(|person| format!("--as {person}")).collect();
    let mut next: Vec<String> = Vec::new();
    next.extend(first.map(|first| format!("salve agents invite {first} {}", signers.join(" "))));
    next.push("salve endpoints enroll NAME".to_owned());
    lines.extend(under("Next", next));
    lines
}

/// One sentence for every number of absent people from which on something more stops: the most who
/// may be away for it.
fn away(profile: Profile) -> Vec<String> {
    let shape = shape(profile);
    let Shape { people, root, admin, vetters: [low, medium, high] } = shape;
    let all = [
        ("root changes", root),
        ("changes of people and rules", admin),
        ("scripts of low risk", low),
        ("scripts of medium risk", medium),
        ("scripts of high risk", high),
    ];
    let names = |works: bool, here: usize| -> Vec<&str> {
        all.iter().filter(|(_, wanted)| (*wanted <= here) == works).map(|(name, _)| *name).collect()
    };
    let mut said = Vec::new();
    let mut before = None;
    for away in 1..people {
        let here = people.saturating_sub(away);
        let (works, stops) = (names(true, here), names(false, here));
        if before.as_ref() == Some(&stops) {
            said.pop();
        }
        said.push(match (works.as_slice(), stops.as_slice()) {
            (_, []) => format!("with {away} of {people} away everything can still be signed"),
            ([], _) => format!("with {away} away nothing can be signed any more"),
            (works, stops) if stops.len() <= works.len() => {
                format!("with {away} away everything but {} can still be signed", stops.join(", "))
            }
            (works, _) => {
                format!("with {away} away only {} can still be signed", works.join(", "))
            }
        });
        before = Some(stops);
    }
    let days = lifetimes(profile).policy / (24 * 3600);
    said.push(format!(
        "every {days} days {admin} admins and the vetters sign again, or nothing runs any more:  \
         salve scripts renew"
    ));
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(people: &[&str]) -> View {
        let people: Vec<AgentName> = people.iter().map(|name| name.parse().unwrap()).collect();
        View {
            organisation: "Demo Ltd".to_owned(),
            id: "demo-ltd".parse().unwrap(),
            profile: "small",
            me: people[0].clone(),
            vetted_by: people[..2].to_vec(),
            people,
            home: "/tmp/x".into(),
            resumed: false,
            scripts: vec!["cache.clear 1 (low)".to_owned()],
            weaknesses: vec!["scripts of low risk need one signature of 3".to_owned()],
        }
    }

    #[test]
    fn the_last_words_of_three_people_say_who_signs_and_what_stops_without_them() {
        let said = super::super::words(&view(&["a.kaya", "m.ruiz", "s.okafor"]), Profile::Small);
        assert_eq!(
            said,
            "Organisation \"Demo Ltd\" (demo-ltd) is set up in /tmp/x.\n\
             \x20 They hold  a.kaya, m.ruiz and s.okafor: each a root, an admin and a vetter key,\n\
             \x20            each under their own passphrase (keys/{root,admin,vetter}/NAME.pem)\n\
             \x20 You hold   also the keys that sign your orders and open your secrets \
             (agents/a.kaya/)\n\
             \x20 Also here  keys used without a person, in clear: two CAs, enroller, ticket, \
             freshness, desk\n\
             \x20 Sign       of 3 people: root 2; roles, people and rules 2; scripts of low risk 1, \
             medium 2, high 2\n\
             \x20 Scripts    1 vetted by a.kaya and m.ruiz: cache.clear 1 (low)\n\
             \x20 Weak       scripts of low risk need one signature of 3\n\
             \x20            every record says so\n\
             \x20 Away       with 1 of 3 away everything can still be signed\n\
             \x20            with 2 away only scripts of low risk can still be signed\n\
             \x20            every 90 days 2 admins and the vetters sign again, or nothing runs any \
             more:  salve scripts renew\n\
             \x20 Do now     each takes keys/*/NAME.pem away on a stick: while they lie here, \
             whoever takes this machine\n\
             \x20            needs nothing but passphrases; for a signature:  --keys DIR (the \
             stick's folder)\n\
             \x20            copy keys/online to a safe place: nothing can be published or renewed \
             without it\n\
             \x20            m.ruiz and s.okafor can order nothing until they have joined\n\
             \x20 Next       salve agents invite m.ruiz --as a.kaya --as m.ruiz\n\
             \x20            salve endpoints enroll NAME"
        );
    }

    #[test]
    fn what_stops_follows_the_thresholds_of_five_people() {
        assert_eq!(
            away(Profile::Regulated),
            [
                "with 2 of 5 away everything can still be signed",
                "with 3 away everything but root changes can still be signed",
                "with 4 away nothing can be signed any more",
                "every 45 days 2 admins and the vetters sign again, or nothing runs any more:  \
                 salve scripts renew",
            ]
        );
    }
}
