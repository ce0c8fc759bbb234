//! README's "Two machines in five minutes", its own lines, between two network namespaces with a
//! router between them; and what both sides say when that router lets no UDP through.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use support::{Done, Going, Lab, programs, run, sh};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");

/// `desk` 10.77.1.2 -- 10.77.1.1 `between` 10.77.2.1 -- 10.77.2.2 `machine`.
const NETWORK: &str = "
for name in desk between machine; do
  ip netns del $name 2>/dev/null || true; ip netns add $name
done
in_() { nsenter --net=/run/netns/\"$@\"; }
line() { # line NAMESPACE NUMBER
  ip link add out netns $1 type veth peer name $1 netns between
  in_ $1 ip addr add 10.77.$2.2/24 dev out; in_ between ip addr add 10.77.$2.1/24 dev $1
  in_ $1 ip link set out up; in_ $1 ip link set lo up; in_ between ip link set $1 up
  in_ $1 ip route add default via 10.77.$2.1
}
line desk 1; line machine 2
in_ between sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
";

/// The lines of the section's blocks, comments cut: the desk's, the machine's, the desk's again.
fn blocks() -> [Vec<String>; 3] {
    let readme = fs::read_to_string(README).expect("README.md");
    let section = readme.split("## Two machines in five minutes").nth(1).expect("the section");
    let section = section.split("\n## ").next().expect("its end");
    let block = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.split("  #").next().expect("a part").trim());
        lines.filter(|line| !line.is_empty()).map(str::to_owned).collect()
    };
    let found: Vec<_> = section.split("```").skip(1).step_by(2).map(block).collect();
    found.try_into().expect("three blocks")
}

