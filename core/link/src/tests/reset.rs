//! A gate that is gone without a word: the one after it, on the same port, says so.

use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::*;
use crate::ListenError;

/// Listens where another one listened a moment ago.
async fn again(address: &str, me: &crate::Identity, trust: &Trust) -> Listener {
    loop {
        match Listener::bind(address, me, trust) {
            Ok(listener) => return listener,
            Err(ListenError::Bind { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// A console with a session whose gate is killed; its connection, and the gate's place and papers.
async fn left_behind() -> (Connection, String, crate::Identity, Trust) {
    let (people, machines) = (Ca::new("people"), Ca::new("machines"));
    let (me, agent) = (machines.issue(&Leaf::endpoint("e1")), people.issue(&Leaf::agent("a.kaya")));
    // Its own runtime: without its tasks nothing is sent any more, as when a process is killed.
    let process = Runtime::new().unwrap();
    let inside = process.enter();
    let mut listener = Listener::bind("127.0.0.1:0", &me, &trust(&people)).unwrap();
    drop(inside);
    let address = listener.address().unwrap().to_string();
    let served = process.spawn(async move {
        let connection = serve_one(&mut listener).await.unwrap();
        (listener, connection)
    });
    let expect = endpoint("e1");
    let connection = crate::dial(&address, &agent, &trust(&machines), &expect).await.unwrap();
    assert_eq!(first_answer(&connection).await, Ok(Some(Answer::Stop { code: Stop::Rate })));
    let left = served.await.unwrap();
    // Only when its last thread has ended does nobody say good-bye for what is dropped.
    let over = move || process.shutdown_timeout(WAIT);
    tokio::task::spawn_blocking(over).await.unwrap();
    drop(left);
    (connection, address, me, trust(&people))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_gates_successor_resets_its_connections() {
    let (connection, address, me, trust) = left_behind().await;
    assert_eq!(connection.end(), None, "nobody said good-bye");
    let _successor = again(&address, &me, &trust).await;
    let end = timeout(WAIT, connection.closed()).await.expect("still waiting for the idle time");
    assert_eq!(end, LinkError::Lost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_can_reset_a_connection() {
    let (connection, address, _, trust) = left_behind().await;
    let other = Ca::new("machines").issue(&Leaf::endpoint("e1"));
    let _other = again(&address, &other, &trust).await;
    // Its answers are resets of another key: noise. A good one comes in a twentieth of this time.
    assert!(timeout(WAIT / 4, connection.closed()).await.is_err());
}
