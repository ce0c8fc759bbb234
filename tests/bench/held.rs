//! A bench client: holds one session and checks once for each line on its stdin, by the same path as
//! the console. Prints what each took. Never part of a release.
//!
//! usage: held HOME ENDPOINT SCRIPT
#![expect(clippy::disallowed_methods, reason = "a bench client reads the clocks: that is its job")]

use std::io::BufRead as _;
use std::path::Path;
use std::time::Instant;

use desk::home::Home;
use desk::org::Desk;
use desk::runs::{EndpointRow, News, ScriptEntry, Wish, run};
use desk::session::{Agent, Session};
use protocol::frames::Event;
use protocol::{EndpointName, Mode, Params, ScriptName, Time};

fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Time::from_unix(since.unwrap_or_default())
}

fn wish(script: &ScriptEntry, endpoint: &EndpointRow) -> Wish {
    Wish {
        script: script.clone(),
        mode: Mode::Check,
        endpoint: endpoint.clone(),
        parameters: Params::new(),
        ticket: None,
        ticket_row: None,
        reason: "bench".to_owned(),
        identified: None,
        consent: None,
        plan: None,
        asked: None,
        break_glass: None,
        approved: None,
    }
}

async fn bench(home: &str, endpoint: &str, script: &str) {
    let desk = Desk::open(Home::new(Path::new(home))).expect("the home opens");
    let agent = Agent::load(&desk, now()).expect("an agent");
    let name: EndpointName = endpoint.parse().expect("an endpoint's name");
    let endpoint =
        desk.store.endpoint_named(name).expect("the store answers").expect("it is enrolled");
    let script: ScriptName = script.parse().expect("a script's name");
    let script = agent.catalogue.latest(&script).expect("it is in the catalogue");
    let session = match desk.store.line() {
        None => Session::open(&agent, &endpoint, now()).await,
        Some(line) => Session::open_at_desk(line, &agent, &endpoint, now()).await,
    };
    let session = session.expect("a session");
    for _ in std::io::stdin().lock().lines() {
        let began = Instant::now();
        let (mut accepted, mut ended) = (None, None);
        let mut news = |news: News<'_>| match news {
            News::Event(Event::Accepted { .. }) => accepted = Some(Instant::now()),
            News::Event(Event::Ended { .. }) => ended = Some(Instant::now()),
            _ => {}
        };
        let wish = wish(script, &endpoint);
        let result = run(&desk, &agent, &session, &wish, now, &mut news).await.expect("a record");
        let took = began.elapsed();
        assert!(result.filing.report.verified, "{:?}", result.filing.report);
        let ran = ended.zip(accepted).map(|(to, from)| to.duration_since(from));
        let ms = |time: std::time::Duration| time.as_secs_f64() * 1000.0;
        println!("{}", serde_json::json!({ "ms": ms(took), "ran": ran.map(ms) }));
    }
    session.leave().await;
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [home, endpoint, script] = args.as_slice() else {
        eprintln!("usage: held HOME ENDPOINT SCRIPT");
        std::process::exit(2);
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(bench(home, endpoint, script));
}
