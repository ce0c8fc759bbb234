//! An endpoint that dials out: the line to a desk is a session like any other, is dialled again when
//! it ends, and brings the endpoint its renewed certificate.

use std::thread;

use support::{Lab, free_port, wait_for};

#[test]
fn an_endpoint_that_nobody_can_dial_holds_a_line_to_its_desk() {
    let lab = Lab::solo();
    let mut pc = lab.endpoint("pc");
    pc.stop();
    let port = free_port().to_string();
    pc.configure(&format!("desk = \"127.0.0.1:{port}\""));
    pc.start();
    let said = thread::scope(|scope| {
        let desk = scope.spawn(|| lab.cheat("pc", &["held-line", &port]));
        wait_for("the line", 20, || {
            let status = pc.salved(&["status"]).expect(0).out;
            let held = format!("desk        127.0.0.1:{port}, connected since ");
            (status.contains(&held) || desk.is_finished()).then_some(())
        });
        desk.join().expect("the desk")
    });
    assert_eq!(said["look"]["decision"]["decision"], "permit", "{said}");
    assert_eq!(said["look"]["answer"], "record", "{said}");
    assert_eq!(said["taken"], true, "{said}");
    assert!(said["old"].as_str().expect("words").contains("not-later"), "{said}");
    assert_ne!(said["first"], said["renewed"], "{said}");
    assert_eq!(said["again"], said["renewed"], "shown from the next handshake on: {said}");

    // The desk is gone: said with its reason, and when it is dialled again.
    wait_for("the words", 20, || {
        let status = pc.salved(&["status"]).expect(0).out;
        (status.contains("no line since") && status.contains("dialled again at")).then_some(())
    });
    let doctor = pc.salved(&["doctor"]).expect(1);
    assert!(doctor.out.contains(&port) && doctor.err.contains("next: "), "{}", doctor.out);

    // The renewal outlives the daemon, and consoles still dial in.
    pc.kill();
    pc.start();
    let check = lab.salve(&["--json", "check", "health.check", "--on", "pc"]).json();
    assert_eq!(check["verified"], true, "{check}");
    let first = pc.state().join("certificates/0.der");
    let der = std::fs::read(first).expect("a certificate");
    let serial = said["renewed"].as_str().expect("hex");
    let hex: String = der.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(hex.contains(serial), "the renewed certificate is not on the disk");
}

#[test]
fn a_machine_that_dials_out_is_here_at_the_shared_desk() {
    let lab = Lab::solo();
    let mut pc = lab.endpoint("pc");
    pc.stop();
    let address = format!("127.0.0.1:{}", free_port());
    pc.configure(&format!("desk = [\"{address}\"]"));
    let desk = lab.start(&["serve", "--listen", &address]);
    pc.start();
    let connected = format!("desk        {address}, connected since ");
    wait_for("the line", 30, || {
        pc.salved(&["status"]).expect(0).out.contains(&connected).then_some(())
    });
    wait_for("the desk's word", 20, || desk.err().contains("pc is here").then_some(()));
    // The daemon takes leave: the desk hears of it and need not find out by silence.
    pc.stop();
    wait_for("the leave", 20, || desk.err().contains("pc took leave").then_some(()));
    assert!(!desk.err().contains("certificate"), "nothing is due: {}", desk.err());
}
