//! Writes tests/vectors/order.salve and order-back.salve: before the format is frozen, the one command
//! that makes them anew.
#![expect(clippy::expect_used, reason = "a tool that cannot write stops")]

fn main() {
    let place = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors"));
    let files = desk::order_file::sample::files();
    for (name, file) in ["order.salve", "order-back.salve"].into_iter().zip(files) {
        let bytes = file.write().expect("a file");
        desk::home::write_public(&place.join(name), &bytes).expect("written");
    }
}
