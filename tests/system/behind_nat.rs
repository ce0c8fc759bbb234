//! A machine and an agent behind two masquerading routers, and a desk between: neither can be dialled
//! and both work. Network namespaces made here, with nftables.

use std::fs;
use std::process::Command;

use support::{Going, Lab, sh, wait_for};

use crate::bench::{self, COUNTER};

/// `home` 10.78.2.2 and `office` 10.78.3.2 behind `between`, which masquerades both towards `desk`
/// 10.78.1.2 and lets nobody in from there.
const NETWORK: &str = "
for name in desk home office between; do
  ip netns del $name 2>/dev/null || true; ip netns add $name
done
in_() { nsenter --net=/run/netns/\"$@\"; }
line() { # line NAMESPACE NUMBER
  ip link add out netns $1 type veth peer name $1 netns between
  in_ $1 ip addr add 10.78.$2.2/24 dev out; in_ between ip addr add 10.78.$2.1/24 dev $1
  in_ $1 ip link set out up; in_ $1 ip link set lo up; in_ between ip link set $1 up
}
line desk 1; line home 2; line office 3
for name in home office; do in_ $name ip route add default via \
  $(in_ $name ip -4 -o addr show out | sed 's/.*inet \\(10.78.[0-9]\\).*/\\1.1/'); done
in_ between sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
in_ between nft -f - <<'RULES'
table ip wall {
  chain out { type nat hook postrouting priority srcnat; oifname \"desk\" masquerade; }
  chain pass { type filter hook forward priority filter; policy drop;
    ct state established,related accept; iifname { \"home\", \"office\" } oifname \"desk\" accept; }
}
RULES
";

/// The same command in one of the namespaces.
fn inside(place: &str, command: &Command) -> Command {
    let mut moved = Command::new("/usr/bin/nsenter");
    moved.arg(format!("--net=/run/netns/{place}")).arg(command.get_program());
    moved.args(command.get_args()).env_clear();
    moved.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    moved
}

#[test]
fn a_machine_and_an_agent_behind_nat_meet_at_the_desk() {
    let lab = Lab::solo();
    bench::make_unit();
    lab.publish(COUNTER);
    let colleague = lab.colleague("m.ruiz");
    let mut pc = lab.endpoint("pc");
    pc.stop();
    sh(NETWORK).expect(0);
    let here = fs::read_to_string(pc.config()).expect("its configuration");
    fs::write(pc.config(), here.replace("127.0.0.1:", "0.0.0.0:")).expect("written");
    pc.configure("desk = \"10.78.1.2:7435\"");

    let serve = lab.command(&["serve", "--listen", "10.78.1.2:7435"]);
    let desk = Going::start(&mut inside("desk", &serve));
    wait_for("the desk", 20, || desk.err().contains("listening on").then_some(()));
    pc.start_by(inside("home", &pc.command(&["run"])));
    wait_for("the machine", 30, || desk.err().contains("pc is here").then_some(()));
    assert!(desk.err().contains("from 10.78.1.1:"), "behind the router: {}", desk.err());

    // From the desk nobody reaches it; from the office, through the desk, anybody does.
    sh("! nsenter --net=/run/netns/desk ping -c1 -W1 10.78.2.2 >/dev/null 2>&1").expect(0);
    let office = |args: &[&str]| Going::start(&mut inside("office", &colleague.command(args)));
    office(&["desk", "set", "10.78.1.2:7435"]).end().expect(0);
    let check = office(&["--json", "check", "health.check", "--on", "pc"]).end().json();
    assert_eq!(check["verified"], true, "{check}");

    // The machine's cable is pulled in mid-run and put back.
    let held = bench::Held::new();
    let new = ["--json", "tickets", "new", "count it", "--for", "jo.meyer", "--on", "pc"];
    let ticket = office(&new).end().expect(0).json()["id"].to_string().replace('"', "");
    let fix = ["--json", "run", "lab.count", "--ticket", &ticket, "--identified", "callback"];
    let run = office(&[&fix[..], &["--yes"]].concat());
    wait_for("the start", 30, || (bench::executions() == 1).then_some(()));
    sh("nsenter --net=/run/netns/between ip link set home down").expect(0);
    drop(held);
    wait_for("its record", 30, || (pc.entries().records >= 3).then_some(()));
    sh("nsenter --net=/run/netns/between ip link set home up").expect(0);
    let done = run.end().json();
    assert_eq!(done["verified"], true, "{done}");
    assert_eq!(bench::executions(), 1);
    let shown = office(&["--json", "tickets", "show", &ticket]).end().expect(0).json();
    let notes = shown["notes"].as_array().expect("notes").iter();
    assert_eq!(notes.filter(|note| note["public"] == false).count(), 1, "{shown}");

    pc.stop();
    sh("for name in desk home office between; do ip netns del $name; done").expect(0);
}
