//! Writes tests/vectors/frames.json: before the formats are frozen, the one command that makes it anew.

fn main() {
    let text = serde_json::to_string_pretty(&fuzz::samples::frame_vectors()).expect("JSON");
    std::fs::write(fuzz::vectors().join("frames.json"), text + "\n").expect("written");
}
