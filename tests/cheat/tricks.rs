//! The lies, one function each.

use std::path::Path;

use protocol::documents::{Approval, Dispatch, Order, ScriptRef};
use protocol::frames::{Answer, Ask};
use protocol::{
    Bytes, Digest, EndpointId, Envelope, Manifest, Mode, OrderId, Params, PublicKey, RunId,
};
use serde_json::{Value, json};
use trust::catalogue::{Files, Repository};
use trust::{Signer, SigningKey};

use crate::line::{Cheat, Session, in_words};

/// Plays one trick and gives the endpoint's answer.
pub(crate) async fn play(cheat: Cheat, trick: &str, rest: &[String]) -> Value {
    let name = cheat.endpoint.name.clone();
    let cheat = match (trick, rest) {
        ("siege", [port, books, folder]) => {
            let result = crate::siege::siege(cheat, port, books, Path::new(folder)).await;
            return json!({ "trick": trick, "endpoint": name, "result": result });
        }
        ("between", [port, books, lie, folder]) => {
            return crate::lies::between(cheat, port, books, lie, Path::new(folder)).await;
        }
        _ => &cheat,
    };
    let answer = match (trick, rest) {
        ("restarted", [port, folder]) => {
            crate::siege::restarted(cheat, port, Path::new(folder)).await
        }
        ("forged-order", []) => forged_order(cheat).await,
        ("script-byte", []) => script_byte(cheat).await,
        ("wrong-endpoint", []) => wrong_endpoint(cheat).await,
        ("replay", [run]) => replay(cheat, run).await,
        ("stale-dispatch", [run]) => stale_dispatch(cheat, run).await,
        ("twice", []) => twice(cheat).await,
        ("other-session", []) => other_session(cheat).await,
        ("papers", [run]) => papers(cheat, run).await,
        ("rollback", [folder]) => rollback(cheat, folder).await,
        ("altered-catalogue", []) => altered_catalogue(cheat).await,
        ("rogue-script", [file, passphrase]) => rogue_script(cheat, file, passphrase).await,
        ("garbage", []) => garbage(cheat).await,
        ("held-line", [port]) => crate::held::held_line(cheat, port).await,
        _ => panic!("no such trick: {trick} {rest:?}"),
    };
    json!({ "trick": trick, "endpoint": name, "result": answer })
}

pub(crate) fn my_key(cheat: &Cheat) -> SigningKey {
    cheat.desk.home.agent_signing_key(&cheat.desk.organisation.me, None).expect("the agent's key")
}

/// A check of `script` that would be fine if it were what it says.
pub(crate) fn order(
    cheat: &Cheat,
    session: &Session,
    script: ScriptRef,
    mode: Mode,
    dispatch_key: PublicKey,
) -> Order {
    let id: [u8; 16] = desk::chance::fresh().expect("random");
    Order {
        id: OrderId(id),
        agent: cheat.desk.organisation.me.clone(),
        dispatch_key,
        script,
        mode,
        parameters: Params::new(),
        targets: vec![cheat.endpoint.id],
        ticket: None,
        reason: "trust me".into(),
        identified: None,
        consent: None,
        break_glass: None,
        plan: None,
        catalogue: session.hello.catalogue,
        not_before: cheat.now.minus(5),
        not_after: cheat.now.plus(600),
        session_key: None,
    }
}

fn dispatch(cheat: &Cheat, session: &Session, order: &Envelope, number: u64) -> Dispatch {
    Dispatch {
        order: order.digest(),
        endpoint: cheat.endpoint.id,
        challenge: session.hello.challenge,
        number,
        secrets: None,
        issued: cheat.now,
        not_after: cheat.now.plus(60),
    }
}

pub(crate) fn vetted(cheat: &Cheat, name: &str) -> ScriptRef {
    let repository = Repository::open(cheat.desk.home.repository()).expect("the repository opens");
    let catalogue = repository.catalogue(cheat.now).expect("the catalogue verifies");
    let entry = catalogue.latest(&name.parse().expect("a name")).expect("it is vetted");
    ScriptRef {
        name: entry.manifest.name.clone(),
        version: entry.manifest.version,
        digest: entry.digest,
    }
}