/// A line as it stands in README, on one of the machines. Root needs no sudo here, the passphrase
/// comes from a file, and the desk's home is the test's.
fn typed(lab: &Lab, place: &str, line: &str) -> Command {
    // A file for each: bash reads its own while it runs.
    static LINES: AtomicU32 = AtomicU32::new(0);
    let file = lab.folder().join(format!("line-{}.sh", LINES.fetch_add(1, Ordering::Relaxed)));
    let text = format!(
        "set -e\nsudo() {{ \"$@\"; }}\nsalve() {{ /usr/local/bin/salve --home '{home}' \
         --passphrase-fd 3 \"$@\" 3<'{pass}'; }}\n{line}\n",
        home = lab.home().display(),
        pass = lab.passphrase().display(),
    );
    fs::write(&file, text).expect("written");
    let mut command = Command::new("/usr/bin/nsenter");
    command.arg(format!("--net=/run/netns/{place}"));
    command.args(["script", "--quiet", "--return", "--command"]);
    command.arg(format!("bash {}", file.display())).arg("/dev/null");
    command.current_dir(Path::new(README).parent().expect("a folder"));
    command.env_clear().env("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

fn done(lab: &Lab, place: &str, line: &str) -> Done {
    run(&mut typed(lab, place, line), b"")
}

/// The package, installed, with its unit on the machine's side of the network.
fn install(lab: &Lab) {
    let package = Path::new(README).with_file_name("package");
    let deb = lab.folder().join("salved.deb");
    let mut build = Command::new(package);
    build.arg("--from").arg(programs()).arg("--out").arg(&deb);
    build.env("DPKG_DEB_COMPRESSOR_TYPE", "none");
    run(&mut build, b"").expect(0);
    sh(&format!(
        "systemctl stop salved 2>/dev/null || true; rm -rf /var/lib/salve; dpkg -i {}; \
         d=/run/systemd/system/salved.service.d; mkdir -p $d; \
         printf '[Service]\\nNetworkNamespacePath=/run/netns/machine\\n' >$d/net.conf; \
         systemctl daemon-reload",
        deb.display()
    ))
    .expect(0);
}

#[test]
fn two_machines_as_readme_says_and_a_network_that_drops_udp() {
    let lab = Lab::empty();
    sh(NETWORK).expect(0);
    install(&lab);
    let [first, second, third] = blocks();

    // At the desk: what cargo would build is built.
    let (mut built, mut waiting) = (false, None);
    for line in &first {
        if line.starts_with("cargo build --release --bin salve") {
            built = true;
        } else if line.starts_with("salve endpoints enroll ") {
            let mut console = Going::start(&mut typed(&lab, "desk", line));
            console.says("sudo salved enroll ");
            console.says("\n");
            waiting = Some(console);
        } else {
            let line = line.replace("target/release", programs().to_str().expect("UTF-8"));
            done(&lab, "desk", &line).expect(0);
        }
    }
    assert!(built, "README builds the console first: {first:?}");
    let mut console = waiting.expect("README enrols a machine");

    // On the machine: the line as it was printed.
    let [paste] = second.as_slice() else { panic!("one line to paste: {second:?}") };
    assert!(paste.starts_with("sudo salved enroll eyJ"), "{paste}");
    let token = pasted(&mut console);
    assert!(token.starts_with("sudo salved enroll eyJ"), "{token}");
    let joined = done(&lab, "machine", &token).expect(0);
    assert!(joined.out.contains("salved runs, now and after every start"), "{}", joined.out);
    console.says("lt-4411 joined at 10.77.2.2:7433");
    console.end().expect(0);

    // Back at the desk.
    sh("mkdir -p /var/cache/apt/archives && head -c 80M /dev/urandom \
        >/var/cache/apt/archives/two_1_amd64.deb")
    .expect(0);
    for line in &third {
        if line.starts_with("salve run ") {
            let mut going = Going::start(&mut typed(&lab, "desk", line));
            going.says("[y/N]");
            going.answer("y");
            let run = going.end().expect(0);
            assert!(run.out.contains("FIXED"), "{}", run.out);
        } else {
            let said = done(&lab, "desk", line);
            // A check that found something is 1.
            let most = i32::from(line.starts_with("salve check") || line.starts_with("salve plan"));
            assert!(said.code <= most && said.code >= 0, "{line}: {}{}", said.out, said.err);
        }
    }
    assert!(!Path::new("/var/cache/apt/archives/two_1_amd64.deb").exists());
    let shown = done(&lab, "desk", third.last().expect("a line")).expect(0);
    assert!(shown.out.contains("internal note"), "{}", shown.out);

    no_udp(&lab);
    sh("systemctl stop salved; dpkg -P salved; rm -rf /var/lib/salve /usr/local/bin/salve \
        /usr/local/share/salve /run/systemd/system/salved.service.d; \
        for name in desk between machine; do ip netns del $name; done")
    .expect(0);
}

fn pasted(console: &mut Going) -> String {
    let out = console.out();
    let line = out.lines().find(|line| line.starts_with("sudo salved enroll "));
    line.expect("a line to paste").trim().to_owned()
}

/// The router drops UDP and nothing else: both sides name it.
fn no_udp(lab: &Lab) {
    let mut console = Going::start(&mut typed(lab, "desk", "salve endpoints enroll pc-2"));
    console.says("sudo salved enroll ");
    console.says("\n");
    let token = pasted(&mut console).split(' ').next_back().expect("a token").to_owned();
    let fine = done(lab, "machine", &format!("salved doctor {token}")).expect(0);
    assert!(!fine.out.contains("WRONG"), "{}", fine.out);

    sh("nsenter --net=/run/netns/between ip rule add ipproto udp pref 100 blackhole").expect(0);
    // The network itself is there: a closed TCP port says so at once.
    let tcp = done(lab, "machine", "timeout 3 bash -c '</dev/tcp/10.77.1.2/9'");
    assert!(tcp.out.contains("Connection refused"), "{}", tcp.out);
    let doctor = done(lab, "machine", &format!("salved doctor {token}")).expect(1);
    assert!(doctor.out.contains("WRONG udp"), "{}", doctor.out);
    assert!(doctor.out.contains("a firewall or proxy drops it"), "{}", doctor.out);
    console.kill();

    let away = done(lab, "desk", "salve check health.check --on lt-4411").expect(5);
    assert!(away.out.contains("lt-4411 is not reachable"), "{}", away.out);
    assert!(away.out.contains("UDP") && away.out.contains("Nothing was sent"), "{}", away.out);

    sh("nsenter --net=/run/netns/between ip rule del pref 100").expect(0);
    let back = done(lab, "desk", "salve check health.check --on lt-4411");
    assert!([0, 1].contains(&back.code), "{}", back.out);
}
