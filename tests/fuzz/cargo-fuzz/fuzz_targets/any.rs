//! Any of the plain targets, by name: SALVE_FUZZ_TARGET.
#![no_main]

use std::sync::OnceLock;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    static TARGET: OnceLock<fn(&[u8]) -> bool> = OnceLock::new();
    let target = TARGET.get_or_init(|| {
        let wanted = std::env::var("SALVE_FUZZ_TARGET").expect("SALVE_FUZZ_TARGET names a target");
        let found = fuzz::TARGETS.iter().find(|(name, _)| *name == wanted);
        found.expect("a known target").1
    });
    target(data);
});
