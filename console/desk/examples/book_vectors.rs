//! Writes tests/vectors/books.json: before the formats are frozen, the one command that makes it anew.
#![expect(clippy::expect_used, reason = "a tool that cannot write stops")]

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store::Store::create(&folder.path().join("desk.db")).expect("a store");
    let vectors = desk::books::samples::vectors(&store);
    let text = serde_json::to_string_pretty(&vectors).expect("JSON") + "\n";
    let place = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/books.json");
    desk::home::write_public(std::path::Path::new(place), text.as_bytes()).expect("written");
}
