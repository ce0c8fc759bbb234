//! Frames on a stream: what is not one ends with a reason, and nothing is held beyond the limit.

use protocol::frames::FrameError;
use protocol::limits;

use super::*;

/// Sends raw bytes on a stream of a session and returns what the accepting side read.
async fn raw(bytes: Vec<u8>) -> Result<Option<Vec<u8>>, LinkError> {
    let mut gate = gate();
    let leaf = gate.people.issue(&Leaf::agent("a.kaya"));
    let (address, trust) = (gate.address.clone(), trust(&gate.machines));
    let client = async {
        let connection = crate::dial(&address, &leaf, &trust, &endpoint("e1")).await.unwrap();
        let stream = connection.open().await.unwrap();
        let (mut sending, receiving) = stream.split();
        let _ = sending.write_raw(&bytes).await;
        sending.finish();
        (connection, sending, receiving)
    };
    let server = async {
        let connection = gate.listener.accept().await.unwrap().unwrap();
        let (_sending, mut receiving) = connection.accept().await.unwrap().split();
        receiving.recv_bytes().await
    };
    tokio::join!(client, server).1
}

#[tokio::test]
async fn lengths_are_judged_before_bytes_are_kept() {
    let big = u32::try_from(limits::FRAME_BYTES_MAX).unwrap();
    let too_large = (big + 1).to_be_bytes().to_vec();
    let expected = LinkError::Frame(FrameError::TooLarge(limits::FRAME_BYTES_MAX + 1));
    assert_eq!(raw(too_large).await, Err(expected));
    assert!(matches!(raw(vec![0xff; 9]).await, Err(LinkError::Frame(FrameError::TooLarge(_)))));
    assert_eq!(raw(vec![0; 4]).await, Err(LinkError::Frame(FrameError::Empty)));
    assert_eq!(raw(vec![0, 0, 0, 9, 1, 2]).await, Err(LinkError::Cut));
    assert_eq!(raw(vec![0, 0]).await, Err(LinkError::Cut));
    assert_eq!(raw(vec![]).await, Ok(None));
    let whole = [big.to_be_bytes().to_vec(), vec![7; limits::FRAME_BYTES_MAX]].concat();
    assert_eq!(raw(whole).await, Ok(Some(vec![7; limits::FRAME_BYTES_MAX])));
    // Two at once: the first is whole, the second is not lost.
    assert_eq!(raw(vec![0, 0, 0, 1, 5, 0, 0, 0, 1, 6]).await, Ok(Some(vec![5])));
}

#[tokio::test]
async fn nothing_is_sent_that_the_peer_would_refuse() {
    let mut gate = gate();
    let leaf = gate.people.issue(&Leaf::agent("a.kaya"));
    let (address, trust) = (gate.address.clone(), trust(&gate.machines));
    let client = async {
        let connection = crate::dial(&address, &leaf, &trust, &endpoint("e1")).await.unwrap();
        let (mut sending, _receiving) = connection.open().await.unwrap().split();
        let empty = sending.send_bytes(&[]).await;
        let large = sending.send_bytes(&vec![0; limits::FRAME_BYTES_MAX + 1]).await;
        (empty, large)
    };
    let (seen, _connection) = tokio::join!(client, gate.listener.accept());
    assert_eq!(seen.0, Err(LinkError::Frame(FrameError::Empty)));
    assert!(matches!(seen.1, Err(LinkError::Frame(FrameError::TooLarge(_)))));
}

#[tokio::test]
async fn more_streams_than_the_limit_wait_for_a_place() {
    let mut gate = gate();
    let leaf = gate.people.issue(&Leaf::agent("a.kaya"));
    let (address, trust) = (gate.address.clone(), trust(&gate.machines));
    let client = async {
        let connection = crate::dial(&address, &leaf, &trust, &endpoint("e1")).await.unwrap();
        let mut open = Vec::new();
        for _ in 0..limits::STREAMS_MAX {
            open.push(connection.open().await.unwrap());
        }
        let wait = std::time::Duration::from_millis(200);
        tokio::time::timeout(wait, connection.open()).await.is_err()
    };
    let (waits, _connection) = tokio::join!(client, gate.listener.accept());
    assert!(waits);
}
