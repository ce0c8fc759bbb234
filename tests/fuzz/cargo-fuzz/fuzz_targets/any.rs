//! Any of the plain targets, by name: SALVE_FUZZ_TARGET.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let wanted = std::env::var("SALVE_FUZZ_TARGET").expect("SALVE_FUZZ_TARGET names a target");
    let (_, target) = fuzz::TARGETS.iter().find(|(name, _)| *name == wanted).expect("a known target");
    target(data);
});
