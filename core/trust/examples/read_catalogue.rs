//! Reads the catalogue in a folder as an endpoint would and says in JSON what it found:
//! `read_catalogue FOLDER NOW`, pinned to the folder's own `1.root.json`. For tests that compare
//! readers. Never writes.
#![forbid(unsafe_code)]

use std::error::Error;
use std::path::Path;

use protocol::Time;
use serde_json::json;
use trust::catalogue::{Catalogue, Files};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, now] = arguments.as_slice() else {
        return Err("usage: read_catalogue FOLDER NOW".into());
    };
    let now: Time = now.parse()?;
    let files = Files::from_folder(Path::new(folder))?;
    let root = files.get("1.root.json").ok_or("no `1.root.json`")?.to_vec();
    let answer = match Catalogue::update(&Files::new(), &root, &files, now) {
        Ok((catalogue, _)) => json!({
            "versions": catalogue.versions(),
            "issued": catalogue.issued(),
            "policy": catalogue.policy_text(),
            "scripts": catalogue.scripts().map(|entry| &entry.manifest).collect::<Vec<_>>(),
        }),
        Err(error) => json!({
            "refused": error.code(),
            "because": protocol::error_chain::ErrorChain(&error).to_string(),
        }),
    };
    println!("{answer}");
    Ok(())
}