pub(crate) async fn send(
    cheat: &Cheat,
    session: &Session,
    order: &Order,
    key: &SigningKey,
) -> Value {
    let order = trust::seal::seal(order, &[key as &dyn Signer]).expect("sealed");
    let dispatch = dispatch(cheat, session, &order, 1);
    let dispatch = trust::seal::seal(&dispatch, &[key as &dyn Signer]).expect("sealed");
    session.submit(&order, &dispatch).await
}

/// The server is ours, no agent's key is: an order in an agent's name, signed by nobody known.
async fn forged_order(cheat: &Cheat) -> Value {
    let session = cheat.session().await;
    let nobody = SigningKey::from_seed(desk::chance::fresh().expect("random"));
    let script = vetted(cheat, "cache.clear");
    let order = order(cheat, &session, script, Mode::Check, nobody.public_key());
    send(cheat, &session, &order, &nobody).await
}

/// A good agent's order for a script of which one byte was changed after vetting.
async fn script_byte(cheat: &Cheat) -> Value {
    let session = cheat.session().await;
    let me = my_key(cheat);
    let mut script = vetted(cheat, "cache.clear");
    script.digest = Digest::of(&[script.digest.0.as_slice(), b"!"].concat());
    let order = order(cheat, &session, script, Mode::Check, me.public_key());
    send(cheat, &session, &order, &me).await
}

/// A good order that names another machine.
async fn wrong_endpoint(cheat: &Cheat) -> Value {
    let session = cheat.session().await;
    let me = my_key(cheat);
    let script = vetted(cheat, "cache.clear");
    let mut order = order(cheat, &session, script, Mode::Check, me.public_key());
    order.targets = vec![EndpointId(desk::chance::fresh().expect("random"))];
    send(cheat, &session, &order, &me).await
}

/// The same order once more: its own bytes, with a fresh dispatch that a taken console can sign.
async fn replay(cheat: &Cheat, run: &str) -> Value {
    let session = cheat.session().await;
    let order = captured(cheat, run).0;
    let order = Envelope::read(&order).expect("an envelope");
    let me = my_key(cheat);
    let dispatch = dispatch(cheat, &session, &order, 1);
    let dispatch = trust::seal::seal(&dispatch, &[&me as &dyn Signer]).expect("sealed");
    session.submit(&order, &dispatch).await
}

/// Captured order and dispatch, byte for byte, on a new connection.
async fn stale_dispatch(cheat: &Cheat, run: &str) -> Value {
    let session = cheat.session().await;
    let (order, dispatch) = captured(cheat, run);
    session.submit_bytes(Bytes(order), Bytes(dispatch)).await
}

fn captured(cheat: &Cheat, run: &str) -> (Vec<u8>, Vec<u8>) {
    let run: RunId = desk::inventory::find_run(&cheat.desk.store, run).expect("a run").id;
    let row = cheat.desk.store.run(run).expect("the store answers").expect("the run is there");
    let order = cheat.desk.store.order(row.order).expect("the store answers").expect("its order");
    let dispatch = cheat
        .desk
        .store
        .bytes_of(run, desk::books::Paper::Dispatch)
        .expect("the store answers")
        .expect("its dispatch");
    (order.envelope, dispatch)
}

/// A good check and the same bytes once more on its own connection: both answers.
async fn twice(cheat: &Cheat) -> Value {
    let session = cheat.session().await;
    let (order, dispatch) = good(cheat, &session);
    let first = session.submit(&order, &dispatch).await;
    let again = session.submit(&order, &dispatch).await;
    json!({ "first": first, "again": again })
}

/// A good check that was captured before it was used, on a connection with another challenge.
async fn other_session(cheat: &Cheat) -> Value {
    let theirs = cheat.session().await;
    let (order, dispatch) = good(cheat, &theirs);
    cheat.session().await.submit(&order, &dispatch).await
}

fn good(cheat: &Cheat, session: &Session) -> (Envelope, Envelope) {
    let me = my_key(cheat);
    let script = vetted(cheat, "health.check");
    let order = order(cheat, session, script, Mode::Check, me.public_key());
    let order = trust::seal::seal(&order, &[&me as &dyn Signer]).expect("sealed");
    let dispatch = dispatch(cheat, session, &order, 1);
    (order, trust::seal::seal(&dispatch, &[&me as &dyn Signer]).expect("sealed"))
}

