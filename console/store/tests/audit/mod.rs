//! Which runs were of some days, and which records of an endpoint's chain are not here.

use super::*;

/// Files the record at this place of the endpoint's chain, some seconds after [`NOW`].
pub(crate) fn filed(store: &Store, counter: u64, verified: bool) -> RunId {
    let n = u8::try_from(counter).unwrap();
    let at = NOW.plus(counter);
    store.add_order(&order(n, &[EndpointId([1; 16])], None), at).unwrap();
    let run = RunId::of(&Digest([n; 32]), &EndpointId([1; 16]), 0);
    let new = NewRecord {
        hash: Digest([n; 32]),
        place: Some((HEAD.epoch, counter)),
        ended: Some(at),
        unverified: (!verified).then_some("altered"),
        ..record(run, n, EndpointId([1; 16]))
    };
    store.file_record(&new, at).unwrap();
    run
}

#[test]
fn a_gap_in_a_chain_is_named_with_its_neighbours_times() {
    let room = room();
    room.store.add_endpoint(&endpoint(1, "pc"), NOW).unwrap();
    room.store.add_endpoint(&endpoint(2, "other"), NOW).unwrap();
    let none = room.store.chains_page(None, 9).unwrap();
    assert_eq!(none.iter().map(|c| c.epochs.len()).collect::<Vec<_>>(), [0, 0]);
    for counter in [1, 2, 5, 6] {
        filed(&room.store, counter, true);
    }
    // What did not verify fills no gap.
    filed(&room.store, 3, false);
    let head = Head { counter: 5, hash: Digest([5; 32]), ..HEAD };
    let versions = CatalogueVersions::default();
    let seen = Seen { versions, head, daemon: "0.1.0", clock: NOW, at: NOW };
    room.store.endpoint_seen(&EndpointId([1; 16]), &seen, NOW).unwrap();
    let page = room.store.chains_page(None, 1).unwrap();
    let [chains] = page.as_slice() else { panic!("{page:?}") };
    assert_eq!((chains.head, chains.at_head), (Some(head), Some(Digest([5; 32]))));
    let (before, behind) = (Some(NOW.plus(2)), NOW.plus(5));
    let gaps = vec![Gap { first: 3, last: 4, before, behind }];
    let epoch = Epoch { epoch: HEAD.epoch, last: 6, ended: NOW.plus(6), gaps };
    assert_eq!(chains.epochs, [epoch]);
    let rest = room.store.chains_page(Some(&chains.endpoint), 9).unwrap();
    assert_eq!(rest.len(), 1);
}

#[test]
fn runs_of_some_days_come_in_pages_oldest_first() {
    let room = room();
    room.store.add_endpoint(&endpoint(1, "pc"), NOW).unwrap();
    let runs: Vec<RunId> = (1..=5).map(|counter| filed(&room.store, counter, true)).collect();
    let days = (NOW.plus(2), NOW.plus(4));
    let page = |after: Option<&RunId>, limit| {
        let rows = room.store.runs_between(days, after, limit).unwrap();
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 9), runs[1..4]);
    assert_eq!(page(None, 2), runs[1..3]);
    assert_eq!(page(Some(&runs[2]), 2), runs[3..4]);
}

#[test]
fn the_first_gap_of_a_chain_is_found_wherever_it_is() {
    let room = room();
    room.store.add_endpoint(&endpoint(7, "lt-4411"), NOW).unwrap();
    let (id, epoch) = (EndpointId([7; 16]), Digest([9; 32]));
    let gap = |last| room.store.first_gap(&id, &epoch, last).unwrap();
    assert_eq!((gap(0), gap(3)), (None, Some(0)), "nothing is here yet");
    let file = |counter: u8, good: bool| {
        let run = protocol::RunId([counter; 16]);
        let new = NewRecord {
            place: Some((epoch, u64::from(counter))),
            hash: Digest([counter; 32]),
            unverified: (!good).then_some("a test"),
            reply: None,
            ..record(run, counter, id)
        };
        room.store.file_record(&new, NOW).unwrap();
    };
    file(1, true);
    file(2, true);
    assert_eq!((gap(2), gap(3)), (None, Some(2)));
    file(4, true);
    file(5, false);
    assert_eq!(gap(5), Some(2));
    file(3, true);
    assert_eq!((gap(4), gap(5)), (None, Some(4)), "one that did not verify is missing");
    assert_eq!(room.store.first_gap(&id, &Digest([8; 32]), 1).unwrap(), Some(0), "another epoch");
}
