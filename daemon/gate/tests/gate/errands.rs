//! Enrolment and probing: each step that can fail is named.

use hatch::{EnrolFrame, FromGate, ProbeStep, ToGate};
use link::{Identity, Listener, spki_digest};
use protocol::frames;
use protocol::{Bytes, Digest};
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};

use crate::support::{Keeper, ids, soon};

fn desk() -> (Identity, Digest) {
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let certificate = CertificateParams::default().self_signed(&key).unwrap();
    let digest = spki_digest(certificate.der()).unwrap();
    let certificates = vec![certificate.der().to_vec()];
    (Identity { certificates, key: key.serialize_der().into() }, digest)
}

async fn result(keeper: &mut Keeper) -> Vec<(String, bool)> {
    let FromGate::Result { steps } = keeper.hear().await else { panic!("no result") };
    let word = |step: ProbeStep| {
        assert!(step.ok || !step.detail.is_empty(), "a failure without a word: {}", step.what);
        (step.what, step.ok)
    };
    steps.into_iter().map(word).collect()
}

fn went(steps: &[(&str, bool)]) -> Vec<(String, bool)> {
    steps.iter().map(|(what, ok)| ((*what).to_owned(), *ok)).collect()
}

fn dead_port() -> String {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn an_enrolment_request_goes_out_and_every_frame_comes_back() {
    let (me, desk_key) = desk();
    let mut listener = Listener::bind_enrolment("127.0.0.1:0", &me).unwrap();
    let address = listener.address().unwrap().to_string();
    let mut keeper = Keeper::start();
    let request = Bytes(b"the request's envelope".to_vec());
    keeper.say(ToGate::Enrol { desk: address, desk_key, request, ids: ids() }).await;
    let served = async {
        let connection = soon(listener.accept()).await.unwrap().unwrap();
        let (mut sending, mut receiving) = connection.accept().await.unwrap().split();
        let request = receiving.recv_bytes().await.unwrap().unwrap();
        assert_eq!(request, b"the request's envelope");
        assert_eq!(receiving.recv_bytes().await, Ok(None));
        sending.send(&EnrolFrame::Wait).await.unwrap();
        let json = Bytes(b"{}".to_vec());
        sending.send(&EnrolFrame::Answer { json }).await.unwrap();
        sending.finish();
        sending.delivered().await;
    };
    let heard = async {
        for wanted in [EnrolFrame::Wait, EnrolFrame::Answer { json: Bytes(b"{}".to_vec()) }] {
            let FromGate::Answer { bytes } = keeper.hear().await else { panic!("no answer") };
            assert_eq!(frames::decode::<EnrolFrame>(&bytes.0), Ok(wanted));
        }
        result(&mut keeper).await
    };
    let ((), steps) = tokio::join!(served, heard);
    let ok = ["name", "route", "udp", "certificate", "answer"].map(|step| (step, true));
    assert_eq!(steps, went(&ok));
    assert!(keeper.ended().await.success());
}

#[tokio::test]
async fn enrolment_says_which_step_failed() {
    let (me, desk_key) = desk();
    let mut listener = Listener::bind_enrolment("127.0.0.1:0", &me).unwrap();
    let address = listener.address().unwrap().to_string();
    let request = || Bytes(b"request".to_vec());
    let (name, route, udp) = (("name", true), ("route", true), ("udp", true));
    let cases = [
        (address, Digest([1; 32]), vec![name, route, udp, ("certificate", false)]),
        (dead_port(), desk_key, vec![name, route, ("udp", false)]),
        ("255.255.255.255:7433".into(), desk_key, vec![name, ("route", false)]),
        ("no-such-host.invalid:7433".into(), desk_key, vec![("name", false)]),
        ("no port".into(), desk_key, vec![("name", false)]),
    ];
    for (desk, desk_key, steps) in cases {
        let mut keeper = Keeper::start();
        let message =
            ToGate::Enrol { desk: desk.clone(), desk_key, request: request(), ids: ids() };
        keeper.say(message).await;
        let seen = tokio::select! {
            seen = result(&mut keeper) => seen,
            Some(Ok(_)) = listener.accept() => panic!("{desk}: spoke with a wrong desk"),
        };
        assert_eq!(seen, went(&steps), "{desk}");
        assert!(keeper.ended().await.success());
    }
}

#[tokio::test]
async fn a_desk_that_hangs_up_is_the_answers_fault() {
    let (me, desk_key) = desk();
    let mut listener = Listener::bind_enrolment("127.0.0.1:0", &me).unwrap();
    let address = listener.address().unwrap().to_string();
    let mut keeper = Keeper::start();
    let request = Bytes(b"request".to_vec());
    keeper.say(ToGate::Enrol { desk: address, desk_key, request, ids: ids() }).await;
    let served = async {
        let connection = soon(listener.accept()).await.unwrap().unwrap();
        connection.accept().await.unwrap();
        connection.close(protocol::frames::Stop::Token);
        connection.closed().await;
    };
    let ((), steps) = tokio::join!(served, result(&mut keeper));
    assert_eq!(steps.last(), Some(&("answer".to_owned(), false)));
}

#[tokio::test]
async fn probing_with_and_without_a_known_key() {
    let (me, desk_key) = desk();
    let mut listener = Listener::bind_enrolment("127.0.0.1:0", &me).unwrap();
    let address = listener.address().unwrap().to_string();
    let ok = ["name", "route", "udp", "certificate"].map(|step| (step, true));
    for peer_key in [None, Some(desk_key)] {
        let mut keeper = Keeper::start();
        keeper.say(ToGate::Probe { peer: address.clone(), peer_key, ids: ids() }).await;
        let steps = async { result(&mut keeper).await };
        let serve = async {
            loop {
                soon(listener.accept()).await.unwrap().ok();
            }
        };
        let steps = tokio::select! { steps = steps => steps, () = serve => unreachable!() };
        assert_eq!(steps, went(&ok), "{peer_key:?}");
    }
    let mut keeper = Keeper::start();
    keeper.say(ToGate::Probe { peer: dead_port(), peer_key: None, ids: ids() }).await;
    let udp = [("name", true), ("route", true), ("udp", false)];
    assert_eq!(result(&mut keeper).await, went(&udp));
}
