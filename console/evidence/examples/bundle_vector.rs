//! Writes tests/vectors/evidence.bundle, evidence-seen.bundle and evidence-root.json: before the format is
//! frozen, the one command that makes them anew.
#![expect(clippy::expect_used, reason = "a tool that cannot write stops")]

use std::io::Write as _;

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = evidence::world::World::found(folder.path());
    let place = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors");
    let file = world.bundle(vec![world.run()]).write().expect("a bundle");
    let seen = world.bundle(vec![world.seen_run()]).write().expect("a bundle");
    let root = world.root();
    for (name, bytes) in
        [("evidence.bundle", file), ("evidence-seen.bundle", seen), ("evidence-root.json", root)]
    {
        let mut file = std::fs::File::create(place.join(name)).expect("made");
        file.write_all(&bytes).expect("written");
    }
}
