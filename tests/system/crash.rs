//! probe
use crate::bench::{self, COUNTER};
use support::Lab;

#[test]
fn probe() {
    let lab = Lab::solo();
    bench::make_unit();
    lab.publish(COUNTER);
    let pc = lab.endpoint("pc");
    let t = std::time::Instant::now();
    let ticket = bench::ticket(&lab, "count", "pc");
    println!("{ticket}");
    for mode in ["run"] {
        let d = lab.salve(&[
            "--json",
            mode,
            "lab.count",
            "--ticket",
            &ticket,
            "--identified",
            "callback",
            "--yes",
        ]);
        println!("{:?} {d:#?}", t.elapsed());
    }
    println!("{:?}", bench::runs(&lab, &ticket));
    println!("{}", serde_json::to_string_pretty(&bench::shown(&lab, &ticket)).unwrap());
    println!("{:#?}", lab.salve(&["runs", "show"]));
    println!("executions {}", bench::executions());
    let held = bench::Held::new();
    let c = lab.start(&[
        "--json",
        "run",
        "lab.count",
        "--ticket",
        &ticket,
        "--identified",
        "callback",
        "--yes",
    ]);
    support::wait_for("x", 20, || (bench::executions() == 2).then_some(()));
    let mut pc = pc;
    pc.kill();
    pc.start();
    let t = std::time::Instant::now();
    println!("{:#?} {:?}", c.end(), t.elapsed());
    drop(held);
    println!("{}", pc.log_text());
    println!("{}", serde_json::to_string_pretty(&bench::shown(&lab, &ticket)).unwrap());
    println!("{:#?}", lab.salve(&["--json", "runs", "show"]));
    println!("{:#?}", lab.salve(&["--json", "runs", "follow"]));
    println!("{:#?}", lab.salve(&["runs", "show"]));
    println!("{:#?}", pc.salved(&["status"]));
}