/// Other documents with good signatures where an order belongs: a record, a dispatch, an approval.
async fn papers(cheat: &Cheat, run: &str) -> Value {
    let session = cheat.session().await;
    let me = my_key(cheat);
    let (order, dispatch) = captured(cheat, run);
    let digest = Envelope::read(&order).expect("an envelope").digest();
    let id = desk::inventory::find_run(&cheat.desk.store, run).expect("a run").id;
    let record = cheat.desk.store.run_record(id).expect("the store answers").expect("filed");
    let approval = Approval {
        order: digest,
        plan: digest,
        person: cheat.desk.organisation.me.clone(),
        yes: true,
        not_after: cheat.now.plus(60),
    };
    let approval = trust::seal::seal(&approval, &[&me as &dyn Signer]).expect("sealed");
    let approval = approval.write().expect("written");
    let mut answers = serde_json::Map::new();
    let papers = [("record", record), ("dispatch", dispatch.clone()), ("approval", approval)];
    for (what, paper) in papers {
        let answer = session.submit_bytes(Bytes(paper), Bytes(dispatch.clone())).await;
        answers.insert(what.to_owned(), answer);
    }
    Value::Object(answers)
}

/// An older catalogue, whole and well signed.
async fn rollback(cheat: &Cheat, folder: &str) -> Value {
    let session = cheat.session().await;
    let files = Files::from_folder(std::path::Path::new(folder)).expect("the old repository");
    in_words(&Session::update(&blank(session), &files).await).unwrap_or(Value::Null)
}

/// A catalogue update in which one byte of one script was changed.
async fn altered_catalogue(cheat: &Cheat) -> Value {
    let session = cheat.session().await;
    let mut files = cheat.files();
    let name = files.iter().map(|(name, _)| name.to_owned()).find(|name| name.ends_with(".rhai"));
    let name = name.expect("a script is published");
    let mut bytes = files.get(&name).expect("there").to_vec();
    if let Some(byte) = bytes.first_mut() {
        *byte ^= 1;
    }
    files.insert(name, bytes);
    let session_from_nothing = Session::update(&blank(session), &files).await;
    in_words(&session_from_nothing).unwrap_or(Value::Null)
}

/// As if the endpoint had said that it has nothing: then the whole repository travels.
fn blank(mut session: Session) -> Session {
    session.hello.catalogue = protocol::documents::CatalogueVersions::default();
    session
}

/// A vetter of ours went bad: a script without lint, signed and published, that reaches beyond its ABOUT.
async fn rogue_script(cheat: &Cheat, file: &str, passphrase: &str) -> Value {
    let source = std::fs::read_to_string(file).expect("the script");
    let passphrase = std::fs::read_to_string(passphrase).expect("the passphrase");
    let person = cheat.desk.organisation.me.clone();
    let vetter = cheat
        .desk
        .home
        .held_key(desk::home::Held::Vetter, &person, passphrase.trim())
        .expect("the vetter's key opens");
    let online =
        cheat.desk.home.online_key(desk::home::Online::SnapshotTimestamp).expect("the online key");
    let manifest: Manifest = script::about::read(&source, Some(&person)).expect("ABOUT reads");
    let mut repository = Repository::open(cheat.desk.home.repository()).expect("opens");
    repository
        .add_script(
            source.as_bytes(),
            &manifest,
            &[&vetter as &dyn Signer, &online as &dyn Signer],
            cheat.now,
        )
        .expect("published");
    let session = cheat.session().await;
    let taken = session.update(&repository.files().expect("files")).await;
    let Answer::CatalogueTaken { versions } = taken else {
        return in_words(&taken).unwrap_or(Value::Null);
    };
    let me = my_key(cheat);
    let script = vetted(cheat, manifest.name.as_str());
    let mut order = order(cheat, &session, script, Mode::Check, me.public_key());
    order.catalogue = versions;
    send(cheat, &session, &order, &me).await
}

/// Frames that are no messages, each on a stream of its own; then the endpoint must still answer.
async fn garbage(cheat: &Cheat) -> Value {
    let session = cheat.session().await;
    let junk = Ask::Submit {
        order: Bytes(b"{\"payload\":1}".to_vec()),
        dispatch: Bytes(vec![0xff; 1000]),
        attestation: None,
        approvals: vec![Bytes(Vec::new()); 3],
    };
    session.ask(&junk).await
}
