//! A test double of `salved`: the keeper's own library and driver, with real children, whose process
//! is ended by SIGKILL right after one effect or one message. Never part of a release: the shipped
//! program has no such switch.
//!
//! usage: salved-crash points                  every point, one a line
//!        salved-crash run CONFIG POINT ORDERS  runs; POINT counts once ORDERS orders were accepted
//!        salved-crash account CONFIG           the whole ledger, verified, one JSON a line
//!        salved-crash say PID WHAT COUNT       a taken gate's words to a real keeper

mod account;
mod mouth;
mod points;
mod switch;

use std::path::Path;

use keeper::driver::{Driver, begin};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["points"] => points::all().iter().for_each(|point| println!("{point}")),
        ["run", config, point, orders] => {
            tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
            let orders = orders.parse().expect("a number");
            assert!(points::all().iter().any(|known| known == point), "no such point: {point}");
            let config = keeper::config::load(Some(Path::new(config))).expect("a configuration");
            let (core, world) = begin(&config).expect("begun");
            let switch = switch::Switch::new((*point).to_owned(), orders);
            let mind = switch.mind(core);
            let mut after = |name: &'static str| switch.done(name);
            Driver::new(mind, world, &mut after).and_then(Driver::run).expect("ran to its end");
        }
        ["say", gate, what, count] => {
            let number = "a number";
            mouth::say(gate.parse().expect(number), what, count.parse().expect(number));
        }
        ["account", config] => account::print(Path::new(config)),
        _ => panic!(
            "usage: salved-crash points | run CONFIG POINT ORDERS | account CONFIG \
             | say PID WHAT COUNT"
        ),
    }
}
