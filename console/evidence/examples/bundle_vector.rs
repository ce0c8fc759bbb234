//! Writes tests/vectors/evidence.bundle and evidence-root.json: before the format is frozen, the one
//! command that makes them anew.
#![expect(clippy::expect_used, reason = "a tool that cannot write stops")]

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = evidence::world::World::found(folder.path());
    let place = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors");
    let file = world.bundle(vec![world.run()]).write().expect("a bundle");
    std::fs::write(place.join("evidence.bundle"), file).expect("written");
    std::fs::write(place.join("evidence-root.json"), world.root()).expect("written");
}
